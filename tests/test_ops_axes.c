/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* Operators along axes and at named places: examples, what is not a number, places out of range, refusals. Random cases are held
 * against ONNX Runtime in tests/oracle/test_axes_ort.py. */
static struct vd_workers *four;

static void near(const struct vd_tensor *t, const double *want, size_t n)
{
    assert_int_equal(t->type, VD_F32);
    assert_int_equal(vd_tensor_count(t), n);
    for (size_t i = 0; i < n; i++) {
        const double got = (double)((const float *)t->data)[i];
        if (isnan(want[i]) ? !isnan(got) : !(got == want[i] || fabs(got - want[i]) <= 1.5 * 0x1p-24 * fabs(want[i]) + 1e-45))
            fail_msg("element %zu is %.9g, not %.9g", i, got, want[i]);
    }
}

static void softmaxes(void **state)
{
    (void)state;
    const double e = 2.718281828459045, sum = 1 + e + e * e;
    for (int across = 0; across < 2; across++) {
        struct trial *t = trial_new("Softmax", 13); /* ONNX's example, as a row and as a column */
        trial_in(t, VD_F32, DIMS(across ? 3 : 1, across ? 1 : 3, across ? 1 : 1), (float[]){-1, 0, 1});
        set_int(t, "axis", across ? 0 : 1);
        trial_run(t, four);
        near(&t->out[0], (double[]){1 / sum, e / sum, e * e / sum}, 3);
        trial_free(t);
    }
    struct trial *t = trial_new("Softmax", 11); /* before opset 13 all dims from the axis on are one; the axis is 1 */
    trial_in(t, VD_F32, DIMS(2, 2, 2), (float[]){0, 0, 0, 0, 5, 5, 5, 5});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f}, 8);
    trial_free(t);
    t = trial_new("Softmax", 13); /* and from then on it is the last */
    trial_in(t, VD_F32, DIMS(2, 2, 2), (float[]){0, 0, 0, 0, 5, 5, 5, 5});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f}, 8);
    trial_free(t);
    static const struct { float x[3]; double soft[3], log[3]; } all[] = {
        {{1e30f, 0, -1e30f}, {1, 0, 0}, {0, -1e30, -2e30}}, {{-INFINITY, 0, 0}, {0, 0.5, 0.5}, {-(double)INFINITY, -0.6931471805599453, -0.6931471805599453}},
        {{NAN, 0, 0}, {NAN, NAN, NAN}, {NAN, NAN, NAN}}, {{0, 0, NAN}, {NAN, NAN, NAN}, {NAN, NAN, NAN}},
        {{INFINITY, 0, 0}, {NAN, NAN, NAN}, {NAN, NAN, NAN}}, {{-INFINITY, -INFINITY, -INFINITY}, {NAN, NAN, NAN}, {NAN, NAN, NAN}},
        {{-80, 0, 0}, {9.0242569e-36, 0.5, 0.5}, {-80.6931471805599453, -0.6931471805599453, -0.6931471805599453}},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        for (int way = 0; way < 4; way++) {
            float x[6]; /* a row of three, or two columns of three */
            double want[6];
            const int across = way & 1, logs = way >> 1;
            for (int k = 0; k < 6; k++) {
                x[k] = all[i].x[across ? k / 2 : k % 3];
                want[k] = logs ? all[i].log[across ? k / 2 : k % 3] : all[i].soft[across ? k / 2 : k % 3];
                if (i == 6 && !logs && want[k] < 1e-30)
                    want[k] = (double)(float)(exp(-80) / 2);
            }
            t = trial_new(logs ? "LogSoftmax" : "Softmax", 13);
            trial_in(t, VD_F32, DIMS(across ? 3 : 2, across ? 2 : 3), x);
            set_int(t, "axis", across ? 0 : 1);
            trial_run(t, NULL);
            near(&t->out[0], want, 6);
            trial_free(t);
        }
    t = trial_new("Hardmax", 13); /* the first of equals */
    trial_in(t, VD_F32, DIMS(2, 3), (float[]){1, 3, 3, 2, 1, 2});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){0, 1, 0, 1, 0, 0}, 6);
    trial_free(t);
    t = trial_new("Softmax", 11);
    trial_in(t, VD_F32, DIMS(3), NULL);
    trial_refuses(t, EBADMSG, "axis 1 is outside a tensor of rank 1");
    t = trial_new("LpNormalization", 11); /* a line of zeros stays one */
    trial_in(t, VD_F32, DIMS(2, 2), (float[]){0, 0, 3, 4});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){0, 0, 0.6f, 0.8f}, 4);
    trial_free(t);
    t = trial_new("LpNormalization", 11);
    trial_in(t, VD_F32, DIMS(2, 2), NULL);
    set_int(t, "p", 3);
    trial_refuses(t, EBADMSG, "attribute p is 3; it must be 1 or 2");
}

