/* SPDX-License-Identifier: BSD-2-Clause */
/* The quantiser on models made here: the pattern, its names, its numbers, what is refused and what stays in fp32. */
#include "quant_build.h"

/* --- the pattern */

static void conv_pattern(void **state)
{
    (void)state;
    struct made *t = one_conv();
    struct done d;
    static const int64_t pads[4] = {1, 1, 1, 1};
    t->node[0].n_attr = 1;
    t->attr[0][0] = (struct vd_onnx_attr){.name = "pads", .type = VD_ATTR_INTS, .v.ints = pads, .n = 4};
    quantize(t, &u8, &d);
    assert_int_equal(d.m.n_node, 6);
    check_node(&d.m, 0, "DynamicQuantizeLinear '': x -> x_quantized x_scale x_zero_point");
    check_node(&d.m, 1, "ConvInteger 'c_quant': x_quantized w_quantized x_zero_point weight_zero_point -> y_sum");
    check_node(&d.m, 2, "Cast '': y_sum -> y_float");
    check_node(&d.m, 3, "Mul '': x_scale w_scale -> y_scales");
    check_node(&d.m, 4, "Mul '': y_float y_scales -> y_mul");
    check_node(&d.m, 5, "Add '': y_mul b -> y");
    assert_int_equal(d.m.node[1].n_attr, 1);
    assert_string_equal(d.m.node[1].attr[0].name, "pads");
    assert_int_equal(vd_onnx_attr(&d.m.node[2], "to")->v.i, VD_F32);

    assert_int_equal(d.m.n_init, 4); /* w is gone, and there is one b */
    assert_null(vd_onnx_init(&d.m, "w"));
    const struct vd_onnx_tensor *b = init(&d.m, "b", VD_F32, 4), *s = init(&d.m, "w_scale", VD_F32, 4), *q = init(&d.m, "w_quantized", VD_U8, 4);
    assert_true(b->dim[0] == 1 && b->dim[1] == 4 && b->dim[2] == 1 && b->dim[3] == 1);
    assert_memory_equal(b->data, ramp + 32, 4 * sizeof *ramp);
    assert_true(s->dim[0] == 1 && s->dim[1] == 4 && s->dim[2] == 1 && s->dim[3] == 1);
    assert_int_equal(init(&d.m, "weight_zero_point", VD_U8, 0)->data[0], 128);
    for (size_t c = 0; c < 4; c++) { /* 8 weights a channel; the largest is +-127 */
        float absmax = 0;
        for (size_t i = 0; i < 8; i++)
            absmax = fmaxf(absmax, fabsf(ramp[8 * c + i]));
        const float scale = vd_onnx_f32(s, c);
        assert_true(scale == (float)((double)absmax / 127));
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(q->data[8 * c + i], (int)rintf(ramp[8 * c + i] / scale) + 128);
    }

    assert_int_equal(d.rep.conv, 1);
    assert_int_equal(d.rep.n_layer, 1);
    assert_string_equal(d.rep.layer[0].node, "c");
    assert_int_equal(d.rep.layer[0].weights, 32);
    assert_true(d.rep.layer[0].sqnr_db > 35 && d.rep.layer[0].sqnr_db < 60);
    assert_null(d.rep.layer[0].why_fp32);
    finish(t, &d);
}

static void options(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct made *t = one_conv();
        struct done d;
        const struct vd_quant_opts o = {.weight_type = k & 1 ? VD_S8 : VD_U8, .per_tensor = k & 2};
        quantize(t, &o, &d);
        const struct vd_onnx_tensor *q = init(&d.m, "w_quantized", o.weight_type, 4), *z = init(&d.m, "weight_zero_point", o.weight_type, 0);
        const struct vd_onnx_tensor *s = init(&d.m, "w_scale", VD_F32, o.per_tensor ? 0 : 4);
        assert_int_equal(z->data[0], k & 1 ? 0 : 128);
        for (size_t i = 0; i < 32; i++) {
            const int v = k & 1 ? (int8_t)q->data[i] : q->data[i] - 128;
            const float scale = vd_onnx_f32(s, o.per_tensor ? 0 : i / 8);
            assert_int_equal(v, (int)rintf(ramp[i] / scale));
            assert_in_range(v + 127, 0, 254);
        }
        if (o.per_tensor)
            assert_true(vd_onnx_f32(s, 0) == (float)(2.0 / 127));
        finish(t, &d);
    }
}

