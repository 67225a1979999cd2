/* The kernels' contracts, one struct of constants and one function each.
 *
 * Every function computes the output rows [first_row, end_row) from rows of its inputs and can be called for any
 * range in any order, as long as the input rows that it needs are there. A kernel with a window also gets room for
 * kernel_h row pointers. The exceptions are td_..._accumulate: they take input rows [first_row, end_row), in order, and
 * write in the last one. A constant table is made by the generator and never changes; see tinydeploy/operators/.
 */
#ifndef TD_KERNELS_H
#define TD_KERNELS_H

#include "td_add.h"
#include "td_average_pool_2d.h"
#include "td_conv_2d.h"
#include "td_copy.h"
#include "td_depthwise_conv_2d.h"
#include "td_dequantize.h"
#include "td_extreme.h"
#include "td_fully_connected.h"
#include "td_lookup.h"
#include "td_max_pool_2d.h"
#include "td_mean.h"
#include "td_mul.h"
#include "td_pad.h"
#include "td_quantize.h"
#include "td_rearrange.h"
#include "td_reduce_max.h"
#include "td_resize_bilinear.h"
#include "td_resize_nearest_neighbor.h"
#include "td_softmax.h"
#include "td_transpose_conv.h"

#endif
