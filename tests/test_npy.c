/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/status.h"
#include "io/npy.h"

/* A file of the dictionary and n_data bytes, in exact heap memory; offset moves it off its alignment. */
static uint8_t *make(int major, const char *dictionary, const void *data, size_t n_data, size_t *size)
{
    size_t n = strlen(dictionary), prefix = major == 1 ? 10 : 12;
    uint8_t *p = malloc(prefix + n + n_data);

    assert_non_null(p);
    memcpy(p, "\x93NUMPY", 6);
    p[6] = (uint8_t)major;
    p[7] = 0;
    for (size_t i = 8; i < prefix; i++)
        p[i] = (uint8_t)(n >> (8 * (i - 8)));
    memcpy(p + prefix, dictionary, n);
    if (n_data)
        memcpy(p + prefix + n, data, n_data);
    *size = prefix + n + n_data;
    return p;
}

static void assert_reason(const char *part)
{
    if (!strstr(vd_reason(), part))
        fail_msg("'%s' is not in '%s'", part, vd_reason());
}

static void refuse(const char *dictionary, size_t n_data, int rc, const char *part)
{
    static const uint8_t zeros[256];
    struct vd_npy a;
    size_t size;
    uint8_t *p = make(1, dictionary, zeros, n_data, &size);
    int got = vd_npy_parse(p, size, "x.npy", &a);

    if (got != rc)
        fail_msg("%s: %d, not %d (%s)", dictionary, got, rc, vd_reason());
    assert_reason(part);
    assert_reason("x.npy");
    assert_null(a.data);
    free(p);
}

static void test_taken(void **state)
{
    static const char *const same[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n",
        "{\"shape\":(2,3),\"descr\":\"<f4\",\"fortran_order\":False}",
        " { 'shape' : ( 2 , 3 , ) , 'fortran_order' : False , 'descr' : '<f4' , } \n",
    };
    float data[6] = {1, 2, 3, 4, 5, 6};
    (void)state;

    for (int major = 1; major <= 3; major++)
        for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
            struct vd_npy a;
            size_t size;
            uint8_t *p = make(major, same[i], data, sizeof(data), &size);
            assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), 0);
            assert_int_equal(a.type, VMAF_DNN_F32);
            assert_int_equal(a.rank, 2);
            assert_int_equal(a.shape[0], 2);
            assert_int_equal(a.shape[1], 3);
            assert_int_equal(a.count, 6);
            assert_int_equal((uintptr_t)a.data % 4, 0); /* the dictionaries have several lengths */
            assert_memory_equal(a.data, data, sizeof(data));
            free(p);
        }
}

static void test_types_and_ranks(void **state)
{
    static const struct {
        const char *descr;
        int type;
        size_t size;
    } types[] = {{"<f4", VMAF_DNN_F32, 4}, {"<f2", VMAF_DNN_F16, 2}, {"|u1", VMAF_DNN_U8, 1}, {"|i1", VMAF_DNN_S8, 1},
                 {"<i4", VMAF_DNN_S32, 4}, {"<i8", VMAF_DNN_S64, 8}, {"|b1", VMAF_DNN_BOOL, 1}};
    static const char *const shapes[] = {"()", "(1,)", "(1, 2)", "(1, 2, 1)", "(1, 2, 1, 1)", "(1,2,1,1,1)", "(1,2,1,1,1,1)", "(1,2,1,1,1,1,1)",
                                         "(1,2,1,1,1,1,1,1)"};
    static const uint8_t zeros[16];
    char text[200];
    (void)state;

    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
        for (int rank = 0; rank <= 8; rank++) {
            struct vd_npy a;
            size_t size, count = rank > 1 ? 2 : 1;
            snprintf(text, sizeof(text), "{'descr': '%s', 'fortran_order': False, 'shape': %s}", types[t].descr, shapes[rank]);
            uint8_t *p = make(1, text, zeros, count * types[t].size, &size);
            assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), 0);
            assert_int_equal(a.type, types[t].type);
            assert_int_equal(a.rank, rank);
            assert_int_equal(a.count, count);
            assert_string_equal(vd_npy_descr(a.type), types[t].descr);
            free(p);
        }
    refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4, -ENOTSUP, "more than 8 dimensions");
    assert_null(vd_npy_descr(11));
}

