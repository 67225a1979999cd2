/* ADD and SUB by rows. Runs in which both inputs move and nothing is clamped but to int8 have a loop of their own: what
 * it needs nearly fits the registers. */
#include "td_add.h"
#include "td_pairs.h"

/* One element before it is clamped. */
#define SUM(x, y)                                                                                                      \
    td_halve(td_high_word((x) * (1 << 20) + a_bias +                                                                   \
                              td_halve(td_high_word((y) * b_factor + b_bias, b_multiplier), b_shift, 1) * b_sign,      \
                          multiplier),                                                                                 \
             out_shift, round)

/* Fields in locals, because a store through a char pointer could change them. */
#define LOCALS                                                                                                         \
    const int32_t a_bias = op->a_bias, b_factor = op->b_factor, b_bias = op->b_bias, b_sign = op->b_sign;              \
    const int32_t b_multiplier = op->b_multiplier, b_shift = op->b_shift - 1;                                          \
    const int32_t multiplier = op->out_multiplier, out_shift = op->out_shift - 1, round = 2 * op->out_zero + 1;        \
    const int8_t *const end = out + op->depth

static void run_whole(const td_add_t *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    LOCALS;
    while (out != end) {
        const int32_t x = *a++, y = *b++;
        *out++ = td_saturate(SUM(x, y));
    }
}

static void run_any(const td_add_t *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    LOCALS;
    const int32_t a_step = op->a_depth, b_step = op->b_depth, low = op->out_min, high = op->out_max;
    for (; out != end; a += a_step, b += b_step) {
        const int32_t x = *a, y = *b;
        *out++ = (int8_t)td_clamp(SUM(x, y), low, high);
    }
}

void td_add(const td_add_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b, const td_tensor_t *out,
            int32_t first_row, int32_t end_row)
{
    const int32_t whole = op->a_depth == 1 && op->b_depth == 1 && op->out_min == -128 && op->out_max == 127;
    for (int32_t row = first_row; row < end_row; ++row) {
        int32_t row_a, row_b;
        td_pair_rows(op->outer, op->axes, row, &row_a, &row_b);
        const int8_t *x = (const int8_t *)td_view_row(op->a_data, arena, a, row_a, op->a_row);
        const int8_t *y = (const int8_t *)td_view_row(op->b_data, arena, b, row_b, op->b_row);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t w = 0; w < op->columns; ++w, x += op->a_column, y += op->b_column, to += op->depth) {
            if (whole) {
                run_whole(op, x, y, to);
            } else {
                run_any(op, x, y, to);
            }
        }
    }
}
