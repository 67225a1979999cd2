/* DEQUANTIZE, int8 or uint8 to single-precision float. */
#ifndef TD_DEQUANTIZE_H
#define TD_DEQUANTIZE_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = scale * (in - zero). The difference has 9 bits, so the single-precision product is the rounded exact one. */
typedef struct td_dequantize {
    float scale;
    int32_t row_elements;
    int16_t zero;
    uint16_t is_unsigned;
} td_dequantize_t;

void td_dequantize(const td_dequantize_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                   int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
