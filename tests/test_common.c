/* SPDX-License-Identifier: BSD-2-Clause */
/* Reasons, memory, arenas, checked sizes, byte readers and buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "common/arena.h"
#include "common/bytes.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/status.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_reason(void **state)
{
    (void)state;
    vd_reason_clear();
    assert_string_equal(vd_reason(), "");
    errno = 77;
    assert_int_equal(vd_fail(EBADMSG, "%s: %d dims", "conv1", 9), -EBADMSG);
    assert_int_equal(errno, 77);
    assert_string_equal(vd_reason(), "conv1: 9 dims");
    assert_int_equal(vd_context(-EBADMSG, "model %d", 3), -EBADMSG);
    assert_string_equal(vd_reason(), "model 3: conv1: 9 dims");
    assert_int_equal(vd_context(0, "not recorded"), 0);
    assert_string_equal(vd_reason(), "model 3: conv1: 9 dims");
    assert_int_equal(vd_fail(EIO, "again: %s", vd_reason()), -EIO);
    assert_string_equal(vd_reason(), "again: model 3: conv1: 9 dims");
    assert_int_equal(vd_context(-EIO, "%s", vd_reason()), -EIO);
    assert_string_equal(vd_reason(), "again: model 3: conv1: 9 dims: again: model 3: conv1: 9 dims");
    assert_int_equal(vd_nomem(18446744073709551615ull), -ENOMEM);
    assert_non_null(strstr(vd_reason(), "18446744073709551615"));
    vd_reason_clear();
    assert_string_equal(vd_reason(), "");
}

/* Every byte that could move a terminal's cursor, hide text or break the line is a '?'. */
static void test_reason_clean(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\n\r\t\x1b[2J\x7f\x01z", "a????[2J??z"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"}, /* ae, euro, a face */
        {"C1 \xc2\x9b[2J", "C1 ?[2J"},
        {"raw \x9b[2J", "raw ?[2J"},
        {"overlong \xc0\x9b \xe0\x80\x9b \xf0\x80\x80\x9b", "overlong ?? ??? ????"},
        {"surrogate \xed\xa0\x80 beyond \xf4\x90\x80\x80 \xff", "surrogate ??? beyond ???? ?"},
        {"override \xe2\x80\xae isolate \xe2\x81\xa6 line \xe2\x80\xa8", "override ? isolate ? line ?"},
        {"cut \xe2\x82", "cut ??"},
        {"cut \xf0\x9f\x98", "cut ???"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vd_fail(EIO, "%s", cases[i].in);
        assert_string_equal(vd_reason(), cases[i].out);
    }
    for (int c = 1; c < 256; c++) {
        char s[2] = {(char)c, 0};
        vd_fail(EIO, "%s", s);
        assert_string_equal(vd_reason(), c >= 0x20 && c < 0x7f ? s : "?");
    }
}

static void test_reason_long(void **state)
{
    (void)state;
    static char s[2001];
    memset(s, 'x', 2000);
    for (size_t n = 500; n <= 2000; n += n < 520 ? 1 : 740) {
        s[n] = 0;
        vd_fail(EIO, "%s", s);
        assert_int_equal(strlen(vd_reason()), n < 511 ? n : 511);
        vd_context(-EIO, "%s", s);
        assert_int_equal(strlen(vd_reason()), 511);
        assert_int_equal(strspn(vd_reason(), "x: "), 511);
        vd_fail(EIO, "end");
        vd_context(-EIO, "%s", s);
        assert_int_equal(strlen(vd_reason()), n + 5 < 511 ? n + 5 : 511);
        s[n] = 'x';
    }
    for (size_t n = 505; n < 512; n++) { /* the cut falls into every byte of a sequence */
        memcpy(s + n, "\xf0\x9f\x98\x80", 5);
        vd_fail(EIO, "%s", s);
        const char *end = vd_reason() + n;
        assert_string_equal(end, n + 4 <= 511 ? "\xf0\x9f\x98\x80" : n == 508 ? "???" : n == 509 ? "??" : n == 510 ? "?" : "");
        memset(s + n, 'x', 5);
    }
}

static void *other_thread(void *p)
{
    (void)p;
    int clean = vd_reason()[0] == 0;
    vd_fail(EIO, "other");
    return clean && strcmp(vd_reason(), "other") == 0 ? p : NULL;
}

static void test_reason_threads(void **state)
{
    (void)state;
    pthread_t t;
    void *ok = NULL;
    vd_fail(EIO, "mine");
    assert_int_equal(pthread_create(&t, NULL, other_thread, state), 0);
    pthread_join(t, &ok);
    assert_non_null(ok);
    assert_string_equal(vd_reason(), "mine");
}

static void test_checked(void **state)
{
    (void)state;
    size_t n;
    int64_t v;
    assert_true(vd_mul(SIZE_MAX / 2, 2, &n) && n == SIZE_MAX - 1);
    assert_false(vd_mul(SIZE_MAX / 2 + 1, 2, &n));
    assert_true(vd_add(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX);
    assert_false(vd_add(SIZE_MAX, 1, &n));
    assert_true(vd_mul64(INT64_MIN, 1, &v) && v == INT64_MIN);
    assert_false(vd_mul64(INT64_MIN, -1, &v));
    assert_false(vd_add64(INT64_MAX, 1, &v));
    static const int64_t good[] = {2, 3, 4}, wraps[] = {1ll << 33, 1ll << 33, 8}, less[] = {2, -1}, none[] = {1ll << 62, 0};
    assert_true(vd_count(good, 3, &n) && n == 24);
    assert_true(vd_count(good, 0, &n) && n == 1);
    assert_true(vd_count(none, 2, &n) && n == 0);
    assert_false(vd_count(wraps, 3, &n));
    assert_false(vd_count(less, 2, &n));
}

static void test_mem(void **state)
{
    (void)state;
    assert_null(vd_malloc(SIZE_MAX));
    assert_null(vd_malloc((size_t)PTRDIFF_MAX + 1));
    assert_null(vd_aligned(SIZE_MAX));
    assert_null(vd_calloc(SIZE_MAX / 2, 3));
    assert_null(vd_calloc(SIZE_MAX, SIZE_MAX)); /* 1 in 64 bits */
    char *s = vd_strdup("kept");
    assert_null(vd_realloc(s, SIZE_MAX / 2 + 2, 2)); /* 2 */
    assert_string_equal(s, "kept");
    s = vd_realloc(s, 1000, 2);
    assert_string_equal(s, "kept");
    memset(s, 1, 2000);
    s = vd_realloc(s, 0, 2); /* still a block */
    assert_non_null(s);
    vd_free(s);
    vd_free(NULL);

    void *zero[] = {vd_malloc(0), vd_calloc(0, 8), vd_calloc(8, 0), vd_aligned(0), vd_realloc(NULL, 0, 0)};
    for (size_t i = 0; i < COUNT(zero); i++) {
        assert_non_null(zero[i]);
        vd_free(zero[i]);
    }
    for (size_t n = 1; n < 5000; n = n * 3 / 2 + 1) {
        uint8_t *p = vd_aligned(n);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 0xaa, n);
        vd_free(p);
        p = vd_calloc(n, 1);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        vd_free(p);
    }
}

static void *one_of_each(int which)
{
    return which == 0   ? vd_malloc(8)
           : which == 1 ? vd_calloc(1, 8)
           : which == 2 ? vd_realloc(NULL, 1, 8)
           : which == 3 ? vd_aligned(8)
                        : (void *)vd_strdup("x");
}

static void test_mem_faults(void **state)
{
    (void)state;
    for (int persist = 0; persist < 2; persist++)
        for (int k = 0; k <= 6; k++) {
            size_t before = vd_mem_count();
            vd_mem_fail_at((size_t)k, persist);
            for (int i = 1; i <= 10; i++) {
                void *p = one_of_each(i % 5);
                assert_int_equal(p == NULL, k && (i == k || (persist && i > k)));
                vd_free(p);
            }
            assert_int_equal(vd_mem_count(), before + 10);
            vd_mem_fail_at(0, 0);
            void *p = vd_malloc(1);
            assert_non_null(p);
            vd_free(p);
        }
}

enum { EACH = 20000 };

static void *allocate_much(void *p)
{
    size_t failed = 0;
    for (int i = 0; i < EACH; i++) {
        void *q = vd_malloc(16);
        failed += !q;
        vd_free(q);
    }
    *(size_t *)p = failed;
    return NULL;
}

static void test_mem_threads(void **state)
{
    (void)state;
    for (int persist = 0; persist < 2; persist++) {
        pthread_t t[4];
        size_t failed[4], before = vd_mem_count();
        vd_mem_fail_at(30001, persist);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&t[i], NULL, allocate_much, &failed[i]), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
        vd_mem_fail_at(0, 0);
        assert_int_equal(vd_mem_count(), before + 4 * EACH);
        assert_int_equal(failed[0] + failed[1] + failed[2] + failed[3], persist ? 50000 : 1);
    }
}

