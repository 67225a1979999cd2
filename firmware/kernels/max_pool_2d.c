/* MAX_POOL_2D by rows: four channels of a column at a time. */
#include "td_max_pool_2d.h"
#include "td_pool_window.h"

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static void one_column(const td_pool_2d_t *op, const int8_t *const *window, int32_t rows, int32_t first, int32_t end,
                       int8_t *out)
{
    const int32_t channels = op->channels, low = op->out_min, high = op->out_max;
    int32_t c = 0;
    for (; c + 3 < channels; c += 4) {
        int32_t m0 = low, m1 = low, m2 = low, m3 = low;
        for (int32_t k = 0; k < rows; ++k) {
            const int8_t *v = window[k] + first * channels + c;
            for (int32_t n = end - first; n > 0; --n, v += channels) {
                m0 = larger(m0, v[0]);
                m1 = larger(m1, v[1]);
                m2 = larger(m2, v[2]);
                m3 = larger(m3, v[3]);
            }
        }
        out[c] = (int8_t)(m0 < high ? m0 : high);
        out[c + 1] = (int8_t)(m1 < high ? m1 : high);
        out[c + 2] = (int8_t)(m2 < high ? m2 : high);
        out[c + 3] = (int8_t)(m3 < high ? m3 : high);
    }
    for (; c < channels; ++c) {
        int32_t most = low;
        for (int32_t k = 0; k < rows; ++k) {
            const int8_t *v = window[k] + first * channels + c;
            for (int32_t n = end - first; n > 0; --n, v += channels) {
                most = larger(most, *v);
            }
        }
        out[c] = (int8_t)(most < high ? most : high);
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
