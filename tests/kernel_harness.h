/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of kernels share: the seed, every set in turn, values that
 * hurt, and buffers that show what was written outside. */
#ifndef KERNEL_HARNESS_H
#define KERNEL_HARNESS_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "kernels/kernels.h"

enum { GUARD = 64, CANARY = 0xa5 };

#if defined(__aarch64__)
static const char *const known[] = {"c", "neon", "dotprod", "i8mm"};
#else
static const char *const known[] = {"c", "avx2", "avxvnni", "avx512vnni"};
#endif
static struct vd_rng rng;
static uint64_t seed;
static size_t checks; /* values compared in the test that runs */

static inline uint32_t below(uint32_t n) { return vd_rng_u32(&rng) % n; }
static inline int between(int lo, int hi) { return lo + (int)below((uint32_t)(hi - lo + 1)); }
static inline int one_in(uint32_t n) { return below(n) == 0; }

static inline uint32_t bits(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

static inline float from_bits(uint32_t u)
{
    float v;

    memcpy(&v, &u, sizeof(v));
    return v;
}

static inline float special(void)
{
    const float list[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, 0x1p-149f, -0x1p-149f, 1.0f, -1.0f};

    return list[below(sizeof(list) / sizeof(list[0]))];
}

static inline float small(void) { return (float)between(-1000, 1000) / 64.0f; }

/* All NaNs are one: which payload comes out is the CPU's affair. */
static inline int same(float a, float b) { return bits(a) == bits(b) || (isnan(a) && isnan(b)); }

static inline void *get_memory(size_t size)
{
    void *p = vd_malloc(size);

    assert_non_null(p);
    return p;
}

/* A buffer with GUARD bytes on both sides; the whole is CANARY until written. */
struct guarded {
    uint8_t *all, *data;
    size_t size;
};

static inline struct guarded guard(size_t size, size_t offset)
{
    struct guarded g = {.size = size + offset};

    g.all = get_memory(g.size + 2 * GUARD);
    memset(g.all, CANARY, g.size + 2 * GUARD);
    g.data = g.all + GUARD + offset;
    return g;
}

/* [from, to) of the data was not written; negative is before it. */
static inline void check_untouched(const struct guarded *g, ptrdiff_t from, ptrdiff_t to, const char *what)
{
    for (ptrdiff_t i = from; i < to; i++)
        if (g->data[i] != CANARY)
            fail_msg("%s: wrote outside, at byte %td", what, i);
}

static inline void check_edges(const struct guarded *g, size_t used, const char *what)
{
    check_untouched(g, g->all - g->data, 0, what);
    check_untouched(g, (ptrdiff_t)used, (g->all + g->size + 2 * GUARD) - g->data, what);
}

/* fn for each set; a set that the CPU lacks is named. */
static inline void for_each_set(void (*fn)(const struct vd_kernels *k))
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct vd_kernels *k;
        const int rc = vd_kernels_get(known[i], &k);

        if (rc == -ENOTSUP) {
            print_message("[  SKIPPED ] %s\n", vd_reason());
            continue;
        }
        assert_int_equal(rc, 0);
        vd_rng_seed(&rng, seed);
        checks = 0;
        fn(k);
        if (checks == 0)
            fail_msg("%s: nothing was compared", k->name);
    }
}

/* n random cases, or a VD_FEWER-th of them: an emulated CPU takes thirty times as long. */
static inline int cases(int n)
{
    const char *text = getenv("VD_FEWER");
    const int fewer = text ? atoi(text) : 1;

    return fewer > 1 ? (n + fewer - 1) / fewer : n;
}

/* From the argument, else VD_SEED, else the clock. */
static inline void choose_seed(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : getenv("VD_SEED");

    seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003u;
    print_message("seed %llu (repeat with VD_SEED or as the argument)\n", (unsigned long long)seed);
}

#endif
