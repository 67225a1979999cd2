/* RP2040 and RP2350: Arm PrimeCell PL011 (DDI 0183). */
#include "td_board.h"

#define DR TD_UART_REGISTER(0x00u)
#define FR TD_UART_REGISTER(0x18u)
#define IBRD TD_UART_REGISTER(0x24u)
#define FBRD TD_UART_REGISTER(0x28u)
#define LCR_H TD_UART_REGISTER(0x2Cu)
#define CR TD_UART_REGISTER(0x30u)

void td_uart_init(void)
{
    const uint32_t divisor = (TD_CLOCK_HZ * 4u + TD_BAUD_RATE / 2u) / TD_BAUD_RATE; /* in 1/64 */

    IBRD = divisor >> 6;
    FBRD = divisor & 63u;
    LCR_H = 3u << 5 | 1u << 4; /* 8 bits, FIFO; it also takes over the divisor */
    CR = 1u << 8 | 1u;         /* TXE, UARTEN */
}

void td_uart_put(uint8_t byte)
{
    while ((FR & 1u << 5) != 0) { /* TXFF */
    }
    DR = byte;
}

void td_uart_flush(void)
{
    while ((FR & 1u << 3) != 0) { /* BUSY */
    }
}
