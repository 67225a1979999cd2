/* MUL by rows. Runs in which both inputs move, nothing is clamped but to int8 and no large left shift occurs have a loop
 * of their own. */
#include "td_mul.h"
#include "td_pairs.h"

static void run_whole(const td_mul_t *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int32_t a_zero = op->a_zero, b_zero = op->b_zero, round = 2 * op->out_zero + 1;
    const int32_t multiplier = op->multiplier, shift = op->right - 1;
    for (const int8_t *end = out + op->depth; out != end; ++out, ++a, ++b) {
        const int32_t r = td_high_word((*a - a_zero) * (*b - b_zero) * 2, multiplier);
        *out = td_saturate(td_halve(r, shift, round));
    }
}

static void run_any(const td_mul_t *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int32_t a_zero = op->a_zero, b_zero = op->b_zero, a_step = op->a_depth, b_step = op->b_depth;
    const int32_t multiplier = op->multiplier, shift = op->left - op->right;
    const int32_t zero = op->out_zero, low = op->out_min, high = op->out_max;
    for (const int8_t *end = out + op->depth; out != end; ++out, a += a_step, b += b_step) {
        const int32_t r = td_requantize((*a - a_zero) * (*b - b_zero), multiplier, shift);
        *out = (int8_t)td_clamp((int32_t)((uint32_t)r + (uint32_t)zero), low, high);
    }
}

void td_mul(const td_mul_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b, const td_tensor_t *out,
            int32_t first_row, int32_t end_row)
{
    const int32_t whole =
        op->a_depth == 1 && op->b_depth == 1 && op->out_min == -128 && op->out_max == 127 && op->right > 0;
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