/* x feeds two convolutions, which share their weights and one bias; a third takes its bias from the graph. */
static void sharing(void **state)
{
    (void)state;
    struct made *t = begin();
    struct done d;
    input(t, "x", 4, 2);
    t->in[t->m.n_in++] = (struct vd_onnx_value){.name = "late", .type = VD_F32, .rank = 1, .dim = {4}};
    output(t, "p", 4, 4);
    output(t, "q", 4, 4);
    output(t, "r", 4, 4);
    tensor(t, "w", VD_F32, ramp, 4, 4, 2, 2, 2);
    tensor(t, "b", VD_F32, ramp + 32, 1, 4, 0, 0, 0);
    tensor(t, "never", VD_F32, ramp, 1, 3, 0, 0, 0);
    op(t, "Conv", "c1", "x", "w", "b", "p");
    op(t, "Conv", "c2", "x", "w", "b", "q");
    op(t, "Conv", "", "x", "w", "late", "r");
    quantize(t, &u8, &d);
    assert_int_equal(count_ops(&d.m, "DynamicQuantizeLinear"), 1);
    assert_int_equal(count_ops(&d.m, "ConvInteger"), 3);
    check_node(&d.m, 5, "Add '': p_mul p_bias_reshape_output -> p");
    check_node(&d.m, 6, "ConvInteger 'c2_quant': x_quantized w_quantized x_zero_point weight_zero_point -> q_sum");
    check_node(&d.m, 10, "Add '': q_mul q_bias_reshape_output -> q");
    check_node(&d.m, 11, "ConvInteger '': x_quantized w_quantized x_zero_point weight_zero_point -> r_sum");
    check_node(&d.m, 15, "Reshape '': late r_bias_reshape_shape -> r_bias_reshape_output");
    check_node(&d.m, 16, "Add '': r_mul r_bias_reshape_output -> r");
    assert_null(vd_onnx_init(&d.m, "b"));
    assert_non_null(vd_onnx_init(&d.m, "never")); /* nobody used it before: not for the quantiser to judge */
    int64_t shape[4];
    memcpy(shape, init(&d.m, "r_bias_reshape_shape", VD_S64, 1)->data, sizeof shape);
    assert_true(shape[0] == 1 && shape[1] == -1 && shape[2] == 1 && shape[3] == 1);
    assert_string_equal(d.rep.layer[2].node, "r");
    finish(t, &d);
}

/* Initialisers with another use stay: w is a graph output, b is added elsewhere. Names that are taken are not taken again. */
static void other_uses(void **state)
{
    (void)state;
    struct made *t = one_conv();
    struct done d;
    t->m.out[t->m.n_out++] = (struct vd_onnx_value){.name = "w", .type = VD_F32, .rank = 4, .dim = {4, 2, 2, 2}};
    t->m.out[t->m.n_out++] = (struct vd_onnx_value){.name = "x_scale", .type = VD_F32, .rank = 1, .dim = {4}};
    tensor(t, "weight_zero_point", VD_F32, ramp, 1, 4, 0, 0, 0);
    tensor(t, "x_scale_1", VD_F32, ramp, 1, 4, 0, 0, 0);
    op(t, "Add", "", "b", "weight_zero_point", NULL, "y_sum");
    op(t, "Add", "", "y_sum", "x_scale_1", NULL, "x_scale");
    quantize(t, &u8, &d);
    check_node(&d.m, 0, "DynamicQuantizeLinear '': x -> x_quantized x_scale_2 x_zero_point");
    check_node(&d.m, 1, "ConvInteger 'c_quant': x_quantized w_quantized x_zero_point weight_zero_point_1 -> y_sum_1");
    check_node(&d.m, 5, "Add '': y_mul y_bias_reshape_output -> y");
    assert_int_equal(init(&d.m, "w", VD_F32, 4)->count, 32);
    assert_int_equal(init(&d.m, "b", VD_F32, 1)->count, 4);
    finish(t, &d);
}

