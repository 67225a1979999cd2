/* REDUCE_MAX by rows of the output: four neighbours at a time where they lie side by side in the input. */
#include "td_reduce_max.h"

static inline int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static void four(const td_reduce_max_t *op, const int8_t *in, int8_t *out)
{
    int32_t m0 = -128, m1 = -128, m2 = -128, m3 = -128;
    for (int32_t k = 0; k < op->reduce_outer; ++k) {
        const int8_t *v = in + k * op->reduce_outer_step;
        const int32_t step = op->reduce_inner_step;
        for (int32_t n = op->reduce_inner; n > 0; --n, v += step) {
            m0 = larger(v[0], m0);
            m1 = larger(v[1], m1);
            m2 = larger(v[2], m2);
            m3 = larger(v[3], m3);
        }
    }
    out[0] = (int8_t)m0;
    out[1] = (int8_t)m1;
    out[2] = (int8_t)m2;
    out[3] = (int8_t)m3;
}

static int8_t one(const td_reduce_max_t *op, const int8_t *in)
{
    int32_t most = -128;
    for (int32_t k = 0; k < op->reduce_outer; ++k) {
        const int8_t *v = in + k * op->reduce_outer_step;
        const int32_t step = op->reduce_inner_step;
        for (int32_t n = op->reduce_inner; n > 0; --n, v += step) {
            most = larger(*v, most);
        }
    }
    return (int8_t)most;
}

void td_reduce_max(const td_reduce_max_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                   int32_t first_row, int32_t end_row)
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
