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

#endif
