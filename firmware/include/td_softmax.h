/* SOFTMAX over the last axis, int8 to int8. */
#ifndef TD_SOFTMAX_H
#define TD_SOFTMAX_H

#include "td_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* exps[d] = exp(-d * scale * beta) in units of 2^-31, for d < entries; a value further than that below its group's
 * largest counts nothing and becomes -128. A row holds `groups` groups of `depth` values, depth <= 4095.
 *
 * Above 511 values of a group that are all (nearly) equal the reference interpreter stops; this gives -128. */
typedef struct td_softmax {
    const int32_t *exps;
    int32_t entries;
    int32_t depth, groups;
} td_softmax_t;

/* The output may lie exactly over the input. */
void td_softmax(const td_softmax_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                int32_t first_row, int32_t end_row);

#ifdef __cplusplus
}
#endif

#endif
