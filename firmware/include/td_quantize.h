/* QUANTIZE, single-precision float to int8. */
#ifndef TD_QUANTIZE_H
#define TD_QUANTIZE_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* thresholds: 255 ascending values; entry i is the smallest float that becomes -127 + i, as the integer that
 * td_float_order makes of its bits. No arithmetic on floats takes place.
 *
 * Infinities saturate, and so does a NaN, by its sign bit (the reference's result for these is undefined). */
typedef struct td_quantize {
    const int32_t *thresholds;
    int32_t row_elements;
} td_quantize_t;

void td_quantize(const td_quantize_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                 int32_t first_row, int32_t end_row);

/* An integer that orders as the float with these bits does; -0.0 comes just before 0.0. */
static inline int32_t td_float_order(int32_t bits)
{
    return bits ^ ((bits >> 31) & INT32_MAX);
}

#ifdef __cplusplus
}
#endif

#endif
