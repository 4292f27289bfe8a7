/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_random.h"

/* Operators that move elements or only name another shape: what comes out, and what is refused. */

static void shapes_that_hang_on_data(void **state)
{
    (void)state;
    static const char *const ops[] = {"Reshape", "Unsqueeze", "Squeeze", "ReduceSum", "ReduceMean", "Slice"};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct trial *t = trial_new(ops[i], 18);
        trial_in(t, VD_F32, DIMS(2, 1), NULL);
        trial_in(t, VD_S64, DIMS(1), NULL);
        if (!strcmp(ops[i], "Slice"))
            trial_in(t, VD_S64, DIMS(1), NULL);
        trial_refuses(t, ENOTSUP, "is computed at run time");
    }
    /* What does not decide a shape may be unknown. */
    struct trial *t = trial_new("Gather", 18);
    trial_in(t, VD_F32, DIMS(3, 2), NULL);
    trial_in(t, VD_S64, DIMS(2, 2), NULL);
    assert_int_equal(trial_infer(t), 0);
    check_shape(&t->out[0], VD_F32, DIMS(2, 2, 2));
    trial_free(t);
}

static void reshapes(void **state)
{
    (void)state;
    static const struct {
        int64_t shape[9];
        int n, allowzero, err;
        const char *text;
        int rank;
        int64_t want[4];
    } all[] = { /* of a tensor 2x3x4 */
        {{4, 2, 3}, 3, 0, 0, NULL, 3, {4, 2, 3}},
        {{2, 12}, 2, 0, 0, NULL, 2, {2, 12}},
        {{-1, 2, 3}, 3, 0, 0, NULL, 3, {4, 2, 3}},
        {{2, 0, 4, 1}, 4, 0, 0, NULL, 4, {2, 3, 4, 1}},
        {{2, 0, 1, -1}, 4, 0, 0, NULL, 4, {2, 3, 1, 4}},
        {{0, -1}, 2, 0, 0, NULL, 2, {2, 12}},
        {{-1}, 1, 0, 0, NULL, 1, {24}},
        {{5, 5}, 2, 0, ERANGE, "24 elements cannot be shaped into 25", 0, {0}},
        {{5, -1}, 2, 0, ERANGE, "24 elements", 0, {0}},
        {{-1, -1}, 2, 0, EBADMSG, "more than one -1", 0, {0}},
        {{-2, 3}, 2, 0, EBADMSG, "-2 as dim 0", 0, {0}},
        {{2, 3, 4, 0}, 4, 0, EBADMSG, "copies dim 3 of a tensor of rank 3", 0, {0}},
        {{0, -1}, 2, 1, EBADMSG, "-1", 0, {0}},
        {{0, 24}, 2, 1, ERANGE, "into 0", 0, {0}},
        {{1, 1, 1, 1, 1, 1, 1, 1, 24}, 9, 0, EBADMSG, "at most 8", 0, {0}},
        {{1LL << 32, 1LL << 32}, 2, 0, ERANGE, "2^40", 0, {0}},
        {{INT64_MIN}, 1, 0, EBADMSG, "as dim 0", 0, {0}},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const int64_t n = all[i].n;
        struct trial *t = trial_new("Reshape", 17);
        trial_in(t, VD_F32, DIMS(2, 3, 4), NULL);
        trial_in(t, VD_S64, 1, &n, all[i].shape);
        if (all[i].allowzero)
            set_int(t, "allowzero", 1);
        if (all[i].err) {
            trial_refuses(t, all[i].err, all[i].text);
            continue;
        }
        if (trial_infer(t))
            fail_msg("case %zu: %s", i, vd_reason());
        check_shape(&t->out[0], VD_F32, all[i].rank, all[i].want);
        trial_free(t);
    }
    struct trial *t = trial_new("Reshape", 17); /* allowzero on a tensor of nothing */
    const int64_t into[] = {3, 0, 7};
    trial_in(t, VD_F32, DIMS(0, 3), NULL);
    trial_in(t, VD_S64, DIMS(3), into);
    set_int(t, "allowzero", 1);
    assert_int_equal(trial_infer(t), 0);
    check_shape(&t->out[0], VD_F32, DIMS(3, 0, 7));
    trial_free(t);
}

