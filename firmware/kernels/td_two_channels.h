/* Multiply-accumulates of one run of inputs with the weights of two channels, which come in blocks of four of each:
 * from `x0` and `w`, which move on, to `a0` and `a1`. */
#ifndef TD_TWO_CHANNELS_H
#define TD_TWO_CHANNELS_H

#include "td_dsp.h"

/* Four inputs. */
#if TD_DSP
#define MAC_4_1X2                                                                                                      \
    do {                                                                                                               \
        const uint32_t v0 = td_load4(x0), u0 = td_load4(w), u1 = td_load4(w + 4);                                      \
        const uint32_t v0e = td_even(v0), v0o = td_odd(v0);                                                            \
        x0 += 4;                                                                                                       \
        w += 8;                                                                                                        \
        a0 = td_dual_mac(v0o, td_odd(u0), td_dual_mac(v0e, td_even(u0), a0));                                          \
        a1 = td_dual_mac(v0o, td_odd(u1), td_dual_mac(v0e, td_even(u1), a1));                                          \
    } while (0)
#else
#define MAC_4_1X2                                                                                                      \
    do {                                                                                                               \
        MAC_1X2(w[0], w[4]);                                                                                           \
        MAC_1X2(w[1], w[5]);                                                                                           \
        MAC_1X2(w[2], w[6]);                                                                                           \
        MAC_1X2(w[3], w[7]);                                                                                           \
        w += 8;                                                                                                        \
    } while (0)
#endif

/* One input, with the weights u0 and u1. */
#define MAC_1X2(u0, u1)                                                                                                \
    do {                                                                                                               \
        const int32_t v0 = *x0++;                                                                                      \
        a0 += (uint32_t)(v0 * u0);                                                                                     \
        a1 += (uint32_t)(v0 * u1);                                                                                     \
        TD_PIN(a0);                                                                                                    \
        TD_PIN(a1);                                                                                                    \
    } while (0)

#endif
