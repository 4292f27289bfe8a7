/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's memory (common/mem.h) for the kernel tests of an emulated build, where there is no address sanitizer: each piece ends where a page
 * begins that may not be touched, so that a kernel that reads past it dies. Linked with --wrap. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *__wrap_vd_malloc(size_t size);
void *__wrap_vd_calloc(size_t n, size_t size);
void *__wrap_vd_aligned(size_t size);
void __wrap_vd_free(void *p);

enum { PIECES = 4096, FENCE = 65536 }; /* pages of aarch64 have at most that size */
static struct { uint8_t *data, *map; size_t size; } pieces[PIECES];

static void *get(size_t size, size_t alignment)
{
    const size_t whole = (size + alignment - 1) / alignment * alignment, room = (whole + FENCE - 1) / FENCE * FENCE;
    uint8_t *map = mmap(NULL, room + FENCE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED || mprotect(map + room, FENCE, PROT_NONE))
        abort();
    for (size_t i = 0; i < PIECES; i++)
        if (!pieces[i].data) {
            pieces[i].data = map + room - whole;
            pieces[i].map = map;
            pieces[i].size = room + FENCE;
            memset(map, 0xa5, room);
            return pieces[i].data;
        }
    abort();
}

void *__wrap_vd_malloc(size_t size) { return get(size, 1); }
void *__wrap_vd_aligned(size_t size) { return get(size, 64); }

void *__wrap_vd_calloc(size_t n, size_t size)
{
    void *p = get(n * size, 1);

    memset(p, 0, n * size);
    return p;
}

void __wrap_vd_free(void *p)
{
    for (size_t i = 0; p && i < PIECES; i++)
        if (pieces[i].data == p) {
            munmap(pieces[i].map, pieces[i].size);
            pieces[i].data = NULL;
            return;
        }
    if (p)
        abort();
}