static void axes(void **state)
{
    (void)state;
    const int64_t out[] = {3}, twice[] = {1, -2}, one[] = {1}, many[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct trial *t = trial_new("Unsqueeze", 17);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_in(t, VD_S64, DIMS(1), out);
    trial_refuses(t, EBADMSG, "axis 3 is outside a tensor of rank 2");
    t = trial_new("ReduceSum", 17);
    trial_in(t, VD_F32, DIMS(2, 3, 4), NULL);
    trial_in(t, VD_S64, DIMS(2), twice);
    trial_refuses(t, EBADMSG, "axis -2 is given twice");
    t = trial_new("Squeeze", 11);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    set_ints(t, "axes", 1, one);
    trial_refuses(t, ERANGE, "axis 1 cannot be squeezed: it has size 3");
    t = trial_new("Unsqueeze", 17);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_in(t, VD_S64, DIMS(8), many);
    trial_refuses(t, ENOTSUP, "at most 8 dims");
    t = trial_new("Flatten", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    set_int(t, "axis", 3);
    trial_refuses(t, EBADMSG, "axis 3 is outside");
    t = trial_new("Gather", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(1), out);
    set_int(t, "axis", INT64_MIN);
    trial_refuses(t, EBADMSG, "axis -9223372036854775808 is outside");
    t = trial_new("Gather", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_S64, DIMS(1), out);
    trial_refuses(t, ERANGE, "has 3, which is outside dim 0 of size 2");
    t = trial_new("Gather", 17);
    trial_in(t, VD_F32, SCALAR, NULL);
    trial_in(t, VD_S64, DIMS(1), out);
    trial_refuses(t, EBADMSG, "axis 0 is outside a tensor of rank 0");
    t = trial_new("Gather", 17);
    trial_in(t, VD_F32, DIMS(1, 1, 1, 1, 1), NULL);
    trial_in(t, VD_S64, DIMS(1, 1, 1, 1, 1), NULL);
    trial_refuses(t, ENOTSUP, "rank 9");
    t = trial_new("Concat", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3, 3), NULL);
    set_int(t, "axis", 1);
    trial_refuses(t, ERANGE, "dim 0 of input 1 is 3, but of input 0 it is 2");
    t = trial_new("Concat", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_U8, DIMS(2, 3), NULL);
    set_int(t, "axis", 1);
    trial_refuses(t, EBADMSG, "input 0 is float32 and input 1 is uint8");
}

static void slices_refused(void **state)
{
    (void)state;
    const int64_t a[] = {0, 0}, zero[] = {1, 0}, dup[] = {1, 1}, three[] = {0, 1, 2};
    for (int wrong = 0; wrong < 4; wrong++) {
        struct trial *t = trial_new("Slice", 17);
        trial_in(t, VD_F32, DIMS(4, 4), NULL);
        trial_in(t, VD_S64, DIMS(2), a);
        const int64_t ends = wrong == 2 ? 1 : 2, n = wrong == 3 ? 3 : 2;
        trial_in(t, VD_S64, 1, &ends, three);
        trial_in(t, VD_S64, 1, &n, wrong == 1 ? dup : three);
        trial_in(t, VD_S64, DIMS(2), wrong == 0 ? zero : dup);
        trial_refuses(t, EBADMSG, wrong == 0 ? "input 4 (steps) has 0" : wrong == 1 ? "axis 1 is given twice" : "values for a tensor of rank 2");
    }
}

static void sizes_that_explode(void **state)
{
    (void)state;
    const int64_t huge[] = {1LL << 40, 1};
    struct trial *t = trial_new("Add", 17);
    trial_in(t, VD_F32, 2, huge, NULL);
    trial_in(t, VD_F32, DIMS(1, 1LL << 30), NULL);
    trial_refuses(t, ERANGE, "2^40 bytes");
    t = trial_new("Concat", 17);
    trial_in(t, VD_U8, DIMS(INT64_MAX, 0), NULL);
    trial_in(t, VD_U8, DIMS(INT64_MAX, 0), NULL);
    set_int(t, "axis", 0);
    trial_refuses(t, ERANGE, "2^40 bytes");
    t = trial_new("Flatten", 17);
    trial_in(t, VD_U8, DIMS(0, 1LL << 40, 1LL << 40), NULL);
    trial_refuses(t, ERANGE, "2^40 bytes");
}

static void moves(void **state)
{
    (void)state;
    /* ONNX's examples of Gather and Slice */
    const float x[] = {1.0f, 1.2f, 2.3f, 3.4f, 4.5f, 5.7f};
    const int64_t index[] = {0, 1, 1, 2};
    struct trial *t = trial_new("Gather", 13);
    trial_in(t, VD_F32, DIMS(3, 2), x);
    trial_in(t, VD_S64, DIMS(2, 2), index);
    trial_run(t, NULL);
    check_shape(&t->out[0], VD_F32, DIMS(2, 2, 2));
    check_floats(&t->out[0], (float[]){1.0f, 1.2f, 2.3f, 3.4f, 2.3f, 3.4f, 4.5f, 5.7f}, 8);
    trial_free(t);

    /* Indices that nobody could check before the run: out of range reads zeros. */
    int32_t late[] = {-1, 3, -4, 0};
    t = trial_new("Gather", 13);
    struct vd_tensor *v = trial_in(t, VD_S32, DIMS(3, 1), (int32_t[]){7, 8, 9});
    v = trial_in(t, VD_S32, DIMS(4), NULL);
    assert_int_equal(trial_infer(t), 0);
    v->data = late;
    t->out[0].data = vd_aligned(64);
    t->op->run(&t->call);
    check_data(&t->out[0], (int32_t[]){9, 0, 0, 7}, 16);
    trial_free(t);

    static const struct {
        int64_t start, end, step;
        int n, want[4];
    } cut[] = { /* of 0 1 2 3 */
        {0, 4, 1, 4, {0, 1, 2, 3}}, {1, 1000, 1, 3, {1, 2, 3}}, {0, -1, 1, 3, {0, 1, 2}}, {-2, INT64_MAX, 1, 2, {2, 3}},
        {0, 4, 3, 2, {0, 3}}, {0, 4, INT64_MAX, 1, {0}}, {3, -5, -1, 4, {3, 2, 1, 0}}, {-1, INT64_MIN, -2, 2, {3, 1}},
        {100, 0, -1, 3, {3, 2, 1}}, {-100, -100, -1, 1, {0}}, {3, 1, 1, 0, {0}}, {0, 4, -1, 0, {0}}, {3, INT64_MIN, INT64_MIN, 1, {3}},
        {2, INT64_MAX, -1, 3, {2, 1, 0}}, {1, INT32_MAX, -1, 2, {1, 0}}, {INT64_MIN, INT64_MAX, 2, 2, {0, 2}},
    };
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++)
        for (int wide = 0; wide < 4; wide++) {
            static const int types[] = {VD_U8, VD_F16, VD_S32, VD_S64};
            uint8_t u8[8];
            uint16_t u16[8];
            int32_t s32[8];
            int64_t s64[8], got;
            for (int k = 0; k < 8; k++) /* the sliced axis is the inner one of 2 x 4 */
                u8[k] = (uint8_t)(k % 4 + 10 * (k / 4)), u16[k] = u8[k], s32[k] = u8[k], s64[k] = u8[k];
            const void *const data[] = {u8, u16, s32, s64};
            const int64_t axis = -1;
            t = trial_new("Slice", 13);
            trial_in(t, types[wide], DIMS(2, 4), data[wide]);
            trial_in(t, VD_S64, DIMS(1), &cut[i].start);
            trial_in(t, VD_S64, DIMS(1), &cut[i].end);
            trial_in(t, VD_S64, DIMS(1), &axis);
            trial_in(t, VD_S64, DIMS(1), &cut[i].step);
            trial_run(t, NULL);
            check_shape(&t->out[0], types[wide], DIMS(2, cut[i].n));
            for (int k = 0; k < 2 * cut[i].n; k++) {
                const void *p = t->out[0].data;
                got = wide == 0 ? ((const uint8_t *)p)[k] : wide == 1 ? ((const uint16_t *)p)[k] : wide == 2 ? ((const int32_t *)p)[k] : ((const int64_t *)p)[k];
                assert_int_equal(got, cut[i].want[k % cut[i].n] + 10 * (k / cut[i].n));
            }
            trial_free(t);
        }
    const int64_t zero = 0, minus = -1;
    t = trial_new("Slice", 13); /* backwards over nothing */
    trial_in(t, VD_F32, DIMS(0, 2), NULL);
    trial_in(t, VD_S64, DIMS(1), &minus);
    trial_in(t, VD_S64, DIMS(1), (int64_t[]){-100});
    trial_in(t, VD_S64, DIMS(1), &zero);
    trial_in(t, VD_S64, DIMS(1), &minus);
    trial_run(t, NULL);
    check_shape(&t->out[0], VD_F32, DIMS(0, 2));
    trial_free(t);

    t = trial_new("Concat", 13);
    trial_in(t, VD_U8, DIMS(2, 1), (uint8_t[]){1, 2});
    trial_in(t, VD_U8, DIMS(2, 0), NULL);
    trial_in(t, VD_U8, DIMS(2, 3), (uint8_t[]){3, 4, 5, 6, 7, 8});
    set_int(t, "axis", -1);
    trial_run(t, NULL);
    check_shape(&t->out[0], VD_U8, DIMS(2, 4));
    check_data(&t->out[0], (uint8_t[]){1, 3, 4, 5, 2, 6, 7, 8}, 8);
    trial_free(t);
}