/* Objects of every size keep their own bytes, are aligned and start as zeros. */
static void test_arena(void **state)
{
    (void)state;
    enum { N = 3000 };
    static struct {
        uint8_t *p;
        size_t n;
    } obj[N];
    struct vd_arena a = {0};
    size_t total = 0;
    uint32_t seed = 1;
    for (int round = 0; round < 2; round++) { /* the second meets the dirt of the first */
        total = 0;
        for (int i = 0; i < N; i++) {
            seed = seed * 1664525u + 1013904223u;
            size_t n = (seed >> 16) % (i % 100 == 7 ? 40000u : i % 10 == 3 ? 1000u : 100u);
            obj[i].p = vd_arena_array(&a, n, 1);
            obj[i].n = n;
            total += n ? n : 1;
            assert_non_null(obj[i].p);
            assert_int_equal((uintptr_t)obj[i].p % (n >= 64 ? 64 : 16), 0);
            for (size_t k = 0; k < n; k++)
                assert_true(obj[i].p[k] == 0);
            memset(obj[i].p, i & 0xff, n);
        }
        assert_int_equal(a.total, total);
        for (int i = 0; i < N; i++)
            for (size_t k = 0; k < obj[i].n; k++)
                assert_true(obj[i].p[k] == (i & 0xff));
        vd_arena_free(&a);
        assert_null(a.blocks);
        assert_int_equal(a.total, 0);
    }
    vd_arena_free(&a);
}

