/* Slices and transpositions by rows of the output. */
#include "td_rearrange.h"
#include "td_view.h"

#include <string.h>

/* The first byte of output row `row`. */
static const uint8_t *row_start(const td_rearrange_t *op, uint8_t *arena, const td_tensor_t *in, int32_t row)
{
    const int32_t *axis = op->outer;
    int32_t from = op->row, element = op->start;
    for (int32_t i = 0; i < op->axes; ++i, axis += 3) {
        const int32_t above = row / axis[0], here = row - above * axis[0];
        from += here * axis[1];
        element += here * axis[2];
        row = above;
    }
    return td_view_row(NULL, arena, in, from, op->in_row) + element;
}

void td_rearrange(const td_rearrange_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                  int32_t first_row, int32_t end_row)
{
    const int32_t step = op->depth_step, depth = op->depth;
    for (int32_t row = first_row; row < end_row; ++row) {
        const uint8_t *const first = row_start(op, arena, in, row);
        uint8_t *to = td_row(arena, out, row);
        for (int32_t w = 0; w < op->columns; ++w, to += depth) {
            const uint8_t *const from = first + w * op->column_step;
            if (step == 1) {
                memcpy(to, from, (size_t)depth);
                continue;
            }
            for (int32_t d = 0; d < depth; ++d) {
                to[d] = from[d * step];
            }
        }
    }
}
