/* Copies slices of rows. */
#include "td_copy.h"
#include "td_view.h"

#include <string.h>

void td_copy(const td_copy_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
             int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t period = row / op->period;
        const int32_t at = row - period * op->period - op->first;
        if (at < 0 || at >= op->count) {
            continue;
        }
        const uint8_t *from = td_view_row(op->data, arena, in, period * op->count + at, op->runs * op->run);
        uint8_t *to = td_row(arena, out, row) + op->offset;
        for (int32_t i = 0; i < op->runs && to != from; ++i, from += op->run, to += op->step) {
            memcpy(to, from, (size_t)op->run);
        }
    }
}
