/* What AVERAGE_POOL_2D and MAX_POOL_2D share. */
#ifndef TD_POOL_2D_H
#define TD_POOL_2D_H

#include "td_runtime.h"

/* The part of a window that lies inside the input counts; at least one element of every window does. Input and output
 * have the same scale and zero point. */
typedef struct td_pool_2d {
    int32_t in_h, in_w;
    int32_t out_h, out_w;
    int32_t channels;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t pad_top, pad_left;
    int16_t out_min, out_max;
} td_pool_2d_t;

#endif
