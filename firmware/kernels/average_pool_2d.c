/* AVERAGE_POOL_2D by rows: four channels of a column at a time, one division for each output element. */
#include "td_average_pool_2d.h"
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
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int32_t k = 0; k < rows; ++k) {
            const int8_t *v = window[k] + first * channels + c;
            for (int32_t n = end - first; n > 0; --n, v += channels) {
                s0 += v[0];
                s1 += v[1];
                s2 += v[2];
                s3 += v[3];
            }
        }
        out[c] = average(op, s0, count);
        out[c + 1] = average(op, s1, count);
        out[c + 2] = average(op, s2, count);
        out[c + 3] = average(op, s3, count);
    }
    for (; c < channels; ++c) {
        int32_t sum = 0;
        for (int32_t k = 0; k < rows; ++k) {
            const int8_t *v = window[k] + first * channels + c;
            for (int32_t n = end - first; n > 0; --n, v += channels) {
                sum += *v;
            }
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
