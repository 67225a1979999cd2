/* ADD and SUB, int8, with broadcasting. */
#ifndef TD_ADD_H
#define TD_ADD_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The two inputs take different parts: `a` is the one of the larger scale, `b` the other.
 *
 *   sum = a_factor * a + sum_bias + b_sign * round(b), with a_factor = +-2^19, b_sign = +-1 and
 *   round(b) = (b * b_high + b_bias_high + ((b * b_low + b_bias_low) >> 11)), then 2^-b_shift to nearest
 *   out = clamp(out_zero + sum * out_multiplier * 2^-(31 + out_shift), out_min, out_max)
 *
 * which is what the reference computes: shifted left by 20 and multiplied in 31 bits, the input of the larger scale is
 * an exact shift, and for the other the 64-bit product splits into two of 32 bits. 1 <= b_shift, out_shift <= 31.
 *
 * a_data, b_data: a constant input's values; NULL for a tensor.
 * Output row y reads the rows sum(c[i] * a_step[i]) and sum(c[i] * b_step[i]) of the inputs, where c are the
 * coordinates of y in axes of the extents in `outer`: `axes` entries (extent, a_step, b_step), the innermost first.
 * Inputs are seen in rows of a_row and b_row bytes. Within an output row, element (w, c) of `columns` x `depth` reads
 * the elements w * a_column + c * a_depth and w * b_column + c * b_depth of these rows. */
typedef struct td_add {
    const int8_t *a_data;
    const int8_t *b_data;
    const int32_t *outer;
    int32_t axes;
    int32_t a_row, b_row;
    int32_t columns, depth;
    int32_t a_column, b_column;
    int32_t a_depth, b_depth;
    int32_t a_factor, sum_bias;
    int32_t b_high, b_low, b_bias_high, b_bias_low;
    int32_t b_shift, b_sign;
    int32_t out_multiplier, out_shift;
    int16_t out_zero, out_min, out_max;
} td_add_t;

/* The output may lie exactly over an input that is not broadcast. */
void td_add(const td_add_t *op, uint8_t *arena, const td_tensor_t *a, const td_tensor_t *b, const td_tensor_t *out,
            int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
