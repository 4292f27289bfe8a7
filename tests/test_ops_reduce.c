/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* Corners of the reductions: nothing, NaN, infinities, the ends of integers. What they compute is in tests/oracle. */
static struct vd_workers *four;

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
        cmocka_unit_test(of_nothing), cmocka_unit_test(not_finite), cmocka_unit_test(of_integers), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
