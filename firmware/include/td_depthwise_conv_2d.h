/* DEPTHWISE_CONV_2D, int8, strided, dilated, any depth multiplier. */
#ifndef TD_DEPTHWISE_CONV_2D_H
#define TD_DEPTHWISE_CONV_2D_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Windows of up to so many taps (7 x 7) are computed in blocks of channels: their addresses are kept on the stack. */
#define TD_DEPTHWISE_TAPS 49

/* As td_conv_2d, each output channel c reading the input channel c / multiplier alone.
 *
 * blocks: 1 with multiplier 1 and at most TD_DEPTHWISE_TAPS taps, else 0.
 * weights: with blocks, four channels at a time, taps in order, the four weights side by side:
 *   [out_c / 4][kernel_h][kernel_w][4], then the out_c % 4 last channels one by one, [kernel_h][kernel_w] each.
 *   Without, all channels one by one. */
typedef struct td_depthwise_conv_2d {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *scale;
    const int8_t *pad_row;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t dilation_h, dilation_w;
    uint16_t pad_top, pad_left;
    uint16_t multiplier, blocks, scale_step;
    int16_t out_zero, out_min, out_max;
} td_depthwise_conv_2d_t;

/* window: room for kernel_h pointers. */
void td_depthwise_conv_2d(const td_depthwise_conv_2d_t *op, uint8_t *arena, const td_tensor_t *in,
                          const td_tensor_t *out, int32_t first_row, int32_t end_row, const int8_t **window);

#ifdef __cplusplus
}
#endif

#endif
