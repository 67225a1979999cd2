/* DEPTHWISE_CONV_2D by rows: four channels of a column at a time while the multiplier is 1, else channel by channel. */
#include "td_depthwise_conv_2d.h"
#include "td_window.h"

#define FINISH(acc, channel)                                                                                           \
    out[channel] = td_output(acc, op->scale + (channel) * op->scale_step, op->out_zero, op->out_min, op->out_max)

#define MAC_4                                                                                                          \
    do {                                                                                                               \
        a0 += (uint32_t)(v[0] * w[0]);                                                                                 \
        a1 += (uint32_t)(v[1] * w[1]);                                                                                 \
        a2 += (uint32_t)(v[2] * w[2]);                                                                                 \
        a3 += (uint32_t)(v[3] * w[3]);                                                                                 \
        TD_PIN(a0);                                                                                                    \
        TD_PIN(a1);                                                                                                    \
        TD_PIN(a2);                                                                                                    \
        TD_PIN(a3);                                                                                                    \
        w += 4;                                                                                                        \
    } while (0)

#define FINISH_4                                                                                                       \
    do {                                                                                                               \
        FINISH(a0, c);                                                                                                 \
        FINISH(a1, c + 1);                                                                                             \
        FINISH(a2, c + 2);                                                                                             \
        FINISH(a3, c + 3);                                                                                             \
    } while (0)

/* All blocks of four channels of one column, whose taps are all inside; returns the weights behind them. */
static TD_NOINLINE const int8_t *blocks_inside(const td_depthwise_conv_2d_t *op, const int8_t *const *window,
                                               int32_t left, int8_t *out)
{
    const int32_t tap_step = op->dilation_w * op->in_c;
    const int8_t *w = op->weights;
    int32_t offset = left * op->in_c;
    for (int32_t c = 0; c + 3 < op->out_c; c += 4, offset += 4) {
        uint32_t a0 = (uint32_t)op->bias[c], a1 = (uint32_t)op->bias[c + 1];
        uint32_t a2 = (uint32_t)op->bias[c + 2], a3 = (uint32_t)op->bias[c + 3];
        for (int32_t k = 0; k < op->kernel_h; ++k) {
            const int8_t *v = window[k] + offset;
            int32_t n = op->kernel_w;
            for (; n >= 3; n -= 3) {
                MAC_4;
                v += tap_step;
                MAC_4;
                v += tap_step;
                MAC_4;
                v += tap_step;
            }
            for (; n > 0; --n, v += tap_step) {
                MAC_4;
            }
        }
        FINISH_4;
    }
    return w;
}

/* The same for a column at the border: each tap looks for itself whether it is inside. */
static TD_NOINLINE const int8_t *blocks_at_border(const td_depthwise_conv_2d_t *op, const int8_t *const *window,
                                                  int32_t left, int8_t *out)
{
    const int8_t *w = op->weights;
    for (int32_t c = 0; c + 3 < op->out_c; c += 4) {
        uint32_t a0 = (uint32_t)op->bias[c], a1 = (uint32_t)op->bias[c + 1];
        uint32_t a2 = (uint32_t)op->bias[c + 2], a3 = (uint32_t)op->bias[c + 3];
        for (int32_t k = 0; k < op->kernel_h; ++k) {
            int32_t ix = left;
            for (int32_t n = op->kernel_w; n > 0; --n, ix += op->dilation_w) {
                const int8_t *v = (ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row) + c;
                MAC_4;
            }
        }
        FINISH_4;
    }
    return w;
}

static const int8_t *one_channel(const td_depthwise_conv_2d_t *op, const int8_t *const *window, int32_t left,
                                 int32_t channel, int32_t in_channel, const int8_t *w, int8_t *out)
{
    uint32_t acc = (uint32_t)op->bias[channel];
    for (int32_t k = 0; k < op->kernel_h; ++k) {
        int32_t ix = left;
        for (int32_t n = op->kernel_w; n > 0; --n, ix += op->dilation_w) {
            const int8_t *v = ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row;
            acc += (uint32_t)(v[in_channel] * *w++);
        }
    }
    FINISH(acc, channel);
    return w;
}

static void depthwise_row(const td_depthwise_conv_2d_t *op, const int8_t *const *window, int8_t *out)
{
    int32_t left = -op->pad_left;
    for (int32_t x = 0; x < op->out_w; ++x, left += op->stride_w, out += op->out_c) {
        if (op->multiplier == 1) {
            const int32_t inside = x >= op->inner_begin && x < op->inner_end ? 1 : 0;
            const int8_t *w = inside ? blocks_inside(op, window, left, out) : blocks_at_border(op, window, left, out);
            for (int32_t c = op->out_c & ~3; c < op->out_c; ++c) {
                w = one_channel(op, window, left, c, c, w, out);
            }
        } else {
            const int8_t *w = op->weights;
            int32_t c = 0;
            for (int32_t in_channel = 0; in_channel < op->in_c; ++in_channel) {
                for (int32_t m = 0; m < op->multiplier; ++m, ++c) {
                    w = one_channel(op, window, left, c, in_channel, w, out);
                }
            }
        }
    }
}

void td_depthwise_conv_2d(const td_depthwise_conv_2d_t *op, uint8_t *arena, const td_tensor_t *in,
                          const td_tensor_t *out, int32_t first_row, int32_t end_row, const int8_t **window)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const int32_t top = (row - image * op->out_h) * op->stride_h - op->pad_top;
        td_fill_window(window, arena, in, op->pad_row, image, op->in_h, top, op->kernel_h, op->dilation_h);
        depthwise_row(op, window, (int8_t *)td_row(arena, out, row));
    }
}
