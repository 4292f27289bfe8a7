/* SPDX-License-Identifier: BSD-2-Clause */
#include "graph_check.h"

/* From a model to its graph: what is refused, the order of nodes, what is computed at once and what is not, and every allocation failing.
 * The QDQ form is in test_graph_qdq.c. */

/* --- refusals --- */

static void refuses(struct net *n, int err, const char *text)
{
    struct vd_graph g;
    const int rc = vd_graph_build(&g, &n->m);
    if (rc != -err || !strstr(vd_reason(), text))
        fail_msg("%d \"%s\" in place of %d \"%s\"", rc, rc ? vd_reason() : "", -err, text);
    assert_null(g.node);
    net_end(n);
}

static void test_refusals(void **state)
{
    (void)state;
    struct net n;
    net_begin(&n, 17);
    net_input(&n, VD_F32, 1);
    n.values = 0;
    net_input(&n, VD_F32, 1);
    refuses(&n, EBADMSG, "two graph inputs are named 'v0'");

    net_begin(&n, 17);
    net_input(&n, VD_F32, 1);
    n.values = 0;
    net_f32(&n, 1);
    refuses(&n, EBADMSG, "'v0' is written twice");

    net_begin(&n, 17);
    const char *x = net_input(&n, VD_F32, 1);
    net_node(&n, "Relu", 1, x, NULL)->out[0] = x;
    refuses(&n, EBADMSG, "'v0' is written twice");

    net_begin(&n, 17);
    x = net_input(&n, VD_F32, 1);
    net_output(&n, net_node(&n, "Relu", 1, "nowhere", NULL)->out[0]);
    refuses(&n, EBADMSG, "node 'n1' (Relu) reads 'nowhere', which nothing writes");

    net_begin(&n, 17);
    x = net_input(&n, VD_F32, 1);
    net_output(&n, net_node(&n, "Add", 1, x, "", NULL)->out[0]);
    refuses(&n, EBADMSG, "Add leaves out input 1, which it needs");

    net_begin(&n, 17);
    net_input(&n, VD_F32, 1);
    net_output(&n, "nowhere");
    refuses(&n, EBADMSG, "nothing writes the graph output 'nowhere'");

    net_begin(&n, 17);
    x = net_input(&n, VD_F32, 1);
    net_output(&n, net_node(&n, "NoSuch", 1, x, NULL)->out[0]);
    refuses(&n, EPERM, "operator NoSuch is not supported");

    net_begin(&n, 10);
    x = net_input(&n, VD_F32, 1);
    net_output(&n, net_node(&n, "Gelu", 1, x, NULL)->out[0]);
    refuses(&n, EPERM, "operator Gelu is not supported at opset 10");

    net_begin(&n, 17);
    x = net_input(&n, VD_F32, 1);
    struct vd_onnx_node *node = net_node(&n, "Relu", 1, x, NULL);
    net_int(&n, node, "alpha", 1);
    net_output(&n, node->out[0]);
    refuses(&n, EPERM, "alpha");

    net_begin(&n, 17); /* a - b - a */
    x = net_input(&n, VD_F32, 1);
    struct vd_onnx_node *a = net_node(&n, "Add", 1, x, "v2", NULL);
    assert_string_equal(net_node(&n, "Relu", 1, a->out[0], NULL)->out[0], "v2");
    net_output(&n, "v2");
    refuses(&n, EBADMSG, "the graph has a cycle through ");

    net_begin(&n, 17); /* what cannot be computed, of constants alone */
    net_input(&n, VD_F32, 1);
    const char *three = net_const(&n, VD_F32, 1, (const int64_t[]){3}, (const float[]){1, 2, 3});
    const char *two = net_const(&n, VD_F32, 1, (const int64_t[]){2}, (const float[]){1, 2});
    net_output(&n, net_node(&n, "Add", 1, three, two, NULL)->out[0]);
    refuses(&n, ERANGE, "n1");

    net_begin(&n, 17);
    net_input(&n, VD_F32, 1);
    const uint8_t on = 1;
    net_output(&n, net_node(&n, "Relu", 1, net_const(&n, VD_BOOL, 0, NULL, &on), NULL)->out[0]);
    refuses(&n, EPERM, "input 0 'v1' of type bool is not supported");
}

