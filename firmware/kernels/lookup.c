/* A 256-byte table applied to rows. */
#include "td_lookup.h"

void td_lookup(const td_lookup_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
               int32_t end_row)
{
    const uint8_t *table = op->table;
    for (int32_t row = first_row; row < end_row; ++row) {
        const uint8_t *from = td_row(arena, in, row);
        uint8_t *to = td_row(arena, out, row);
        int32_t n = op->row_bytes;
        for (; n >= 4; n -= 4, from += 4, to += 4) {
            const uint32_t v0 = table[from[0]], v1 = table[from[1]], v2 = table[from[2]], v3 = table[from[3]];
            to[0] = (uint8_t)v0;
            to[1] = (uint8_t)v1;
            to[2] = (uint8_t)v2;
            to[3] = (uint8_t)v3;
        }
        for (; n > 0; --n) {
            *to++ = table[*from++];
        }
    }
}
