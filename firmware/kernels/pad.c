/* PAD and PADV2 by rows. */
#include "td_pad.h"

#include <string.h>

/* The input row behind output row `row`, or -1. */
static int32_t input_row(const td_pad_t *op, int32_t row)
{
    const int32_t *axis = op->outer;
    int32_t found = 0;
    for (int32_t i = 0; i < op->axes; ++i, axis += 4) {
        const int32_t above = row / axis[0], at = row - above * axis[0] - axis[1];
        if (at < 0 || at >= axis[2]) {
            return -1;
        }
        found += at * axis[3];
        row = above;
    }
    return found;
}

static uint8_t *fill(const td_pad_t *op, uint8_t *to, int32_t count)
{
    if (count > 0) {
        memset(to, op->value, (size_t)count);
    }
    return to + count;
}

void td_pad(const td_pad_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
            int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        uint8_t *to = td_row(arena, out, row);
        const int32_t source = input_row(op, row);
        if (source < 0) {
            fill(op, to, op->row_bytes);
            continue;
        }
        const uint8_t *from = td_row(arena, in, source);
        to = fill(op, to, op->left);
        for (int32_t i = 0; i < op->runs; ++i, from += op->run) {
            to = fill(op, to, op->run_left);
            memcpy(to, from, (size_t)op->run);
            to = fill(op, to + op->run, op->run_right);
        }
        fill(op, to, op->right);
    }
}
