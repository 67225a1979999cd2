/* STM32 F1, F2, F4, L1: USART with SR and DR (RM0090, USART). */
#include "td_board.h"

#define SR TD_UART_REGISTER(0x00u)
#define DR TD_UART_REGISTER(0x04u)
#define BRR TD_UART_REGISTER(0x08u)
#define CR1 TD_UART_REGISTER(0x0Cu)

void td_uart_init(void)
{
    BRR = TD_CLOCK_HZ / TD_BAUD_RATE;
    CR1 = 1u << 13 | 1u << 3; /* UE, TE */
}

void td_uart_put(uint8_t byte)
{
    while ((SR & 1u << 7) == 0) { /* TXE */
    }
    DR = byte;
}

void td_uart_flush(void)
{
    while ((SR & 1u << 6) == 0) { /* TC */
    }
}
