/* SOFTMAX by rows, in gemmlowp's fixed point: the sum with 12 integer bits, its reciprocal by Newton and Raphson. */
#include "td_softmax.h"

/* x * 2^exponent, saturated as gemmlowp does. */
static int32_t shift_up(int32_t x, int32_t exponent)
{
    const int32_t limit = (int32_t)(((uint32_t)1 << (31 - exponent)) - 1u);
    if (x > limit) {
        return INT32_MAX;
    }
    return x < -limit ? INT32_MIN : (int32_t)((uint32_t)x << exponent);
}

/* 1 / (1 + x) for x in [0, 1), both in units of 2^-31. */
static int32_t reciprocal_of_one_plus(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2); /* half of the denominator */
    const int32_t one = (int32_t)1 << 29;                              /* with 2 integer bits */
    int32_t r = 1515870810 + td_high_mul(half, -1010580540);           /* 48/17 - 32/17 * half */
    for (int32_t i = 0; i < 3; ++i) {
        r += shift_up(td_high_mul(r, one - td_high_mul(half, r)), 2);
    }
    return shift_up(r, 1);
}

static void one_group(const td_softmax_t *op, const int8_t *in, int8_t *out)
{
    const int32_t *exps = op->exps;
    const int32_t depth = op->depth, entries = op->entries;
    int32_t most = in[0], sum = 0, headroom = 0;
    for (int32_t c = 1; c < depth; ++c) {
        most = in[c] > most ? in[c] : most;
    }
    for (int32_t c = 0; c < depth; ++c) {
        const int32_t below = most - in[c];
        if (below < entries) {
            sum += (int32_t)(((uint32_t)exps[below] + (1u << 11)) >> 12);
        }
    }
    while (((uint32_t)sum << headroom) < 0x80000000u) {
        ++headroom;
    }
    /* sum is 2^(12 - headroom) times a number in [1, 2) whose fraction is what the shift leaves below the top bit */
    const int32_t scale = reciprocal_of_one_plus((int32_t)(((uint32_t)sum << (headroom + 1)) >> 1));
    const int32_t exponent = 35 - headroom;
    for (int32_t c = 0; c < depth; ++c) {
        const int32_t below = most - in[c];
        int32_t value = 0;
        if (below < entries && exponent < 32) {
            value = td_round_shift(td_high_mul(scale, exps[below]), exponent);
        }
        out[c] = (int8_t)(value < 255 ? value - 128 : 127);
    }
}

void td_softmax(const td_softmax_t *op, uint8_t *arena, const td_tensor_t *in, const td_tensor_t *out,
                int32_t first_row, int32_t end_row)
{
    for (int32_t row = first_row; row < end_row; ++row) {
        const int8_t *from = (const int8_t *)td_row(arena, in, row);
        int8_t *to = (int8_t *)td_row(arena, out, row);
        for (int32_t i = 0; i < op->groups; ++i, from += op->depth, to += op->depth) {
            one_group(op, from, to);
        }
    }
}
