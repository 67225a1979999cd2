/* Bytes moved as they are: RESHAPE and its like, CONCATENATION (one call for each input). */
#ifndef TD_COPY_H
#define TD_COPY_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output rows come in periods of `period` rows, of which the rows [first, first + count) are this input's. Row
 * first + p of period i takes input row i * count + p, seen in rows of runs * run bytes: run after run goes to `offset`
 * and then every `step` bytes of the output row. The output's other bytes are not touched.
 *
 * data: a constant input's values; NULL for a tensor. */
typedef struct td_copy {
    const int8_t *data;
    int32_t period, first, count;
    int32_t offset, step;
    int32_t runs, run;
} td_copy_t;

/* The output may lie exactly over the input where the two have the same bytes. */
void td_copy(const td_copy_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
             int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
