/* What the example asks of a board: a UART to print on, and a counter of cycles where the core has one. */
#ifndef TD_BOARD_H
#define TD_BOARD_H

#include <stdint.h>

/* Written for the board: TD_UART_BASE, TD_CLOCK_HZ, TD_UART_LOW_POWER, TD_HAS_CYCLE_COUNTER. */
#include "td_board_config.h"

#define TD_BAUD_RATE 115200u
#define TD_UART_REGISTER(offset) (*(volatile uint32_t *)(uintptr_t)(TD_UART_BASE + (offset)))

/* Switches the transmitter on. Its clock and its pin are the application's: a part needs both, an emulator neither. */
void td_uart_init(void);

/* Sends a byte, and waits until there is room for it. */
void td_uart_put(uint8_t byte);

/* Waits until everything has left. */
void td_uart_flush(void);

void td_print(const char *text);
void td_print_unsigned(uint32_t value);
void td_print_signed(int32_t value);
void td_print_hex(uint32_t value);

/* Lines of the report. A value is `bytes` little-endian bytes, read as `kind` says: i, u or f (its bits, in hex). */
void td_print_values(const uint8_t *data, uint32_t count, uint32_t bytes, char kind);

/* CRC-32 of IEEE 802.3, as zlib has it. */
uint32_t td_crc32(const uint8_t *data, uint32_t bytes);

#if TD_HAS_CYCLE_COUNTER
void td_cycles_start(void);
uint32_t td_cycles(void);
#endif

#endif
