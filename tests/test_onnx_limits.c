/* SPDX-License-Identifier: BSD-2-Clause */
/* The ONNX reader's limits: products of dimensions that wrap, messages in messages, very many of one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "onnx_check.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Dimensions whose product wraps to something small, against 128-bit arithmetic: all triples, types and sizes. */
static void test_product_wrap(void **state)
{
    (void)state;
    static const int64_t d[] = {0, 1, 2, 3, 4, 65536, INT32_MAX, (int64_t)1 << 31, ((int64_t)1 << 32) + 1, ((int64_t)1 << 42) + 1,
                                (int64_t)1 << 61, (int64_t)1 << 62, INT64_MAX - 1, INT64_MAX, -1, -2, INT64_MIN};
    static const int types[] = {VD_U8, VD_F16, VD_F32, VD_F64};
    static const size_t sizes[] = {0, 1, 2, 4, 8, 24};
    static const uint8_t bytes[24];
    const size_t n = COUNT(d);
    int good = 0, bad = 0;
    for (size_t i = 0; i < n * n * n * COUNT(types) * COUNT(sizes); i++) {
        size_t k = i;
        const size_t size = sizes[k % COUNT(sizes)];
        k /= COUNT(sizes);
        const int type = types[k % COUNT(types)];
        k /= COUNT(types);
        const int64_t dim[3] = {d[k % n], d[k / n % n], d[k / n / n]};
        unsigned __int128 all = vd_type_size(type);
        bool zero = false, fits = true;
        for (int j = 0; j < 3; j++) {
            zero |= dim[j] == 0;
            fits &= dim[j] >= 0;
            if (dim[j] > 0 && fits)
                fits &= (all *= (unsigned __int128)dim[j]) <= INT64_MAX;
        }
        struct vd_buf t = tensor_of("w", type, dim, 3);
        if (size)
            put_bytes(&t, TENSOR_RAW_DATA, bytes, size);
        struct vd_buf file = with_init(t);
        struct vd_onnx_model m;
        int rc = vd_onnx_read(&m, file.data, file.size);
        assert_int_equal(rc, fits && (zero ? 0 : (size_t)all) == size ? 0 : -EBADMSG);
        *(rc ? &bad : &good) += 1;
        vd_onnx_free(&m);
        vd_free(file.data);
    }
    assert_true(good > 1000 && bad > 50000);
}

/* depth messages, each the field of the one around it. */
static struct vd_buf nest(struct vd_buf inner, unsigned field, int depth)
{
    for (int i = 0; i < depth; i++) {
        struct vd_buf outer = {0};
        put_msg(&outer, field, inner);
        inner = outer;
    }
    return inner;
}

