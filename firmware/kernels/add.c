/* ADD and SUB by rows: runs in which both inputs move by one, and runs with an input that stays. */
#include "td_add.h"
#include "td_pairs.h"

/* `n` elements; the inputs move by a_step and b_step, which are 0 or 1. Fields are read into locals because a store
 * through a char pointer could change them. */
static inline void run(const td_add_t *op, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
                       int8_t *out, int32_t n)
{
    const int32_t a_factor = op->a_factor, sum_bias = op->sum_bias, b_sign = op->b_sign;
    const int32_t b_high = op->b_high, b_low = op->b_low;
    const int32_t b_bias_high = op->b_bias_high, b_bias_low = op->b_bias_low, b_shift = op->b_shift;
    const int32_t b_half = (int32_t)((uint32_t)1 << (b_shift - 1));
    const int32_t multiplier = op->out_multiplier, out_shift = op->out_shift;
    const int32_t out_half = (int32_t)((uint32_t)1 << (out_shift - 1));
    const int32_t zero = op->out_zero, low = op->out_min, high = op->out_max;
    for (; n > 0; --n) {
        const int32_t x = *a, y = *b;
        int32_t r = y * b_high + b_bias_high + ((y * b_low + b_bias_low) >> 11);
        a += a_step;
        b += b_step;
        r = (r + (r >> 31) + b_half) >> b_shift;
        r = td_high_mul(x * a_factor + sum_bias + r * b_sign, multiplier);
        r = ((r + (r >> 31) + out_half) >> out_shift) + zero;
        *out++ = (int8_t)td_clamp(r, low, high);
    }
}

static void run_both(const td_add_t *op, const int8_t *a, const int8_t *b, int8_t *out, int32_t n)
{
    run(op, a, 1, b, 1, out, n);
}

static void run_any(const td_add_t *op, const int8_t *a, const int8_t *b, int8_t *out, int32_t n)
{
    run(op, a, op->a_depth, b, op->b_depth, out, n);
}

void td_add(const td_add_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b, const td_tensor_t *out,
            int32_t first_row, int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        int32_t row_a, row_b;
        td_pair_rows(op->outer, op->axes, row, &row_a, &row_b);
        const int8_t *x = (const int8_t *)td_view_row(op->a_data, arena, a, row_a, op->a_row);
        const int8_t *y = (const int8_t *)td_view_row(op->b_data, arena, b, row_b, op->b_row);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t w = 0; w < op->columns; ++w, x += op->a_column, y += op->b_column, to += op->depth) {
            if (op->a_depth == 1 && op->b_depth == 1) {
                run_both(op, x, y, to, op->depth);
            } else {
                run_any(op, x, y, to, op->depth);
            }
        }
    }
}
