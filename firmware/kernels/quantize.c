/* QUANTIZE by rows: a binary search for the number of thresholds that a value reaches. */
#include "td_quantize.h"

#include <string.h>

static int8_t quantized(const int32_t *thresholds, int32_t order)
{
    const int32_t *at = thresholds;
    for (int32_t half = 128; half > 0; half >>= 1) {
        if (order >= at[half - 1]) {
            at += half;
        }
    }
    return (int8_t)(-128 + (int32_t)(at - thresholds));
}

void td_quantize(const td_quantize_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                 int32_t first_row, int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t *from = (const int32_t *)(const void *)td_row(arena, in, row);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t i = 0; i < op->row_elements; ++i) {
            int32_t bits;
            memcpy(&bits, from + i, sizeof bits);
            to[i] = quantized(op->thresholds, td_float_order(bits));
        }
    }
}
