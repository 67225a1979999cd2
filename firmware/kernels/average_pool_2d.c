/* AVERAGE_POOL_2D: by rows of the output, or adding rows of the input up as they come. One division for each output
 * element. */
#include "td_average_pool_2d.h"

#include <string.h>

#include "td_columns.h"
#include "td_pool_window.h"

static int8_t average(const td_pool_2d_t *op, int32_t sum, int32_t count)
{
    const int32_t half = count >> 1;
    return (int8_t)td_clamp((sum > 0 ? sum + half : sum - half) / count, op->out_min, op->out_max);
}

static void one_column(const td_pool_2d_t *op, const int8_t *const *window, int32_t rows, int32_t first, int32_t end,
                       int8_t *out)
{
    const int32_t channels = op->channels, count = rows * (end - first);
    int32_t c = 0;
    for (; c + 3 < channels; c += 4) {
        int32_t sums[4] = { 0, 0, 0, 0 };
        for (int32_t k = 0; k < rows; ++k) {
            td_add_four(sums, window[k] + first * channels + c, end - first, channels);
        }
        out[c] = average(op, sums[0], count);
        out[c + 1] = average(op, sums[1], count);
        out[c + 2] = average(op, sums[2], count);
        out[c + 3] = average(op, sums[3], count);
    }
    for (; c < channels; ++c) {
        int32_t sum = 0;
        for (int32_t k = 0; k < rows; ++k) {
            td_add_one(&sum, window[k] + first * channels + c, end - first, channels);
        }
        out[c] = average(op, sum, count);
    }
}

void td_average_pool_2d(const td_average_pool_2d_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
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

void td_average_pool_2d_accumulate(const td_average_pool_2d_accumulate_t *op, uint8_t *arena, const td_tensor_t *in,
                                   const td_tensor_t *out, const td_tensor_t *sums, int32_t first_row, int32_t end_row)
{
    const int32_t channels = op->channels, rows = td_pool_end(op, -op->pad_top);
    int32_t *const all = (int32_t *)(void *)td_row(arena, sums, 0);
    if (first_row == 0) {
        memset(all, 0, (size_t)(op->out_w * channels) * sizeof *all);
    }
    for (int32_t row = first_row; row < end_row; ++row) {
        const int8_t *from = (const int8_t *)td_row(arena, in, row);
        int32_t *sum = all;
        for (int32_t x = 0; x < op->out_w; ++x, sum += channels) {
            int32_t end;
            const int32_t first = td_pool_columns(op, x, &end);
            td_add_columns(sum, from + first * channels, end - first, channels);
        }
    }
    if (end_row == rows) {
        int8_t *to = (int8_t *)td_row(arena, out, 0);
        const int32_t *sum = all;
        for (int32_t x = 0; x < op->out_w; ++x) {
            int32_t end;
            const int32_t first = td_pool_columns(op, x, &end), count = rows * (end - first);
            for (int32_t c = 0; c < channels; ++c) {
                *to++ = average(op, *sum++, count);
            }
        }
    }
}
