/* CONV_2D by rows, in one of three ways, chosen by what is cheapest for the shape:
 *  - small windows: the patches under two columns are gathered side by side, so that the window is one run of memory
 *    and its border costs nothing;
 *  - larger windows inside the image: the rows of the window are runs of memory themselves;
 *  - larger windows at the border, dilated or grouped: tap by tap.
 * Two output columns and two output channels are computed at a time, four accumulators in registers. */
#include "td_conv_2d.h"
#include "td_dsp.h"
#include "td_two_channels.h"
#include "td_window.h"

#include <string.h>

/* Four inputs at a time: two columns, two channels. */
#if TD_DSP
#define MAC_4_2X2                                                                                                      \
    do {                                                                                                               \
        const uint32_t v0 = td_load4(x0), v1 = td_load4(x1), u0 = td_load4(w), u1 = td_load4(w + 4);                   \
        const uint32_t v0e = td_even(v0), v0o = td_odd(v0), v1e = td_even(v1), v1o = td_odd(v1);                       \
        const uint32_t u0e = td_even(u0), u0o = td_odd(u0), u1e = td_even(u1), u1o = td_odd(u1);                       \
        x0 += 4;                                                                                                       \
        x1 += 4;                                                                                                       \
        w += 8;                                                                                                        \
        a00 = td_dual_mac(v0o, u0o, td_dual_mac(v0e, u0e, a00));                                                       \
        a10 = td_dual_mac(v1o, u0o, td_dual_mac(v1e, u0e, a10));                                                       \
        a01 = td_dual_mac(v0o, u1o, td_dual_mac(v0e, u1e, a01));                                                       \
        a11 = td_dual_mac(v1o, u1o, td_dual_mac(v1e, u1e, a11));                                                       \
    } while (0)
#else
#define MAC_4_2X2                                                                                                      \
    do {                                                                                                               \
        MAC_2X2(w[0], w[4]);                                                                                           \
        MAC_2X2(w[1], w[5]);                                                                                           \
        MAC_2X2(w[2], w[6]);                                                                                           \
        MAC_2X2(w[3], w[7]);                                                                                           \
        w += 8;                                                                                                        \
    } while (0)
#endif

/* One input: two columns, two channels with the weights u0 and u1. */
#define MAC_2X2(u0, u1)                                                                                                \
    do {                                                                                                               \
        const int32_t v0 = *x0++, v1 = *x1++, w0 = u0, w1 = u1;                                                        \
        a00 += (uint32_t)(v0 * w0);                                                                                    \
        a01 += (uint32_t)(v0 * w1);                                                                                    \
        a10 += (uint32_t)(v1 * w0);                                                                                    \
        a11 += (uint32_t)(v1 * w1);                                                                                    \
        TD_PIN(a00);                                                                                                   \
        TD_PIN(a01);                                                                                                   \
        TD_PIN(a10);                                                                                                   \
        TD_PIN(a11);                                                                                                   \
    } while (0)

/* `rows` runs of `run` bytes, the k-th at row[k] + left; the next column's lie `step` further on. */
typedef struct runs {
    const int8_t *const *row;
    int32_t rows, run, left, step;
} runs_t;

static TD_NOINLINE void two_columns(const td_conv_2d_t *op, const runs_t *in, int8_t *out)
{
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = op->weights;
    int8_t *const next = out + op->out_c;
    int32_t c = 0;
    for (; c + 1 < op->out_c; c += 2) {
        uint32_t a00 = (uint32_t)op->bias[c], a01 = (uint32_t)op->bias[c + 1];
        uint32_t a10 = a00, a11 = a01;
        for (int32_t k = 0; k < in->rows; ++k) {
            const int8_t *x0 = in->row[k] + in->left;
            const int8_t *x1 = x0 + in->step;
            int32_t n = in->run;
            for (; n >= 4; n -= 4) {
                MAC_4_2X2;
            }
            for (; n > 0; --n, w += 2) {
                MAC_2X2(w[0], w[1]);
            }
        }
        out[c] = td_output(a00, scale, round);
        next[c] = td_output(a10, scale, round);
        scale += step;
        out[c + 1] = td_output(a01, scale, round);
        next[c + 1] = td_output(a11, scale, round);
        scale += step;
    }
    if (c < op->out_c) {
        uint32_t a0 = (uint32_t)op->bias[c], a1 = a0;
        for (int32_t k = 0; k < in->rows; ++k) {
            const int8_t *x0 = in->row[k] + in->left;
            for (int32_t n = in->run; n > 0; --n, ++x0) {
                const int32_t w0 = *w++;
                a0 += (uint32_t)(x0[0] * w0);
                a1 += (uint32_t)(x0[in->step] * w0);
            }
        }
        out[c] = td_output(a0, scale, round);
        next[c] = td_output(a1, scale, round);
    }
}

static TD_NOINLINE void one_column(const td_conv_2d_t *op, const runs_t *in, int8_t *out)
{
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = op->weights;
    int32_t c = 0;
    for (; c + 1 < op->out_c; c += 2) {
        uint32_t a0 = (uint32_t)op->bias[c], a1 = (uint32_t)op->bias[c + 1];
        for (int32_t k = 0; k < in->rows; ++k) {
            const int8_t *x0 = in->row[k] + in->left;
            int32_t n = in->run;
            for (; n >= 4; n -= 4) {
                MAC_4_1X2;
            }
            for (; n > 0; --n, w += 2) {
                MAC_1X2(w[0], w[1]);
            }
        }
        out[c] = td_output(a0, scale, round);
        scale += step;
        out[c + 1] = td_output(a1, scale, round);
        scale += step;
    }
    if (c < op->out_c) {
        uint32_t acc = (uint32_t)op->bias[c];
        for (int32_t k = 0; k < in->rows; ++k) {
            const int8_t *x0 = in->row[k] + in->left;
            for (int32_t n = in->run; n > 0; --n) {
                acc += (uint32_t)(*x0++ * *w++);
            }
        }
        out[c] = td_output(acc, scale, round);
    }
}

