/* CONV_2D by rows. Inside the image two output columns and two output channels are computed at a time, four
 * accumulators in registers; at the border, with dilation and with groups one column at a time, tap by tap. */
#include "td_conv_2d.h"
#include "td_window.h"

static void finish(const td_conv_2d_t *op, uint32_t acc, int32_t channel, int8_t *out)
{
    out[channel] = td_output(acc, op->scale + channel * op->scale_step, op->out_zero, op->out_min, op->out_max);
}

/* Two columns x two channels over `n` bytes of input. */
#define MAC_2X2                                                                                                        \
    do {                                                                                                               \
        const int32_t v0 = *x0++, v1 = *x1++, w0 = w[0], w1 = w[1];                                                    \
        w += 2;                                                                                                        \
        a00 += (uint32_t)(v0 * w0);                                                                                    \
        a01 += (uint32_t)(v0 * w1);                                                                                    \
        a10 += (uint32_t)(v1 * w0);                                                                                    \
        a11 += (uint32_t)(v1 * w1);                                                                                    \
        TD_PIN(a00);                                                                                                   \
        TD_PIN(a01);                                                                                                   \
        TD_PIN(a10);                                                                                                   \
        TD_PIN(a11);                                                                                                   \
    } while (0)

/* Two columns x one channel. */
#define MAC_2X1                                                                                                        \
    do {                                                                                                               \
        const int32_t w0 = *w++;                                                                                       \
        a00 += (uint32_t)(*x0++ * w0);                                                                                 \
        a10 += (uint32_t)(*x1++ * w0);                                                                                 \
    } while (0)

/* Columns x and x + 1, both inside, no dilation, one group: the taps of a window row are one run of memory. */
static TD_NOINLINE void two_columns(const td_conv_2d_t *op, const int8_t *const *window, int32_t x, int8_t *out)
{
    const int32_t step = op->stride_w * op->in_c;
    const int32_t left = x * step - op->pad_left * op->in_c;
    const int32_t run = op->kernel_w * op->in_c;
    const int8_t *w = op->weights;
    int32_t c = 0;
    for (; c + 1 < op->out_c; c += 2) {
        uint32_t a00 = (uint32_t)op->bias[c], a01 = (uint32_t)op->bias[c + 1];
        uint32_t a10 = a00, a11 = a01;
        for (int32_t k = 0; k < op->kernel_h; ++k) {
            const int8_t *x0 = window[k] + left;
            const int8_t *x1 = x0 + step;
            int32_t n = run;
            for (; n >= 4; n -= 4) {
                MAC_2X2;
                MAC_2X2;
                MAC_2X2;
                MAC_2X2;
            }
            for (; n > 0; --n) {
                MAC_2X2;
            }
        }
        finish(op, a00, c, out);
        finish(op, a01, c + 1, out);
        finish(op, a10, c, out + op->out_c);
        finish(op, a11, c + 1, out + op->out_c);
    }
    if (c < op->out_c) {
        uint32_t a00 = (uint32_t)op->bias[c], a10 = a00;
        for (int32_t k = 0; k < op->kernel_h; ++k) {
            const int8_t *x0 = window[k] + left;
            const int8_t *x1 = x0 + step;
            for (int32_t n = run; n > 0; --n) {
                MAC_2X1;
            }
        }
        finish(op, a00, c, out);
        finish(op, a10, c, out + op->out_c);
    }
}

/* One column anywhere: each tap looks for itself whether it is inside. */
static TD_NOINLINE void one_column(const td_conv_2d_t *op, const int8_t *const *window, int32_t x, int8_t *out)
{
    const int32_t group_in = op->in_c / op->groups, group_out = op->out_c / op->groups;
    const int32_t left = x * op->stride_w - op->pad_left;
    const int8_t *w = op->weights;
    for (int32_t g = 0; g < op->groups; ++g) {
        const int32_t first = g * group_out, end = first + group_out;
        for (int32_t c = first; c < end; c += 2) {
            const int32_t pair = c + 1 < end ? 1 : 0;
            uint32_t a0 = (uint32_t)op->bias[c], a1 = (uint32_t)op->bias[c + pair];
            for (int32_t k = 0; k < op->kernel_h; ++k) {
                int32_t ix = left;
                for (int32_t t = 0; t < op->kernel_w; ++t, ix += op->dilation_w) {
                    const int8_t *v = (ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row) + g * group_in;
                    if (pair) {
                        for (int32_t n = group_in; n > 0; --n, w += 2) {
                            const int32_t v0 = *v++;
                            a0 += (uint32_t)(v0 * w[0]);
                            a1 += (uint32_t)(v0 * w[1]);
                        }
                    } else {
                        for (int32_t n = group_in; n > 0; --n) {
                            a0 += (uint32_t)(*v++ * *w++);
                        }
                    }
                }
            }
            finish(op, a0, c, out);
            if (pair) {
                finish(op, a1, c + 1, out);
            }
        }
    }
}

static void conv_row(const td_conv_2d_t *op, const int8_t *const *window, int8_t *out)
{
    const int32_t simple = op->dilation_w == 1 && op->groups == 1 ? 1 : 0;
    int32_t x = 0;
    while (x < op->out_w) {
        if (simple && x >= op->inner_begin && x + 1 < op->inner_end) {
            two_columns(op, window, x, out + x * op->out_c);
            x += 2;
        } else {
            one_column(op, window, x, out + x * op->out_c);
            x += 1;
        }
    }
}

void td_conv_2d(const td_conv_2d_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                int32_t first_row, int32_t end_row, const int8_t **window)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const int32_t top = (row - image * op->out_h) * op->stride_h - op->pad_top;
        td_fill_window(window, arena, in, op->pad_row, image, op->in_h, top, op->kernel_h, op->dilation_h);
        conv_row(op, window, (int8_t *)td_row(arena, out, row));
    }
}
