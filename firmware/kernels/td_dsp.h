/* Two multiply-accumulates in one instruction, where the core has the DSP extension.
 *
 * TD_DSP is 1 there. Defined as 1 for another core, the same code runs on the plain C below: tests on the host do so. */
#ifndef TD_DSP_H
#define TD_DSP_H

#include "td_runtime.h"

#include <string.h>

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#endif
#if !defined(TD_DSP)
#if defined(__ARM_FEATURE_SIMD32)
#define TD_DSP 1
#else
#define TD_DSP 0
#endif
#endif

#if TD_DSP

/* Four bytes from anywhere, the first in the lowest bits. */
static inline uint32_t td_load4(const int8_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Bytes 0 and 2 of x as two signed halves; td_odd: bytes 1 and 3. */
static inline uint32_t td_even(uint32_t x)
{
#if defined(__ARM_FEATURE_SIMD32)
    return (uint32_t)__sxtb16((int8x4_t)x);
#else
    return (uint32_t)(uint16_t)(int8_t)(uint8_t)x | (uint32_t)(uint16_t)(int8_t)(uint8_t)(x >> 16) << 16;
#endif
}

static inline uint32_t td_odd(uint32_t x)
{
#if defined(__ARM_FEATURE_SIMD32) && defined(__GNUC__)
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(x));
    return halves;
#else
    return td_even(x >> 8 | x << 24);
#endif
}

/* acc + low(a) * low(b), wrapping; td_high_mac: the high halves. */
static inline uint32_t td_low_mac(uint32_t a, uint32_t b, uint32_t acc)
{
#if defined(__ARM_FEATURE_SIMD32) && defined(__GNUC__)
    __asm__("smlabb %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b));
    return acc;
#else
    return acc + (uint32_t)((int32_t)(int16_t)(uint16_t)a * (int16_t)(uint16_t)b);
#endif
}

static inline uint32_t td_high_mac(uint32_t a, uint32_t b, uint32_t acc)
{
#if defined(__ARM_FEATURE_SIMD32) && defined(__GNUC__)
    __asm__("smlatt %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b));
    return acc;
#else
    return td_low_mac(a >> 16, b >> 16, acc);
#endif
}

/* acc + low(a) * low(b) + high(a) * high(b), wrapping. */
static inline uint32_t td_dual_mac(uint32_t a, uint32_t b, uint32_t acc)
{
#if defined(__ARM_FEATURE_SIMD32)
    return (uint32_t)__smlad((int16x2_t)a, (int16x2_t)b, (int32_t)acc);
#else
    return td_high_mac(a, b, td_low_mac(a, b, acc));
#endif
}

#endif

#endif
