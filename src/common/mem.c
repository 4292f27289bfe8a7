/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"

static atomic_size_t made;    /* attempts so far, injected failures included */
static atomic_size_t fail_at; /* number of the attempt that fails; 0: none */
static atomic_int keep_failing;

/* Over PTRDIFF_MAX no pointer difference holds, and the sanitizers abort. */
static bool refused(size_t size)
{
    size_t n = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    size_t f = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (f && (n == f || (n > f && atomic_load_explicit(&keep_failing, memory_order_relaxed))))
        return true;
    return size > PTRDIFF_MAX;
}

void *vd_malloc(size_t size) { return refused(size) ? NULL : malloc(size ? size : 1); }

void *vd_calloc(size_t count, size_t size)
{
    size_t n;
    if (!vd_mul(count, size, &n))
        return NULL;
    return refused(n) ? NULL : calloc(1, n ? n : 1);
}

void *vd_realloc(void *p, size_t count, size_t size)
{
    size_t n;
    if (!vd_mul(count, size, &n))
        return NULL;
    return refused(n) ? NULL : realloc(p, n ? n : 1);
}

void *vd_aligned(size_t size)
{
    void *p = NULL;
    if (refused(size) || posix_memalign(&p, 64, size ? size : 1))
        return NULL;
    return p;
}

char *vd_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = vd_malloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

void vd_free(void *p) { free(p); }

void vd_mem_fail_at(size_t k, int persist)
{
    atomic_store(&fail_at, 0);
    atomic_store(&keep_failing, persist != 0);
    if (k)
        atomic_store(&fail_at, atomic_load(&made) + k);
}

size_t vd_mem_count(void) { return atomic_load(&made); }
