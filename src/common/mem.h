/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_MEM_H
#define VD_MEM_H

#include <stddef.h>

/* The only callers of malloc in the project. NULL when there is no memory or
 * when count * size does not fit; the caller returns vd_nomem(). Everything is
 * freed with vd_free(), which takes NULL. */
void *vd_malloc(size_t size);
void *vd_calloc(size_t count, size_t size);
void *vd_realloc(void *p, size_t count, size_t size);
void *vd_aligned(size_t size); /* 64-byte aligned, not cleared */
char *vd_strdup(const char *s);
void vd_free(void *p);

/* Fault injection for tests: the k-th allocation from now on fails (1 is the
 * next; 0 turns it off); with persist every later one fails too. Process-wide. */
void vd_mem_fail_at(size_t k, int persist);
size_t vd_mem_count(void); /* allocations made since the process began */

#endif
