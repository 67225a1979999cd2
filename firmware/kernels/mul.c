/* MUL by rows: runs in which both inputs move by one, and runs with an input that stays. */
#include "td_mul.h"
#include "td_pairs.h"

/* `n` elements; the inputs move by a_step and b_step, which are 0 or 1. */
static inline void run(const td_mul_t *op, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
                       int8_t *out, int32_t n)
{
    const int32_t a_zero = op->a_zero, b_zero = op->b_zero, multiplier = op->multiplier;
    const int32_t left = op->left, right = op->right;
    const int32_t half = right > 0 ? (int32_t)((uint32_t)1 << (right - 1)) : 0, sign = right > 0 ? -1 : 0;
    const int32_t zero = op->out_zero, low = op->out_min, high = op->out_max;
    for (; n > 0; --n) {
        const int32_t product = (*a - a_zero) * (*b - b_zero);
        int32_t r = td_high_mul((int32_t)((uint32_t)product << left), multiplier);
        a += a_step;
        b += b_step;
        /* r is large only with a left shift, and then nothing is added here; the zero point may make it wrap */
        r = (r + ((r >> 31) & sign) + half) >> right;
        *out++ = (int8_t)td_clamp((int32_t)((uint32_t)r + (uint32_t)zero), low, high);
    }
}

static void run_both(const td_mul_t *op, const int8_t *a, const int8_t *b, int8_t *out, int32_t n)
{
    run(op, a, 1, b, 1, out, n);
}

static void run_any(const td_mul_t *op, const int8_t *a, const int8_t *b, int8_t *out, int32_t n)
{
    run(op, a, op->a_depth, b, op->b_depth, out, n);
}

void td_mul(const td_mul_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b, const td_tensor_t *out,
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
