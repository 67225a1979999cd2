/* PAD and PADV2, int8. */
#ifndef TD_PAD_H
#define TD_PAD_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output row y has the coordinates c in the axes of `outer`, `axes` entries (extent, before, input extent, input step),
 * the innermost first. It is filled with `value` unless every c[i] - before is inside the input's extent; then it is
 * built from input row sum((c[i] - before) * input step): `left` bytes of the value, `runs` times (`run_left` bytes of
 * the value, `run` bytes of the input, `run_right` bytes of the value), `right` bytes of the value. */
typedef struct td_pad {
    const int32_t *outer;
    int32_t axes;
    int32_t row_bytes;
    int32_t left, right;
    int32_t runs, run, run_left, run_right;
    int16_t value;
} td_pad_t;

void td_pad(const td_pad_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out, int32_t first_row,
            int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