static void test_depth_bombs(void **state)
{
    (void)state;
    for (int depth = 1; depth <= 2000; depth = depth < 12 ? depth + 1 : depth * 2) {
        struct vd_buf g = graph_of(); /* graphs in attributes of nodes of graphs */
        for (int i = 0; i < depth; i++) {
            struct vd_buf n = node_of("If", "y", "z"), a = attr_of("body", 5), outer = graph_of();
            put_msg(&a, ATTR_G, g);
            put_msg(&n, NODE_ATTR, a);
            put_msg(&outer, GRAPH_NODE, n);
            g = outer;
        }
        refuse(EPERM, "If: attribute \"body\": attributes of type GRAPH", model_of(g));

        struct vd_buf v = {0}; /* sequences of sequences; optional types in the same way */
        put_str(&v, VALUE_NAME, "q");
        put_msg(&v, VALUE_TYPE, nest((struct vd_buf){0}, TYPE_SEQUENCE, depth));
        refuse(EPERM, "a sequence type", with(GRAPH_INPUT, v));

        struct vd_onnx_model m; /* what is skipped is not looked into, however deep */
        struct vd_buf file = model_of(graph_of());
        put_msg(&file, 99, nest((struct vd_buf){0}, 99, depth));
        put_msg(&file, MODEL_CONFIGURATION, nest((struct vd_buf){0}, 1, depth));
        assert_int_equal(vd_onnx_read(&m, file.data, file.size), 0);
        vd_onnx_free(&m);
        for (int i = 0; i < depth; i++)
            put_tag(&file, 99, 3);
        refuse(EBADMSG, "group", file);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Many of everything, read and written in time, and in a bounded multiple of the file's size. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 12000 };
    for (int what = 0; what < 9; what++) {
        struct vd_buf g = graph_of(), file = {0};
        struct vd_buf one = node_of("Elu", "x", "z"), a = attr_of("ints", VD_ATTR_INTS), ints = {0};
        for (int i = 0; i < MANY; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%d", i);
            struct vd_buf t;
            switch (what) {
            case 7: put_msg(&g, GRAPH_NODE, node_of("Relu", "x", name + 1)); /* and looked for among the initialisers */
            /* fallthrough */
            case 0:
                t = tensor_of(name, VD_F32, (int64_t[]){1}, 1);
                put_bytes(&t, TENSOR_RAW_DATA, "abcd", 4);
                put_msg(&g, GRAPH_INIT, t);
                break;
            case 1: put_msg(&g, GRAPH_NODE, node_of("Relu", "x", name)); break;
            case 2: put_str(&one, NODE_OUTPUT, name); break;
            case 3: put_msg(&one, NODE_ATTR, attr_of(name, VD_ATTR_INT)); break;
            case 4: put_str(&one, NODE_INPUT, "x"); break;
            case 5: vd_put_u8(&ints, 1); break;
            case 6: put_msg(&g, GRAPH_INPUT, value_of(name)); break;
            default: /* each from a domain of its own */
                t = node_of("Relu", "x", name);
                put_str(&t, NODE_DOMAIN, name);
                put_msg(&g, GRAPH_NODE, t);
                break;
            }
        }
        put_msg(&a, ATTR_INTS, ints);
        put_msg(&one, NODE_ATTR, a);
        put_msg(&g, GRAPH_NODE, one);
        file = model_of(g);
        struct vd_onnx_model m;
        struct vd_buf out = {0};
        const double start = seconds();
        if (vd_onnx_read(&m, file.data, file.size) || vd_onnx_write(&m, &out))
            fail_msg("many %d: %s", what, vd_reason());
        const double took = seconds() - start;
        print_message("many %d: %zu bytes in %.3f s, %zu bytes of memory\n", what, file.size, took, m.arena.total);
        assert_true(took < 5); /* well under a second without sanitizers and other work */
        assert_true(m.arena.total < 12 * file.size + 65536);
        const struct vd_onnx_tensor *t = vd_onnx_init(&m, "n7777");
        assert_true(what && what != 7 ? !t : t == &m.init[7777]);
        vd_onnx_free(&m);
        vd_free(out.data);
        vd_free(file.data);
    }
}

/* Lists of one-byte numbers in many attributes: each is short enough, and all together would be eight times the file. */
static void test_room(void **state)
{
    (void)state;
    struct vd_buf n = node_of("Elu", "y", "z");
    for (int i = 0; i < 64; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        struct vd_buf a = attr_of(name, VD_ATTR_INTS), ints = {0};
        for (int k = 0; k < VD_ONNX_MAX_COUNT; k++)
            vd_put_u8(&ints, 1);
        put_msg(&a, ATTR_INTS, ints);
        put_msg(&n, NODE_ATTR, a);
    }
    refuse(E2BIG, "too many nodes, names or numbers", with(GRAPH_NODE, n));
}

/* One more than is read, and before that as many. */
static void test_too_many(void **state)
{
    (void)state;
    struct vd_buf most = {0}, list = attr_of("a", VD_ATTR_INTS);
    for (int i = 0; i < VD_ONNX_MAX_COUNT; i++)
        vd_put_u8(&most, 7);
    put_msg(&list, ATTR_INTS, most);
    struct vd_buf whole = with_attr(list);
    struct vd_onnx_model full;
    assert_int_equal(vd_onnx_read(&full, whole.data, whole.size), 0);
    assert_int_equal(full.node[1].attr[0].n, VD_ONNX_MAX_COUNT);
    assert_int_equal(full.node[1].attr[0].v.ints[VD_ONNX_MAX_COUNT - 1], 7);
    vd_onnx_free(&full);
    vd_free(whole.data);
    enum { MODEL, GRAPH, NODE, ATTR };
    static const struct { int kind; unsigned field; } lists[] = {
        {GRAPH, GRAPH_NODE}, {GRAPH, GRAPH_INIT}, {GRAPH, GRAPH_INPUT}, {GRAPH, GRAPH_OUTPUT}, {NODE, NODE_INPUT},
        {NODE, NODE_OUTPUT}, {NODE, NODE_ATTR}, {ATTR, ATTR_INTS}, {MODEL, MODEL_META},
    };
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct vd_buf g = graph_of(), n = {0}, a = attr_of("a", VD_ATTR_INTS), file, many = {0};
        for (int k = 0; k <= VD_ONNX_MAX_COUNT; k++)
            put_str(&many, lists[i].field, "");
        struct vd_buf *to = lists[i].kind == GRAPH ? &g : lists[i].kind == NODE ? &n : &a;
        if (lists[i].kind == ATTR) {
            memset(many.data, 1, VD_ONNX_MAX_COUNT + 1);
            put_bytes(&a, ATTR_INTS, many.data, VD_ONNX_MAX_COUNT + 1);
        } else if (lists[i].kind != MODEL) {
            vd_put(to, many.data, many.size);
        }
        put_str(&n, NODE_OP_TYPE, "Elu");
        put_str(&n, NODE_OUTPUT, "z");
        put_msg(&n, NODE_ATTR, a);
        put_msg(&g, GRAPH_NODE, n);
        file = model_of(g);
        if (lists[i].kind == MODEL)
            vd_put(&file, many.data, many.size);
        vd_free(many.data);
        refuse(E2BIG, "at most 32768", file);
    }
    struct vd_buf g = graph_of(); /* each node has few enough outputs, all together have too many */
    for (int i = 0; i < 3; i++) {
        struct vd_buf n = {0};
        put_str(&n, NODE_OP_TYPE, "Elu");
        for (int k = 0; k < 30000; k++)
            put_str(&n, NODE_OUTPUT, "");
        put_msg(&g, GRAPH_NODE, n);
    }
    refuse(E2BIG, "at most 65536", model_of(g));
    struct vd_onnx_model m;
    assert_int_equal(vd_onnx_read(&m, (const uint8_t *)"", (size_t)1 << 31), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product_wrap),
        cmocka_unit_test(test_depth_bombs),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_room), cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
