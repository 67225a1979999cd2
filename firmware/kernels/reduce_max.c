/* REDUCE_MAX: by rows of the output, or taking rows of the input in as they come. */
#include "td_reduce_max.h"

#include <string.h>

#include "td_columns.h"
#include "td_reduction_walk.h"

static void four(const td_reduction_t *walk, const int8_t *in, int8_t *out)
{
    int32_t most[4] = { -128, -128, -128, -128 };
    for (int32_t k = 0; k < walk->reduce_outer; ++k) {
        td_raise_four(most, in + k * walk->reduce_outer_step, walk->reduce_inner, walk->reduce_inner_step);
    }
    out[0] = (int8_t)most[0];
    out[1] = (int8_t)most[1];
    out[2] = (int8_t)most[2];
    out[3] = (int8_t)most[3];
}

static int8_t one(const td_reduction_t *walk, const int8_t *in)
{
    int32_t most = -128;
    for (int32_t k = 0; k < walk->reduce_outer; ++k) {
        td_raise_one(&most, in + k * walk->reduce_outer_step, walk->reduce_inner, walk->reduce_inner_step);
    }
    return (int8_t)most;
}

void td_reduce_max(const td_reduce_max_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                   int32_t first_row, int32_t end_row)
{
    const int8_t *base = (const int8_t *)td_row(arena, in, 0);
    for (int32_t row = first_row; row < end_row; ++row) {
        int8_t *to = (int8_t *)td_row(arena, out, row);
        td_reduction_at_t at = td_reduction_row(&op->walk, row);
        while (at.left > 0) {
            int32_t from;
            const int32_t n = td_reduction_next(&op->walk, &at, &from);
            if (n == 4) {
                four(&op->walk, base + from, to);
            } else {
                *to = one(&op->walk, base + from);
            }
            to += n;
        }
    }
}

void td_reduce_max_accumulate(const td_reduce_max_accumulate_t *op, uint8_t *arena, const td_tensor_t *in,
                              const td_tensor_t *out, const td_tensor_t *maxima, int32_t first_row, int32_t end_row)
{
    const int32_t channels = op->walk.keep_inner;
    int8_t *most = (int8_t *)td_row(arena, maxima, 0);
    if (first_row == 0) {
        memset(most, -128, (size_t)channels);
    }
    for (int32_t row = first_row; row < end_row; ++row) {
        td_raise_columns(most, (const int8_t *)td_row(arena, in, row), op->walk.reduce_inner, channels);
    }
    if (end_row == op->walk.reduce_outer) {
        memcpy(td_row(arena, out, 0), most, (size_t)channels);
    }
}
