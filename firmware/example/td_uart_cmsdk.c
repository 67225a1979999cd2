/* Arm's CMSDK APB UART (DDI 0479), on MPS2 and MPS3 boards. */
#include "td_board.h"

#define DATA TD_UART_REGISTER(0x00u)
#define STATE TD_UART_REGISTER(0x04u)
#define CTRL TD_UART_REGISTER(0x08u)
#define BAUDDIV TD_UART_REGISTER(0x10u)

void td_uart_init(void)
{
    BAUDDIV = TD_CLOCK_HZ / TD_BAUD_RATE;
    CTRL = 1u; /* TX enable */
}

void td_uart_put(uint8_t byte)
{
    while ((STATE & 1u) != 0) { /* its buffer is full */
    }
    DATA = byte;
}

void td_uart_flush(void)
{
    while ((STATE & 1u) != 0) {
    }
}
