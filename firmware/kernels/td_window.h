/* The rows under a window: shared by the kernels that slide one over their input. */
#ifndef TD_WINDOW_H
#define TD_WINDOW_H

#include "td_runtime.h"

/* Points window[0 .. kernel_h) at the input rows that start at row `top` of image `image` and lie `dilation` apart;
 * rows outside [0, in_h) read as `pad_row`. */
static inline void td_fill_window(const int8_t **window, uint8_t *arena, const td_tensor_t *in, const int8_t *pad_row,
                                  int32_t image, int32_t in_h, int32_t top, int32_t kernel_h, int32_t dilation)
{
    int32_t y = top;
    for (int32_t k = 0; k < kernel_h; ++k, y += dilation) {
        window[k] = y >= 0 && y < in_h ? (const int8_t *)td_row(arena, in, image * in_h + y) : pad_row;
    }
}

#endif