/* Weights from Constant nodes; the node whose tensor nobody needs any more goes, the other stays. */
static void constant_nodes(void **state)
{
    (void)state;
    struct made *t = begin();
    struct done d;
    static const struct vd_onnx_tensor w = {.name = "", .type = VD_F32, .rank = 4, .dim = {1, 2, 2, 2}, .count = 8, .data = (const uint8_t *)ramp, .size = 32};
    static const struct vd_onnx_tensor v = {.name = "", .type = VD_F32, .rank = 4, .dim = {1, 2, 2, 2}, .count = 8, .data = (const uint8_t *)(ramp + 48), .size = 32};
    input(t, "x", 4, 2);
    output(t, "y", 4, 1);
    output(t, "z", 4, 1);
    t->m.out[t->m.n_out++] = (struct vd_onnx_value){.name = "w", .type = VD_F32, .rank = 4, .dim = {1, 2, 2, 2}};
    for (int i = 0; i < 2; i++) {
        struct vd_onnx_node *n = op(t, "Constant", "", NULL, NULL, NULL, i ? "v" : "w");
        n->n_attr = 1;
        t->attr[i][0] = (struct vd_onnx_attr){.name = "value", .type = VD_ATTR_TENSOR, .v.t = i ? &v : &w};
    }
    op(t, "Conv", "c", "x", "w", NULL, "y");
    op(t, "Conv", "d", "x", "v", NULL, "z");
    quantize(t, &u8, &d);
    assert_int_equal(count_ops(&d.m, "Constant"), 1);
    check_node(&d.m, 0, "Constant '': -> w");
    check_node(&d.m, 5, "Mul '': y_float y_scales -> y");
    assert_int_equal(init(&d.m, "w_quantized", VD_U8, 4)->data[3], 255);
    assert_int_equal(init(&d.m, "v_quantized", VD_U8, 4)->data[3], 1); /* -3.5 is the largest there */
    finish(t, &d);
}

/* --- MatMul and Gemm */

static void matmul(void **state)
{
    (void)state;
    struct made *t = one_gemm(NULL);
    struct done d;
    t->node[0].op_type = "MatMul";
    quantize(t, &u8, &d);
    assert_int_equal(d.m.n_node, 5);
    check_node(&d.m, 1, "MatMulInteger 'fc_quant': x_quantized w_quantized x_zero_point weight_zero_point -> y_sum");
    check_node(&d.m, 4, "Mul '': y_float y_scales -> y");
    const struct vd_onnx_tensor *s = init(&d.m, "w_scale", VD_F32, 1), *q = init(&d.m, "w_quantized", VD_U8, 2);
    assert_int_equal(s->dim[0], 3);
    for (size_t c = 0; c < 3; c++) { /* columns */
        float absmax = 0;
        for (size_t i = 0; i < 4; i++)
            absmax = fmaxf(absmax, fabsf(ramp[3 * i + c]));
        assert_true(vd_onnx_f32(s, c) == (float)((double)absmax / 127));
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(q->data[3 * i + c], (int)rintf(ramp[3 * i + c] / vd_onnx_f32(s, c)) + 128);
    }
    assert_int_equal(d.rep.matmul, 1);
    finish(t, &d);
}

static void gemm(void **state)
{
    (void)state;
    struct made *t = one_gemm("b");
    struct done d;
    quantize(t, &u8, &d);
    check_node(&d.m, 1, "MatMulInteger 'fc_MatMul_quant': x_quantized w_quantized x_zero_point weight_zero_point -> y_MatMul_sum");
    check_node(&d.m, 4, "Mul '': y_MatMul_float y_MatMul_scales -> y_MatMul");
    check_node(&d.m, 5, "Add '': y_MatMul b -> y");
    assert_int_equal(d.rep.gemm, 1);
    finish(t, &d);

    t = one_gemm("b"); /* [3,4], which the product reads transposed; alpha and beta double and halve */
    t->init[0].dim[0] = 3, t->init[0].dim[1] = 4;
    attr_i(t, &t->node[0], "transB", 1);
    attr_f(t, &t->node[0], "alpha", 2);
    attr_f(t, &t->node[0], "beta", 0.5f);
    quantize(t, &u8, &d);
    check_node(&d.m, 1, "MatMulInteger 'fc_MatMul_quant': x_quantized w_Transposed_alpha_quantized x_zero_point weight_zero_point -> y_MatMul_sum");
    check_node(&d.m, 5, "Add '': y_MatMul b_beta -> y");
    const struct vd_onnx_tensor *q = init(&d.m, "w_Transposed_alpha_quantized", VD_U8, 2), *s = init(&d.m, "w_Transposed_alpha_scale", VD_F32, 1);
    const struct vd_onnx_tensor *b = init(&d.m, "b_beta", VD_F32, 1);
    assert_true(q->dim[0] == 4 && q->dim[1] == 3 && s->dim[0] == 3);
    for (size_t r = 0; r < 4; r++)
        for (size_t c = 0; c < 3; c++)
            assert_int_equal(q->data[3 * r + c], (int)rintf(2 * ramp[4 * c + r] / vd_onnx_f32(s, c)) + 128);
    for (size_t i = 0; i < 3; i++)
        assert_true(vd_onnx_f32(b, i) == ramp[40 + i] / 2);
    assert_null(vd_onnx_init(&d.m, "w"));
    assert_null(vd_onnx_init(&d.m, "b"));
    finish(t, &d);

    t = one_gemm("b"); /* beta 0: C counts for nothing */
    attr_f(t, &t->node[0], "beta", 0);
    quantize(t, &u8, &d);
    assert_int_equal(d.m.n_node, 5);
    assert_null(vd_onnx_init(&d.m, "b"));
    finish(t, &d);
}

