/* REDUCE_MAX, int8, over any axes that leave at most two runs of kept and two of reduced axes. */
#ifndef TD_REDUCE_MAX_H
#define TD_REDUCE_MAX_H

#include "td_reduction.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = the largest. */
typedef struct td_reduce_max {
    td_reduction_t walk;
} td_reduce_max_t;

/* The whole input must be there. */
void td_reduce_max(const td_reduce_max_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                   int32_t first_row, int32_t end_row);

/* Input rows in order; `maxima` is an int8_t for each output element. The last one makes the output. */
typedef td_reduce_max_t td_reduce_max_accumulate_t;

void td_reduce_max_accumulate(const td_reduce_max_accumulate_t *op, uint8_t *arena, const td_tensor_t *in,
                              const td_tensor_t *out, const td_tensor_t *maxima, int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
