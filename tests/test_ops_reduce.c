/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_random.h"

/* Reductions and normalisations: random axes against the long way, ONNX's example, and corners: nothing, NaN, infinities, the ends of integers. */

/* Sums over random axes, against the long way in float64; the same bits whatever the threads. */
static void reductions(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 1000 + (uint64_t)round);
        int64_t dim[8], axes[8], keep[8];
        const int rank = random_shape(&r, 1, 6, dim), mean = below(&r, 2), ints = below(&r, 3) == 0;
        int n = 0;
        for (int d = 0; d < rank; d++) {
            const bool gone = below(&r, 2);
            keep[d] = gone ? 1 : dim[d];
            if (gone)
                axes[n++] = below(&r, 2) ? d : d - rank;
        }
        if (!n)
            memset(keep, 0, sizeof(keep));
        for (int d = 0; !n && d < rank; d++)
            keep[d] = 1;
        const size_t count = count_of(rank, dim), outs = count_of(rank, keep);
        float *x = floats(&r, count);
        int32_t *v = vd_calloc(count, sizeof(*v));
        double *sum = vd_calloc(outs, sizeof(*sum));
        assert_true(v && sum);
        struct vd_tensor full = {.rank = rank};
        memcpy(full.dim, dim, sizeof(dim));
        for (size_t i = 0; i < count; i++) {
            v[i] = (int32_t)(x[i] * 1000);
            sum[broadcast_index(&full, i, rank, keep)] += ints ? v[i] : (double)x[i];
        }
        void *first = NULL;
        for (int threaded = 0; threaded < 2; threaded++) {
            struct trial *t = trial_new(mean ? "ReduceMean" : "ReduceSum", 18);
            const int64_t n_axes = n;
            trial_in(t, ints ? VD_S32 : VD_F32, rank, dim, ints ? (void *)v : x);
            if (n)
                trial_in(t, VD_S64, 1, &n_axes, axes);
            trial_run(t, threaded ? four : NULL);
            check_shape(&t->out[0], ints ? VD_S32 : VD_F32, rank, keep);
            for (size_t i = 0; i < outs; i++) {
                const double part = mean ? (double)(count / outs) : 1, want = sum[i] / part;
                if (ints ? ((int32_t *)t->out[0].data)[i] != (int32_t)want
                         : fabs((double)((float *)t->out[0].data)[i] - want) > fabs(want) * 0x1p-23 + 1e-12 * (double)(count / outs))
                    fail_msg("round %d of seed %" PRIu64 ": element %zu", round, seed, i);
            }
            if (!threaded) {
                first = t->out[0].data;
                t->out[0].data = NULL;
            } else
                check_data(&t->out[0], first, vd_tensor_bytes(&t->out[0]));
            trial_free(t);
        }
        vd_free(first);
        vd_free(x);
        vd_free(v);
        vd_free(sum);
    }
    const float some[] = {1, 2, 3};
    struct trial *t = trial_new("ReduceSum", 13); /* no axes and nothing to be done */
    trial_in(t, VD_F32, DIMS(3), some);
    trial_in(t, VD_S64, DIMS(0), NULL);
    set_int(t, "noop_with_empty_axes", 1);
    trial_run(t, NULL);
    check_floats(&t->out[0], some, 3);
    trial_free(t);
    for (int mean = 0; mean < 2; mean++) { /* sums of nothing */
        t = trial_new(mean ? "ReduceMean" : "ReduceSum", 11);
        trial_in(t, VD_F32, DIMS(2, 0, 2), NULL);
        set_ints(t, "axes", 1, (const int64_t[]){1});
        set_int(t, "keepdims", 0);
        trial_run(t, NULL);
        check_shape(&t->out[0], VD_F32, DIMS(2, 2));
        check_floats(&t->out[0], (float[]){0, 0, 0, 0}, 4);
        trial_free(t);
    }
    t = trial_new("ReduceSum", 11);
    trial_in(t, VD_S32, DIMS(3), (int32_t[]){INT32_MAX, INT32_MAX, 4});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){2}, 4);
    trial_free(t);
    t = trial_new("ReduceMean", 11); /* exact, and cut towards zero */
    trial_in(t, VD_S32, DIMS(2, 3), (int32_t[]){INT32_MAX, INT32_MAX, 4, -1, -2, -4});
    set_ints(t, "axes", 1, (const int64_t[]){1});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){1431655766, -2}, 8);
    trial_free(t);
    /* 2^24 ones and a half: float32 sums would stop at 2^24 */
    enum { MANY = (1 << 24) + 2 };
    float *ones = vd_calloc(MANY, sizeof(*ones));
    assert_non_null(ones);
    for (size_t i = 0; i < MANY; i++)
        ones[i] = 1;
    t = trial_new("GlobalAveragePool", 17);
    trial_in(t, VD_F32, DIMS(1, 1, MANY), ones);
    trial_run(t, four);
    check_floats(&t->out[0], (float[]){1}, 1);
    trial_free(t);
    vd_free(ones);
}

