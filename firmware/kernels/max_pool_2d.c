/* MAX_POOL_2D: by rows of the output, or taking rows of the input in as they come. */
#include "td_max_pool_2d.h"

#include <string.h>

#include "td_columns.h"
#include "td_pool_window.h"

static int8_t most_of(const td_pool_2d_t *op, int32_t most)
{
    return (int8_t)(most < op->out_max ? most : op->out_max);
}

static void one_column(const td_pool_2d_t *op, const int8_t *const *window, int32_t rows, int32_t first, int32_t end,
                       int8_t *out)
{
    const int32_t channels = op->channels, low = op->out_min;
    int32_t c = 0;
    for (; c + 3 < channels; c += 4) {
        int32_t most[4] = { low, low, low, low };
        for (int32_t k = 0; k < rows; ++k) {
            td_raise_four(most, window[k] + first * channels + c, end - first, channels);
        }
        out[c] = most_of(op, most[0]);
        out[c + 1] = most_of(op, most[1]);
        out[c + 2] = most_of(op, most[2]);
        out[c + 3] = most_of(op, most[3]);
    }
    for (; c < channels; ++c) {
        int32_t most = low;
        for (int32_t k = 0; k < rows; ++k) {
            td_raise_one(&most, window[k] + first * channels + c, end - first, channels);
        }
        out[c] = most_of(op, most);
    }
}

void td_max_pool_2d(const td_max_pool_2d_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                    int32_t first_row, int32_t end_row, const int8_t **window)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const int32_t rows = td_pool_rows(op, arena, in, row, window);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t x = 0; x < op->out_w; ++x, to += op->channels) {
            int32_t end;
            const int32_t first = td_pool_columns(op, x, &end);
            one_column(op, window, rows, first, end, to);
        }
    }
}

void td_max_pool_2d_accumulate(const td_max_pool_2d_accumulate_t *op, uint8_t *arena, const td_tensor_t *in,
                               const td_tensor_t *out, const td_tensor_t *maxima, int32_t first_row, int32_t end_row)
{
    const int32_t channels = op->channels, count = op->out_w * channels;
    int8_t *const all = (int8_t *)td_row(arena, maxima, 0);
    if (first_row == 0) {
        memset(all, op->out_min, (size_t)count);
    }
    for (int32_t row = first_row; row < end_row; ++row) {
        const int8_t *from = (const int8_t *)td_row(arena, in, row);
        int8_t *most = all;
        for (int32_t x = 0; x < op->out_w; ++x, most += channels) {
            int32_t end;
            const int32_t first = td_pool_columns(op, x, &end);
            td_raise_columns(most, from + first * channels, end - first, channels);
        }
    }
    if (end_row == td_pool_end(op, -op->pad_top)) {
        int8_t *to = (int8_t *)td_row(arena, out, 0);
        for (int32_t i = 0; i < count; ++i) {
            to[i] = most_of(op, all[i]);
        }
    }
}
