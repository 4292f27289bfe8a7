/* SPDX-License-Identifier: BSD-2-Clause */
/* What the dynamic quantiser refuses, by name, and that it leaves nothing behind when memory ends. */
#include "quant_build.h"

static void refused(struct made *t, int err, const char *reason)
{
    struct vd_onnx_model m;
    struct vd_quant_report rep;
    assert_int_equal(vd_quantize_dynamic(&t->m, &u8, &m, &rep), -err);
    if (!strstr(vd_reason(), reason))
        fail_msg("'%s' is not in '%s'", reason, vd_reason());
    assert_int_equal(m.n_node, 0);
    assert_null(m.arena.blocks);
    assert_null(rep.layer);
    free(t);
}

static void refusals(void **state)
{
    (void)state;
    static float bad[32];
    struct made *t = one_conv();
    t->node[0].op_type = "Relu";
    t->node[0].n_in = 1;
    refused(t, ENOTSUP, "nothing to quantise: no Conv, MatMul or Gemm");

    t = one_conv();
    t->m.opset = 10;
    refused(t, ENOTSUP, "opset is 10, and DynamicQuantizeLinear came with opset 11: export it again with opset 11 or later");

    static const char *const integer[] = {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QuantizeLinear", "DequantizeLinear", "QLinearConv",
                                          "QLinearMatMul", "com.microsoft:QLinearAdd"};
    for (size_t i = 0; i < sizeof integer / sizeof *integer; i++) {
        t = one_conv();
        op(t, integer[i], "n", "y", NULL, NULL, "z");
        refused(t, ENOTSUP, "already quantised: node n is");
    }

    t = one_gemm("b");
    attr_i(t, &t->node[0], "transA", 1);
    refused(t, ENOTSUP, "node fc (Gemm) stays in fp32 because transA is set");

    const float worst[3] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        memcpy(bad, ramp, sizeof bad);
        bad[31] = worst[i];
        t = one_conv();
        t->init[0].data = (const uint8_t *)bad;
        refused(t, EBADMSG, "node c (Conv): weights w are not all finite");
    }

    t = one_conv();
    t->init[0].dim[0] = 0, t->init[0].count = 0, t->init[0].size = 0;
    refused(t, EBADMSG, "weights w have no elements");
    t = one_conv();
    t->init[0].rank = 2, t->init[0].dim[1] = 8;
    refused(t, EBADMSG, "its weights need at least 3 dimensions");
    t = one_conv();
    t->init[1].dim[0] = 3, t->init[1].count = 3, t->init[1].size = 12;
    refused(t, EBADMSG, "bias b is float32 of rank 1 with 3 elements, but there are 4 output channels");
    t = one_conv();
    t->node[0].n_in = 1;
    refused(t, EBADMSG, "it must have 2 or 3 inputs and 1 output");
    t = one_conv();
    t->node[0].n_out = 0;
    refused(t, EBADMSG, "it must have 2 or 3 inputs and 1 output");
    t = one_gemm("b");
    t->init[0].rank = 1, t->init[0].dim[0] = 12;
    refused(t, EBADMSG, "its weights need 2 dimensions");
}

/* Every allocation fails once: -ENOMEM, an empty result, and no leak (the sanitizers look). */
static void no_memory(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++)
        for (size_t at = 1;; at++) {
            struct made *t = k == 2 ? one_gemm("b") : one_conv();
            struct vd_onnx_model m;
            struct vd_quant_report rep;
            if (k == 1) {
                t->in[t->m.n_in++] = (struct vd_onnx_value){.name = "late", .type = VD_F32, .rank = 1, .dim = {4}};
                t->node[0].in[2] = "late";
            } else if (k == 2) {
                attr_f(t, &t->node[0], "alpha", 4);
                attr_f(t, &t->node[0], "beta", 4);
            }
            vd_mem_fail_at(at, 0);
            const int rc = vd_quantize_dynamic(&t->m, &u8, &m, &rep);
            vd_mem_fail_at(0, 0);
            if (rc) {
                assert_int_equal(rc, -ENOMEM);
                assert_null(m.arena.blocks);
                assert_int_equal(m.n_node + m.n_init + rep.n_layer, 0);
            } else {
                assert_true(at > 1);
                vd_onnx_free(&m);
            }
            free(t);
            if (!rc)
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("quant_refused", tests, NULL, NULL);
}
