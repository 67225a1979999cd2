/* MEAN: by rows of the output, or adding rows of the input up as they come. */
#include "td_mean.h"

#include <string.h>

#include "td_columns.h"
#include "td_reduction_walk.h"

static int8_t finish(const td_mean_t *op, int32_t sum)
{
    const int32_t r = td_requantize(sum - op->zero_sum, op->multiplier, op->shift);
    return (int8_t)td_clamp((int32_t)((uint32_t)r + (uint32_t)op->out_zero), -128, 127);
}

static void four(const td_mean_t *op, const int8_t *in, int8_t *out)
{
    const td_reduction_t *walk = &op->walk;
    int32_t sums[4] = { 0, 0, 0, 0 };
    for (int32_t k = 0; k < walk->reduce_outer; ++k) {
        td_add_four(sums, in + k * walk->reduce_outer_step, walk->reduce_inner, walk->reduce_inner_step);
    }
    out[0] = finish(op, sums[0]);
    out[1] = finish(op, sums[1]);
    out[2] = finish(op, sums[2]);
    out[3] = finish(op, sums[3]);
}

static int8_t one(const td_mean_t *op, const int8_t *in)
{
    const td_reduction_t *walk = &op->walk;
    int32_t sum = 0;
    for (int32_t k = 0; k < walk->reduce_outer; ++k) {
        td_add_one(&sum, in + k * walk->reduce_outer_step, walk->reduce_inner, walk->reduce_inner_step);
    }
    return finish(op, sum);
}

void td_mean(const td_mean_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
             int32_t end_row)
{
    const int8_t *base = (const int8_t *)td_row(arena, in, 0);
    for (int32_t row = first_row; row < end_row; ++row) {
        int8_t *to = (int8_t *)td_row(arena, out, row);
        td_reduction_at_t at = td_reduction_row(&op->walk, row);
        while (at.left > 0) {
            int32_t from;
            const int32_t n = td_reduction_next(&op->walk, &at, &from);
            if (n == 4) {
                four(op, base + from, to);
            } else {
                *to = one(op, base + from);
            }
            to += n;
        }
    }
}

void td_mean_accumulate(const td_mean_accumulate_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                        const td_tensor_t *sums, int32_t first_row, int32_t end_row)
{
    const int32_t channels = op->walk.keep_inner;
    int32_t *sum = (int32_t *)(void *)td_row(arena, sums, 0);
    if (first_row == 0) {
        memset(sum, 0, (size_t)channels * sizeof *sum);
    }
    for (int32_t row = first_row; row < end_row; ++row) {
        td_add_columns(sum, (const int8_t *)td_row(arena, in, row), op->walk.reduce_inner, channels);
    }
    if (end_row == op->walk.reduce_outer) {
        int8_t *to = (int8_t *)td_row(arena, out, 0);
        for (int32_t c = 0; c < channels; ++c) {
            to[c] = finish(op, sum[c]);
        }
    }
}
