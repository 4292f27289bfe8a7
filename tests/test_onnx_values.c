/* SPDX-License-Identifier: BSD-2-Clause */
/* The ONNX reader's values: tensors raw and typed, attributes, names. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "onnx_check.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct vd_buf typed_u8(const char *packed, size_t n)
{
    struct vd_buf t = tensor_of("w", VD_U8, (int64_t[]){3}, 1);
    put_bytes(&t, TENSOR_INT32_DATA, packed, n);
    return t;
}

static void test_tensor(void **state)
{
    (void)state;
    static const float values[6] = {1.5f, -0.0f, INFINITY, 3e-45f, -2.25f, 0.1f};
    struct vd_buf t = tensor_of("w", VD_F32, (int64_t[]){2, 3}, 2);
    put_bytes(&t, TENSOR_RAW_DATA, values, sizeof values); /* little endian here, as in the file */
    struct read_file r = accept(with_init(t));
    const struct vd_onnx_tensor *w = vd_onnx_init(&r.m, "w");
    assert_ptr_equal(w, &r.m.init[0]);
    assert_int_equal(w->rank, 2);
    assert_int_equal(w->count, 6);
    assert_int_equal(w->size, 24);
    assert_memory_equal(w->data, values, sizeof values);
    for (size_t i = 0; i < 6; i++)
        assert_true(vd_onnx_f32(w, i) == values[i] && signbit(vd_onnx_f32(w, i)) == signbit(values[i]));
    assert_true(w->data > r.data); /* zero copy */
    assert_null(vd_onnx_init(&r.m, "v"));
    done(&r);

    r = accept(with_init(typed_u8("\x00\xff\x01\x07", 4)));
    assert_memory_equal(r.m.init[0].data, "\x00\xff\x07", 3);
    done(&r);
    refuse(EBADMSG, "ends inside a number", with_init(typed_u8("\x00\x01\x87", 3)));
    refuse(EBADMSG, "2 values in int32_data where the shape asks for 3", with_init(typed_u8("\x00\x01", 2)));
    refuse(EBADMSG, "4 values", with_init(typed_u8("\x00\x01\x02\x03", 4)));
    refuse(EBADMSG, "is 256, which is no uint8", with_init(typed_u8("\x00\x80\x02\x03", 4)));
    refuse(EBADMSG, "is -1, which is no uint8", with_init(typed_u8("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x03", 12)));

    static const float three[3];
    t = typed_u8("\x00\x01\x02", 3);
    put_bytes(&t, TENSOR_RAW_DATA, "abc", 3);
    refuse(EBADMSG, "that has raw_data", with_init(t));
    t = typed_u8("\x00\x01\x02", 3);
    put_bytes(&t, TENSOR_FLOAT_DATA, three, sizeof three);
    refuse(EBADMSG, "float_data in a tensor of uint8", with_init(t));
    t = tensor_of("w", VD_U8, (int64_t[]){3}, 1);
    put_bytes(&t, TENSOR_FLOAT_DATA, three, sizeof three);
    refuse(EBADMSG, "float_data in a tensor of uint8", with_init(t));
    t = tensor_of("w", VD_F32, (int64_t[]){3}, 1);
    put_bytes(&t, TENSOR_FLOAT_DATA, three, sizeof three - 1);
    refuse(EBADMSG, "float_data ends inside a number", with_init(t));
    t = tensor_of("w", VD_F32, (int64_t[]){3}, 1);
    put_bytes(&t, TENSOR_STRING_DATA, "abc", 3);
    refuse(EBADMSG, "string_data in a tensor of float32", with_init(t));
    refuse(EBADMSG, "it has no data and its shape asks for 3 values", with_init(tensor_of("w", VD_F32, (int64_t[]){3}, 1)));
    for (int n = 10; n < 15; n++) {
        t = tensor_of("w", VD_F32, (int64_t[]){3}, 1);
        put_bytes(&t, TENSOR_RAW_DATA, values, (size_t)n);
        if (n != 12)
            refuse(EBADMSG, "bytes of raw_data where the shape asks for 12", with_init(t));
        else
            vd_free(t.data);
    }
    for (int i = 0; i < 3; i++) {
        char word[48], bytes[3] = {0, 1, 1};
        bytes[i] = 2;
        snprintf(word, sizeof word, "element %d of a bool tensor is 2", i);
        t = tensor_of("w", VD_BOOL, (int64_t[]){3}, 1);
        put_bytes(&t, TENSOR_RAW_DATA, bytes, 3);
        refuse(EBADMSG, word, with_init(t));
    }
    t = tensor_of("w", VD_F32, (int64_t[]){3}, 1);
    put_int(&t, TENSOR_TYPE, VD_F32);
    refuse(EBADMSG, "data_type is there twice", with_init(t));
    t = tensor_of("w", INT32_MAX, (int64_t[]){3}, 1);
    refuse(EPERM, "unknown element type 2147483647", with_init(t));
    refuse(EPERM, "unknown element type -2147483648", with_init(tensor_of("w", INT32_MIN, NULL, 0)));
    t = (struct vd_buf){0};
    put_int(&t, TENSOR_TYPE, (int64_t)1 << 32 | VD_F32);
    put_str(&t, TENSOR_NAME, "w");
    refuse(EBADMSG, "data_type is 4294967297", with_init(t));
    refuse(EBADMSG, "initializer 0: tensor \"w\": byte", with_init(tensor_of("w", VD_F32, (int64_t[]){-1}, 1)));
}

