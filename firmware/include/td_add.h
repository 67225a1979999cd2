/* ADD and SUB, int8, with broadcasting. */
#ifndef TD_ADD_H
#define TD_ADD_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The two inputs take different parts: `a` is the one of the larger scale, `b` the other.
 *
 *   r = (b * b_factor + b_bias) * b_multiplier * 2^-32, to nearest, then * 2^-b_shift, to nearest
 *   sum = a * 2^20 + a_bias + b_sign * r, with b_sign = 2 or -2
 *   out = clamp(out_zero + sum * out_multiplier * 2^-32 * 2^-out_shift, each to nearest, out_min, out_max)
 *
 * which is what the reference computes, doubled: it shifts both inputs left by 20, and there the factor of the larger
 * scale is exactly 1/2. b_factor is 2^21, or 2^22 where both scales are equal; out_multiplier is negative where `a` is
 * subtracted. 1 <= b_shift, out_shift <= 31.
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
    int32_t a_bias;
    int32_t b_factor, b_bias, b_multiplier;
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
