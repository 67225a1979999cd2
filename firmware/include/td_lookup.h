/* A function of one byte, as a table: LOGISTIC, TANH, RELU, RELU6, QUANTIZE between 8-bit types, ... */
#ifndef TD_LOOKUP_H
#define TD_LOOKUP_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* table: 256 bytes, entry i for the byte i (an int8 value x is the byte x & 255). */
typedef struct td_lookup {
    const uint8_t *table;
    int32_t row_bytes;
} td_lookup_t;

/* The output may lie exactly over the input. */
void td_lookup(const td_lookup_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
               int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
