/* SAM D21, D51, E5x: SERCOM as a USART (SAM D5x/E5x data sheet, SERCOM USART). */
#include "td_board.h"

#define CTRLA TD_UART_REGISTER(0x00u)
#define CTRLB TD_UART_REGISTER(0x04u)
#define BAUD (*(volatile uint16_t *)(uintptr_t)(TD_UART_BASE + 0x0Cu))
#define INTFLAG (*(volatile uint8_t *)(uintptr_t)(TD_UART_BASE + 0x18u))
#define SYNCBUSY TD_UART_REGISTER(0x1Cu)
#define DATA (*(volatile uint8_t *)(uintptr_t)(TD_UART_BASE + 0x28u))

void td_uart_init(void)
{
    /* 65536 * (1 - 16 * rate / clock) */
    BAUD = (uint16_t)(65536u - (uint32_t)(65536ull * 16u * TD_BAUD_RATE / TD_CLOCK_HZ));
    CTRLB = 1u << 16; /* TXEN */
    while (SYNCBUSY != 0) {
    }
    CTRLA = 1u << 30 | 1u << 2 | 1u << 1; /* least significant bit first, internal clock, ENABLE */
    while (SYNCBUSY != 0) {
    }
}

void td_uart_put(uint8_t byte)
{
    while ((INTFLAG & 1u) == 0) { /* DRE */
    }
    DATA = byte;
}

void td_uart_flush(void)
{
    while ((INTFLAG & 2u) == 0) { /* TXC */
    }
}
