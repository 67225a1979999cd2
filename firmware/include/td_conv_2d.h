/* CONV_2D, int8, per-tensor or per-channel weights, strided, dilated, grouped. */
#ifndef TD_CONV_2D_H
#define TD_CONV_2D_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TD_CONV_PATCH_BYTES 64

/* out[y][x][c] = clamp(out_zero + requantize(bias[c] + sum over the window of in * w)).
 *
 * weights: for each group, pairs of its output channels; for each pair, run by run of consecutive inputs, blocks of
 *   four inputs, first the four weights of the pair's first channel, then those of the second; the inputs that are left
 *   over in a run one by one, both channels' weights side by side. An odd last channel follows in plain order.
 *   A run is the whole window when it is small (one group, more than one tap, at most TD_CONV_PATCH_BYTES), else the
 *   input channels of one tap (in_c / groups).
 * bias: out_c values, with the input's zero point folded in: bias[c] - in_zero * sum(w[c]).
 * scale: (multiplier, shift) pairs, one for each channel (scale_step 2) or one for all (scale_step 0).
 * pad_row: in_w * in_c bytes that all equal the input's zero point, read where the window leaves the input; NULL if
 *   it never does.
 * Output columns [inner_begin, inner_end) have all their taps inside the input's columns. */
typedef struct td_conv_2d {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *scale;
    const int8_t *pad_row;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t inner_begin, inner_end;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t dilation_h, dilation_w;
    uint16_t pad_top, pad_left;
    uint16_t groups, scale_step;
    int16_t out_zero, out_min, out_max;
} td_conv_2d_t;

/* window: room for kernel_h pointers. */
void td_conv_2d(const td_conv_2d_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                int32_t first_row, int32_t end_row, const int8_t **window);

#ifdef __cplusplus
}
#endif

#endif
