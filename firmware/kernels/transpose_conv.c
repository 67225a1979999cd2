/* TRANSPOSE_CONV by rows of the output: nothing is scattered, every output gathers the taps that meet it. Two output
 * channels are computed at a time. */
#include "td_transpose_conv.h"
#include "td_two_channels.h"
#include "td_window.h"

/* How many of `kernel` taps belong to the phases before `phase`. */
static int32_t taps_before(int32_t kernel, int32_t stride, int32_t phase)
{
    const int32_t each = kernel / stride, more = kernel - each * stride;
    return each * phase + (phase < more ? phase : more);
}

/* The weights and biases of one pair of phases, and the input columns that its taps begin at. */
typedef struct phase {
    const int8_t *weights;
    const int32_t *bias;
    int32_t rows, columns, left;
} phase_t;

static TD_NOINLINE void column(const td_transpose_conv_t *op, const phase_t *phase, const int8_t *const *window,
                               int8_t *out)
{
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = phase->weights;
    for (int32_t c = 0; c < op->out_c; c += 2) {
        const int32_t pair = c + 1 < op->out_c ? 1 : 0;
        uint32_t a0 = (uint32_t)phase->bias[c], a1 = (uint32_t)phase->bias[c + pair];
        for (int32_t k = 0; k < phase->rows; ++k) {
            for (int32_t t = 0; t < phase->columns; ++t) {
                const int32_t ix = phase->left + t;
                const int8_t *x0 = ix >= 0 && ix < op->in_w ? window[k] + ix * op->in_c : op->pad_row;
                int32_t n = op->in_c;
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

void td_transpose_conv(const td_transpose_conv_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                       int32_t first_row, int32_t end_row, const int8_t **window)
{
    const int32_t stride_h = op->stride_h, stride_w = op->stride_w, values = op->in_c * op->out_c;
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const int32_t y = row - image * op->out_h + op->pad_top, last_y = y / stride_h, phase_y = y - last_y * stride_h;
        const int32_t before_y = taps_before(op->kernel_h, stride_h, phase_y);
        const int32_t rows = taps_before(op->kernel_h, stride_h, phase_y + 1) - before_y;
        int8_t *to = (int8_t *)td_row(arena, out, row);
        td_fill_window(window, arena, in, op->pad_row, image, op->in_h, last_y - rows + 1, rows, 1);
        for (int32_t x = op->pad_left, end = x + op->out_w; x < end; ++x, to += op->out_c) {
            const int32_t last_x = x / stride_w, phase_x = x - last_x * stride_w;
            const int32_t before_x = taps_before(op->kernel_w, stride_w, phase_x);
            const int32_t columns = taps_before(op->kernel_w, stride_w, phase_x + 1) - before_x;
            const phase_t phase = {op->weights + (before_y * op->kernel_w + rows * before_x) * values,
                                   op->bias + (phase_y * stride_w + phase_x) * op->out_c, rows, columns,
                                   last_x - columns + 1};
            column(op, &phase, window, to);
        }
        td_narrow(to - op->out_w * op->out_c, op->out_w * op->out_c, op->out_min, op->out_max);
    }
}
