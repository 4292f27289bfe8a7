/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"

int fuzz_result;
size_t fuzz_most;
int fuzz_fill = -1;

void fuzz_die(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s; the last reason: %s\n", file, line, what, vd_reason());
    abort();
}

uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *p = malloc(size ? size : 1);
    MUST(p);
    if (size)
        memcpy(p, data, size);
    return p;
}

void fuzz_refused(int rc)
{
    static const int known[] = {EBADMSG, EPERM, E2BIG, ENOMEM, ENOTSUP, ERANGE, EKEYREJECTED};
    const char *s = vd_reason();
    size_t i = 0;
    while (i < sizeof known / sizeof known[0] && rc != -known[i])
        i++;
    MUST(i < sizeof known / sizeof known[0]);
    MUST(strlen(s) > 10 && strlen(s) < 512);
    for (; *s; s++)
        MUST((unsigned char)*s >= 0x20 && *s != 0x7f);
    fuzz_result = rc;
}

uint64_t fuzz_hash(const void *data, size_t size, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = seed ^ 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

uint32_t fuzz_random(uint64_t *state) /* SplitMix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

/* The linker sends the calls of the library here: -Wl,--wrap in meson.build. */
void *__real_vd_malloc(size_t size);
void *__real_vd_calloc(size_t count, size_t size);
void *__real_vd_realloc(void *p, size_t count, size_t size);
void *__real_vd_aligned(size_t size);
void *__wrap_vd_malloc(size_t size);
void *__wrap_vd_calloc(size_t count, size_t size);
void *__wrap_vd_realloc(void *p, size_t count, size_t size);
void *__wrap_vd_aligned(size_t size);

static int over(size_t count, size_t size) { return fuzz_most && size && count > fuzz_most / size; }

static void *filled(void *p, size_t size)
{
    if (p && fuzz_fill >= 0)
        memset(p, fuzz_fill, size);
    return p;
}

void *__wrap_vd_malloc(size_t size) { return over(1, size) ? NULL : filled(__real_vd_malloc(size), size); }
void *__wrap_vd_calloc(size_t count, size_t size) { return over(count, size) ? NULL : __real_vd_calloc(count, size); }
void *__wrap_vd_realloc(void *p, size_t count, size_t size) { return over(count, size) ? NULL : __real_vd_realloc(p, count, size); }
void *__wrap_vd_aligned(size_t size) { return over(1, size) ? NULL : filled(__real_vd_aligned(size), size); }
