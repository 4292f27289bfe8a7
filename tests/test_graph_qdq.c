/* SPDX-License-Identifier: BSD-2-Clause */
#include "graph_check.h"

/* When the QDQ form is lowered to operators on bytes, and when it stays; and every allocation failing meanwhile. What the lowered operators
 * compute: tests/oracle/test_quantized_models.py. */

/* What a net of one quantised operator is like. */
struct qdq {
    const char *op;        /* between */
    const char *lowered;   /* what it should become; NULL: it stays as it is */
    int opset, type;
    float scale;           /* of the first input */
    int wide_scale;        /* it has two values */
    int no_zp;             /* its DequantizeLinear has none */
    int scale_from_graph;  /* it is a graph input */
    int other_type;        /* of the second input or, where there is one input, of the output */
    int other_scale;       /* of the output */
    int float_second;      /* the second input is not quantised */
    /* Conv */
    int w_rank, w_scales, w_no_axis, w_axis_back, w_block, w_zps, w_no_zp, w_inf, w_float;
    int bias;              /* 1: right; 2: another scale; 3: a zero point that is not 0; 4: float; 5: no zero point; 6: a zero point of bytes;
                            * 7: one scale for all; 8: two scales for three */
    /* behind */
    const char *clamp;     /* Relu, Clip, or two of them */
    float lo, hi;
    int clamp_inputs;      /* Clip: 0 attributes, 1 min alone, 2 both, 3 not constant, 4 not float, 5 min left out */
    int read_twice;        /* the float value behind the operator is a graph output too */
};

static const char *quantised(struct net *n, const struct qdq *q, const char *name, int type, float scale, int wide)
{
    const float scales[2] = {scale, scale};
    const uint8_t zps[2] = {0, 0};
    const char *s = wide ? net_const(n, VD_F32, 1, (const int64_t[]){2}, scales) : net_f32(n, scale);
    const char *z = wide ? net_const(n, type, 1, (const int64_t[]){2}, zps) : net_byte(n, type, 0);
    if (q->scale_from_graph)
        s = net_input(n, VD_F32, 0);
    if (q->no_zp)
        return net_node(n, "DequantizeLinear", 1, name, s, NULL)->out[0];
    return net_node(n, "DequantizeLinear", 1, name, s, z, NULL)->out[0];
}

static const char *weights(struct net *n, const struct qdq *q)
{
    static const int8_t w[12];
    static const float scales[3] = {0.5f, 0.5f, 0.5f}, infinite[3] = {0.5f, INFINITY, 0.5f};
    const int64_t dim[4] = {3, 2, 1, 1};
    const int count = q->w_scales ? q->w_scales : 3;
    if (q->w_float)
        return net_const(n, VD_F32, 4, dim, (const float[6]){0});
    const char *bytes = net_const(n, VD_S8, q->w_rank ? q->w_rank : 4, dim, w);
    const char *s = net_const(n, VD_F32, count > 1, (const int64_t[]){count}, q->w_inf ? infinite : scales);
    const int64_t zps = q->w_zps ? q->w_zps : count;
    struct vd_onnx_node *p = q->w_no_zp ? net_node(n, "DequantizeLinear", 1, bytes, s, NULL)
                                        : net_node(n, "DequantizeLinear", 1, bytes, s, net_const(n, VD_S8, count > 1, &zps, w), NULL);
    if (!q->w_no_axis)
        net_int(n, p, "axis", q->w_axis_back ? -4 : 0);
    if (q->w_block)
        net_int(n, p, "block_size", 1);
    return p->out[0];
}

static const char *bias_of(struct net *n, const struct qdq *q)
{
    static const int32_t b[3] = {1, 2, 3}, zps[3] = {0, 0, 0}, off[3] = {0, 1, 0};
    const float right = q->scale * 0.5f, s[3] = {right, q->bias == 2 ? 2 * right : right, right};
    const int64_t three = 3, two = 2;
    if (q->bias == 4)
        return net_const(n, VD_F32, 1, &three, s);
    const char *bytes = net_const(n, VD_S32, 1, &three, b);
    const char *scales = q->bias == 7 ? net_f32(n, right) : net_const(n, VD_F32, 1, q->bias == 8 ? &two : &three, s);
    struct vd_onnx_node *p = q->bias == 5   ? net_node(n, "DequantizeLinear", 1, bytes, scales, NULL)
                             : q->bias == 7 ? net_node(n, "DequantizeLinear", 1, bytes, scales, net_const(n, VD_S32, 0, NULL, zps), NULL)
                             : q->bias == 6 ? net_node(n, "DequantizeLinear", 1, bytes, scales, net_const(n, VD_S8, 1, &three, zps), NULL)
                                            : net_node(n, "DequantizeLinear", 1, bytes, scales,
                                                       net_const(n, VD_S32, 1, q->bias == 8 ? &two : &three, q->bias == 3 ? off : zps), NULL);
    net_int(n, p, "axis", 0);
    return p->out[0];
}

