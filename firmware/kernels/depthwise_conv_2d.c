/* DEPTHWISE_CONV_2D by rows: the addresses of all taps under a column are found once for all channels, so that inside
 * and border cost the same, and four channels are computed at a time; with a multiplier, and for very large windows,
 * channel by channel and tap by tap. */
#include "td_depthwise_conv_2d.h"
#include "td_dsp.h"
#include "td_window.h"

/* One tap, four channels. */
#if TD_DSP
#define MAC_4                                                                                                          \
    do {                                                                                                               \
        const uint32_t v = td_load4(*tap++ + c), u = td_load4(w);                                                      \
        const uint32_t even = td_even(v), odd = td_odd(v), u_even = td_even(u), u_odd = td_odd(u);                     \
        w += 4;                                                                                                        \
        a0 = td_low_mac(even, u_even, a0);                                                                             \
        a1 = td_low_mac(odd, u_odd, a1);                                                                               \
        a2 = td_high_mac(even, u_even, a2);                                                                            \
        a3 = td_high_mac(odd, u_odd, a3);                                                                              \
    } while (0)
#else
#define MAC_4                                                                                                          \
    do {                                                                                                               \
        const int8_t *const v = *tap++ + c;                                                                            \
        a0 += (uint32_t)(v[0] * w[0]);                                                                                 \
        a1 += (uint32_t)(v[1] * w[1]);                                                                                 \
        a2 += (uint32_t)(v[2] * w[2]);                                                                                 \
        a3 += (uint32_t)(v[3] * w[3]);                                                                                 \
        w += 4;                                                                                                        \
        TD_PIN(a0);                                                                                                    \
        TD_PIN(a1);                                                                                                    \
        TD_PIN(a2);                                                                                                    \
        TD_PIN(a3);                                                                                                    \
    } while (0)
#endif

/* Where each tap of the column whose window begins at input column `left` lies. */
static void find_taps(const td_depthwise_conv_2d_t *op, const int8_t *const *window, int32_t left, const int8_t **tap)
{
    for (int32_t k = 0; k < op->kernel_h; ++k) {
        int32_t ix = left;
        for (int32_t n = op->kernel_w; n > 0; --n, ix += op->dilation_w) {
            *tap++ = ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row;
        }
    }
}

/* A column, four channels at a time as far as that goes; `taps` addresses. */
static TD_NOINLINE void column(const td_depthwise_conv_2d_t *op, const int8_t *const *first, int32_t taps, int8_t *out)
{
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = op->weights;
    int32_t c = 0;
    for (; c + 3 < op->out_c; c += 4) {
        const int8_t *const *tap = first;
        uint32_t a0 = (uint32_t)op->bias[c], a1 = (uint32_t)op->bias[c + 1];
        uint32_t a2 = (uint32_t)op->bias[c + 2], a3 = (uint32_t)op->bias[c + 3];
        int32_t n = taps;
        for (; n >= 3; n -= 3) {
            MAC_4;
            MAC_4;
            MAC_4;
        }
        for (; n > 0; --n) {
            MAC_4;
        }
        out[c] = td_output(a0, scale, round);
        scale += step;
        out[c + 1] = td_output(a1, scale, round);
        scale += step;
        out[c + 2] = td_output(a2, scale, round);
        scale += step;
        out[c + 3] = td_output(a3, scale, round);
        scale += step;
    }
    for (; c < op->out_c; ++c) {
        uint32_t acc = (uint32_t)op->bias[c];
        for (int32_t t = 0; t < taps; ++t) {
            acc += (uint32_t)(first[t][c] * *w++);
        }
        out[c] = td_output(acc, scale, round);
        scale += step;
    }
}

/* A column, channel by channel, for any multiplier and any window. */
static TD_NOINLINE void tap_by_tap(const td_depthwise_conv_2d_t *op, const int8_t *const *window, int32_t left,
                                   int8_t *out)
{
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = op->weights;
    for (int32_t from = 0, c = 0; from < op->in_c; ++from) {
        for (int32_t m = 0; m < op->multiplier; ++m, ++c, scale += step) {
            uint32_t acc = (uint32_t)op->bias[c];
            for (int32_t k = 0; k < op->kernel_h; ++k) {
                int32_t ix = left;
                for (int32_t n = op->kernel_w; n > 0; --n, ix += op->dilation_w) {
                    const int8_t *v = ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row;
                    acc += (uint32_t)(v[from] * *w++);
                }
            }
            out[c] = td_output(acc, scale, round);
        }
    }
}

void td_depthwise_conv_2d(const td_depthwise_conv_2d_t *op, uint8_t *arena, const td_tensor_t *in,
                          const td_tensor_t *out, int32_t first_row, int32_t end_row, const int8_t **window)
{
    const int8_t *tap[TD_DEPTHWISE_TAPS];
    const int32_t taps = op->kernel_h * op->kernel_w;
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const int32_t top = (row - image * op->out_h) * op->stride_h - op->pad_top;
        int8_t *const to = (int8_t *)td_row(arena, out, row);
        td_fill_window(window, arena, in, op->pad_row, image, op->in_h, top, op->kernel_h, op->dilation_h);
        int32_t left = -op->pad_left;
        for (int32_t x = 0; x < op->out_w; ++x, left += op->stride_w) {
            if (op->blocks) {
                find_taps(op, window, left, tap);
                column(op, tap, taps, to + x * op->out_c);
            } else {
                tap_by_tap(op, window, left, to + x * op->out_c);
            }
        }
        td_narrow(to, op->out_w * op->out_c, op->out_min, op->out_max);
    }
}
