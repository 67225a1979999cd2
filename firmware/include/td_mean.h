/* MEAN, int8, over any axes that leave at most two runs of kept and two of reduced axes. */
#ifndef TD_MEAN_H
#define TD_MEAN_H

#include "td_reduction.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = clamp(out_zero + requantize(sum - zero_sum)), where zero_sum = elements * input zero point, and multiplier and
 * shift hold the division by the number of elements: at most 2^23 make one output element. */
typedef struct td_mean {
    td_reduction_t walk;
    int32_t zero_sum;
    int32_t multiplier, shift;
    int16_t out_zero;
} td_mean_t;

/* The whole input must be there. */
void td_mean(const td_mean_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
             int32_t end_row);

/* Input rows in order, added up in `sums`: an int32_t for each output element. The last one makes the output. */
typedef td_mean_t td_mean_accumulate_t;

void td_mean_accumulate(const td_mean_accumulate_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                        const td_tensor_t *sums, int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
