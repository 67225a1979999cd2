/* The core's counter of cycles (DWT CYCCNT), which Armv7-M and larger cores have. */
#include "td_board.h"

#if TD_HAS_CYCLE_COUNTER

#define DEMCR (*(volatile uint32_t *)(uintptr_t)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)(uintptr_t)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)(uintptr_t)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)(uintptr_t)0xE0001FB0u)

void td_cycles_start(void)
{
    DEMCR |= 1u << 24; /* TRCENA */
    DWT_CTRL |= 1u;
    DWT_CYCCNT = 0;
    __asm__ volatile("nop\n\tnop\n\tnop\n\tnop");
    if (DWT_CYCCNT == 0) { /* a Cortex-M7 keeps it locked */
        DWT_LAR = 0xC5ACCE55u;
        DWT_CTRL |= 1u;
        DWT_CYCCNT = 0;
    }
}

uint32_t td_cycles(void)
{
    return DWT_CYCCNT;
}

#endif
