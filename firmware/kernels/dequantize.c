/* DEQUANTIZE by rows. */
#include "td_dequantize.h"

#include <string.h>

void td_dequantize(const td_dequantize_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                   int32_t first_row, int32_t end_row)
{
    const float scale = op->scale;
    const int32_t zero = op->zero, flip = op->is_unsigned ? 128 : 0;
    for (int32_t row = first_row; row < end_row; ++row) {
        const uint8_t *from = td_row(arena, in, row);
        float *to = (float *)(void *)td_row(arena, out, row);
        for (int32_t i = 0; i < op->row_elements; ++i) {
            /* the byte as int8, or as uint8 less 128, which is the byte with its top bit flipped as int8 */
            const int32_t value = (int8_t)(from[i] ^ flip) + flip;
            const float real = scale * (float)(value - zero);
            memcpy(to + i, &real, sizeof real);
        }
    }
}
