/* RESIZE_NEAREST_NEIGHBOR by rows. */
#include "td_resize_nearest_neighbor.h"

#include <string.h>

void td_resize_nearest_neighbor(const td_resize_nearest_neighbor_t *op, uint8_t *arena, const td_tensor_t *in,
                                const td_tensor_t *out, int32_t first_row, int32_t end_row)
{
    const int32_t depth = op->depth;
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const uint8_t *const from = td_row(arena, in, image * op->in_h + op->rows[row - image * op->out_h]);
        uint8_t *to = td_row(arena, out, row);
        for (int32_t x = 0; x < op->out_w; ++x, to += depth) {
            memcpy(to, from + op->columns[x] * depth, (size_t)depth);
        }
    }
}