/* One column anywhere, in any group: each tap looks for itself whether it is inside. */
static TD_NOINLINE void tap_by_tap(const td_conv_2d_t *op, const int8_t *const *window, int32_t x, int8_t *out)
{
    const int32_t group_in = op->in_c / op->groups, group_out = op->out_c / op->groups;
    const int32_t left = x * op->stride_w - op->pad_left;
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = op->weights;
    for (int32_t g = 0; g < op->groups; ++g) {
        const int32_t first = g * group_out, end = first + group_out;
        for (int32_t c = first; c < end; c += 2) {
            const int32_t pair = c + 1 < end ? 1 : 0;
            uint32_t a0 = (uint32_t)op->bias[c], a1 = (uint32_t)op->bias[c + pair];
            for (int32_t k = 0; k < op->kernel_h; ++k) {
                int32_t ix = left;
                for (int32_t t = 0; t < op->kernel_w; ++t, ix += op->dilation_w) {
                    const int8_t *x0 = ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row;
                    int32_t n = group_in;
                    x0 += g * group_in;
                    if (pair) {
                        for (; n >= 4; n -= 4) {
                            MAC_4_1X2;
                        }
                        for (; n > 0; --n, w += 2) {
                            MAC_1X2(w[0], w[1]);
                        }
                    } else {
                        for (; n > 0; --n) {
                            a0 += (uint32_t)(*x0++ * *w++);
                        }
                    }
                }
            }
            out[c] = td_output(a0, scale, round);
            scale += step;
            if (pair) {
                out[c + 1] = td_output(a1, scale, round);
                scale += step;
            }
        }
    }
}

/* The taps under column x, one after the other; returns where the next patch goes. */
static int8_t *gather(const td_conv_2d_t *op, const int8_t *const *window, int32_t x, int8_t *patch)
{
    const int32_t left = x * op->stride_w - op->pad_left;
    for (int32_t k = 0; k < op->kernel_h; ++k) {
        int32_t ix = left;
        if (op->dilation_w == 1 && x >= op->inner_begin && x < op->inner_end) {
            const int32_t run = op->kernel_w * op->in_c;
            memcpy(patch, window[k] + ix * op->in_c, (size_t)run);
            patch += run;
            continue;
        }
        for (int32_t t = 0; t < op->kernel_w; ++t, ix += op->dilation_w, patch += op->in_c) {
            const int8_t *from = ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row;
            memcpy(patch, from, (size_t)op->in_c);
        }
    }
    return patch;
}

/* A row of a small window. */
static TD_NOINLINE void row_by_patches(const td_conv_2d_t *op, const int8_t *const *window, int8_t *out)
{
    int8_t patch[2 * TD_CONV_PATCH_BYTES];
    const int8_t *const row = patch;
    const int32_t taps = op->kernel_h * op->kernel_w * op->in_c;
    const runs_t in = {&row, 1, taps, 0, taps};
    for (int32_t x = 0; x < op->out_w; x += 2, out += 2 * op->out_c) {
        int8_t *const second = gather(op, window, x, patch);
        if (x + 1 < op->out_w) {
            gather(op, window, x + 1, second);
            two_columns(op, &in, out);
        } else {
            one_column(op, &in, out);
        }
    }
}

/* A row of any window. */
static void row_by_runs(const td_conv_2d_t *op, const int8_t *const *window, int8_t *out)
{
    /* the weights' blocks of four must be the same whether a window row is read as one run or tap by tap */
    const int32_t aligned = op->in_c % 4 == 0 || op->kernel_w == 1 ? 1 : 0;
    const int32_t simple = op->dilation_w == 1 && op->groups == 1 && aligned ? 1 : 0;
    runs_t in = {window, op->kernel_h, op->kernel_w * op->in_c, 0, op->stride_w * op->in_c};
    int32_t x = 0;
    while (x < op->out_w) {
        int8_t *const to = out + x * op->out_c;
        in.left = (x * op->stride_w - op->pad_left) * op->in_c;
        if (!simple || x < op->inner_begin || x >= op->inner_end) {
            tap_by_tap(op, window, x, to);
            x += 1;
        } else if (x + 1 < op->inner_end) {
            two_columns(op, &in, to);
            x += 2;
        } else {
            one_column(op, &in, to);
            x += 1;
        }
    }
}

void td_conv_2d(const td_conv_2d_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                int32_t first_row, int32_t end_row, const int8_t **window)
{
    const int32_t taps = op->kernel_h * op->kernel_w;
    const int32_t small = taps > 1 && op->groups == 1 && taps <= TD_CONV_PATCH_BYTES / op->in_c ? 1 : 0;
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const int32_t top = (row - image * op->out_h) * op->stride_h - op->pad_top;
        int8_t *const to = (int8_t *)td_row(arena, out, row);
        td_fill_window(window, arena, in, op->pad_row, image, op->in_h, top, op->kernel_h, op->dilation_h);
        if (small) {
            row_by_patches(op, window, to);
        } else {
            row_by_runs(op, window, to);
        }
        td_narrow(to, op->out_w * op->out_c, op->out_min, op->out_max);
    }
}
