/* SPDX-License-Identifier: BSD-2-Clause */
/* LD_PRELOAD: the FAIL_AT-th allocation of the process fails, and with FAIL_ON every later one, whoever asks: this program, jansson,
 * libsodium, libc. FAIL_COUNT=FD: how many there were, and how many were not freed, is written to that descriptor at the end. For
 * test_faults.py alone. */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static atomic_ulong made;
static atomic_long live;
static unsigned long fail_at;
static int fail_on, count_fd = -1;

static int fails(void)
{
    const unsigned long n = atomic_fetch_add(&made, 1) + 1;
    if (!fail_at || (fail_on ? n < fail_at : n != fail_at))
        return 0;
    errno = ENOMEM;
    return 1;
}

static unsigned long number(const char *name)
{
    const char *s = getenv(name);
    return s ? strtoul(s, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
    if (getenv("FAIL_COUNT"))
        count_fd = (int)number("FAIL_COUNT");
    fail_on = getenv("FAIL_ON") != NULL;
    atomic_store(&made, 0);
    atomic_store(&live, 0); /* what the loader and other constructors asked for is not ours */
    fail_at = number("FAIL_AT");
}

__attribute__((destructor)) static void end(void)
{
    char text[64];
    const int n = snprintf(text, sizeof text, "%lu %ld\n", atomic_load(&made), atomic_load(&live));
    if (count_fd >= 0 && write(count_fd, text, (size_t)n) != n)
        _exit(99);
}

static void *given(void *p)
{
    atomic_fetch_add(&live, p != NULL);
    return p;
}

void *malloc(size_t n) { return fails() ? NULL : given(__libc_malloc(n)); }
void *calloc(size_t count, size_t n) { return fails() ? NULL : given(__libc_calloc(count, n)); }
void *memalign(size_t align, size_t n) { return fails() ? NULL : given(__libc_memalign(align, n)); }
void *aligned_alloc(size_t align, size_t n) { return fails() ? NULL : given(__libc_memalign(align, n)); }

void *realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    void *q = __libc_realloc(p, n);
    if (!p)
        given(q);
    else if (!q && !n)
        atomic_fetch_sub(&live, 1);
    return q;
}

void free(void *p)
{
    atomic_fetch_sub(&live, p != NULL);
    __libc_free(p);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    void *q = fails() ? NULL : given(__libc_memalign(align, n));
    if (!q)
        return ENOMEM;
    *p = q;
    return 0;
}