/* Beside a Gemm that can be, one that cannot. */
static void stays_in_fp32(void **state)
{
    (void)state;
    static const uint16_t halves[12] = {0x3c00};
    for (int k = 0; k < 5; k++) {
        struct made *t = one_gemm("b");
        struct done d;
        t->m.out[t->m.n_out++] = (struct vd_onnx_value){.name = "z", .type = VD_F32, .rank = 2, .dim = {-1, -1}};
        tensor(t, "w2", VD_F32, ramp, 2, 4, 4, 0, 0);
        struct vd_onnx_node *n = op(t, "Gemm", "second", "x", "w2", NULL, "z");
        const char *why = NULL;
        switch (k) {
        case 0: attr_i(t, n, "transA", 1); why = "transA is set"; break;
        case 1: attr_f(t, n, "alpha", 0.1f); why = "alpha does not multiply its weights exactly"; break;
        case 2:
            n->in[2] = "b", n->n_in = 3;
            attr_f(t, n, "beta", 1e-45f);
            why = "beta does not multiply C exactly";
            break;
        case 3: n->in[1] = "x"; n->op_type = "MatMul"; why = "its weights are not constant"; break;
        case 4:
            t->init[2] = (struct vd_onnx_tensor){.name = "w2", .type = VD_F16, .rank = 2, .dim = {4, 3}, .count = 12, .size = 24, .data = (const uint8_t *)halves};
            why = "its weights are float16";
            break;
        }
        assert_int_equal(vd_quantize_dynamic(&t->m, &u8, &d.m, &d.rep), 0);
        assert_int_equal(d.rep.gemm, 1);
        assert_int_equal(d.rep.skipped, 1);
        assert_string_equal(d.rep.layer[1].node, "second");
        assert_string_equal(d.rep.layer[1].why_fp32, why);
        assert_ptr_equal(d.m.node[d.m.n_node - 1].in, n->in); /* untouched */
        vd_onnx_free(&d.m);
        free(t);
    }
}

/* --- numbers at the edges */

static void edge_numbers(void **state)
{
    (void)state;
    const float w[5][4] = {{0, 0, 0, 0}, {1e-40f, -2e-40f, 0, 0}, {FLT_MAX, -FLT_MAX, 1, 0}, {127, 0.5f, 1.5f, -2.5f}, {FLT_MIN * 127, FLT_MIN, 0, 0}};
    static const int want[5][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {127, -127, 0, 0}, {127, 0, 2, -2}, {127, 1, 0, 0}};
    const float scale[5] = {1, 1, (float)((double)FLT_MAX / 127), 1, FLT_MIN};
    uint8_t q[20];
    float s[5];
    double sqnr;
    vd_weights_quantize(&w[0][0], 20, 5, true, VD_S8, q, s, &sqnr);
    for (int c = 0; c < 5; c++) {
        assert_true(s[c] == scale[c]);
        for (int i = 0; i < 4; i++)
            assert_int_equal((int8_t)q[4 * c + i], want[c][i]);
    }
    const float exact[4] = {127, -1, 0, 64};
    vd_weights_quantize(exact, 4, 1, true, VD_U8, q, s, &sqnr);
    assert_true(isinf(sqnr) && sqnr > 0);
    vd_weights_quantize(w[0], 4, 2, false, VD_U8, q, s, &sqnr);
    assert_true(isinf(sqnr));
}

