/* nRF52 and nRF53: UARTE, which takes bytes from RAM by DMA (nRF52840 product specification, UARTE). */
#include "td_board.h"

#define TASKS_STARTTX TD_UART_REGISTER(0x008u)
#define EVENTS_ENDTX TD_UART_REGISTER(0x120u)
#define ENABLE TD_UART_REGISTER(0x500u)
#define BAUDRATE TD_UART_REGISTER(0x524u)
#define TXD_PTR TD_UART_REGISTER(0x544u)
#define TXD_MAXCNT TD_UART_REGISTER(0x548u)

static volatile uint8_t sent; /* DMA reads RAM only */

void td_uart_init(void)
{
    BAUDRATE = 0x01D60000u; /* 115200 */
    ENABLE = 8u;
}

void td_uart_put(uint8_t byte)
{
    sent = byte;
    EVENTS_ENDTX = 0;
    TXD_PTR = (uint32_t)(uintptr_t)&sent;
    TXD_MAXCNT = 1;
    TASKS_STARTTX = 1;
    while (EVENTS_ENDTX == 0) {
    }
}

void td_uart_flush(void)
{
}
