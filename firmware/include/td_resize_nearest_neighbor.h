/* RESIZE_NEAREST_NEIGHBOR, int8. */
#ifndef TD_RESIZE_NEAREST_NEIGHBOR_H
#define TD_RESIZE_NEAREST_NEIGHBOR_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output element (y, x) of each image is the input element (rows[y], columns[x]), `depth` bytes. */
typedef struct td_resize_nearest_neighbor {
    const uint16_t *rows;
    const uint16_t *columns;
    int32_t in_h;
    int32_t out_h, out_w;
    int32_t depth;
} td_resize_nearest_neighbor_t;

void td_resize_nearest_neighbor(const td_resize_nearest_neighbor_t *op, uint8_t *arena, const td_tensor_t *in,
                                const td_tensor_t *out, int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
