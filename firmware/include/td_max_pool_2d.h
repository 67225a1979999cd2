/* MAX_POOL_2D, int8. */
#ifndef TD_MAX_POOL_2D_H
#define TD_MAX_POOL_2D_H

#include "td_pool_2d.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = clamp(largest of the window). */
typedef td_pool_2d_t td_max_pool_2d_t;

/* window: room for kernel_h pointers. */
void td_max_pool_2d(const td_max_pool_2d_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                    int32_t first_row, int32_t end_row, const int8_t **window);

/* Of one output row: the window's input rows in order; `maxima` is an int8_t for each output element. The last one
 * makes the output. */
typedef td_pool_2d_t td_max_pool_2d_accumulate_t;

void td_max_pool_2d_accumulate(const td_max_pool_2d_accumulate_t *op, uint8_t *arena, const td_tensor_t *in,
                               const td_tensor_t *out, const td_tensor_t *maxima, int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
