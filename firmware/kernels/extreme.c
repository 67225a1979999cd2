/* MAXIMUM and MINIMUM by rows. */
#include "td_extreme.h"
#include "td_pairs.h"

static void run(const td_extreme_t *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int32_t a_step = op->a_depth, b_step = op->b_depth;
    const int32_t flip = op->larger ? 0 : -1; /* ~x turns the order round */
    for (const int8_t *end = out + op->depth; out != end; ++out, a += a_step, b += b_step) {
        const int32_t x = *a ^ flip, y = *b ^ flip;
        *out = (int8_t)((x > y ? x : y) ^ flip);
    }
}

void td_extreme(const td_extreme_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b,
                const td_tensor_t *out, int32_t first_row, int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        int32_t row_a, row_b;
        td_pair_rows(op->outer, op->axes, row, &row_a, &row_b);
        const int8_t *x = (const int8_t *)td_view_row(op->a_data, arena, a, row_a, op->a_row);
        const int8_t *y = (const int8_t *)td_view_row(op->b_data, arena, b, row_b, op->b_row);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t w = 0; w < op->columns; ++w, x += op->a_column, y += op->b_column, to += op->depth) {
            run(op, x, y, to);
        }
    }
}
