/* TRANSPOSE by rows of the output. */
#include "td_transpose.h"

#include <string.h>

static int32_t row_start(const td_transpose_t *op, int32_t row)
{
    const int32_t *axis = op->outer;
    int32_t start = 0;
    for (int32_t i = 0; i < op->axes; ++i, axis += 2) {
        const int32_t above = row / axis[0];
        start += (row - above * axis[0]) * axis[1];
        row = above;
    }
    return start;
}

void td_transpose(const td_transpose_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                  int32_t first_row, int32_t end_row)
{
    const uint8_t *base = td_row(arena, in, 0);
    const int32_t step = op->depth_step, depth = op->depth;
    for (int32_t row = first_row; row < end_row; ++row) {
        const uint8_t *column = base + row_start(op, row);
        uint8_t *to = td_row(arena, out, row);
        for (int32_t w = 0; w < op->columns; ++w, column += op->column_step, to += depth) {
            if (step == 1) {
                memcpy(to, column, (size_t)depth);
                continue;
            }
            const uint8_t *from = column;
            int32_t d = 0;
            for (; d + 3 < depth; d += 4) {
                to[d] = from[0];
                to[d + 1] = from[step];
                from += 2 * step;
                to[d + 2] = from[0];
                to[d + 3] = from[step];
                from += 2 * step;
            }
            for (; d < depth; ++d, from += step) {
                to[d] = *from;
            }
        }
    }
}
