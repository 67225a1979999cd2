/* What newlib asks of an operating system, for images that link a library in C++: no heap, and a console that a debugger
 * or an emulator shows, by semihosting. */
#include <stddef.h>
#include <stdint.h>

void td_exit(int code) __attribute__((noreturn));
void _exit(int code) __attribute__((noreturn));
void abort(void) __attribute__((noreturn));
void *_sbrk(ptrdiff_t increment);
int _write(int file, const char *text, int length);

/* Destructors of static objects are registered with it; none is ever called. */
extern void *const __dso_handle;
void *const __dso_handle = 0;

#define TD_NO_MEMORY ((void *)-1)

/* There is no heap: malloc fails. */
void *_sbrk(ptrdiff_t increment) {
    (void)increment;
    return TD_NO_MEMORY;
}

void _exit(int code) {
    td_exit(code);
}

/* newlib's would end with 1, as a main may, too. A shell says 134 for it. */
void abort(void) {
    td_exit(134);
}

/* SYS_WRITEC for each character. */
int _write(int file, const char *text, int length) {
    int i;

    (void)file;
    for (i = 0; i < length; i++) {
        register uint32_t operation __asm__("r0") = 0x03u;
        register const char *argument __asm__("r1") = text + i;

        __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
    }
    return length;
}