/* What comes back is within half a step, whatever the weights. */
static void half_a_step(void **state)
{
    (void)state;
    static float w[997 * 6];
    static uint8_t q[997 * 6];
    float s[6];
    double sqnr;
    struct vd_rng rng;
    vd_rng_seed(&rng, 5);
    for (int i = 0; i < 997 * 6; i++)
        w[i] = ldexpf(vd_rng_f32(&rng) - 0.5f, (int)(vd_rng_u32(&rng) % 40) - 20);
    for (int outer = 0; outer < 2; outer++) {
        vd_weights_quantize(w, 997 * 6, 6, outer, VD_U8, q, s, &sqnr);
        for (size_t i = 0; i < 997 * 6; i++) {
            const double scale = (double)s[outer ? i / 997 : i % 6];
            assert_in_range(q[i], 1, 255);
            assert_true(fabs((double)w[i] - (q[i] - 128) * scale) <= 0.5000001 * scale);
        }
    }
}

/* --- the whole model */

static void meta(void **state)
{
    (void)state;
    struct made *t = one_conv();
    struct vd_onnx_kv old[] = {{"author", "somebody"}, {"vmaf_dnn.quant", "by another"}};
    struct vd_quant_opts o = u8;
    struct done d;
    t->m.meta = old, t->m.n_meta = 2;
    o.source_sha256 = "0123";
    quantize(t, &o, &d);
    assert_int_equal(d.m.n_meta, 4);
    static const char *const want[4][2] = {{"author", "somebody"}, {"vmaf_dnn.quant", "dynamic"}, {"vmaf_dnn.version", VMAF_DNN_VERSION},
                                           {"vmaf_dnn.source_sha256", "0123"}};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(d.m.meta[i].key, want[i][0]);
        assert_string_equal(d.m.meta[i].value, want[i][1]);
    }
    assert_string_equal(d.m.producer_name, "hand");
    assert_int_equal(d.m.ir_version, 8);
    finish(t, &d);
    t = one_conv();
    quantize(t, &u8, &d); /* no digest given */
    assert_int_equal(d.m.n_meta, 2);
    finish(t, &d);
}

static uint8_t *tree_file(const char *name, size_t *size)
{
    char path[4096];
    uint8_t *data;
    const char *root = getenv("VMAF_DNN_SOURCE");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(vd_file_read(path, VD_MAX_MODEL, &data, size), 0);
    return data;
}

/* A dynamic file in the tree is what these sources make. */
static void made_again(const char *fp32_name, const char *int8_name, size_t times)
{
    size_t n, n8;
    char sha[65];
    uint8_t *fp32 = tree_file(fp32_name, &n), *int8 = tree_file(int8_name, &n8);
    assert_in_range(n8, 1, n / times);
    vd_sha256_hex(fp32, n, sha);
    for (int i = 0; i < 2; i++) {
        struct vd_onnx_model in, out;
        struct vd_quant_report rep;
        struct vd_buf b = {0};
        const struct vd_quant_opts o = {.weight_type = VD_U8, .source_sha256 = sha};
        assert_int_equal(vd_onnx_read(&in, fp32, n), 0);
        assert_int_equal(vd_quantize_dynamic(&in, &o, &out, &rep), 0);
        assert_int_equal(rep.conv, 10);
        assert_int_equal(vd_onnx_write(&out, &b), 0);
        assert_int_equal(b.size, n8);
        assert_memory_equal(b.data, int8, n8);
        vd_free(b.data);
        vd_onnx_free(&out);
        vd_onnx_free(&in);
    }
    vd_free(fp32);
    vd_free(int8);
}

static void files_in_the_tree(void **state)
{
    (void)state;
    made_again("tests/data/dynamic/learned_filter_v1.onnx", "tests/data/dynamic/learned_filter_v1.int8.onnx", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_pattern), cmocka_unit_test(options), cmocka_unit_test(sharing), cmocka_unit_test(other_uses),
        cmocka_unit_test(constant_nodes), cmocka_unit_test(matmul), cmocka_unit_test(gemm), cmocka_unit_test(stays_in_fp32),
        cmocka_unit_test(edge_numbers), cmocka_unit_test(half_a_step), cmocka_unit_test(meta),
        cmocka_unit_test(files_in_the_tree),
    };
    return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