static const char *clamped(struct net *n, const struct qdq *q, const char *v)
{
    if (!strcmp(q->clamp, "Relu"))
        return net_node(n, "Relu", 1, v, NULL)->out[0];
    struct vd_onnx_node *p;
    const uint8_t byte = 1;
    switch (q->clamp_inputs) {
    case 0:
        p = net_node(n, "Clip", 1, v, NULL);
        net_attr(n, p, "min", VD_ATTR_FLOAT)->v.f = q->lo;
        net_attr(n, p, "max", VD_ATTR_FLOAT)->v.f = q->hi;
        break;
    case 1: p = net_node(n, "Clip", 1, v, net_f32(n, q->lo), NULL); break;
    case 2: p = net_node(n, "Clip", 1, v, net_f32(n, q->lo), net_f32(n, q->hi), NULL); break;
    case 3: p = net_node(n, "Clip", 1, v, net_input(n, VD_F32, 0), NULL); break;
    case 4: p = net_node(n, "Clip", 1, v, net_const(n, VD_U8, 0, NULL, &byte), NULL); break;
    default: p = net_node(n, "Clip", 1, v, "", net_f32(n, q->hi), NULL);
    }
    return strcmp(q->clamp, "Clip, Relu") ? p->out[0] : net_node(n, "Relu", 1, p->out[0], NULL)->out[0];
}

/* Bytes, DequantizeLinear, the operator, QuantizeLinear. */
static void qdq_net(struct net *n, const struct qdq *q)
{
    net_begin(n, q->opset ? q->opset : 17);
    const int type = q->type ? q->type : VD_U8, other = q->other_type ? q->other_type : type;
    const float scale = q->scale;
    const char *x = net_input(n, type, 4), *a = quantised(n, q, x, type, scale, q->wide_scale), *y;
    const bool two = !strcmp(q->op, "Add") || !strcmp(q->op, "Mul") || !strcmp(q->op, "Concat");
    if (!strcmp(q->op, "Conv")) {
        const char *w = weights(n, q);
        y = (q->bias ? net_node(n, "Conv", 1, a, w, bias_of(n, q), NULL) : net_node(n, "Conv", 1, a, w, NULL))->out[0];
    } else if (two) {
        static const uint8_t bytes[2];
        const char *second = net_const(n, other, 4, (const int64_t[]){1, 1, 1, 2}, bytes);
        struct qdq plain = {.scale = scale};
        const char *b = q->float_second ? net_const(n, VD_F32, 4, (const int64_t[]){1, 1, 1, 1}, &scale) : quantised(n, &plain, second, other, scale, 0);
        struct vd_onnx_node *p = net_node(n, q->op, 1, a, b, NULL);
        if (!strcmp(q->op, "Concat"))
            net_int(n, p, "axis", 0);
        y = p->out[0];
    } else if (*q->op) {
        struct vd_onnx_node *p = net_node(n, q->op, 1, a, NULL);
        if (strstr(q->op, "Pool") && !strstr(q->op, "Global"))
            net_ints(n, p, "kernel_shape", 2, (const int64_t[]){1, 1});
        y = p->out[0];
    } else
        y = a;
    if (q->read_twice)
        net_output(n, y);
    if (q->clamp)
        y = clamped(n, q, y);
    const int out = two || !other ? type : other;
    net_output(n, net_node(n, "QuantizeLinear", 1, y, net_f32(n, q->other_scale ? 2 * scale : scale), net_byte(n, out, 0), NULL)->out[0]);
}

