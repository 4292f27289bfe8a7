/* SPDX-License-Identifier: BSD-2-Clause */
/* The arena's layout: nothing alive at the same time overlaps, and memory is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/random.h"
#include "plan/layout.h"

enum { MAX = 300, GAP = 64 };

static int by_first(const void *a, const void *b)
{
    return ((const struct vd_slot *)a)->first - ((const struct vd_slot *)b)->first;
}

static void hold_to_contract(struct vd_slot *s, int n, size_t total)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(s[i].offset % 64, 0);
        assert_true(s[i].offset + s[i].size + GAP <= total);
        for (int k = 0; k < i; k++) {
            const int together = s[i].first <= s[k].last && s[k].first <= s[i].last;
            const int apart = s[i].offset + s[i].size + GAP <= s[k].offset || s[k].offset + s[k].size + GAP <= s[i].offset;
            if (together && !apart)
                fail_msg("slots %d and %d overlap", k, i);
        }
    }
}

static void test_random_lifetimes(void **state)
{
    (void)state;
    const char *given = getenv("VD_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : 174;
    struct vd_rng r;
    printf("seed %llu\n", (unsigned long long)seed);
    vd_rng_seed(&r, seed);
    for (int round = 0; round < 300; round++) {
        struct vd_slot s[MAX];
        const int n = (int)(vd_rng_u32(&r) % MAX), steps = 1 + (int)(vd_rng_u32(&r) % 40);
        for (int i = 0; i < n; i++) {
            const int a = (int)(vd_rng_u32(&r) % (unsigned)steps), b = (int)(vd_rng_u32(&r) % (unsigned)steps);
            s[i] = (struct vd_slot){.size = vd_rng_u32(&r) % 5000 * (vd_rng_u32(&r) % 3), .first = a < b ? a : b, .last = a < b ? b : a};
        }
        qsort(s, (size_t)n, sizeof(*s), by_first);
        struct vd_arena a = {0};
        size_t total;
        assert_int_equal(vd_layout(s, n, &total, &a), 0);
        hold_to_contract(s, n, total);
        vd_arena_free(&a);
    }
}

/* A chain needs room for two neighbours, however long it is. */
static void test_chain_reuses(void **state)
{
    (void)state;
    struct vd_slot s[100];
    struct vd_arena a = {0};
    size_t total;
    for (int i = 0; i < 100; i++)
        s[i] = (struct vd_slot){.size = 1000, .first = i, .last = i + 1};
    assert_int_equal(vd_layout(s, 100, &total, &a), 0);
    hold_to_contract(s, 100, total);
    assert_true(total <= 3 * (1024 + GAP));
    vd_arena_free(&a);
}

static void test_too_large(void **state)
{
    (void)state;
    struct vd_slot s[2] = {{.size = SIZE_MAX - 10, .last = 1}, {.size = 1, .last = 1}};
    struct vd_arena a = {0};
    size_t total;
    assert_int_equal(vd_layout(s, 2, &total, &a), -ERANGE);
    assert_int_equal(vd_layout(s, 0, &total, &a), 0);
    assert_int_equal(total, 0);
    vd_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_lifetimes), cmocka_unit_test(test_chain_reuses),
                                       cmocka_unit_test(test_too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
