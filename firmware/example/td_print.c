/* Numbers and tensors as text, without a C library. */
#include "td_board.h"

#define SHOWN 16u /* values of a tensor in full */

void td_print(const char *text)
{
    for (; *text != '\0'; ++text) {
        if (*text == '\n') {
            td_uart_put('\r');
        }
        td_uart_put((uint8_t)*text);
    }
}

void td_print_unsigned(uint32_t value)
{
    char digits[11];
    uint32_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    td_print(&digits[at]);
}

void td_print_signed(int32_t value)
{
    if (value < 0) {
        td_uart_put('-');
    }
    td_print_unsigned(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

void td_print_hex(uint32_t value)
{
    static const char digits[] = "0123456789abcdef";

    td_print("0x");
    for (uint32_t shift = 32; shift != 0; shift -= 4) {
        td_uart_put((uint8_t)digits[value >> (shift - 4) & 15u]);
    }
}

static uint32_t element(const uint8_t *data, uint32_t index, uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = bytes; i != 0; --i) {
        value = value << 8 | data[index * bytes + i - 1];
    }
    return value;
}

/* The value with its sign, in all 32 bits. */
static int32_t extended(uint32_t value, uint32_t bytes)
{
    const uint32_t sign = 1u << (8 * bytes - 1);
    return (int32_t)((value ^ sign) - sign);
}

/* Unsigned numbers in the same order as the values. Floats without their sign are ordered as their bits are. */
static uint32_t order(uint32_t value, uint32_t bytes, char kind)
{
    if (kind == 'i') {
        return (uint32_t)extended(value, bytes) ^ 0x80000000u;
    }
    if (kind == 'f') {
        return (value & 0x80000000u) != 0 ? ~value : value | 0x80000000u;
    }
    return value;
}

static void print_value(uint32_t value, uint32_t bytes, char kind)
{
    if (kind == 'i') {
        td_print_signed(extended(value, bytes));
    } else if (kind == 'f') {
        td_print_hex(value);
    } else {
        td_print_unsigned(value);
    }
}

void td_print_values(const uint8_t *data, uint32_t count, uint32_t bytes, char kind)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t value = element(data, i, bytes);
        if (i < SHOWN) {
            td_uart_put(' ');
            print_value(value, bytes, kind);
        }
        if (order(value, bytes, kind) > order(element(data, best, bytes), bytes, kind)) {
            best = i;
        }
    }
    if (count > SHOWN) {
        td_print(" ...");
    }
    td_print("\n  largest at ");
    td_print_unsigned(best);
    td_print(": ");
    print_value(element(data, best, bytes), bytes, kind);
}

uint32_t td_crc32(const uint8_t *data, uint32_t bytes)
{
    uint32_t crc = 0xFFFFFFFFu;

    for (uint32_t i = 0; i < bytes; ++i) {
        crc ^= data[i];
        for (uint32_t bit = 0; bit < 8; ++bit) {
            crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}