static void test_refusals(void **state)
{
    (void)state;
#define D(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"
    refuse(D("'<f8'", "False", "(1,)"), 8, -ENOTSUP, "'<f8'");
    refuse(D("'>f4'", "False", "(1,)"), 4, -ENOTSUP, "'>f4'; taken are <f4");
    refuse(D("'|O'", "False", "(1,)"), 4, -ENOTSUP, "'|O'");
    refuse(D("'<f4 '", "False", "(1,)"), 4, -ENOTSUP, "'<f4 '");
    refuse(D("''", "False", "(1,)"), 4, -ENOTSUP, "''");
    refuse(D("[('a', '<f4')]", "False", "(1,)"), 4, -ENOTSUP, "records");
    refuse(D("'<f4", "False", "(1,)"), 4, -ENOTSUP, "elements of type '<f4, '");
    refuse(D("'<f4\n'", "False", "(1,)"), 4, -EBADMSG, "not a string");
    refuse(D("'<f\\x34'", "False", "(1,)"), 4, -EBADMSG, "not a string");
    refuse(D("4", "False", "(1,)"), 4, -EBADMSG, "not a string");
    refuse(D("'<f4'", "True", "(1,)"), 4, -ENOTSUP, "Fortran order; save numpy.ascontiguousarray");
    refuse(D("'<f4'", "0", "(1,)"), 4, -EBADMSG, "neither True nor False");
    refuse(D("'<f4'", "Falsehood", "(1,)"), 4, -EBADMSG, "comma");
    refuse(D("'<f4'", "False", "1"), 4, -EBADMSG, "not a tuple");
    refuse(D("'<f4'", "False", "[1]"), 4, -EBADMSG, "not a tuple");
    refuse(D("'<f4'", "False", "(1)"), 4, -EBADMSG, "wants a comma");
    refuse(D("'<f4'", "False", "(1 1)"), 4, -EBADMSG, "comma is missing in the shape");
    refuse(D("'<f4'", "False", "(,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(1,,1)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(-1,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(+1,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(01,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(1L,)"), 4, -EBADMSG, "comma is missing in the shape");
    refuse(D("'<f4'", "False", "(1.0,)"), 4, -EBADMSG, "comma is missing in the shape");
    refuse(D("'<f4'", "False", "(1*1,)"), 4, -EBADMSG, "comma is missing in the shape");
    refuse(D("'<f4'", "False", "(None,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(9223372036854775808,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(99999999999999999999999999,)"), 4, -EBADMSG, "no number");
    refuse(D("'<f4'", "False", "(4611686018427387904,)"), 0, -EBADMSG, "larger than any memory"); /* * 4 is 0 modulo 2^64 */
    refuse(D("'<f4'", "False", "(4294967296, 4294967296)"), 0, -EBADMSG, "larger than any memory");
    refuse(D("'<f4'", "False", "(2,)"), 4, -EBADMSG, "shape [2] is 8 bytes, and 4 follow");
    refuse(D("'<f4'", "False", "(2,)"), 12, -EBADMSG, "is 8 bytes, and 12 follow");
    refuse(D("'<f4'", "False", "()"), 0, -EBADMSG, "is 4 bytes, and 0 follow");
#undef D
    refuse("", 4, -EBADMSG, "no dictionary");
    refuse("()", 4, -EBADMSG, "no dictionary");
    refuse("{", 4, -EBADMSG, "no key");
    refuse("{}", 4, -EBADMSG, "no descr");
    refuse("{'descr'}", 4, -EBADMSG, "colon");
    refuse("{'descr': '<f4', 'fortran_order': False}", 4, -EBADMSG, "no shape");
    refuse("{'descr': '<f4', 'shape': (1,)}", 4, -EBADMSG, "no fortran_order");
    refuse("{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", 4, -EBADMSG, "a comma is missing");
    refuse("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, -EBADMSG, "was there before");
    refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, -EBADMSG, "an unknown key");
    refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", 4, -EBADMSG, "a comma is missing");
    refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (1,),", 4, -EBADMSG, "no key");
    refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, -EBADMSG, "after the dictionary");
    refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}; import os", 4, -EBADMSG, "after the dictionary");
    refuse("{{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}}", 4, -EBADMSG, "no key");
    refuse("__import__('os').system('true')", 4, -EBADMSG, "no dictionary");
}

static void test_bools(void **state)
{
    uint8_t data[4] = {0, 1, 2, 1};
    size_t size;
    struct vd_npy a;
    uint8_t *p = make(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (4,)}", data, 4, &size);
    (void)state;

    assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), -EBADMSG);
    assert_reason("bool number 2 is 2");
    p[size - 2] = 0;
    assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), 0);
    free(p);
}

static void test_frame(void **state)
{
    struct vd_npy a;
    size_t size;
    float one = 1;
    uint8_t *p = make(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", &one, 4, &size);
    (void)state;

    /* every shorter file, in memory of exactly that size */
    for (size_t n = 0; n < size; n++) {
        uint8_t *q = malloc(n ? n : 1);
        memcpy(q, p, n);
        assert_int_equal(vd_npy_parse(q, n, "x.npy", &a), -EBADMSG);
        free(q);
    }
    static const uint8_t versions[][2] = {{0, 0}, {1, 1}, {4, 0}, {255, 255}};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        p[6] = versions[i][0];
        p[7] = versions[i][1];
        assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), -ENOTSUP);
        assert_reason("taken are 1.0, 2.0 and 3.0");
    }
    p[6] = 2; /* the length is then four bytes, two of them of the dictionary */
    p[7] = 0;
    assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), -EBADMSG);
    assert_reason("at most 65535");
    p[0] = 'N';
    assert_int_equal(vd_npy_parse(p, size, "x.npy", &a), -EBADMSG);
    assert_reason("not a .npy file");
    free(p);
}

