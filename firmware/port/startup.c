/* Start-up code for any Cortex-M without a vendor's: vector table, FPU, .data and .bss, main, exit.
 *
 * Standard C and a few instructions that Armv6-M has, so it serves Cortex-M0+ to M33. The linker script places
 * .vectors where the core looks at reset and defines the symbols below; all are aligned to 4 bytes.
 * A real RP2040 starts 256 bytes later, behind its second-stage boot loader, which is not part of this image.
 */
#include <stdint.h>

extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[], __stack_top[];

#if defined(TD_CONSTRUCTORS) /* for an image with C++ in it */
extern void (*const __init_array_start[])(void), (*const __init_array_end[])(void);
#endif

int main(void);
void td_exit(int code) __attribute__((noreturn));
void Reset_Handler(void) __attribute__((noreturn));

/* Each handler is a loop of its own, so a debugger and the emulator can tell them apart; the comment keeps the compiler
 * from folding equal functions into one. All but Reset_Handler are weak: an application brings its own. */
#define TD_HANDLER(name)                         \
    void name(void) __attribute__((weak));       \
    void name(void) {                            \
        for (;;) __asm__ volatile("nop @ " #name); \
    }

TD_HANDLER(NMI_Handler)
TD_HANDLER(HardFault_Handler)
TD_HANDLER(MemManage_Handler)
TD_HANDLER(BusFault_Handler)
TD_HANDLER(UsageFault_Handler)
TD_HANDLER(SecureFault_Handler)
TD_HANDLER(SVC_Handler)
TD_HANDLER(DebugMon_Handler)
TD_HANDLER(PendSV_Handler)
TD_HANDLER(SysTick_Handler)
TD_HANDLER(Default_Handler)

typedef union {
    void (*handler)(void);
    void *stack;
} td_vector;

#define TD_4(v) {v}, {v}, {v}, {v}
#define TD_32(v) TD_4(v), TD_4(v), TD_4(v), TD_4(v), TD_4(v), TD_4(v), TD_4(v), TD_4(v)

extern const td_vector td_vectors[16 + 32];

__attribute__((section(".vectors"), used)) const td_vector td_vectors[16 + 32] = {
    {.stack = __stack_top},
    {Reset_Handler},
    {NMI_Handler},
    {HardFault_Handler},
    {MemManage_Handler},
    {BusFault_Handler},
    {UsageFault_Handler},
    {SecureFault_Handler},
    {0},
    {0},
    {0},
    {SVC_Handler},
    {DebugMon_Handler},
    {0},
    {PendSV_Handler},
    {SysTick_Handler},
    TD_32(Default_Handler),
};

void Reset_Handler(void) {
    const uint32_t *from = __data_load;
    uint32_t *to;
#if defined(TD_CONSTRUCTORS)
    void (*const *constructor)(void);
#endif

#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: full access to CP10 and CP11 */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    for (to = __data_start; to != __data_end;) *to++ = *from++;
    for (to = __bss_start; to != __bss_end;) *to++ = 0;
#if defined(TD_CONSTRUCTORS)
    for (constructor = __init_array_start; constructor != __init_array_end; constructor++) (*constructor)();
#endif
    td_exit(main());
}

/* Ends the program under a debugger or an emulator, by semihosting (SYS_EXIT_EXTENDED, application exit). */
void td_exit(int code) {
    const uint32_t block[2] = {0x20026u, (uint32_t)code};
    register uint32_t operation __asm__("r0") = 0x20u;
    register const uint32_t *argument __asm__("r1") = block;

    __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
    for (;;) __asm__ volatile("nop @ td_exit");
}
