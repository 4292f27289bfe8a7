/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"

enum {
    HEAD = 64, /* keeps what follows 64-byte aligned */
    BLOCK = 16384 - HEAD,
    OWN = BLOCK / 4, /* from here on an object gets a block of its own */
};

/* Under AddressSanitizer each object has its own block, so that an overrun of
 * one is seen and does not land in its neighbour; scripts/coverage.sh asks for it too,
 * so that the allocation of each can fail. */
#if defined(__SANITIZE_ADDRESS__) || defined(VD_ARENA_OWN)
#define ALWAYS_OWN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALWAYS_OWN 1
#endif
#endif
#ifndef ALWAYS_OWN
#define ALWAYS_OWN 0
#endif

struct vd_arena_block {
    struct vd_arena_block *next;
    size_t used, cap;
};

_Static_assert(sizeof(struct vd_arena_block) <= HEAD, "block header");

static uint8_t *bytes_of(struct vd_arena_block *b) { return (uint8_t *)b + HEAD; }

static void *take(struct vd_arena *a, size_t size)
{
    size_t align = size >= 64 ? 64 : 16, total;
    if (!vd_add(a->total, size, &total))
        return NULL;
    if (a->limited) {
        const size_t padded = size > SIZE_MAX - align ? size : (size + align - 1) / align * align;
        if (padded > a->room) {
            a->over = true;
            return NULL;
        }
        a->room -= padded;
    }
    struct vd_arena_block *b = a->blocks;
    /* used <= cap <= BLOCK or the block is full, so rounding up cannot wrap */
    size_t at = b ? (b->used + align - 1) / align * align : 0;
    if (!b || ALWAYS_OWN || at > b->cap || size > b->cap - at) {
        int own = ALWAYS_OWN || size >= OWN;
        size_t cap = own ? size : (size_t)BLOCK, whole;
        if (!vd_add(cap, HEAD, &whole))
            return NULL;
        struct vd_arena_block *n = vd_aligned(whole);
        if (!n)
            return NULL;
        n->used = 0;
        n->cap = cap;
        if (own && b) { /* behind the first block, which still has room */
            n->next = b->next;
            b->next = n;
        } else {
            n->next = b;
            a->blocks = n;
        }
        b = n;
        at = 0;
    }
    b->used = at + size;
    a->total = total;
    return bytes_of(b) + at;
}

void vd_arena_limit(struct vd_arena *a, size_t size)
{
    a->limited = true;
    a->room = size;
}

void *vd_arena_array(struct vd_arena *a, size_t count, size_t size)
{
    size_t n;
    if (!vd_mul(count, size, &n))
        return NULL;
    void *p = take(a, n ? n : 1);
    return p ? memset(p, 0, n ? n : 1) : NULL;
}

void *vd_arena_dup(struct vd_arena *a, const void *data, size_t size)
{
    void *p = take(a, size ? size : 1);
    if (p && size)
        memcpy(p, data, size);
    return p;
}

char *vd_arena_str(struct vd_arena *a, const char *s, size_t len)
{
    size_t n;
    if (!vd_add(len, 1, &n))
        return NULL;
    char *p = take(a, n);
    if (!p)
        return NULL;
    if (len)
        memcpy(p, s, len);
    p[len] = 0;
    return p;
}

char *vd_arena_printf(struct vd_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : take(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void vd_arena_free(struct vd_arena *a)
{
    for (struct vd_arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        vd_free(b);
    }
    *a = (struct vd_arena){0};
}
