/* TRANSPOSE, int8. */
#ifndef TD_TRANSPOSE_H
#define TD_TRANSPOSE_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output row y has the coordinates c in the axes of `outer`, `axes` entries (extent, input step), the innermost first.
 * Its element (w, d) of `columns` x `depth` is the input element sum(c[i] * step) + w * column_step + d * depth_step.
 * The whole input must be there. */
typedef struct td_transpose {
    const int32_t *outer;
    int32_t axes;
    int32_t columns, depth;
    int32_t column_step, depth_step;
} td_transpose_t;

void td_transpose(const td_transpose_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                  int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