static void of_nothing(void **state)
{
    (void)state;
    static const struct { const char *op; float want; } all[] = {
        {"ReduceSum", 0}, {"ReduceMean", 0}, {"ReduceL1", 0}, {"ReduceL2", 0}, {"ReduceSumSquare", 0}, {"ReduceProd", 1},
        {"ReduceMax", -INFINITY}, {"ReduceMin", INFINITY}, {"ReduceLogSum", -INFINITY}, {"ReduceLogSumExp", -INFINITY},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        for (int inner = 0; inner < 2; inner++) { /* the empty dim is the innermost, or it is not */
            struct trial *t = trial_new(all[i].op, 17 - 6 * !strcmp(all[i].op, "ReduceSum"));
            trial_in(t, VD_F32, DIMS(2, inner ? 1 : 0, inner ? 0 : 1), NULL);
            set_ints(t, "axes", 1, (const int64_t[]){1 + inner});
            set_int(t, "keepdims", 0);
            trial_run(t, four);
            check_shape(&t->out[0], VD_F32, DIMS(2, 1));
            check_floats(&t->out[0], (float[]){all[i].want, all[i].want}, 2);
            trial_free(t);
        }
}

/* Both ways of walking: along the reduced dim, and across it. */
static void not_finite(void **state)
{
    (void)state;
    static const struct { const char *op; float x[3], want; } all[] = {
        {"ReduceMax", {1, NAN, 3}, NAN}, {"ReduceMin", {NAN, 1, 3}, NAN}, {"ReduceMax", {-INFINITY, -3, -INFINITY}, -3},
        {"ReduceMin", {INFINITY, INFINITY, INFINITY}, INFINITY}, {"ReduceSum", {INFINITY, 1, -INFINITY}, NAN},
        {"ReduceProd", {0, INFINITY, 1}, NAN}, {"ReduceLogSum", {-1, -1, 1}, NAN}, {"ReduceLogSum", {-1, 0, 1}, -INFINITY},
        {"ReduceLogSumExp", {-INFINITY, -INFINITY, -INFINITY}, -INFINITY}, {"ReduceLogSumExp", {1, INFINITY, 2}, INFINITY},
        {"ReduceLogSumExp", {1, NAN, 2}, NAN}, {"ReduceLogSumExp", {-INFINITY, 5, -1000}, 5}, {"ReduceLogSumExp", {3e38f, 0, 0}, 3e38f},
        {"ReduceL2", {3e19f, 4e19f, 0}, 5e19f}, {"ReduceL2", {3e-30f, 4e-30f, 0}, 5e-30f},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        for (int across = 0; across < 2; across++) {
            float x[6], want[2] = {all[i].want, all[i].want};
            for (int k = 0; k < 6; k++)
                x[k] = all[i].x[across ? k / 2 : k % 3];
            struct trial *t = trial_new(all[i].op, 11);
            trial_in(t, VD_F32, DIMS(across ? 3 : 2, across ? 2 : 3), x);
            set_ints(t, "axes", 1, (const int64_t[]){across ? 0 : -1});
            trial_run(t, NULL);
            check_floats(&t->out[0], want, 2);
            trial_free(t);
        }
}

static void of_integers(void **state)
{
    (void)state;
    static const struct { const char *op; int32_t x[2], want; } all[] = {
        {"ReduceL1", {-7, 5}, 12}, {"ReduceL1", {INT32_MIN, 0}, INT32_MIN}, {"ReduceL2", {3, -4}, 5}, {"ReduceL2", {1, 1}, 1},
        {"ReduceSumSquare", {-3, 4}, 25}, {"ReduceSumSquare", {65536, 1}, 1}, {"ReduceProd", {65536, 65537}, 65536},
        {"ReduceMax", {INT32_MIN, -9}, -9}, {"ReduceMin", {INT32_MAX, 9}, 9}, {"ReduceLogSum", {20, 2}, 3}, {"ReduceLogSum", {-20, 2}, INT32_MIN},
        {"ReduceLogSumExp", {7, 7}, 7}, {"ReduceLogSumExp", {INT32_MAX, INT32_MAX}, INT32_MAX}, {"ReduceLogSumExp", {INT32_MIN, 2}, 2},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct trial *t = trial_new(all[i].op, 11);
        trial_in(t, VD_S32, DIMS(2), all[i].x);
        set_int(t, "keepdims", 0);
        trial_run(t, NULL);
        check_shape(&t->out[0], VD_S32, 0, NULL);
        if (*(int32_t *)t->out[0].data != all[i].want)
            fail_msg("%s of %d and %d is %d", all[i].op, all[i].x[0], all[i].x[1], *(int32_t *)t->out[0].data);
        trial_free(t);
    }
    const int64_t ends[] = {INT64_MAX, INT64_MAX};
    struct trial *t = trial_new("ReduceLogSumExp", 11);
    trial_in(t, VD_S64, DIMS(2), ends);
    trial_run(t, NULL);
    check_data(&t->out[0], ends, 8);
    trial_free(t);
    for (int min = 0; min < 2; min++) { /* any and all */
        t = trial_new(min ? "ReduceMin" : "ReduceMax", 20);
        trial_in(t, VD_BOOL, DIMS(3, 2), (uint8_t[]){0, 1, 0, 1, 0, 1});
        trial_in(t, VD_S64, DIMS(1), (int64_t[]){0});
        trial_run(t, NULL);
        check_data(&t->out[0], (uint8_t[]){0, 1}, 2);
        trial_free(t);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct trial *t = trial_new("ReduceMax", 11);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    set_ints(t, "axes", 1, (const int64_t[]){2});
    trial_refuses(t, EBADMSG, "axis 2 is outside a tensor of rank 2");
    t = trial_new("ReduceProd", 11);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    set_ints(t, "axes", 2, (const int64_t[]){1, -1});
    trial_refuses(t, EBADMSG, "axis -1 is given twice");
    t = trial_new("ReduceL2", 18);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(1), NULL);
    trial_refuses(t, ENOTSUP, "input 1 (axes) is computed at run time");
    t = trial_new("GlobalMaxPool", 11);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_refuses(t, EBADMSG, "rank 1");
    t = trial_new("GlobalLpPool", 11);
    trial_in(t, VD_F32, DIMS(1, 1, 2), NULL);
    set_int(t, "p", 3);
    trial_refuses(t, EPERM, "attribute p is 3");
}

static void normalisation(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        struct trial *t = trial_new("BatchNormalization", wrong == 1 ? 8 : 15);
        trial_in(t, VD_F32, DIMS(1, 3, 2), NULL);
        for (int i = 0; i < 4; i++)
            trial_in(t, VD_F32, wrong == 2 && i == 3 ? 2 : 1, (const int64_t[]){3, 1}, NULL);
        if (wrong < 2)
            set_int(t, wrong ? "spatial" : "training_mode", !wrong);
        trial_refuses(t, wrong == 2 ? ERANGE : EPERM, wrong == 2 ? "input 4 (var)" : wrong ? "spatial is 0" : "training_mode is 1");
    }
    struct trial *t = trial_new("GlobalAveragePool", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_refuses(t, EBADMSG, "rank 2");
    t = trial_new("GlobalAveragePool", 17);
    trial_in(t, VD_F32, DIMS(2, 3, 0), NULL);
    trial_refuses(t, ERANGE, "dim 2 is 0");
    t = trial_new("Clip", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(2), ((const float[]){1, 2}));
    trial_refuses(t, EBADMSG, "input 1 (min) has 2 elements");
    t = trial_new("Constant", 17);
    trial_refuses(t, EBADMSG, "0 attributes");
    t = trial_new("Constant", 17);
    set_int(t, "value_int", 1);
    set_float(t, "value_float", 1);
    trial_refuses(t, EBADMSG, "2 attributes");
}

static void normalising(void **state)
{
    (void)state;
    const float x[] = {-1, 0, 1, 2, 3, 4}, s[] = {1, 1.5f}, b[] = {0, 1}, mean[] = {0, 3}, var[] = {1, 1.5f}, four_point = 4;
    struct trial *t = trial_new("BatchNormalization", 9); /* ONNX's example */
    trial_in(t, VD_F32, DIMS(1, 2, 1, 3), x);
    trial_in(t, VD_F32, DIMS(2), s);
    trial_in(t, VD_F32, DIMS(2), b);
    trial_in(t, VD_F32, DIMS(2), mean);
    trial_in(t, VD_F32, DIMS(2), var);
    trial_run(t, four);
    for (int i = 0; i < 6; i++) {
        const double want = ((double)x[i] - (double)mean[i / 3]) / sqrt((double)var[i / 3] + 1e-5) * (double)s[i / 3] + (double)b[i / 3];
        assert_true(fabs((double)((float *)t->out[0].data)[i] - want) < 1e-6);
    }
    trial_free(t);
    t = trial_new("BatchNormalization", 15); /* rank 1: one channel */
    trial_in(t, VD_F32, DIMS(3), (float[]){1, 2, 3});
    for (int i = 0; i < 4; i++)
        trial_in(t, VD_F32, DIMS(1), &four_point);
    set_float(t, "epsilon", 0);
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){-2, 0, 2}, 3);
    trial_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reductions), cmocka_unit_test(of_nothing), cmocka_unit_test(not_finite), cmocka_unit_test(of_integers),
        cmocka_unit_test(refusals), cmocka_unit_test(normalisation), cmocka_unit_test(normalising),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
