/* RESIZE_BILINEAR by rows: both rows are interpolated between columns, then between each other. */
#include "td_resize_bilinear.h"

/* A place between two input elements, `part` 1024ths behind the lower one. */
typedef struct place {
    int32_t lower, upper, part;
} place_t;

static place_t place_at(int32_t scaled, int32_t extent)
{
    const int32_t from = scaled > 0 ? scaled : 0, above = (from + 1023) >> 10;
    const place_t found = {from >> 10, above < extent ? above : extent - 1, from & 1023};
    return found;
}

/* One column: `a` and `b` are the left and the right element of the upper row, `c` and `d` of the lower one. */
static void column(const int8_t *a, const int8_t *b, const int8_t *c, const int8_t *d, int32_t down, int32_t right,
                   int32_t depth, int8_t *out)
{
    const int32_t up = 1024 - down, left = 1024 - right;
    for (int32_t i = 0; i < depth; ++i) {
        const int32_t upper = a[i] * left + b[i] * right, lower = c[i] * left + d[i] * right;
        out[i] = (int8_t)td_round_shift(upper * up + lower * down, 20);
    }
}

void td_resize_bilinear(const td_resize_bilinear_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                        int32_t first_row, int32_t end_row)
{
    const int32_t depth = op->depth;
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t image = row / op->out_h;
        const place_t y = place_at((row - image * op->out_h) * op->scale_h + op->offset_h, op->in_h);
        const int8_t *const upper = (const int8_t *)td_row(arena, in, image * op->in_h + y.lower);
        const int8_t *const lower = (const int8_t *)td_row(arena, in, image * op->in_h + y.upper);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t i = 0, scaled = op->offset_w; i < op->out_w; ++i, scaled += op->scale_w, to += depth) {
            const place_t x = place_at(scaled, op->in_w);
            const int32_t left = x.lower * depth, right = x.upper * depth;
            column(upper + left, upper + right, lower + left, lower + right, y.part, x.part, depth, to);
        }
    }
}
