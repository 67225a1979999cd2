/* The part of a pooling window that lies inside the input. */
#ifndef TD_POOL_WINDOW_H
#define TD_POOL_WINDOW_H

#include "td_pool_2d.h"
#include "td_window.h"

/* The end of the input rows inside a window that starts at row `top`. */
static inline int32_t td_pool_end(const td_pool_2d_t *op, int32_t top)
{
    return top + op->kernel_h < op->in_h ? top + op->kernel_h : op->in_h;
}

/* Points `window` at the input rows inside the window of output row `row`; returns how many there are. */
static inline int32_t td_pool_rows(const td_pool_2d_t *op, uint8_t *arena, const td_tensor_t *in, int32_t row,
                                   const int8_t **window)
{
    const int32_t image = row / op->out_h;
    const int32_t top = (row - image * op->out_h) * op->stride_h - op->pad_top;
    const int32_t first = top > 0 ? top : 0;
    const int32_t end = td_pool_end(op, top);
    td_fill_window(window, arena, in, NULL, image, op->in_h, first, end - first, 1);
    return end - first;
}

/* The input columns [first, end) inside the window of output column `x`; returns first. */
static inline int32_t td_pool_columns(const td_pool_2d_t *op, int32_t x, int32_t *end)
{
    const int32_t left = x * op->stride_w - op->pad_left;
    const int32_t right = left + op->kernel_w;
    *end = right < op->in_w ? right : op->in_w;
    return left > 0 ? left : 0;
}

#endif
