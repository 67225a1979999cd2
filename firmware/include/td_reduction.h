/* What MEAN and REDUCE_MAX share. */
#ifndef TD_REDUCTION_H
#define TD_REDUCTION_H

#include "td_runtime.h"

/* Output element (i, j), i < keep_outer, j < keep_inner, is made from the input elements at
 *   i * keep_outer_step + j * keep_inner_step + k * reduce_outer_step + l * reduce_inner_step
 * for k < reduce_outer, l < reduce_inner. Where input rows are added up as they come, an input row is reduce_inner
 * columns of keep_inner channels, there are reduce_outer of them, and the output is one row of keep_inner. */
typedef struct td_reduction {
    int32_t keep_inner, keep_outer_step, keep_inner_step;
    int32_t reduce_outer, reduce_inner, reduce_outer_step, reduce_inner_step;
    int32_t row_elements;
} td_reduction_t;

#endif
