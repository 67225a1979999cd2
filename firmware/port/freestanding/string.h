/* The two functions of <string.h> that the runtime needs, for building without a C library's headers. Both toolchains
 * are given this folder, so both see the same; in your own firmware the C library's <string.h> serves. */
#ifndef TD_FREESTANDING_STRING_H
#define TD_FREESTANDING_STRING_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

#ifdef __cplusplus
}
#endif

/* -ffreestanding keeps compilers from knowing these by name: short copies of known size become moves this way. */
#define memcpy(to, from, n) __builtin_memcpy((to), (from), (n))
#define memset(to, value, n) __builtin_memset((to), (value), (n))

#endif
