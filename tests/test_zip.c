/* SPDX-License-Identifier: BSD-2-Clause */
/* Archives by hand, right ones and wrong ones: numpy's own are read in oracle/test_static_ort.py. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/zip.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum { SIZE = 3000 };
static uint8_t content[2][SIZE];

/* What an archive is made of; the fields are those of both headers. */
struct options {
    int flags, method; /* 0: the first stored, the second deflated */
    bool zip64;        /* sizes, offsets and the directory in ZIP64's fields */
    const char *comment, *before; /* at the end; in front, as of an archive that unpacks itself */
    const char *name;  /* of the first */
};

static void le(struct vd_buf *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        vd_put_u8(b, (uint8_t)(v >> 8 * i));
}

static struct vd_buf deflated(const uint8_t *p)
{
    struct vd_buf b = {0};
    uint8_t out[2 * SIZE];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = SIZE, .next_out = out, .avail_out = sizeof out};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    vd_put(&b, out, z.total_out);
    deflateEnd(&z);
    return b;
}

static struct vd_buf archive(const struct options *o)
{
    struct vd_buf all = {0}, dir = {0};
    const uint32_t none = UINT32_MAX;
    for (size_t i = 0; i < SIZE; i++) {
        content[0][i] = (uint8_t)(i * i >> 3);
        content[1][i] = (uint8_t)(i / 100);
    }
    if (o->before)
        vd_put_str(&all, o->before);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "b.npy" : o->name ? o->name : "a.npy";
        const int method = o->method ? o->method : 8 * i;
        struct vd_buf data = {0};
        if (method)
            data = deflated(content[i]);
        else
            vd_put(&data, content[i], SIZE);
        const uint64_t at = all.size, crc = crc32(crc32(0, NULL, 0), content[i], SIZE);
        for (int central = 0; central < 2; central++) {
            struct vd_buf *b = central ? &dir : &all;
            le(b, central ? 0x02014b50 : 0x04034b50, 4);
            if (central)
                le(b, 45, 2);
            le(b, 45, 2);
            le(b, (uint64_t)o->flags, 2);
            le(b, (uint64_t)method, 2);
            le(b, 0, 4); /* time */
            le(b, crc, 4);
            le(b, o->zip64 ? none : data.size, 4);
            le(b, o->zip64 ? none : SIZE, 4);
            le(b, strlen(name), 2);
            le(b, o->zip64 ? central ? 7 + 28 : 20 : 0, 2);
            if (central) {
                le(b, 3, 2); /* comment */
                le(b, 0, 8);
                le(b, o->zip64 ? none : at, 4);
            }
            vd_put_str(b, name);
            if (o->zip64) {
                if (central) {
                    le(b, 0x7777, 2); /* somebody else's field first */
                    le(b, 3, 2);
                    le(b, 0, 3);
                }
                le(b, 1, 2);
                le(b, central ? 24 : 16, 2);
                le(b, SIZE, 8);
                le(b, data.size, 8);
                if (central)
                    le(b, at, 8);
            }
            if (central)
                vd_put_str(b, "hey");
            else
                vd_put(b, data.data, data.size);
        }
        vd_free(data.data);
    }
    const uint64_t at = all.size;
    vd_put(&all, dir.data, dir.size);
    if (o->zip64) {
        const uint64_t end = all.size;
        le(&all, 0x06064b50, 4);
        le(&all, 44, 8);
        le(&all, 45 << 16 | 45, 4);
        le(&all, 0, 8);
        le(&all, 2, 8);
        le(&all, 2, 8);
        le(&all, dir.size, 8);
        le(&all, at, 8);
        le(&all, 0x07064b50, 4);
        le(&all, 0, 4);
        le(&all, end, 8);
        le(&all, 1, 4);
    }
    le(&all, 0x06054b50, 4);
    le(&all, 0, 4);
    le(&all, o->zip64 ? 0xffff : 2, 2);
    le(&all, o->zip64 ? 0xffff : 2, 2);
    le(&all, o->zip64 ? none : dir.size, 4);
    le(&all, o->zip64 ? none : at, 4);
    le(&all, o->comment ? strlen(o->comment) : 0, 2);
    if (o->comment)
        vd_put_str(&all, o->comment);
    vd_free(dir.data);
    assert_false(all.bad);
    return all;
}

