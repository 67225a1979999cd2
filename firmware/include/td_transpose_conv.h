/* TRANSPOSE_CONV, int8, per-tensor or per-channel weights, strided. */
#ifndef TD_TRANSPOSE_CONV_H
#define TD_TRANSPOSE_CONV_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Input element (iy, ix) goes to the outputs (iy * stride_h - pad_top + ky, ix * stride_w - pad_left + kx). Seen from an
 * output, the taps that meet it are ky = p, p + stride_h, ... with the phase p = (y + pad_top) mod stride_h, and kx
 * likewise: the outputs of each pair of phases are an ordinary convolution of the input, with weights and a bias of its
 * own. out[y][x][c] = clamp(out_zero + requantize(bias[c] + sum over these taps of in * w)).
 *
 * weights: for each phase of y, for each phase of x: as td_conv_2d.h has them for one group, each tap a run, the taps in
 *   the order of the inputs that they read, from top left on (so ky and kx fall).
 * bias: for each phase of y, for each phase of x: out_c values, with the input's zero point folded in.
 * scale: (multiplier, shift) pairs, one for each channel (scale_step 2) or one for all (scale_step 0).
 * pad_row: in_w * in_c bytes that all equal the input's zero point. */
typedef struct td_transpose_conv {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *scale;
    const int8_t *pad_row;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t pad_top, pad_left;
    uint16_t scale_step;
    int16_t out_zero, out_min, out_max;
} td_transpose_conv_t;

/* window: room for kernel_h / stride_h pointers, rounded up. */
void td_transpose_conv(const td_transpose_conv_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                       int32_t first_row, int32_t end_row, const int8_t **window);

#ifdef __cplusplus
}
#endif

#endif
