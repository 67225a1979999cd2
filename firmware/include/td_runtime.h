/* What every kernel and every generated model shares: tensors seen as rows, and the exact arithmetic.
 *
 * C99, no heap, no recursion, nothing of libc but memcpy and memset. All kernels are bit-exact with TensorFlow Lite
 * Micro's int8 reference kernels.
 */
#ifndef TD_RUNTIME_H
#define TD_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SIZEOF_INT__) && __SIZEOF_INT__ < 4
#error "tinydeploy needs an int of 32 bits: this is for another processor"
#endif

/* A generated model states the version it was made for; another runtime is a compile error there. */
#define TD_RUNTIME_VERSION 2

/* Define TD_STEP_PORT as an address to have a number written there as each step begins (a debug register, a GPIO): its
 * operator's, or behind the operators' that of the input that is asked for; or define TD_ON_STEP(step) yourself. */
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
 * fewer. Where ring_rows is 0, each row has a place of its own: row y starts at
 *     arena + offset + rows[y] * TD_ROW_UNIT.
 * Tensors of rank 4 (N, H, W, C) have N*H rows of W*C elements; others have one row for each slice of their last
 * axis. */
typedef struct td_tensor {
    uint32_t offset;
    uint32_t row_bytes;
    uint32_t ring_rows;
    const uint16_t *rows;
} td_tensor_t;

#define TD_ROW_UNIT 4u

/* The address of row `row` (0 or more). Whole tensors come first: one comparison. */
static inline uint8_t *td_row(uint8_t *arena, const td_tensor_t *tensor, int32_t row)
{
    uint32_t slot = (uint32_t)row;
    if (slot >= tensor->ring_rows) {
        if (tensor->ring_rows == 0) {
            return arena + tensor->offset + tensor->rows[slot] * TD_ROW_UNIT;
        }
        slot %= tensor->ring_rows;
    }
    return arena + tensor->offset + slot * tensor->row_bytes;
}

/* Where the program of a segment is. Operators that take turns row by row are its stages; a turn is one entry,
 * (stage << TD_TURN_BITS) | number of rows, and an entry without rows, (n << TD_TURN_BITS) with a count behind it, has
 * the n entries before it run that many times more. An entry of 0 ends the program. */
typedef struct td_program {
    const uint16_t *at;
    uint32_t repeated;
} td_program_t;

#define TD_TURN_BITS 6
#define TD_TURN_ROWS ((1u << TD_TURN_BITS) - 1u)

/* The next turn; 0 at the end. Repeats do not nest, and two are never side by side. */
static inline uint32_t td_next_turn(td_program_t *program)
{
    uint32_t turn = *program->at++;
    if ((turn & TD_TURN_ROWS) == 0 && turn != 0) {
        if (program->repeated != *program->at) {
            ++program->repeated;
            program->at -= (turn >> TD_TURN_BITS) + 1;
        } else {
            program->repeated = 0;
            ++program->at;
        }
        turn = *program->at++;
    }
    return turn;
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

/* x saturated to int8. Compilers find the instruction for it in a function of its own, but not in a loop. GCC's __ssat
 * is this with a conversion that -Wconversion warns of. */
static inline int8_t td_saturate(int32_t x)
{
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
    return (int8_t)(int32_t)__builtin_arm_ssat(x, 8);
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
