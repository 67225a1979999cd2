/* Reading an input in rows of another length than its own, and finding the input row that belongs to an output row. */
#ifndef TD_VIEW_H
#define TD_VIEW_H

#include "td_runtime.h"

/* Row `row` of `in` seen as rows of `row_bytes` bytes. When these are the tensor's own rows it may be a ring; otherwise
 * all of it must be there. `data` stands for a constant, unless it is NULL. */
static inline const uint8_t *td_view_row(const int8_t *data, uint8_t *arena, const td_tensor_t *in, int32_t row,
                                         int32_t row_bytes)
{
    if (data != NULL) {
        return (const uint8_t *)data + row * row_bytes;
    }
    if ((uint32_t)row_bytes == in->row_bytes) {
        return td_row(arena, in, row);
    }
    return td_row(arena, in, 0) + row * row_bytes;
}

#endif
