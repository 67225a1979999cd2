/* MUL, int8, with broadcasting. */
#ifndef TD_MUL_H
#define TD_MUL_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = clamp(out_zero + td_requantize((a - a_zero) * (b - b_zero), multiplier, left - right), out_min, out_max), where
 * left or right is 0.
 *
 * The other fields as in td_add. */
typedef struct td_mul {
    const int8_t *a_data;
    const int8_t *b_data;
    const int32_t *outer;
    int32_t axes;
    int32_t a_row, b_row;
    int32_t columns, depth;
    int32_t a_column, b_column;
    int32_t a_depth, b_depth;
    int32_t multiplier;
    int16_t left, right;
    int16_t a_zero, b_zero;
    int16_t out_zero, out_min, out_max;
} td_mul_t;

/* The output may lie exactly over an input that is not broadcast. */
void td_mul(const td_mul_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b, const td_tensor_t *out,
            int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