static const struct qdq qdqs[] = {
    {.op = "Conv", .lowered = "QLinearConv"},
    {.op = "Conv", .lowered = "QLinearConv", .type = VD_S8, .bias = 1},
    {.op = "Conv", .lowered = "QLinearConv", .bias = 5},
    {.op = "Conv", .lowered = "QLinearConv", .bias = 7},
    {.op = "Conv", .lowered = "QLinearConv", .w_axis_back = 1},
    {.op = "Conv", .lowered = "QLinearConv", .w_scales = 1, .w_no_axis = 1},
    {.op = "Conv", .lowered = "QLinearConv", .w_no_zp = 1},
    {.op = "Conv", .bias = 2},
    {.op = "Conv", .bias = 3},
    {.op = "Conv", .bias = 4},
    {.op = "Conv", .w_inf = 1},
    {.op = "Conv", .w_float = 1},
    {.op = "Conv", .w_no_axis = 1},
    {.op = "Conv", .wide_scale = 1},
    {.op = "Conv", .scale = -1},
    {.op = "Conv", .scale_from_graph = 1},
    {.op = "Conv", .no_zp = 1},
    {.op = "Conv", .read_twice = 1},
    {.op = "Conv", .opset = 21, .w_block = 1},
    {.op = "Conv", .w_zps = 2},
    {.op = "Conv", .w_scales = 2},
    {.op = "Conv", .bias = 6},
    {.op = "Conv", .bias = 8},
    {.op = "Add", .lowered = "com.microsoft:QLinearAdd"},
    {.op = "Add", .other_type = VD_S8},
    {.op = "Add", .float_second = 1},
    {.op = "Add", .wide_scale = 1},
    {.op = "Mul", .lowered = "com.microsoft:QLinearMul", .type = VD_S8},
    {.op = "Concat", .lowered = "com.microsoft:QLinearConcat"},
    {.op = "Concat", .other_type = VD_S8},
    {.op = "Concat", .float_second = 1},
    {.op = "Sigmoid", .lowered = "com.microsoft:QLinearSigmoid"},
    {.op = "Sigmoid", .other_type = VD_S8},
    {.op = "LeakyRelu", .lowered = "com.microsoft:QLinearLeakyRelu"},
    {.op = "GlobalAveragePool", .lowered = "com.microsoft:QLinearGlobalAveragePool"},
    {.op = "AveragePool", .lowered = "com.microsoft:QLinearAveragePool"},
    {.op = "MaxPool", .lowered = "MaxPool", .opset = 11},
    {.op = "MaxPool", .lowered = "MaxPool"},
    {.op = "Transpose", .lowered = "Transpose"},
    {.op = "Transpose", .other_scale = 1},
    {.op = "Transpose", .other_type = VD_S8},
    {.op = "Softplus"},
    {.op = "Conv", .lowered = "QLinearConv", .clamp = "Relu"},
    {.op = "Conv", .lowered = "Clip", .clamp = "Clip", .opset = 10, .lo = 0, .hi = 2, .w_scales = 1, .w_no_axis = 1},
    {.op = "Conv", .lowered = "QLinearConv", .clamp = "Clip", .clamp_inputs = 1, .lo = -1},
    {.op = "Conv", .lowered = "Clip", .clamp = "Clip", .clamp_inputs = 2, .lo = 1, .hi = 2},
    {.op = "Conv", .lowered = "Clip", .clamp = "Clip", .clamp_inputs = 5, .hi = 2},
    {.op = "Conv", .lowered = "Clip", .clamp = "Clip, Relu", .clamp_inputs = 2, .lo = -8, .hi = 2},
    {.op = "Conv", .clamp = "Clip", .clamp_inputs = 2, .lo = 2, .hi = 1},
    {.op = "Conv", .clamp = "Clip", .clamp_inputs = 3},
    {.op = "Conv", .lowered = "Clip", .type = VD_S8, .clamp = "Clip", .clamp_inputs = 2, .lo = -1, .hi = 2},
    {.op = "", .lowered = "com.microsoft:QLinearConcat", .clamp = "Clip", .clamp_inputs = 2, .lo = 1, .hi = 2},
    {.op = "", .clamp = "Clip", .clamp_inputs = 2, .lo = 1, .hi = 2, .wide_scale = 1},
};

