/* RESIZE_BILINEAR, int8. */
#ifndef TD_RESIZE_BILINEAR_H
#define TD_RESIZE_BILINEAR_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output element y of an axis lies at y * scale + offset of the input, in units of 1/1024, and is interpolated between
 * the elements before and after that place; before the first, it is the first. The sum of the four elements, weighted
 * by both axes, is rounded to nearest, halves away from zero. No place lies beyond the last element by one or more. */
typedef struct td_resize_bilinear {
    int32_t in_h, in_w;
    int32_t out_h, out_w;
    int32_t depth;
    int32_t scale_h, scale_w;
    int32_t offset_h, offset_w;
} td_resize_bilinear_t;

void td_resize_bilinear(const td_resize_bilinear_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                        int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
