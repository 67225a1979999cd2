/* REDUCE_MAX, int8, over any axes that leave at most two runs of kept and two of reduced axes. */
#ifndef TD_REDUCE_MAX_H
#define TD_REDUCE_MAX_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output element (i, j), i < keep_outer, j < keep_inner, is the largest of the input elements at
 *   i * keep_outer_step + j * keep_inner_step + k * reduce_outer_step + l * reduce_inner_step
 * for k < reduce_outer, l < reduce_inner. The whole input must be there. */
typedef struct td_reduce_max {
    int32_t keep_inner, keep_outer_step, keep_inner_step;
    int32_t reduce_outer, reduce_inner, reduce_outer_step, reduce_inner_step;
    int32_t row_elements;
} td_reduce_max_t;

void td_reduce_max(const td_reduce_max_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                   int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