static void test_qdq(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(qdqs) / sizeof(*qdqs); i++) {
        struct qdq q = qdqs[i];
        struct net n;
        struct vd_graph g;
        if (q.scale == 0)
            q.scale = 0.25f;
        qdq_net(&n, &q);
        const int rc = vd_graph_build(&g, &n.m);
        /* what stays as it is may be refused as it is: folding its constants says so, or making its plan will */
        if (rc && (q.lowered || !strstr(vd_reason(), "DequantizeLinear")))
            fail_msg("net %zu (%s): %s", i, q.op, vd_reason());
        if (!rc && count(&g, "QuantizeLinear") != !q.lowered)
            fail_msg("net %zu (%s): %d QuantizeLinear", i, q.op, count(&g, "QuantizeLinear"));
        if (!rc && q.lowered && count(&g, q.lowered) != 1)
            fail_msg("net %zu (%s): %d %s", i, q.op, count(&g, q.lowered), q.lowered);
        if (!rc)
            vd_graph_free(&g);
        net_end(&n);
    }
}

/* A product of bytes and constant weights of two dims. */
static void product_net(struct net *n, bool gemm, int turned, float alpha, int bias, int w_rank, bool constant)
{
    static const int8_t w[4];
    static const int32_t b[2];
    const int64_t square[3] = {2, 2, 1}, two = 2;
    net_begin(n, 17);
    const char *x = net_input(n, VD_U8, 2);
    const char *a = net_node(n, "DequantizeLinear", 1, x, net_f32(n, 0.5f), net_byte(n, VD_U8, 3), NULL)->out[0];
    const char *bytes = constant ? net_const(n, VD_S8, w_rank, square, w) : net_input(n, VD_S8, 2);
    const char *v = net_node(n, "DequantizeLinear", 1, bytes, net_f32(n, 0.25f), net_byte(n, VD_S8, 0), NULL)->out[0];
    struct vd_onnx_node *p;
    if (bias) {
        const char *s = net_f32(n, bias == 2 ? 1 : 0.125f);
        p = net_node(n, "Gemm", 1, a, v, net_node(n, "DequantizeLinear", 1, net_const(n, VD_S32, 1, &two, b), s, NULL)->out[0], NULL);
    } else
        p = net_node(n, gemm ? "Gemm" : "MatMul", 1, a, v, NULL);
    if (turned)
        net_int(n, p, "transB", 1);
    if (alpha != 1)
        net_attr(n, p, "alpha", VD_ATTR_FLOAT)->v.f = alpha;
    net_output(n, net_node(n, "QuantizeLinear", 1, p->out[0], net_f32(n, 1), net_byte(n, VD_U8, 0), NULL)->out[0]);
}

static void test_qdq_products(void **state)
{
    (void)state;
    static const struct { bool gemm; int turned; float alpha; int bias, w_rank; bool constant; const char *lowered; } cases[] = {
        {false, 0, 1, 0, 2, true, "QLinearMatMul"}, {true, 0, 1, 0, 2, true, "com.microsoft:QGemm"}, {true, 1, 1, 1, 2, true, "com.microsoft:QGemm"},
        {true, 0, 2, 0, 2, true, NULL}, {true, 0, 1, 2, 2, true, NULL}, {false, 0, 1, 0, 3, true, NULL}, {false, 0, 1, 0, 2, false, NULL},
        {false, 0, 1, 0, 1, true, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct net n;
        struct vd_graph g;
        product_net(&n, cases[i].gemm, cases[i].turned, cases[i].alpha, cases[i].bias, cases[i].w_rank, cases[i].constant);
        builds(&g, &n);
        if (count(&g, "QuantizeLinear") != !cases[i].lowered || (cases[i].lowered && count(&g, cases[i].lowered) != 1))
            fail_msg("product %zu: %s", i, g.node[g.n_node - 1].op->name);
        vd_graph_free(&g);
        net_end(&n);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct net n;
    for (size_t i = 0; i < sizeof(qdqs) / sizeof(*qdqs); i++)
        if (qdqs[i].lowered) {
            struct qdq q = qdqs[i];
            q.scale = 0.25f;
            qdq_net(&n, &q);
            fails_everywhere(&n);
        }
    product_net(&n, true, 0, 1, 1, 2, true);
    fails_everywhere(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qdq), cmocka_unit_test(test_qdq_products), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
