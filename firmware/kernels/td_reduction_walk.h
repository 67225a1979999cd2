/* The elements of an output row of MEAN and REDUCE_MAX, in order: four at a time where they lie side by side in the
 * input. */
#ifndef TD_REDUCTION_WALK_H
#define TD_REDUCTION_WALK_H

#include "td_reduction.h"

/* Output element (i, j), with `left` of its row from there on. */
typedef struct td_reduction_at {
    int32_t i, j, left;
} td_reduction_at_t;

static inline td_reduction_at_t td_reduction_row(const td_reduction_t *walk, int32_t row)
{
    td_reduction_at_t at;
    at.i = row * walk->row_elements / walk->keep_inner;
    at.j = row * walk->row_elements - at.i * walk->keep_inner;
    at.left = walk->row_elements;
    return at;
}

/* How many elements come at once, 4 or 1; their input starts at element *from. */
static inline int32_t td_reduction_next(const td_reduction_t *walk, td_reduction_at_t *at, int32_t *from)
{
    const int32_t n = walk->keep_inner_step == 1 && at->left >= 4 && at->j + 4 <= walk->keep_inner ? 4 : 1;
    *from = at->i * walk->keep_outer_step + at->j * walk->keep_inner_step;
    at->left -= n;
    at->j += n;
    if (at->j == walk->keep_inner) {
        at->j = 0;
        ++at->i;
    }
    return n;
}

#endif