static int file_of(const void *data, size_t size)
{
    const int fd = memfd_create("archive", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    return fd;
}

/* Open it and read all of each member in pieces of that size: the first thing that is wrong, or 0 when both are what they were made of. */
static int read_all(const void *data, size_t size, size_t piece)
{
    const int fd = file_of(data, size);
    struct vd_zip z;
    int rc = vd_zip_open(&z, fd, "x.npz");
    if (rc)
        assert_true(!z.member && !z.n);
    for (int i = 0; !rc && i < z.n; i++) {
        struct vd_zip_stream *s;
        uint8_t got[SIZE];
        rc = vd_zip_stream_open(&s, &z, &z.member[i]);
        for (size_t at = 0; !rc && at < SIZE; at += piece)
            rc = vd_zip_read(s, got + at, SIZE - at < piece ? SIZE - at : piece);
        if (!rc && i < 2)
            assert_memory_equal(got, content[i], SIZE); /* never other bytes than those whose checksum is there */
        if (!rc) {
            assert_int_equal(vd_zip_read(s, got, 0), 0);
            assert_int_equal(vd_zip_read(s, got, 1), -EBADMSG);
        }
        vd_zip_stream_close(s);
    }
    const int n = z.n;
    vd_zip_close(&z);
    close(fd);
    return rc ? rc : n == 2 ? 0 : 1;
}

static void test_good_ones(void **state)
{
    (void)state;
    static const struct options good[] = {
        {.flags = 0}, {.zip64 = true}, {.method = 8}, {.comment = "PK\5\6 a comment that has the mark in it, and more bytes than the record"},
        {.zip64 = true, .comment = "x"}, {.flags = 0x800, .name = "\xc3\xa9.npy"},
    };
    for (size_t i = 0; i < COUNT(good); i++)
        for (size_t piece = 1; piece <= SIZE; piece = piece * 7 + 1) {
            struct vd_buf b = archive(&good[i]);
            const int rc = read_all(b.data, b.size, piece);
            if (rc)
                fail_msg("%zu, %zu bytes at a time: %d: %s", i, piece, rc, vd_reason());
            vd_free(b.data);
        }
}

/* One thing wrong at a time: bytes that follow a mark, counted from the mark's nth occurrence. */
static void test_refusals(void **state)
{
    (void)state;
    static const char *const local = "PK\3\4", *const central = "PK\1\2", *const end = "PK\5\6", *const end64 = "PK\6\6", *const locator = "PK\6\7";
    static const struct {
        const char *why, *mark;
        int nth, at;
        uint64_t v;
        int n;
        bool zip64;
    } wrong[] = {
        {"no end of the directory", end, 0, 0, 0, 1, false},
        {"no end of the directory", end, 0, 20, 1, 2, false}, /* a comment that is not there */
        {"not where it should be", end, 0, 16, 1 << 30, 4, false},
        {"not where it should be", end, 0, 12, 1 << 20, 4, false},
        {"too large", end, 0, 12, (16 << 20) + 1, 4, false},
        {"too large", end, 0, 10, 1025, 2, false},
        {"ends early", end, 0, 10, 3, 2, false},
        {"ends early", end, 0, 16, 0, 4, false}, /* where the first member is */
        {"ends early", central, 1, 0, 0, 1, false},
        {"ends early", central, 1, 30, 9999, 2, false},
        {"good name", central, 0, 28, 0, 2, false},
        {"good name", central, 0, 46, 0, 1, false}, /* a NUL in it */
        {"encrypted", central, 0, 8, 1, 2, false},
        {"in an unknown way", central, 1, 10, 12, 2, false}, /* bzip2 */
        {"not where the directory says", local, 1, 0, 0, 1, false},
        {"not where the directory says", central, 1, 42, 7, 4, false},
        {"not where the directory says", central, 1, 42, 0x7fffffff, 4, false},
        {"ends early", central, 0, 20, SIZE - 1, 4, false}, /* packed */
        {"ends early", central, 0, 24, SIZE - 1, 4, false}, /* unpacked */
        {"ends early", central, 1, 20, 9, 4, false},
        {"ends early", central, 1, 20, 0, 4, false},
        {"does not inflate", local, 1, 35, 0xff, 1, false}, /* a block of no type */
        {"checksum", central, 0, 16, 1, 4, false},
        {"checksum", central, 1, 16, 1, 4, false},
        {"checksum", local, 0, 100, 1, 1, false},
        {"does not inflate", central, 1, 42, 0, 4, false}, /* another member, which is stored */
        {"no ZIP64 directory", end64, 0, 0, 0, 1, true},
        {"no ZIP64 directory", locator, 0, 8, UINT64_MAX, 8, true},
        {"no ZIP64 directory", locator, 0, 8, INT64_MAX, 8, true},
        {"not where it should be", locator, 0, 0, 0, 1, true}, /* what the short record says then: no such place */
        {"not where it should be", end64, 0, 48, UINT64_MAX, 8, true},
        {"not where it should be", end64, 0, 48, 1 << 30, 8, true},
        {"too large", end64, 0, 40, UINT64_MAX, 8, true},
        {"too large", end64, 0, 32, UINT64_MAX, 8, true},
        {"not where the directory says", central, 0, 46 + 5 + 7 + 4 + 16, UINT64_MAX, 8, true},
        {"not where the directory says", central, 0, 46 + 5 + 7 + 4 + 16, INT64_MAX - 5, 8, true},
        {"not where the directory says", central, 0, 46 + 5 + 2, 999, 2, true}, /* a field that is longer than all fields */
        {"not where the directory says", central, 0, 46 + 5 + 7 + 2, 8, 2, true}, /* one that has no room for the rest */
        {"ends early", central, 0, 46 + 5 + 7 + 4, 5, 8, true},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct vd_buf b = archive(&(struct options){.zip64 = wrong[i].zip64});
        size_t at = 0;
        for (int nth = 0;; at++) {
            assert_true(at + 4 <= b.size);
            if (!memcmp(b.data + at, wrong[i].mark, 4) && nth++ == wrong[i].nth)
                break;
        }
        for (int k = 0; k < wrong[i].n; k++)
            b.data[at + (size_t)wrong[i].at + (size_t)k] = (uint8_t)(wrong[i].v >> 8 * k);
        const int rc = read_all(b.data, b.size, 1000);
        if ((rc != -EBADMSG && rc != -ENOTSUP) || !strstr(vd_reason(), wrong[i].why))
            fail_msg("%zu (%s): %d: %s", i, wrong[i].why, rc, rc ? vd_reason() : "taken");
        vd_free(b.data);
    }
    int fd[2];
    struct vd_zip z;
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(vd_zip_open(&z, fd[0], "x.npz"), -EBADMSG);
    close(fd[0]);
    close(fd[1]);
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    struct vd_buf b = archive(&(struct options){.name = name});
    assert_int_equal(read_all(b.data, b.size, SIZE), 0);
    vd_free(b.data);
    name[255] = 'n';
    name[256] = 0;
    b = archive(&(struct options){.name = name});
    assert_int_equal(read_all(b.data, b.size, SIZE), -EBADMSG);
    vd_free(b.data);
}

/* Every byte changed and every length: refused, or the bytes are those whose checksum it has. */
static void test_changes(void **state)
{
    (void)state;
    int taken = 0;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct vd_buf b = archive(&(struct options){.zip64 = zip64});
        for (size_t i = 0; i < b.size; i += i > 40 && i < SIZE ? 37 : 1)
            for (int v = 1; v < 256; v = v * 5 + 1) {
                b.data[i] = (uint8_t)(b.data[i] ^ v);
                const int rc = read_all(b.data, b.size, SIZE);
                b.data[i] = (uint8_t)(b.data[i] ^ v);
                assert_true(rc == 0 || rc == 1 || rc == -EBADMSG || rc == -ENOTSUP);
                taken += rc == 0;
            }
        for (size_t n = 0; n < b.size; n += n + 200 > b.size ? 1 : 13)
            assert_int_equal(read_all(b.data, n, SIZE), -EBADMSG);
        vd_free(b.data);
    }
    assert_true(taken > 100); /* times, versions, names */
}

static void test_no_memory(void **state)
{
    (void)state;
    struct vd_buf b = archive(&(struct options){.flags = 0});
    int k = 0, rc;
    do {
        vd_mem_fail_at((size_t)++k, 0);
        rc = read_all(b.data, b.size, 500);
        vd_mem_fail_at(0, 0);
        assert_true(rc == 0 || rc == -ENOMEM);
    } while (rc && k < 100);
    assert_int_equal(rc, 0);
    assert_true(k > 4);
    vd_free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
