/* What every kernel and every generated model shares: tensors seen as rows, and the exact arithmetic.
 *
 * C99, no heap, no recursion, nothing of libc but memcpy and memset. All kernels are bit-exact with TensorFlow Lite
 * Micro's int8 reference kernels.
 */
#ifndef TD_RUNTIME_H
#define TD_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#endif

/* A generated model states the version it was made for; another runtime is a compile error there. */
#define TD_RUNTIME_VERSION 1

/* Define TD_STEP_PORT as an address to have the number of each step written there as it begins (a debug register, a
 * GPIO); or define TD_ON_STEP(step) yourself. */
#define TD_STEP_BEGIN 0xFFFFFFFEu
#define TD_STEP_END 0xFFFFFFFFu
#if defined(TD_STEP_PORT)
#define TD_ON_STEP(step) ((void)(*(volatile uint32_t *)(uintptr_t)(TD_STEP_PORT) = (uint32_t)(step)))
#elif !defined(TD_ON_STEP)
#define TD_ON_STEP(step) ((void)0)
#endif

/* Inner loops are functions of their own, so that they have all registers to themselves. */
#if defined(__GNUC__)
#define TD_NOINLINE __attribute__((noinline))
/* Keeps an accumulator in its register: compilers reorder wrapping sums, at the price of spills. */
#define TD_PIN(acc) __asm__("" : "+r"(acc))
#else
#define TD_NOINLINE
#define TD_PIN(acc) ((void)0)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor in the arena, seen as rows of equal size. Row y starts at
 *     arena + offset + (y mod ring_rows) * row_bytes,
 * so a whole tensor has ring_rows equal to its number of rows, and a tensor of which only the last rows are kept has
 * fewer. Tensors of rank 4 (N, H, W, C) have N*H rows of W*C elements; others have one row for each slice of their
 * last axis. */
typedef struct td_tensor {
    uint32_t offset;
    uint32_t row_bytes;
    uint32_t ring_rows;
} td_tensor_t;

/* The address of row `row` (0 or more). */
static inline uint8_t *td_row(uint8_t *arena, const td_tensor_t *tensor, int32_t row)
{
    uint32_t slot = (uint32_t)row;
    if (slot >= tensor->ring_rows) {
        slot %= tensor->ring_rows;
    }
    return arena + tensor->offset + slot * tensor->row_bytes;
}

/* a * b * 2^-31, rounded to nearest, halves up: equal to gemmlowp's SaturatingRoundingDoublingHighMul for all
 * arguments but a == b == INT32_MIN, and the generator never makes b negative. */
static inline int32_t td_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x * 2^-exponent, rounded to nearest, halves away from zero, for 1 <= exponent <= 31: equal to gemmlowp's
 * RoundingDivideByPOT. Down to half units first: a negative half is made a little smaller, so that it rounds away from
 * zero. INT32_MIN, and INT32_MAX with exponent 1, would overflow; a product of td_high_mul is neither. */
static inline int32_t td_round_shift(int32_t x, int32_t exponent)
{
    return (((x + (x >> 31)) >> (exponent - 1)) + 1) >> 1;
}

/* x * multiplier * 2^(shift - 31) with TensorFlow Lite Micro's two roundings. multiplier is 0 or in [2^30, 2^31),
 * -31 <= shift <= 30; a left shift that leaves 32 bits wraps, as it does there. */
static inline int32_t td_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    if (shift >= 0) {
        return td_high_mul((int32_t)((uint32_t)x << shift), multiplier);
    }
    return td_round_shift(td_high_mul(x, multiplier), -shift);
}

static inline int32_t td_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}

/* x saturated to int8. Compilers find the instruction for it in a function of its own, but not in a loop. */
static inline int8_t td_saturate(int32_t x)
{
#if defined(__ARM_FEATURE_SAT)
    return (int8_t)__ssat(x, 8);
#else
    return (int8_t)td_clamp(x, -128, 127);
#endif
}

/* An accumulator's way into an output element: td_requantize, then the output's zero point, then int8's bounds.
 * `scale` is a (multiplier, shift) pair, `round` is 2 * zero point + 1: the zero point joins the last rounding.
 * Accumulators are unsigned: they wrap, as the reference's do, without undefined behaviour. */
static inline int8_t td_output(uint32_t acc, const int32_t *scale, int32_t round)
{
    const int32_t shift = scale[1];
    if (shift >= -1) { /* rare, and there the sum may leave 32 bits: it wraps, as the reference's */
        const uint32_t value = (uint32_t)td_requantize((int32_t)acc, scale[0], shift);
        return td_saturate((int32_t)(value + (uint32_t)(round >> 1)));
    }
    const int32_t high = td_high_mul((int32_t)acc, scale[0]);
    return td_saturate((((high + (high >> 31)) >> (-1 - shift)) + round) >> 1);
}

/* Bounds that are narrower than int8's, put on `count` elements that td_output made. */
static inline void td_narrow(int8_t *out, int32_t count, int32_t low, int32_t high)
{
    if (low > -128 || high < 127) {
        for (int32_t i = 0; i < count; ++i) {
            out[i] = (int8_t)td_clamp(out[i], low, high);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