static void shapes(void **state)
{
    (void)state;
    static const struct {
        int64_t start, end;
        int n, from;
    } all[] = {{0, 3, 3, 0}, {-1, 3, 1, 2}, {0, -1, 2, 0}, {-10, 10, 3, 0}, {2, 1, 0, 0}, {1, 2, 1, 1}, {INT64_MIN, INT64_MAX, 3, 0}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const int64_t dim[] = {5, 6, 7};
        struct trial *t = trial_new("Shape", 15);
        trial_in(t, VD_F32, 3, dim, NULL); /* the data is never looked at */
        set_int(t, "start", all[i].start);
        set_int(t, "end", all[i].end);
        trial_run(t, NULL);
        check_shape(&t->out[0], VD_S64, DIMS(all[i].n));
        check_data(&t->out[0], dim + all[i].from, (size_t)all[i].n * 8);
        trial_free(t);
    }
    static const struct {
        const char *op;
        int opset, rank, n_axes, y_rank;
        int64_t x[4], axes[4], y[6];
    } forms[] = {
        {"Squeeze", 13, 4, 0, 2, {1, 3, 1, 5}, {0}, {3, 5}}, {"Squeeze", 13, 4, 1, 3, {1, 3, 1, 5}, {-2}, {1, 3, 5}},
        {"Squeeze", 11, 4, 2, 2, {1, 3, 1, 5}, {0, 2}, {3, 5}}, {"Unsqueeze", 13, 2, 2, 4, {3, 4}, {0, 3}, {1, 3, 4, 1}},
        {"Unsqueeze", 11, 1, 2, 3, {3}, {-1, -3}, {1, 3, 1}}, {"Unsqueeze", 13, 0, 1, 1, {0}, {0}, {1}},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const float x[15] = {1, 2, 3};
        const int64_t n = forms[i].n_axes;
        struct trial *t = trial_new(forms[i].op, forms[i].opset);
        trial_in(t, VD_F32, forms[i].rank, forms[i].x, x);
        if (n && forms[i].opset >= 13)
            trial_in(t, VD_S64, 1, &n, forms[i].axes);
        else if (n)
            set_ints(t, "axes", forms[i].n_axes, forms[i].axes);
        trial_run(t, NULL);
        check_shape(&t->out[0], VD_F32, forms[i].y_rank, forms[i].y);
        check_floats(&t->out[0], x, count_of(forms[i].rank, forms[i].x));
        trial_free(t);
    }
    static const int64_t flat[][3] = {{0, 1, 24}, {1, 2, 12}, {2, 6, 4}, {3, 24, 1}, {-1, 6, 4}, {-3, 1, 24}};
    for (size_t i = 0; i < sizeof(flat) / sizeof(flat[0]); i++) {
        struct trial *t = trial_new("Flatten", 13);
        trial_in(t, VD_S8, DIMS(2, 3, 4), NULL);
        set_int(t, "axis", flat[i][0]);
        assert_int_equal(trial_infer(t), 0);
        check_shape(&t->out[0], VD_S8, 2, flat[i] + 1);
        trial_free(t);
    }
    const int64_t list[] = {3, -1};
    const float fl[] = {0.5f, 2};
    const struct vd_onnx_tensor tensor = {.name = "", .type = VD_U8, .rank = 1, .dim = {3}, .count = 3, .data = (const uint8_t *)"abc", .size = 3};
    for (int how = 0; how < 5; how++) {
        static const int type[] = {VD_U8, VD_S64, VD_S64, VD_F32, VD_F32}, rank[] = {1, 0, 1, 0, 1};
        struct trial *t = trial_new("Constant", 17);
        if (how == 0)
            trial_attr(t, "value", VD_ATTR_TENSOR)->v.t = &tensor;
        else if (how == 1)
            set_int(t, "value_int", 3);
        else if (how == 2)
            set_ints(t, "value_ints", 2, list);
        else if (how == 3)
            set_float(t, "value_float", 0.5f);
        else {
            struct vd_onnx_attr *a = trial_attr(t, "value_floats", VD_ATTR_FLOATS);
            a->v.floats = fl;
            a->n = 2;
        }
        trial_run(t, NULL);
        assert_int_equal(t->out[0].type, type[how]);
        assert_int_equal(t->out[0].rank, rank[how]);
        const void *want[] = {"abc", list, list, fl, fl};
        check_data(&t->out[0], want[how], vd_tensor_bytes(&t->out[0]));
        trial_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_that_hang_on_data), cmocka_unit_test(reshapes), cmocka_unit_test(axes), cmocka_unit_test(slices_refused),
        cmocka_unit_test(sizes_that_explode), cmocka_unit_test(moves), cmocka_unit_test(shapes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
