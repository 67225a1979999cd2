/* Which rows of two inputs an output row of an element-wise operator reads. */
#ifndef TD_PAIRS_H
#define TD_PAIRS_H

#include "td_view.h"

/* The rows of both inputs for output row `row`; see td_add.h for `outer`. */
static inline void td_pair_rows(const int32_t *outer, int32_t axes, int32_t row, int32_t *a, int32_t *b)
{
    int32_t row_a = 0, row_b = 0;
    for (; axes > 1; --axes, outer += 3) {
        const int32_t above = row / outer[0], here = row - above * outer[0];
        row_a += here * outer[1];
        row_b += here * outer[2];
        row = above;
    }
    *a = row_a + row * outer[1];
    *b = row_b + row * outer[2];
}

/* a * b * 2^-32, rounded to nearest, halves up: a long multiplication and an addition. */
static inline int32_t td_high_word(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)a * b;
    return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
}

/* x * 2^-(shift + 1), rounded to nearest, halves away from zero, and `round` >> 1 added to it: `round` is odd, twice what
 * is to be added and one. |x| < 2^30. */
static inline int32_t td_halve(int32_t x, int32_t shift, int32_t round)
{
    return (((x + (x >> 31)) >> shift) + round) >> 1;
}

#endif
