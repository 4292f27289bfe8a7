/* SPDX-License-Identifier: BSD-2-Clause */
/* The ONNX reader and writer on files built by hand: the wire format, the model, the graph, and what is written. Tensors,
 * attributes and names are in test_onnx_values.c, what the onnx package can build in oracle/test_onnx_files.py, what means harm in
 * test_onnx_hostile.c and test_onnx_limits.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "onnx/onnx_wire.h"
#include "onnx_check.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct vd_buf raw_file(const void *p, size_t n)
{
    struct vd_buf b = {0};
    vd_put(&b, p, n);
    return b;
}

static struct vd_buf plus(struct vd_buf b, const void *p, size_t n)
{
    vd_put(&b, p, n);
    return b;
}

static void test_minimal(void **state)
{
    (void)state;
    struct read_file r = accept(model_of(graph_of()));
    const struct vd_onnx_model *m = &r.m;
    assert_int_equal(m->ir_version, 8);
    assert_int_equal(m->opset, 13);
    assert_string_equal(m->graph_name, "g");
    const char *absent[] = {m->producer_name, m->producer_version, m->domain, m->doc, m->graph_doc};
    for (size_t i = 0; i < COUNT(absent); i++)
        assert_string_equal(absent[i], "");
    assert_int_equal(m->n_node, 1);
    assert_string_equal(m->node[0].op_type, "Relu");
    assert_string_equal(m->node[0].name, "");
    assert_string_equal(m->node[0].in[0], "x");
    assert_string_equal(m->node[0].out[0], "y");
    assert_int_equal(m->n_in, 1);
    assert_int_equal(m->in[0].rank, 2);
    assert_int_equal(m->in[0].dim[0], -1);
    assert_string_equal(m->in[0].param[0], "n");
    assert_int_equal(m->in[0].dim[1], 2);
    assert_null(m->in[0].param[1]);
    assert_int_equal(m->n_out, 1);
    assert_int_equal(m->n_init, 0);
    assert_null(vd_onnx_init(m, "x"));
    assert_null(vd_onnx_attr(&m->node[0], "alpha"));
    done(&r);
}

/* What follows a good model: fields of every wire type, known and unknown. */
static void test_wire(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int err;
        const char *word;
    } cases[] = {
        {"\xa0\x06\x05", 3, 0, NULL},                                      /* unknown field 100 of each wire type */
        {"\xa1\x06\1\2\3\4\5\6\7\10", 10, 0, NULL},
        {"\xa2\x06\x03xyz", 6, 0, NULL},
        {"\xa5\x06\1\2\3\4", 6, 0, NULL},
        {"\xa2\x06\x83\x80\x80\x80\x00xyz", 10, 0, NULL},                  /* a length in more bytes than it needs */
        {"\xf8\xff\xff\xff\x0f\x01", 6, 0, NULL},                          /* the last field number, 2^29 - 1 */
        {"\xf8\xff\xff\xff\x1f\x01", 6, EBADMSG, "field number"},          /* and one more bit */
        {"\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", 11, EBADMSG, "field number"},
        {"\x00\x01", 2, EBADMSG, "field number"},
        {"\x02\x01z", 3, EBADMSG, "field number"},
        {"\xa3\x06\xa4\x06", 4, EBADMSG, "group"},
        {"\xa4\x06", 2, EBADMSG, "group"},
        {"\xa6\x06", 2, EBADMSG, "wire type 6"},
        {"\xa7\x06", 2, EBADMSG, "wire type 7"},
        {"\xa0\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, 0, NULL}, /* 2^64 - 1 */
        {"\xa0\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 12, EBADMSG, "more than 64 bits"},
        {"\xa0\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 13, EBADMSG, "more than 64 bits"},
        {"\xa0\x06\x80\x80\x80", 5, EBADMSG, "ends inside a number"},
        {"\xa0\x06", 2, EBADMSG, "ends inside a number"},
        {"\xa0", 1, EBADMSG, "ends inside a number"},
        {"\xa1\x06\1\2\3\4\5\6\7", 9, EBADMSG, "ends inside field 100"},
        {"\xa5\x06\1\2\3", 5, EBADMSG, "ends inside field 100"},
        {"\xa2\x06\x04xyz", 6, EBADMSG, "says 4 bytes and 3 are left"},
        {"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xyz", 15, EBADMSG, "says 18446744073709551615 bytes"},
        {"\xa2\x06\xff\xff\xff\xff\x07xyz", 10, EBADMSG, "says 2147483647 bytes"},
        {"\x08\x08", 2, EBADMSG, "ir_version is there twice"},
        {"\x3a\x00", 2, EBADMSG, "graph is there twice"},
        {"\x32\x00\x32\x00", 4, EBADMSG, "doc_string is there twice"},
        {"\x0a\x01z", 3, EBADMSG, "ir_version has wire type 2"},
        {"\x10\x01", 2, EBADMSG, "producer_name has wire type 0"},
        {"\x70\x01", 2, EBADMSG, "metadata_props has wire type 0"},
        {"\xd2\x01\x00", 3, 0, NULL},                                      /* configuration: skipped */
        {"\xd0\x01\x00", 3, EBADMSG, "configuration has wire type 0"},
        {"\xa2\x01\x00", 3, EPERM, "training_info"},
        {"\xca\x01\x00", 3, EPERM, "functions"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vd_buf file = plus(model_of(graph_of()), cases[i].bytes, cases[i].n);
        if (cases[i].err) {
            refuse(cases[i].err, cases[i].word, file);
        } else {
            struct read_file r = accept(file);
            done(&r);
        }
    }
}

/* The offset in the reason is the tag of the field that is wrong. */
static void test_offset(void **state)
{
    (void)state;
    struct vd_buf file = model_of(graph_of());
    char word[32];
    snprintf(word, sizeof word, "byte %zu:", file.size);
    refuse(EBADMSG, word, plus(file, "\xa7\x06", 2));
    refuse(EBADMSG, "byte 0:", raw_file("\x07", 1));
}

static void test_depth(void **state)
{
    (void)state;
    static const uint8_t nested[] = {0x0a, 0x00};
    struct vd_msg m, sub;
    struct vd_field f;
    vd_msg_open(&m, nested, sizeof nested);
    struct vd_msg pass = m;
    assert_int_equal(vd_msg_next(&pass, &f), 1);
    assert_int_equal(vd_msg_next(&pass, &f), 0);
    pass = m;
    assert_int_equal(vd_msg_next(&pass, &f), 1);
    for (int depth = 2; depth <= VD_WIRE_MAX_DEPTH; depth++, m = sub)
        assert_int_equal(vd_msg_sub(&m, &f, &sub), 0);
    assert_int_equal(vd_msg_sub(&m, &f, &sub), -EBADMSG);
    assert_non_null(strstr(vd_reason(), "8 deep"));
}

static void test_graph(void **state)
{
    (void)state;
    struct vd_buf n = node_of("Relu", "y", "z"), g = {0}, o = {0}, v = {0};
    put_str(&n, NODE_DOMAIN, "ai.onnx.ml"); /* the op table's to refuse, under its whole name */
    struct read_file foreign = accept(with(GRAPH_NODE, n));
    assert_string_equal(foreign.m.node[1].op_type, "ai.onnx.ml:Relu");
    done(&foreign);
    put_str(&v, NODE_OP_TYPE, "Relu");
    refuse(EBADMSG, "node 1: Relu: the node has no output", with(GRAPH_NODE, v));
    put_msg(&g, GRAPH_NODE, node_of("Relu", "x", "y"));
    refuse(EBADMSG, "the graph has no output", model_of(g));
    put_str(&o, VALUE_NAME, "p");
    put_msg(&o, VALUE_TYPE, (struct vd_buf){0});
    refuse(EBADMSG, "graph output 1: \"p\": its type is empty", with(GRAPH_OUTPUT, o));
    for (int k = 0; k < 4; k++) { /* one node of one output, two of two; the last writes one of those again */
        static const char *const again[] = {"y", "o0", "o2", "o3"};
        static const char *const word[] = {"which node 0 (Relu)", "which node 1 (Split)", "which node 2 (Split)", "which node 2 (Split)"};
        g = graph_of();
        for (int i = 0; i < 2; i++) {
            char name[2][8];
            snprintf(name[0], 8, "o%d", 2 * i);
            snprintf(name[1], 8, "o%d", 2 * i + 1);
            n = node_of("Split", "x", name[0]);
            put_str(&n, NODE_OUTPUT, name[1]);
            put_msg(&g, GRAPH_NODE, n);
        }
        put_msg(&g, GRAPH_NODE, node_of("Abs", "x", again[k]));
        refuse(EBADMSG, word[k], model_of(g));
    }
    struct vd_buf d = {0}, shape = {0}, tensor = {0}, type = {0};
    put_int(&d, DIM_VALUE, 3);
    put_str(&d, DIM_PARAM, "n");
    put_msg(&shape, SHAPE_DIM, d);
    put_int(&tensor, TYPE_TENSOR_ELEM, VD_F32);
    put_msg(&tensor, TYPE_TENSOR_SHAPE, shape);
    put_msg(&type, TYPE_TENSOR, tensor);
    v = (struct vd_buf){0};
    put_str(&v, VALUE_NAME, "v");
    put_msg(&v, VALUE_TYPE, type);
    refuse(EBADMSG, "a dimension with a value and a name", with(GRAPH_INPUT, v));
    refuse(EBADMSG, "value_info has wire type 0", model_of(plus(graph_of(), "\x68\x00", 2)));
    refuse(EPERM, "sparse initializers", model_of(plus(graph_of(), "\x7a\x00", 2)));
    struct read_file r = accept(model_of(plus(graph_of(), "\x6a\x01\xff\x6a\0\x72\x01\xff\x72\0\x82\x01\x01\xff\x82\x01\0", 17))); /* not looked into */
    done(&r);
    r = accept(with(GRAPH_NODE, node_of("Relu", "", "")));  /* left out, both of them */
    assert_string_equal(r.m.node[1].in[0], "");
    done(&r);

    struct vd_buf m = {0}; /* imports of other domains, used or not; versions that do not fit */
    put_int(&m, MODEL_IR_VERSION, 8);
    put_msg(&m, MODEL_OPSET, opset_of("com.microsoft", 1));
    put_msg(&m, MODEL_OPSET, opset_of("com.microsoft", 1));
    put_msg(&m, MODEL_GRAPH, graph_of());
    refuse(EBADMSG, "operator set is not imported", m);
    for (int i = 0; i < 3; i++) {
        static const int64_t wrong[] = {0, -7, ((int64_t)1 << 32) + 13};
        m = (struct vd_buf){0};
        put_int(&m, MODEL_IR_VERSION, 8);
        put_msg(&m, MODEL_OPSET, opset_of("ai.onnx", wrong[i]));
        put_msg(&m, MODEL_GRAPH, graph_of());
        refuse(EPERM, "opset", m);
        m = (struct vd_buf){0};
        put_int(&m, MODEL_IR_VERSION, wrong[i]);
        put_msg(&m, MODEL_OPSET, opset_of("ai.onnx", 13));
        put_msg(&m, MODEL_GRAPH, graph_of());
        refuse(EPERM, "IR version", m);
    }
}

/* What is written, byte for byte; then what a model built by hand gives, with NULLs for what it does not say. */
static void test_write(void **state)
{
    (void)state;
    static const char want[] = "\x08\x08" "\x3a\x31"
                               "\x0a\x0c\x0a\x01x\x12\x01y\x22\x04Relu" "\x12\x01g"
                               "\x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x00"
                               "\x62\x0d\x0a\x01y\x12\x08\x0a\x06\x08\x0a\x12\x02\x0a\x00" "\x42\x02\x10\x0d";
    struct vd_onnx_node node = {.op_type = "Relu", .in = (const char *[]){"x"}, .out = (const char *[]){"y"}, .n_in = 1, .n_out = 1};
    struct vd_onnx_value in = {.name = "x", .type = VD_F32, .rank = 1, .dim = {0}};
    struct vd_onnx_value out = {.name = "y", .type = VD_F16, .rank = 1, .dim = {-1}};
    struct vd_onnx_model m = {.ir_version = 8, .opset = 13, .graph_name = "g", .node = &node, .n_node = 1, .in = &in, .n_in = 1, .out = &out, .n_out = 1};
    struct vd_buf b = {0};
    vd_put_str(&b, "before");
    assert_int_equal(vd_onnx_write(&m, &b), 0);
    assert_memory_equal(b.data, "before", 6);
    assert_int_equal(b.size, 6 + sizeof want - 1);
    assert_memory_equal(b.data + 6, want, sizeof want - 1);
    struct vd_onnx_model back;
    assert_int_equal(vd_onnx_read(&back, b.data + 6, b.size - 6), 0);
    assert_int_equal(back.in[0].dim[0], 0); /* a dimension of zero is not an unknown one */
    assert_int_equal(back.out[0].dim[0], -1);
    assert_null(back.out[0].param[0]);
    assert_int_equal(back.out[0].type, VD_F16);
    vd_onnx_free(&back);
    vd_free(b.data);
}

/* vd_onnx_init() on a model built by hand, before and after it is indexed. */
static void test_index(void **state)
{
    (void)state;
    struct vd_onnx_tensor t[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    struct vd_onnx_model m = {.init = t, .n_init = 2};
    assert_ptr_equal(vd_onnx_init(&m, "b"), &t[1]);
    assert_null(vd_onnx_init(&m, "c"));
    assert_int_equal(vd_onnx_index(&m), 0);
    assert_ptr_equal(vd_onnx_init(&m, "b"), &t[1]);
    assert_null(vd_onnx_init(&m, "c"));
    m.n_init = 3; /* the index is not of this array any more */
    assert_ptr_equal(vd_onnx_init(&m, "c"), &t[2]);
    t[2].name = "a";
    assert_int_equal(vd_onnx_index(&m), -EBADMSG);
    assert_ptr_equal(vd_onnx_init(&m, "b"), &t[1]);
    vd_arena_free(&m.arena);
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        int type;
        size_t size;
        const char *name;
    } types[] = {{VD_F32, 4, "float32"}, {VD_U8, 1, "uint8"}, {VD_S8, 1, "int8"}, {VD_U16, 2, "uint16"}, {VD_S16, 2, "int16"},
                 {VD_S32, 4, "int32"}, {VD_S64, 8, "int64"}, {VD_STRING, 0, "string"}, {VD_BOOL, 1, "bool"}, {VD_F16, 2, "float16"},
                 {VD_F64, 8, "float64"}, {VD_U32, 4, "uint32"}, {VD_U64, 8, "uint64"}, {16, 0, "bfloat16"}, {0, 0, "type?"},
                 {-1, 0, "type?"}, {29, 0, "type?"}, {INT32_MIN, 0, "type?"}};
    for (size_t i = 0; i < COUNT(types); i++) {
        assert_int_equal(vd_type_size(types[i].type), types[i].size);
        assert_string_equal(vd_type_name(types[i].type), types[i].name);
    }
    for (int type = 14; type < 40; type++) { /* ONNX's others, and what may come */
        char word[40];
        if (type <= 28)
            snprintf(word, sizeof word, "%s elements are not", vd_type_name(type));
        else
            snprintf(word, sizeof word, "unknown element type %d", type);
        assert_int_equal(vd_type_size(type), 0);
        refuse(EPERM, word, with_init(tensor_of("w", type, NULL, 0)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal), cmocka_unit_test(test_wire),  cmocka_unit_test(test_offset), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_graph),   cmocka_unit_test(test_write), cmocka_unit_test(test_index),  cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
