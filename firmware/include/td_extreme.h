/* MAXIMUM and MINIMUM, int8, with broadcasting. */
#ifndef TD_EXTREME_H
#define TD_EXTREME_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = the larger of a and b with `larger` 1, else the smaller. All three have the same scale and zero point.
 *
 * The other fields as in td_add. */
typedef struct td_extreme {
    const int8_t *a_data;
    const int8_t *b_data;
    const int32_t *outer;
    int32_t axes;
    int32_t a_row, b_row;
    int32_t columns, depth;
    int32_t a_column, b_column;
    int32_t a_depth, b_depth;
    int32_t larger;
} td_extreme_t;

/* The output may lie exactly over an input that is not broadcast. */
void td_extreme(const td_extreme_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b,
                const td_tensor_t *out, int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
