/* Bytes picked from an input at regular steps: SLICE, STRIDED_SLICE, TRANSPOSE, UNPACK, and SPLIT and SPLIT_V with one
 * call for each output. */
#ifndef TD_REARRANGE_H
#define TD_REARRANGE_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output row y has the coordinates c in the axes of `outer`, `axes` entries (extent, row step, element step), the
 * innermost first. It is made from the input row `row` + sum(c[i] * row step), in rows of `in_row` bytes: its element
 * (w, d) of `columns` x `depth` is the element `start` + sum(c[i] * element step) + w * column_step + d * depth_step of
 * that row. Steps may be negative. Where `in_row` is not the length of the input's own rows, all of it must be there. */
typedef struct td_rearrange {
    const int32_t *outer;
    int32_t axes;
    int32_t in_row;
    int32_t row, start;
    int32_t columns, depth;
    int32_t column_step, depth_step;
} td_rearrange_t;

void td_rearrange(const td_rearrange_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                  int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