static void test_attributes(void **state)
{
    (void)state;
    struct vd_buf a = attr_of("pads", VD_ATTR_INTS);
    put_int(&a, ATTR_INTS, -1);
    put_bytes(&a, ATTR_INTS, "\x02\xac\x02", 3); /* packed, after one that is not */
    put_bytes(&a, ATTR_INTS, "", 0);
    put_int(&a, ATTR_INTS, INT64_MIN);
    struct read_file r = accept(with_attr(a));
    const struct vd_onnx_attr *got = vd_onnx_attr(&r.m.node[1], "pads");
    assert_non_null(got);
    assert_int_equal(got->type, VD_ATTR_INTS);
    assert_int_equal(got->n, 4);
    assert_memory_equal(got->v.ints, ((int64_t[]){-1, 2, 300, INT64_MIN}), 32);
    assert_null(vd_onnx_attr(&r.m.node[1], "pad"));
    done(&r);

    static const float f[2] = {0.5f, -8.0f};
    a = attr_of("floats", 0);
    put_bytes(&a, ATTR_FLOATS, f, sizeof f);
    r = accept(with_attr(a));
    got = r.m.node[1].attr;
    assert_int_equal(got->type, VD_ATTR_FLOATS);
    assert_int_equal(got->n, 2);
    assert_memory_equal(got->v.floats, f, sizeof f);
    done(&r);

    /* Left out: the type's zero. */
    for (int type = VD_ATTR_FLOAT; type <= VD_ATTR_INTS; type++) {
        if (type == 5)
            continue;
        if (type == VD_ATTR_TENSOR) {
            refuse(EBADMSG, "it has no tensor", with_attr(attr_of("a", type)));
            continue;
        }
        r = accept(with_attr(attr_of("a", type)));
        got = r.m.node[1].attr;
        assert_int_equal(got->type, type);
        assert_int_equal(got->n, 0);
        if (type == VD_ATTR_STRING)
            assert_string_equal(got->v.s, "");
        else
            assert_int_equal(got->v.i, 0);
        done(&r);
    }
    static const struct {
        const char *s;
        size_t n;
        const char *word;
    } strings[] = {{"a\0b", 3, "U+0000"}, {"\x1b[2J", 4, "U+001B"}, {"\xff", 1, "not UTF-8"}, {"\xc2\x9b", 2, "U+009B"}};
    for (size_t i = 0; i < COUNT(strings); i++) {
        a = attr_of("mode", VD_ATTR_STRING);
        put_bytes(&a, ATTR_S, strings[i].s, strings[i].n);
        refuse(EBADMSG, strings[i].word, with_attr(a));
    }
    a = attr_of("", VD_ATTR_INT);
    refuse(EBADMSG, "attribute's name is empty", with_attr(a));
    refuse(EPERM, "node 1: Elu: attribute \"a\": byte", with_attr(attr_of("a", 15)));
    refuse(EPERM, "unknown attribute type -1", with_attr(attr_of("a", -1)));

    for (int twin = 0; twin < 99; twin += 7) { /* many attributes: the other way to find two of one name */
        struct vd_buf n = node_of("Elu", "y", "z");
        char name[16], word[48];
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "a%d", i == 99 ? twin : i);
            put_msg(&n, NODE_ATTR, attr_of(name, VD_ATTR_INT));
        }
        snprintf(word, sizeof word, "two attributes are named \"a%d\"", twin);
        refuse(EBADMSG, word, with(GRAPH_NODE, n));
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        const char *word; /* NULL: a good name */
    } cases[] = {
        {"a", NULL}, {"onnx::Conv_12", NULL}, {"/conv1/Conv output_0", NULL}, {"h\xc3\xb6he \xf0\x9f\x98\x80", NULL}, {"", "is empty"},
        {"\xe0\xa4\x85\xe1\x80\x80\xf4\x8f\xbf\xbd\xef\xbf\xbd\xc2\xa0", NULL}, {"\xe0\x9f\xbf", "not UTF-8"}, {"\xf0\x8f\xbf\xbf", "not UTF-8"},
        {"a\nb", "U+000A"}, {"a\tb", "U+0009"}, {"\x7f", "U+007F"}, {"\xc2\x80", "U+0080"}, {"\xe2\x80\xae", "U+202E"},
        {"\xe2\x81\xa6", "U+2066"}, {"\xe2\x80\xa8", "U+2028"}, {"\xc0\x80", "not UTF-8"}, {"\xed\xa0\x80", "not UTF-8"},
        {"\xf4\x90\x80\x80", "not UTF-8"}, {"\xf8\x88\x80\x80\x80", "not UTF-8"}, {"a\xe2\x82", "not UTF-8 (1 bytes in)"}, {"\x80", "not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vd_buf t = tensor_of(cases[i].s, VD_F32, (int64_t[]){0}, 1);
        if (cases[i].word) {
            refuse(EBADMSG, cases[i].word, with_init(t));
            continue;
        }
        struct read_file r = accept(with_init(t));
        assert_string_equal(r.m.init[0].name, cases[i].s);
        done(&r);
    }
    static const struct { unsigned first, last; } hidden[] = {
        {1, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}, {0xd800, 0xdfff}};
    for (unsigned c = 1; c < 0xe000; c++) { /* every character of up to three bytes */
        const char one[] = {'_', (char)c, 0}, two[] = {'_', (char)(0xc0 | c >> 6), (char)(0x80 | (c & 63)), 0};
        const char three[] = {'_', (char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63)), 0};
        struct read_file r;
        bool bad = false;
        for (size_t i = 0; i < COUNT(hidden); i++)
            bad |= c >= hidden[i].first && c <= hidden[i].last;
        int rc = read_buf(&r, with_init(tensor_of(c < 0x80 ? one : c < 0x800 ? two : three, VD_F32, (int64_t[]){0}, 1)));
        if (rc != (bad ? -EBADMSG : 0))
            fail_msg("U+%04X: %d %s", c, rc, rc ? vd_reason() : "");
        done(&r);
    }
    for (int length = 2; length < 28; length++) /* each byte of ASCII at each place of a name that is read eight bytes at a time */
        for (int at = 0; at < length; at++)
            for (int c = 1; c < 128; c++) {
                char name[28], word[32];
                memset(name, c == '~' ? ' ' : '~', sizeof name);
                name[at] = (char)c;
                name[length] = 0;
                snprintf(word, sizeof word, "U+%04X", (unsigned)c);
                struct vd_buf t = with_init(tensor_of(name, VD_F32, (int64_t[]){0}, 1));
                if (c < 0x20 || c == 0x7f) {
                    refuse(EBADMSG, word, t);
                    continue;
                }
                struct read_file r = accept(t);
                assert_string_equal(r.m.init[0].name, name);
                done(&r);
            }
    for (int at = 0; at < 20; at++) { /* and where UTF-8 begins or breaks off */
        char name[24];
        memset(name, 'n', sizeof name);
        memcpy(name + at, "\xc3\xb6x", 4);
        struct read_file r = accept(with_init(tensor_of(name, VD_F32, (int64_t[]){0}, 1)));
        assert_string_equal(r.m.init[0].name, name);
        done(&r);
        name[at + 1] = 'x';
        refuse(EBADMSG, "not UTF-8", with_init(tensor_of(name, VD_F32, (int64_t[]){0}, 1)));
        name[at + 1] = 0;
        refuse(EBADMSG, "not UTF-8", with_init(tensor_of(name, VD_F32, (int64_t[]){0}, 1)));
    }
    char longest[1025];
    memset(longest, 'n', sizeof longest);
    longest[1024] = 0;
    refuse(EBADMSG, "has 1024 bytes, at most 1023", with_init(tensor_of(longest, VD_F32, (int64_t[]){0}, 1)));
    longest[1023] = 0;
    struct read_file r = accept(with_init(tensor_of(longest, VD_F32, (int64_t[]){0}, 1)));
    assert_string_equal(r.m.init[0].name, longest);
    done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
