/* MEAN by rows of the output: four neighbours at a time where they lie side by side in the input. */
#include "td_mean.h"

static int8_t finish(const td_mean_t *op, int32_t sum)
{
    const int32_t r = td_requantize(sum - op->zero_sum, op->multiplier, op->shift);
    return (int8_t)td_clamp((int32_t)((uint32_t)r + (uint32_t)op->out_zero), -128, 127);
}

static void four(const td_mean_t *op, const int8_t *in, int8_t *out)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int32_t k = 0; k < op->reduce_outer; ++k) {
        const int8_t *v = in + k * op->reduce_outer_step;
        const int32_t step = op->reduce_inner_step;
        for (int32_t n = op->reduce_inner; n > 0; --n, v += step) {
            s0 += v[0];
            s1 += v[1];
            s2 += v[2];
            s3 += v[3];
        }
    }
    out[0] = finish(op, s0);
    out[1] = finish(op, s1);
    out[2] = finish(op, s2);
    out[3] = finish(op, s3);
}

static int8_t one(const td_mean_t *op, const int8_t *in)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < op->reduce_outer; ++k) {
        const int8_t *v = in + k * op->reduce_outer_step;
        const int32_t step = op->reduce_inner_step;
        for (int32_t n = op->reduce_inner; n > 0; --n, v += step) {
            sum += *v;
        }
    }
    return finish(op, sum);
}

void td_mean(const td_mean_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
             int32_t end_row)
{
    const int8_t *base = (const int8_t *)td_row(arena, in, 0);
    for (int32_t row = first_row; row < end_row; ++row) {
        int8_t *to = (int8_t *)td_row(arena, out, row);
        int32_t i = row * op->row_elements / op->keep_inner;
        int32_t j = row * op->row_elements - i * op->keep_inner;
        int32_t left = op->row_elements;
        while (left > 0) {
            const int8_t *from = base + i * op->keep_outer_step + j * op->keep_inner_step;
            if (op->keep_inner_step == 1 && left >= 4 && j + 4 <= op->keep_inner) {
                four(op, from, to);
                to += 4;
                j += 4;
                left -= 4;
            } else {
                *to++ = one(op, from);
                ++j;
                --left;
            }
            if (j == op->keep_inner) {
                j = 0;
                ++i;
            }
        }
    }
}
