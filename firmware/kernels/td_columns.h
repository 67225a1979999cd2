/* Sums and maxima over columns: shared by the reductions, of a whole input or row by row. */
#ifndef TD_COLUMNS_H
#define TD_COLUMNS_H

#include "td_runtime.h"

/* Adds `count` columns, `step` elements apart, to the sums of four channels; td_add_one: of one. */
static inline void td_add_four(int32_t *sums, const int8_t *v, int32_t count, int32_t step)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (int32_t n = count; n > 0; --n, v += step) {
        s0 += v[0];
        s1 += v[1];
        s2 += v[2];
        s3 += v[3];
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

static inline void td_add_one(int32_t *sum, const int8_t *v, int32_t count, int32_t step)
{
    int32_t s = *sum;
    for (int32_t n = count; n > 0; --n, v += step) {
        s += *v;
    }
    *sum = s;
}

/* Adds `count` neighbouring columns of a row to the sums of all channels. */
static inline void td_add_columns(int32_t *sums, const int8_t *v, int32_t count, int32_t channels)
{
    int32_t c = channels;
    for (; c >= 4; c -= 4, v += 4, sums += 4) {
        td_add_four(sums, v, count, channels);
    }
    for (; c > 0; --c, ++v, ++sums) {
        td_add_one(sums, v, count, channels);
    }
}

static inline int32_t td_larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* The same for maxima: raised to the largest of what comes. */
static inline void td_raise_four(int32_t *most, const int8_t *v, int32_t count, int32_t step)
{
    int32_t m0 = most[0], m1 = most[1], m2 = most[2], m3 = most[3];
    for (int32_t n = count; n > 0; --n, v += step) {
        m0 = td_larger(v[0], m0);
        m1 = td_larger(v[1], m1);
        m2 = td_larger(v[2], m2);
        m3 = td_larger(v[3], m3);
    }
    most[0] = m0;
    most[1] = m1;
    most[2] = m2;
    most[3] = m3;
}

static inline void td_raise_one(int32_t *most, const int8_t *v, int32_t count, int32_t step)
{
    int32_t m = *most;
    for (int32_t n = count; n > 0; --n, v += step) {
        m = td_larger(*v, m);
    }
    *most = m;
}

static inline void td_raise_columns(int8_t *maxima, const int8_t *v, int32_t count, int32_t channels)
{
    int32_t c = channels;
    for (; c >= 4; c -= 4, v += 4, maxima += 4) {
        int32_t most[4] = { maxima[0], maxima[1], maxima[2], maxima[3] };
        td_raise_four(most, v, count, channels);
        maxima[0] = (int8_t)most[0];
        maxima[1] = (int8_t)most[1];
        maxima[2] = (int8_t)most[2];
        maxima[3] = (int8_t)most[3];
    }
    for (; c > 0; --c, ++v, ++maxima) {
        int32_t most = *maxima;
        td_raise_one(&most, v, count, channels);
        *maxima = (int8_t)most;
    }
}

#endif