static void test_arena_text(void **state)
{
    (void)state;
    struct vd_arena a = {0};
    char *s = vd_arena_str(&a, "name\0tail", 9), *e = vd_arena_str(&a, NULL, 0), *cut = vd_arena_str(&a, "abcdef", 3);
    assert_memory_equal(s, "name\0tail", 10);
    assert_string_equal(e, "");
    assert_string_equal(cut, "abc");
    static char big[50001];
    memset(big, 'b', 50000);
    char *f = vd_arena_printf(&a, "%s-%d", big, 42);
    assert_int_equal(strlen(f), 50003);
    assert_string_equal(f + 49999, "b-42");
    uint64_t v[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, *d = vd_arena_dup(&a, v, sizeof v);
    assert_memory_equal(d, v, sizeof v);
    assert_int_equal((uintptr_t)d % 64, 0);
    assert_non_null(vd_arena_dup(&a, NULL, 0));
    vd_arena_free(&a);
}

static void test_arena_refusals(void **state)
{
    (void)state;
    struct vd_arena a = {0};
    char *first = vd_arena_printf(&a, "%d", 7);
    assert_null(vd_arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(vd_arena_array(&a, SIZE_MAX, SIZE_MAX));
    assert_null(vd_arena_array(&a, SIZE_MAX, 1));
    assert_null(vd_arena_array(&a, SIZE_MAX - 64, 1));
    assert_null(vd_arena_dup(&a, "", SIZE_MAX - 1));
    assert_null(vd_arena_str(&a, "", SIZE_MAX));
    size_t total = a.total;
    vd_mem_fail_at(1, 1);
    assert_null(vd_arena_array(&a, 100000, 1));
    assert_null(vd_arena_printf(&a, "%20000d", 1));
    vd_mem_fail_at(0, 0);
    assert_int_equal(a.total, total);
    assert_string_equal(first, "7");
    vd_arena_free(&a);
    vd_mem_fail_at(1, 0);
    assert_null(vd_arena_array(&a, 1, 1));
    vd_mem_fail_at(0, 0);
    vd_arena_free(&a);
}

static const uint64_t edges[] = {0, 1, 127, 128, 255, 16383, 16384, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
                                 (1ull << 56) - 1, 1ull << 56, (1ull << 63) - 1, 1ull << 63, UINT64_MAX};

/* Through a buffer and back, then cut at every length, from a block of exactly that length. */
/* Names that differ in one byte, in their length, or in what is behind their end. */
static void test_names(void **state)
{
    (void)state;
    enum { MOST = 41, N = MOST * MOST * 3 };
    static char name[N][MOST + 9];
    struct vd_arena a = {0};
    struct vd_names t;
    int n = 0;
    for (int length = 0; length < MOST; length++)
        for (int at = -1; at < length; at++)
            for (int c = 0; c < (at < 0 ? 1 : 3); c++, n++) {
                memset(name[n], 'n', sizeof name[n]);
                name[n][length] = 0;
                if (at >= 0)
                    name[n][at] = (char)("mo\x81"[c]);
            }
    assert_true(n > 2000 && n <= N);
    assert_int_equal(vd_names_init(&t, &a, (size_t)n), 0);
    for (int i = 0; i < n; i++) {
        assert_int_equal(vd_names_find(&t, name[i]), -1);
        assert_int_equal(vd_names_add(&t, name[i], i), i);
    }
    for (int i = 0; i < n; i++) {
        char same[MOST + 9]; /* the same, and other bytes behind it */
        memset(same, i, sizeof same);
        strcpy(same + i % 8, name[i]);
        assert_int_equal(vd_names_find(&t, same + i % 8), i);
        assert_int_equal(vd_names_add(&t, same + i % 8, n), i);
    }
    vd_arena_free(&a);
}

static void test_bytes(void **state)
{
    (void)state;
    struct vd_buf b = {0};
    vd_put_u8(&b, 0xfe);
    vd_put_le32(&b, 0x04030201);
    vd_put_le64(&b, 0x0807060504030201);
    vd_put_str(&b, "text");
    vd_put(&b, NULL, 0);
    assert_false(b.bad);
    assert_memory_equal(b.data, "\xfe\1\2\3\4\1\2\3\4\5\6\7\10text", 17);
    assert_int_equal(b.size, 17);
    for (size_t i = 0; i < COUNT(edges); i++)
        vd_put_varint(&b, edges[i]);
    assert_int_equal(b.size, 17 + 1 + 1 + 1 + 2 + 2 + 2 + 3 + 5 + 5 + 8 + 9 + 9 + 10 + 10);

    for (size_t len = 0; len <= b.size; len++) {
        uint8_t *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, b.data, len);
        struct vd_reader r = {exact, exact + len, false};
        uint8_t u8 = vd_get_u8(&r);
        uint32_t u32 = vd_get_le32(&r);
        uint64_t u64 = vd_get_le64(&r);
        const uint8_t *text = vd_get_bytes(&r, 4);
        assert_int_equal(u8, len >= 1 ? 0xfe : 0);
        assert_int_equal(u32, len >= 5 ? 0x04030201 : 0);
        assert_true(u64 == (len >= 13 ? 0x0807060504030201 : 0));
        assert_true(text == (len >= 17 ? exact + 13 : NULL));
        assert_int_equal(r.bad, len < 17);
        size_t i = 0;
        for (; i < COUNT(edges); i++) {
            uint64_t v = vd_get_varint(&r);
            if (r.bad) {
                assert_true(v == 0);
                break;
            }
            assert_true(v == edges[i]);
        }
        assert_int_equal(r.bad, len < b.size);
        assert_int_equal(vd_left(&r), 0);
        if (r.bad) { /* for good */
            assert_null(vd_get_bytes(&r, 0));
            assert_int_equal(vd_get_u8(&r), 0);
            assert_true(vd_get_varint(&r) == 0);
            assert_true(r.p == r.end);
        } else {
            assert_true(vd_get_bytes(&r, 0) == exact + len);
            assert_false(r.bad);
            assert_null(vd_get_bytes(&r, SIZE_MAX));
            assert_true(r.bad);
        }
        free(exact);
    }
    vd_free(b.data);
}

static void test_varint_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        bool good;
        uint64_t v;
    } cases[] = {
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, true, 1ull << 63},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, true, 0}, /* longer than needed is allowed */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10, false, 0}, /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, false, 0},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81", 10, false, 0},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, false, 0}, /* an eleventh byte */
        {"\x80", 1, false, 0},
        {"", 0, false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint8_t *p = (const uint8_t *)cases[i].bytes;
        struct vd_reader r = {p, p + cases[i].n, false};
        uint64_t v = vd_get_varint(&r);
        assert_int_equal(!r.bad, cases[i].good);
        assert_true(v == cases[i].v);
        assert_true(r.p == r.end);
    }
}