/* What NumPy 2.4.6 wrote: numpy.save() of numpy.zeros(shape, type), less the data. */
static void test_header_text(void **state)
{
    static const int64_t shape4[] = {1, 1, 224, 224}, shape8[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    char h[VD_NPY_HEADER_ROOM];
    (void)state;

    assert_int_equal(vd_npy_header(h, VMAF_DNN_F32, 4, shape4), 128);
    assert_memory_equal(h, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 224, 224), }", 10 + 69);
    for (int i = 79; i < 127; i++)
        assert_int_equal(h[i], ' ');
    assert_int_equal(h[127], '\n');

    assert_int_equal(vd_npy_header(h, VMAF_DNN_F16, 0, NULL), 128);
    assert_memory_equal(h + 10, "{'descr': '<f2', 'fortran_order': False, 'shape': (), }  ", 57);

    /* where the padding steps: NumPy leaves the first dimension room for 21 digits */
    int64_t step[8] = {1, 1000000000000000000, 10, 1, 1, 1, 1, 1};
    for (int i = 0; i < 2; i++) {
        step[2] = 10;
        assert_int_equal(vd_npy_header(h, VMAF_DNN_F32, 8, step), 128);
        step[2] = 100;
        assert_int_equal(vd_npy_header(h, VMAF_DNN_F32, 8, step), 192);
        step[0] = INT64_MAX;
    }

    /* the longest fits the room */
    size_t n = vd_npy_header(h, VMAF_DNN_BOOL, 8, shape8);
    assert_true(n <= VD_NPY_HEADER_ROOM && n % 64 == 0);
    assert_int_equal(h[n - 1], '\n');
}

/* The writer's headers are read back, whatever the shape. */
static void test_round_trip(void **state)
{
    static const int types[] = {VMAF_DNN_F32, VMAF_DNN_F16, VMAF_DNN_U8, VMAF_DNN_S8, VMAF_DNN_S32, VMAF_DNN_S64, VMAF_DNN_BOOL};
    unsigned seed = 1;
    (void)state;

    for (int round = 0; round < 2000; round++) {
        int64_t shape[8];
        int rank = round % 9, type = types[round % 7];
        size_t count = 1, element = type == VMAF_DNN_S64 ? 8 : type == VMAF_DNN_F32 || type == VMAF_DNN_S32 ? 4 : type == VMAF_DNN_F16 ? 2 : 1;
        for (int i = 0; i < rank; i++) {
            seed = seed * 1664525u + 1013904223u;
            shape[i] = (seed >> 20) % (count > 1000 ? 2 : 12);
            count *= (size_t)shape[i];
        }
        char h[VD_NPY_HEADER_ROOM];
        size_t n = vd_npy_header(h, type, rank, shape);
        uint8_t *p = calloc(1, n + count * element + 1);
        memcpy(p, h, n);
        struct vd_npy a;
        assert_int_equal(vd_npy_parse(p, n + count * element, "x.npy", &a), 0);
        assert_int_equal(a.type, type);
        assert_int_equal(a.rank, rank);
        assert_int_equal(a.count, count);
        for (int i = 0; i < rank; i++)
            assert_int_equal(a.shape[i], shape[i]);
        free(p);
    }
}

static void test_damage(void **state)
{
    static const char good[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n";
    static const char likely[] = "{}()[]'\",: \n\\0123456789<|fbiuFTxe\x00\xff";
    static const uint8_t zeros[24];
    unsigned seed = 99;
    (void)state;

    for (int round = 0; round < 30000; round++) {
        size_t size;
        uint8_t *p = make(1 + round % 3, good, zeros, 24, &size);
        for (int k = 0; k < 1 + round % 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            p[6 + (seed >> 8) % (size - 30)] = (uint8_t)likely[(seed >> 24) % (sizeof(likely) - 1)];
        }
        struct vd_npy a;
        int rc = vd_npy_parse(p, size, "x.npy", &a);
        assert_true(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
        if (!rc && a.count)
            assert_true((uint8_t *)a.data >= p && (uint8_t *)a.data < p + size);
        free(p);
    }
}

static void test_shape_text(void **state)
{
    static const int64_t shape[] = {-1, 1, 22, -1, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    char text[VD_SHAPE_TEXT];
    (void)state;

    assert_string_equal(vd_shape_text(text, 4, shape), "[?,1,22,?]");
    assert_string_equal(vd_shape_text(text, 0, shape), "[]");
    assert_string_equal(vd_shape_text(text, -1, shape), "[any]");
    assert_string_equal(vd_shape_text(text, 5, shape), "[?,1,22,?,9223372036854775807]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken), cmocka_unit_test(test_types_and_ranks), cmocka_unit_test(test_refusals), cmocka_unit_test(test_bools),
        cmocka_unit_test(test_frame), cmocka_unit_test(test_header_text),     cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_shape_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
