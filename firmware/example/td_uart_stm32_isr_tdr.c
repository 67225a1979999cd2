/* STM32 F0, F3, F7, C, G, H, L4, L5, U5, WB: USART and LPUART with ISR and TDR (RM0385, USART; RM0351, LPUART). */
#include "td_board.h"

#define CR1 TD_UART_REGISTER(0x00u)
#define BRR TD_UART_REGISTER(0x0Cu)
#define ISR TD_UART_REGISTER(0x1Cu)
#define TDR TD_UART_REGISTER(0x28u)

void td_uart_init(void)
{
#if TD_UART_LOW_POWER
    BRR = (uint32_t)(256ull * TD_CLOCK_HZ / TD_BAUD_RATE); /* an LPUART divides by 1/256 */
#else
    BRR = TD_CLOCK_HZ / TD_BAUD_RATE;
#endif
    CR1 = 1u << 3 | 1u; /* TE, UE */
}

void td_uart_put(uint8_t byte)
{
    while ((ISR & 1u << 7) == 0) { /* TXE */
    }
    TDR = byte;
}

void td_uart_flush(void)
{
    while ((ISR & 1u << 6) == 0) { /* TC */
    }
}