static void test_buf_growth(void **state)
{
    (void)state;
    struct vd_buf b = {0};
    static uint8_t chunk[5000];
    size_t size = 0, before = vd_mem_count();
    for (size_t n = 0; n < 5000; n += 7) {
        memset(chunk, (int)(n & 0xff), n);
        vd_put(&b, chunk, n);
        size += n;
    }
    assert_false(b.bad);
    assert_int_equal(b.size, size);
    assert_in_range(vd_mem_count() - before, 1, 20); /* doubles */
    size_t at = 0;
    for (size_t n = 0; n < 5000; n += 7)
        for (size_t i = 0; i < n; i++)
            assert_true(b.data[at++] == (n & 0xff));
    vd_put(&b, chunk, SIZE_MAX); /* would wrap; nothing is read */
    assert_true(b.bad);
    assert_int_equal(b.size, size);
    vd_free(b.data);
}

static void test_buf_faults(void **state)
{
    (void)state;
    for (size_t k = 1; k < 12; k++) {
        struct vd_buf b = {0};
        size_t put = 0;
        vd_mem_fail_at(k, 0);
        for (; put < 100000 && !b.bad; put += 4)
            vd_put_le32(&b, (uint32_t)put);
        vd_mem_fail_at(0, 0);
        assert_int_equal(b.bad, k <= 10); /* 256, 512, ... 131072 */
        size_t size = b.size;
        if (b.bad) {
            vd_put_u8(&b, 1); /* there is memory again, and the gap stays known */
            vd_put_varint(&b, 1);
            assert_true(b.bad);
            assert_int_equal(b.size, size);
        }
        for (size_t i = 0; i < size / 4; i++)
            assert_int_equal(b.data[4 * i] | b.data[4 * i + 1] << 8 | b.data[4 * i + 2] << 16, 4 * i);
        vd_free(b.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reason),         cmocka_unit_test(test_reason_clean),
        cmocka_unit_test(test_reason_long),    cmocka_unit_test(test_reason_threads),
        cmocka_unit_test(test_checked),        cmocka_unit_test(test_mem),
        cmocka_unit_test(test_mem_faults),     cmocka_unit_test(test_mem_threads),
        cmocka_unit_test(test_arena),          cmocka_unit_test(test_arena_text),
        cmocka_unit_test(test_arena_refusals), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_varint_refusals), cmocka_unit_test(test_buf_growth),
        cmocka_unit_test(test_buf_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
