/* FULLY_CONNECTED, int8, per-tensor or per-channel weights. */
#ifndef TD_FULLY_CONNECTED_H
#define TD_FULLY_CONNECTED_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For each batch, out[o] = clamp(out_zero + requantize(bias[o] + sum of in[i] * w[o][i])).
 *
 * weights: blocks of four outputs; in each, blocks of four inputs with the four weights of each output in turn, then
 *   the inputs that are left over one by one, the four outputs' weights side by side. The out_n % 4 last outputs follow
 *   one by one, [in_n] each.
 * bias and scale as in td_conv_2d.
 * batches: how many batches of out_n make one output row.
 * in_rows: how many input rows make one output row (their bytes lie one after the other when it is not 1); 0 when the
 *   two do not go together, and the input must be whole. */
typedef struct td_fully_connected {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *scale;
    int32_t in_n, out_n, batches, in_rows;
    uint16_t scale_step;
    int16_t out_zero, out_min, out_max;
} td_fully_connected_t;

void td_fully_connected(const td_fully_connected_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                        int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
