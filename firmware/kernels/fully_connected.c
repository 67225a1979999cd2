/* FULLY_CONNECTED: four outputs at a time share each input that is loaded. */
#include "td_dsp.h"
#include "td_fully_connected.h"

/* Four inputs, four outputs. */
#if TD_DSP
#define MAC_4_4                                                                                                        \
    do {                                                                                                               \
        const uint32_t v0 = td_load4(v), even = td_even(v0), odd = td_odd(v0);                                         \
        const uint32_t u0 = td_load4(w), u1 = td_load4(w + 4), u2 = td_load4(w + 8), u3 = td_load4(w + 12);            \
        a0 = td_dual_mac(odd, td_odd(u0), td_dual_mac(even, td_even(u0), a0));                                         \
        a1 = td_dual_mac(odd, td_odd(u1), td_dual_mac(even, td_even(u1), a1));                                         \
        a2 = td_dual_mac(odd, td_odd(u2), td_dual_mac(even, td_even(u2), a2));                                         \
        a3 = td_dual_mac(odd, td_odd(u3), td_dual_mac(even, td_even(u3), a3));                                         \
        v += 4;                                                                                                        \
        w += 16;                                                                                                       \
    } while (0)
#else
#define MAC_4_4                                                                                                        \
    do {                                                                                                               \
        MAC_4(w[0], w[4], w[8], w[12]);                                                                                \
        MAC_4(w[1], w[5], w[9], w[13]);                                                                                \
        MAC_4(w[2], w[6], w[10], w[14]);                                                                               \
        MAC_4(w[3], w[7], w[11], w[15]);                                                                               \
        w += 16;                                                                                                       \
    } while (0)
#endif

/* One input, four outputs. */
#define MAC_4(u0, u1, u2, u3)                                                                                          \
    do {                                                                                                               \
        const int32_t v0 = *v++;                                                                                       \
        a0 += (uint32_t)(v0 * u0);                                                                                     \
        a1 += (uint32_t)(v0 * u1);                                                                                     \
        a2 += (uint32_t)(v0 * u2);                                                                                     \
        a3 += (uint32_t)(v0 * u3);                                                                                     \
        TD_PIN(a0);                                                                                                    \
        TD_PIN(a1);                                                                                                    \
        TD_PIN(a2);                                                                                                    \
        TD_PIN(a3);                                                                                                    \
    } while (0)

static TD_NOINLINE void one_batch(const td_fully_connected_t *op, const int8_t *in, int8_t *out)
{
    const int32_t round = 2 * op->out_zero + 1, step = op->scale_step;
    const int32_t *scale = op->scale;
    const int8_t *w = op->weights;
    int32_t o = 0;
    for (; o + 3 < op->out_n; o += 4) {
        const int8_t *v = in;
        uint32_t a0 = (uint32_t)op->bias[o], a1 = (uint32_t)op->bias[o + 1];
        uint32_t a2 = (uint32_t)op->bias[o + 2], a3 = (uint32_t)op->bias[o + 3];
        int32_t n = op->in_n;
        for (; n >= 4; n -= 4) {
            MAC_4_4;
        }
        for (; n > 0; --n, w += 4) {
            MAC_4(w[0], w[1], w[2], w[3]);
        }
        out[o] = td_output(a0, scale, round);
        scale += step;
        out[o + 1] = td_output(a1, scale, round);
        scale += step;
        out[o + 2] = td_output(a2, scale, round);
        scale += step;
        out[o + 3] = td_output(a3, scale, round);
        scale += step;
    }
    for (; o < op->out_n; ++o) {
        const int8_t *v = in;
        uint32_t acc = (uint32_t)op->bias[o];
        for (int32_t n = op->in_n; n > 0; --n) {
            acc += (uint32_t)(*v++ * *w++);
        }
        out[o] = td_output(acc, scale, round);
        scale += step;
    }
    td_narrow(out, op->out_n, op->out_min, op->out_max);
}

void td_fully_connected(const td_fully_connected_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                        int32_t first_row, int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const uint8_t *from = op->in_rows != 0 ? td_row(arena, in, row * op->in_rows)
                                               : td_row(arena, in, 0) + row * op->batches * op->in_n;
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t batch = 0; batch < op->batches; ++batch) {
            one_batch(op, (const int8_t *)from + batch * op->in_n, to + batch * op->out_n);
        }
    }
}