static void *wrong_attr(struct net *n, struct vd_onnx_node *p, int type)
{
    struct vd_onnx_attr *a = net_attr(n, p, "axis", type);
    a->v.s = "x";
    return a;
}

static void test_types_of_attributes(void **state)
{
    (void)state;
    static const struct { int type; const char *word; } cases[] = {
        {VD_ATTR_FLOAT, "a float"}, {VD_ATTR_STRING, "a string"}, {VD_ATTR_TENSOR, "a tensor"}, {VD_ATTR_FLOATS, "a list of floats"},
        {VD_ATTR_INTS, "a list of integers"}, {99, "something else"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct net n;
        net_begin(&n, 17);
        struct vd_onnx_node *p = net_node(&n, "Concat", 1, net_input(&n, VD_F32, 1), NULL);
        wrong_attr(&n, p, cases[i].type);
        net_output(&n, p->out[0]);
        refuses(&n, EBADMSG, cases[i].word);
    }
    struct net n;
    net_begin(&n, 17);
    struct vd_onnx_node *p = net_node(&n, "Concat", 1, net_input(&n, VD_F32, 1), NULL); /* it needs one */
    net_output(&n, p->out[0]);
    refuses(&n, EBADMSG, "axis");
    assert_null(vd_op_row(-1));
    assert_null(vd_op_row(1 << 20));
}

/* --- order, folding, what is dropped --- */

static void test_order(void **state)
{
    (void)state;
    struct net n;
    struct vd_graph g;
    net_begin(&n, 17);
    const char *x = net_input(&n, VD_F32, 1);
    struct vd_onnx_node *last = net_node(&n, "Add", 1, "v2", "v3", NULL); /* v1, before what it reads */
    struct vd_onnx_node *a = net_node(&n, "Relu", 1, x, NULL), *b = net_node(&n, "Neg", 1, a->out[0], NULL);
    net_node(&n, "Abs", 1, b->out[0], NULL); /* nobody asks for it */
    net_output(&n, last->out[0]);
    net_output(&n, x); /* an input may be an output too */
    builds(&g, &n);
    assert_int_equal(g.n_node, 3);
    assert_string_equal(g.node[0].op->name, "Relu");
    assert_string_equal(g.node[1].op->name, "Neg");
    assert_string_equal(g.node[2].op->name, "Add");
    assert_int_equal(g.value[0].uses, 2);
    vd_graph_free(&g);
    net_end(&n);
}

static void test_folding(void **state)
{
    (void)state;
    struct net n;
    struct vd_graph g;
    net_begin(&n, 17);
    const char *x = net_input(&n, VD_F32, 1);
    /* float16 is computed in float32 and kept in float16: 1 + 2^-11 is a tie, and 1 even */
    const uint16_t half[2] = {0x3c00, 0x1000};
    const char *h = net_const(&n, VD_F16, 1, (const int64_t[]){2}, half);
    const char *one = net_const(&n, VD_F16, 0, NULL, half);
    const struct vd_onnx_node *sum = net_node(&n, "Add", 1, h, one, NULL);
    const char *f = net_node(&n, "Split", 2, sum->out[0], NULL)->out[1]; /* one of two outputs */
    n.node[1].out[0] = "";
    struct vd_onnx_node *cast = net_node(&n, "Cast", 1, f, NULL);
    net_int(&n, cast, "to", VD_F32);
    net_output(&n, net_node(&n, "Add", 1, x, cast->out[0], NULL)->out[0]);
    builds(&g, &n);
    assert_int_equal(g.n_node, 1);
    const struct vd_tensor *c = g.value[g.node[0].in[1]].constant;
    assert_non_null(c);
    assert_int_equal(c->type, VD_F32);
    assert_true(*(const float *)c->data == 1); /* 1 + 2^-11, rounded to even */
    vd_graph_free(&g);
    net_end(&n);

    /* Over the cap: computed in each run. What is made of it is not known either. */
    net_begin(&n, 17);
    x = net_input(&n, VD_F32, 1);
    const int64_t big = 20 << 20;
    const char *shape = net_const(&n, VD_S64, 1, (const int64_t[]){1}, &big);
    const struct vd_onnx_node *zeros = net_node(&n, "ConstantOfShape", 1, shape, NULL);
    net_output(&n, net_node(&n, "Add", 1, x, net_node(&n, "Neg", 1, zeros->out[0], NULL)->out[0], NULL)->out[0]);
    builds(&g, &n);
    assert_int_equal(g.n_node, 3);
    vd_graph_free(&g);
    net_end(&n);

    /* Products that take too long, a window as large as the picture, and nothing with large dims: computed in each run too. */
    enum { SIDE = 1000 };
    float *square = vd_calloc((size_t)SIDE * SIDE, sizeof(*square));
    assert_non_null(square);
    for (int large = 0; large < 2; large++) {
        const int64_t side = large ? SIDE : 8, dim[4] = {1, 1, side, side}, none[3] = {1 << 18, 1 << 19, 0};
        net_begin(&n, 12);
        x = net_input(&n, VD_F32, 4);
        const char *w = net_const(&n, VD_F32, 4, dim, square);
        const char *product = net_node(&n, "MatMul", 1, w, w, NULL)->out[0];
        struct vd_onnx_node *pool = net_node(&n, "MaxPool", 1, w, NULL);
        net_ints(&n, pool, "kernel_shape", 2, (const int64_t[]){7, 7});
        struct vd_onnx_node *nothing = net_node(&n, "ReduceSum", 1, net_const(&n, VD_F32, 3, large ? none : (const int64_t[]){8, 8, 0}, square), NULL);
        for (int i = 0; i < 3; i++)
            net_output(&n, net_node(&n, "Add", 1, x, i == 0 ? product : i == 1 ? pool->out[0] : nothing->out[0], NULL)->out[0]);
        builds(&g, &n);
        assert_int_equal(g.n_node, large ? 6 : 3);
        vd_graph_free(&g);
        net_end(&n);
    }
    vd_free(square);

    /* Bytes of a tensor may lie at an odd place; an empty one has none. */
    net_begin(&n, 17);
    x = net_input(&n, VD_F32, 1);
    uint8_t bytes[9] = {0};
    const float two = 2;
    memcpy(bytes + 1, &two, 4);
    const char *odd = net_f32(&n, 0), *none = net_const(&n, VD_F32, 1, (const int64_t[]){0}, bytes);
    n.init[0].data = bytes + 1;
    net_output(&n, net_node(&n, "Mul", 1, x, odd, NULL)->out[0]);
    struct vd_onnx_node *join = net_node(&n, "Concat", 1, x, none, NULL);
    net_int(&n, join, "axis", 0);
    net_output(&n, join->out[0]);
    builds(&g, &n);
    assert_int_equal(g.n_node, 2);
    const float *data = g.value[g.node[0].in[1]].constant->data;
    assert_true((uintptr_t)data % 4 == 0 && *data == 2);
    vd_graph_free(&g);
    net_end(&n);
}

/* --- everything that is in the way --- */

struct said { char line[8][200]; int n; };

static void say(void *arg, const char *line)
{
    struct said *s = arg;
    assert_true(s->n < 8);
    snprintf(s->line[s->n++], sizeof(s->line[0]), "%s", line);
}

static void says(struct net *n, const struct vd_tensor *in, int lines, const char *const *words)
{
    struct said s = {.n = 0};
    const int found = vd_graph_refusals(&n->m, in, say, &s);
    for (int i = 0; found != lines && i < s.n; i++)
        print_error("%s\n", s.line[i]);
    assert_int_equal(found, lines);
    assert_int_equal(s.n, lines);
    for (int i = 0; i < lines; i++)
        if (!strstr(s.line[i], words[i]))
            fail_msg("\"%s\" does not say \"%s\"", s.line[i], words[i]);
}

/* A model of which much is refused; in[0] is float32 [2, 3]. */
static void refused_net(struct net *n)
{
    static const uint8_t on = 1;
    static uint8_t odd[9];
    const int64_t two = 2, shape[2] = {3, 2}, wrong[2] = {4, 2};
    net_begin(n, 12);
    const char *x = net_input(n, VD_F32, 2);
    const char *a = net_node(n, "NoSuch", 1, x, NULL)->out[0];
    net_node(n, "NoSuch", 1, x, NULL);        /* said once */
    net_node(n, "Gelu", 1, a, NULL);          /* not at this opset */
    net_node(n, "Relu", 1, a, NULL);          /* of what is refused nothing more is said */
    struct vd_onnx_node *p = net_node(n, "Relu", 1, x, NULL);
    net_int(n, p, "alpha", 1);                /* an attribute */
    net_node(n, "Relu", 1, net_const(n, VD_BOOL, 0, NULL, &on), NULL); /* a type */
    net_node(n, "Reshape", 1, x, net_const(n, VD_S64, 1, &two, wrong), NULL); /* a shape, by what is in a tensor */
    const char *good = net_const(n, VD_S64, 1, &two, shape);
    memcpy(odd + 1, "\0\0\0\0\0\0\200\77", 8);
    n->init[n->m.n_init] = (struct vd_onnx_tensor){.name = "odd", .type = VD_F32, .rank = 1, .dim = {2}, .count = 2, .data = odd + 1, .size = 8};
    n->m.n_init++;
    const char *r = net_node(n, "Reshape", 1, x, good, NULL)->out[0];
    p = net_node(n, "Split", 2, r, NULL);     /* one of its outputs is left out */
    net_int(n, p, "axis", 1);
    p->out[1] = "";
    net_node(n, "Clip", 1, r, "", "odd", NULL); /* a bound of two values */
    net_node(n, "Size", 1, r, NULL);
    net_node(n, "Neg", 1, good, NULL);        /* known, and computed */
    net_node(n, "Relu", 1, "nowhere", NULL);  /* not its to say */
    net_output(n, r);
}

static void test_everything_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"operator NoSuch is not supported", "operator Gelu is not supported at opset 12", "alpha"};
    static const char *const all[] = {"operator NoSuch is not supported", "operator Gelu is not supported at opset 12", "alpha",
                                      "of type bool is not supported", "Reshape", "Clip"};
    struct vd_tensor in = {.type = VD_F32, .rank = 2, .dim = {2, 3}};
    struct net n;
    refused_net(&n);
    says(&n, NULL, 3, names);
    says(&n, &in, 6, all);
    in.dim[1] = (int64_t)1 << 41; /* no input that any operator may see: what reads it is not looked at */
    static const char *const sane[] = {"operator NoSuch is not supported", "operator Gelu is not supported at opset 12", "alpha", "of type bool is not supported"};
    says(&n, &in, 4, sane);
    in.dim[1] = -1;
    says(&n, &in, 4, sane);
    in = (struct vd_tensor){.type = 99, .rank = 2, .dim = {2, 3}};
    says(&n, &in, 4, sane);
    in = (struct vd_tensor){.type = VD_F32, .rank = 9};
    says(&n, &in, 4, sane);
    /* without memory it says less, and never nothing */
    in = (struct vd_tensor){.type = VD_F32, .rank = 2, .dim = {2, 3}};
    for (size_t k = 1;; k++) {
        struct said s = {.n = 0};
        const size_t before = vd_mem_count();
        vd_mem_fail_at(k, 1);
        const int found = vd_graph_refusals(&n.m, &in, say, &s);
        vd_mem_fail_at(0, 0);
        assert_true(found >= 1 && found == s.n);
        if (vd_mem_count() - before < k)
            break;
    }
    net_end(&n);
}

/* --- no memory --- */

static void test_no_memory(void **state)
{
    (void)state;
    struct net n;
    net_begin(&n, 17); /* with float16 to compute at once, and bytes at an odd place */
    const uint16_t half[2] = {0x3c00, 0x1000};
    const char *h = net_const(&n, VD_F16, 1, (const int64_t[]){2}, half);
    uint8_t odd[9] = {0};
    n.init[0].data = memcpy(odd + 1, half, sizeof(half));
    const struct vd_onnx_node *sum = net_node(&n, "Add", 1, h, h, NULL);
    net_output(&n, net_node(&n, "Add", 1, net_input(&n, VD_F16, 1), sum->out[0], NULL)->out[0]);
    fails_everywhere(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_types_of_attributes), cmocka_unit_test(test_order),
        cmocka_unit_test(test_folding), cmocka_unit_test(test_everything_refused), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