static void args(void **state)
{
    (void)state;
    static const float x[] = {2, 1, 3, 10, 3, 10};
    static const struct { const char *op; int64_t axis, last; int64_t want[3]; } all[] = {
        {"ArgMax", 1, 0, {2, 0}}, {"ArgMax", -1, 1, {2, 2}}, {"ArgMax", 0, 0, {1, 1, 1}}, {"ArgMin", 1, 0, {1, 1}}, {"ArgMin", 0, 1, {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct trial *t = trial_new(all[i].op, 13);
        trial_in(t, VD_F32, DIMS(2, 3), x);
        set_int(t, "axis", all[i].axis);
        set_int(t, "select_last_index", all[i].last);
        set_int(t, "keepdims", 0);
        trial_run(t, four);
        const int64_t n = all[i].axis == 0 ? 3 : 2;
        check_shape(&t->out[0], VD_S64, 1, &n);
        check_data(&t->out[0], all[i].want, (size_t)n * 8);
        trial_free(t);
    }
    struct trial *t = trial_new("ArgMin", 13);
    trial_in(t, VD_F32, DIMS(2, 0), NULL);
    set_int(t, "axis", 1);
    trial_refuses(t, ERANGE, "dim 1 of input 0 is 0");
}

static void normalisations(void **state)
{
    (void)state;
    struct trial *t = trial_new("LayerNormalization", 17); /* with a scale that is broadcast, and mean and deviation */
    trial_in(t, VD_F32, DIMS(2, 2, 2), (float[]){1, 3, 5, 7, -1, -1, 1, 1});
    trial_in(t, VD_F32, DIMS(2, 1), (float[]){1, 2});
    trial_in(t, VD_F32, SCALAR, (float[]){10});
    set_int(t, "axis", 1);
    set_float(t, "epsilon", 0);
    trial_outputs(t, 3);
    trial_run(t, four);
    const double r = 1 / sqrt(5);
    double want[] = {-3 * r, -r, 2 * r, 6 * r, -1, -1, 2, 2};
    for (int i = 0; i < 8; i++)
        assert_true(fabs((double)((float *)t->out[0].data)[i] - (want[i] + 10)) < 2e-6);
    check_shape(&t->out[1], VD_F32, DIMS(2, 1, 1));
    check_floats(&t->out[1], (float[]){4, 0}, 2);
    near(&t->out[2], (double[]){r, 1}, 2);
    trial_free(t);

    t = trial_new("InstanceNormalization", 11); /* of a frame's size: sums in float64 */
    enum { N = 1 << 20 };
    float *x = vd_calloc(N, sizeof(*x));
    assert_non_null(x);
    for (int i = 0; i < N; i++)
        x[i] = 1e6f + (float)(i % 2);
    trial_in(t, VD_F32, DIMS(1, 1, N), x);
    trial_in(t, VD_F32, DIMS(1), (float[]){0.5f});
    trial_in(t, VD_F32, DIMS(1), (float[]){1});
    set_float(t, "epsilon", 0);
    trial_run(t, four);
    for (int i = 0; i < N; i++)
        assert_true(((float *)t->out[0].data)[i] == (i % 2 ? 1.5f : 0.5f));
    vd_free(x);
    trial_free(t);

    static const struct { const char *op; int opset, rank, scale; const char *text; int err; int64_t groups; } wrong[] = {
        {"InstanceNormalization", 11, 2, 4, "rank 2", EBADMSG, 0}, {"InstanceNormalization", 11, 3, 3, "input 1 (scale) must be a list of 4", ERANGE, 0},
        {"GroupNormalization", 18, 3, 4, "must be a list of 2 values, one for each group", ERANGE, 2},
        {"GroupNormalization", 21, 3, 2, "must be a list of 4 values, one for each channel", ERANGE, 2},
        {"GroupNormalization", 21, 3, 4, "num_groups is 3", EBADMSG, 3}, {"GroupNormalization", 21, 3, 4, "num_groups is 0", EBADMSG, 0},
        {"LayerNormalization", 17, 3, 4, "input 1 (scale) cannot be broadcast", ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        const int64_t n = wrong[i].scale;
        t = trial_new(wrong[i].op, wrong[i].opset);
        trial_in(t, VD_F32, wrong[i].rank, (int64_t[]){2, 4, 3}, NULL);
        trial_in(t, VD_F32, 1, &n, NULL);
        trial_in(t, VD_F32, 1, &n, NULL);
        if (!strcmp(wrong[i].op, "GroupNormalization"))
            set_int(t, "num_groups", wrong[i].groups);
        trial_refuses(t, wrong[i].err, wrong[i].text);
    }
    t = trial_new("LayerNormalization", 17);
    trial_in(t, VD_F32, DIMS(2, 4), NULL);
    trial_in(t, VD_F32, DIMS(4), NULL);
    set_int(t, "stash_type", VD_F64);
    trial_refuses(t, EPERM, "attribute stash_type is 11");
    t = trial_new("MeanVarianceNormalization", 13);
    trial_in(t, VD_F32, DIMS(2, 4, 3), NULL);
    trial_refuses(t, EBADMSG, "axis 3 is outside a tensor of rank 3");
    t = trial_new("LRN", 13);
    trial_in(t, VD_F32, DIMS(2, 4, 3), NULL);
    set_int(t, "size", 0);
    trial_refuses(t, EBADMSG, "attribute size is 0");
}

/* Indices that are only known when it runs: out of range they read zeros and write nothing. */
static void places(void **state)
{
    (void)state;
    const int64_t index[] = {1, -2, 7, -9}, updates[] = {5, 6, 7, 8}, there[] = {10, 20, 30};
    static const struct { const char *op; int rank; int64_t dim[2], out[4]; int n; } all[] = {
        {"GatherElements", 1, {4}, {20, 20, 0, 0}, 4}, {"GatherND", 2, {4, 1}, {20, 20, 0, 0}, 4},
        {"ScatterElements", 1, {4}, {10, 6, 30}, 3}, {"ScatterND", 2, {4, 1}, {10, 6, 30}, 3},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        for (int known = 0; known < 2; known++) {
            const bool scatter = all[i].op[0] == 'S';
            struct trial *t = trial_new(all[i].op, 18);
            trial_in(t, VD_S64, DIMS(3), there);
            trial_in(t, VD_S64, all[i].rank, all[i].dim, known ? index : NULL);
            if (scatter)
                trial_in(t, VD_S64, DIMS(4), updates);
            if (known) {
                trial_refuses(t, ERANGE, "input 1 (indices) has 7, which is outside dim 0 of size 3");
                continue;
            }
            assert_int_equal(trial_infer(t), 0);
            t->in[1].data = (void *)(uintptr_t)index;
            t->out[0].data = vd_malloc(32);
            assert_non_null(t->out[0].data);
            t->op->run(&t->call);
            check_data(&t->out[0], all[i].out, (size_t)all[i].n * 8);
            trial_free(t);
        }
    struct trial *t = trial_new("ScatterElements", 18); /* one place three times */
    trial_in(t, VD_F32, DIMS(2), (float[]){1, 2});
    trial_in(t, VD_S32, DIMS(2), (int32_t[]){0, 0});
    trial_in(t, VD_F32, DIMS(2), (float[]){NAN, 5});
    set_str(t, "reduction", "max");
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){NAN, 2}, 2);
    trial_free(t);
    t = trial_new("ScatterND", 16);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_in(t, VD_S64, DIMS(1, 1), NULL);
    trial_in(t, VD_F32, DIMS(1), NULL);
    set_str(t, "reduction", "max");
    trial_refuses(t, EBADMSG, "attribute reduction is 'max'");
    t = trial_new("ScatterND", 16);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(1, 1), NULL);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    trial_refuses(t, ERANGE, "input 2 (updates)");
    t = trial_new("GatherND", 13);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(1, 3), NULL);
    trial_refuses(t, ERANGE, "the last dim of input 1 (indices) is 3; it must be in 1..2");
    t = trial_new("GatherND", 13);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(1, 1), NULL);
    set_int(t, "batch_dims", 1);
    trial_refuses(t, ERANGE, "dim 0 is 2 in input 0 and 1 in input 1");
    t = trial_new("GatherElements", 13);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(3, 1), NULL);
    set_int(t, "axis", 1);
    trial_refuses(t, ERANGE, "dim 0 of input 1 (indices) is 3 and that of input 0 only 2");
    t = trial_new("ReverseSequence", 10);
    trial_in(t, VD_F32, DIMS(4, 2), (float[]){0, 1, 2, 3, 4, 5, 6, 7});
    trial_in(t, VD_S64, DIMS(2), (int64_t[]){3, 1});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){4, 1, 2, 3, 0, 5, 6, 7}, 8);
    trial_free(t);
    t = trial_new("ReverseSequence", 10);
    trial_in(t, VD_F32, DIMS(4, 2), NULL);
    trial_in(t, VD_S64, DIMS(2), (int64_t[]){3, 5});
    trial_refuses(t, ERANGE, "input 1 (sequence_lens) has 5; dim 0 is 4");
}

static int start(void **state)
{
    (void)state;
    return vd_workers_create(4, &four);
}

static int stop(void **state)
{
    (void)state;
    vd_workers_free(four);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmaxes), cmocka_unit_test(args), cmocka_unit_test(normalisations), cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
