/* i.MX RT: LPUART (i.MX RT1060 reference manual, LPUART). */
#include "td_board.h"

#define BAUD TD_UART_REGISTER(0x10u)
#define STAT TD_UART_REGISTER(0x14u)
#define CTRL TD_UART_REGISTER(0x18u)
#define DATA TD_UART_REGISTER(0x1Cu)

void td_uart_init(void)
{
    BAUD = 15u << 24 | TD_CLOCK_HZ / (16u * TD_BAUD_RATE); /* OSR: 16 samples a bit; SBR */
    CTRL = 1u << 19;                                       /* TE */
}

void td_uart_put(uint8_t byte)
{
    while ((STAT & 1u << 23) == 0) { /* TDRE */
    }
    DATA = byte;
}

void td_uart_flush(void)
{
    while ((STAT & 1u << 22) == 0) { /* TC */
    }
}
