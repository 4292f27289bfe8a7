/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* The table itself, shapes and refusals. What the operators compute is in test_ops_run.c. */

static void table_is_sound(void **state)
{
    (void)state;
    int n = 0, convs = 0;
    for (const struct vd_op *op; (op = vd_op_row(n)) != NULL; n++) {
        const struct vd_op *before = n ? vd_op_row(n - 1) : NULL;
        assert_true(op->opset_min >= 7 && op->opset_min <= op->opset_max && op->opset_max <= 23);
        assert_non_null(op->infer);
        convs += !op->run;
        assert_int_equal(op->run == NULL, !strcmp(op->name, "Conv") || !strcmp(op->name, "ConvInteger") || !strcmp(op->name, "QLinearConv"));
        assert_true(op->in_min <= op->in_max && op->out_min <= op->out_max && (op->out_max <= MOST_OUT || op->out_max == VD_ANY_ARITY));
        assert_int_equal(op->types[0] == 0, op->in_max == 0);
        for (int i = 0; i < VD_OP_MAX_IN; i++)
            if (op->types[i] & VD_T(VD_F16))
                assert_true(op->has_f16);
        if (before && !strcmp(before->name, op->name)) /* rows of one name follow each other without a gap */
            assert_int_equal(op->opset_min, before->opset_max + 1);
        else if (before) {
            assert_true(strcmp(before->name, op->name) < 0);
            assert_int_equal(before->opset_max, !strcmp(before->name, "Scatter") ? 10 : !strcmp(before->name, "Upsample") ? 9 : 23);
        }
        assert_ptr_equal(vd_op_find(op->name, op->opset_min), op);
        assert_ptr_equal(vd_op_find(op->name, op->opset_max), op);
        assert_true(vd_op_known(op->name));
        char attrs[240]; /* "name:t name:t!" */
        assert_true(strlen(op->attrs) < sizeof(attrs));
        strcpy(attrs, op->attrs);
        for (char *save, *a = strtok_r(attrs, " ", &save); a; a = strtok_r(NULL, " ", &save)) {
            const char *colon = strchr(a, ':');
            assert_non_null(colon);
            assert_true(colon > a && strchr("ifstIF", colon[1]) && (!colon[2] || !strcmp(colon + 2, "!")));
        }
    }
    assert_true(n > 60);
    assert_int_equal(convs, 3);
    assert_null(vd_op_row(-1));
    assert_null(vd_op_find("Conv", 6));
    assert_null(vd_op_find("Conv", 24));
    assert_null(vd_op_find("ConvInteger", 9));
    assert_true(vd_op_known("ConvInteger"));
    assert_false(vd_op_known("conv"));
    assert_false(vd_op_known(""));
    assert_null(vd_op_find("Loop", 17));
}

static const float f4[4] = {1, 2, 3, 4};

static void nodes_are_held_against_rows(void **state)
{
    (void)state;
    struct trial *t = trial_new("Add", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_refuses(t, EBADMSG, "has 1 inputs; at opset 17 it needs 2");

    t = trial_new("Relu", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_refuses(t, EBADMSG, "has 2 inputs; at opset 17 it takes 1");

    t = trial_new("Relu", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    set_float(t, "alpha", 0.1f);
    trial_refuses(t, EPERM, "operator Relu attribute alpha is not supported");

    t = trial_new("Concat", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    set_float(t, "axis", 0);
    trial_refuses(t, EBADMSG, "attribute axis is a float where an integer belongs");

    t = trial_new("Concat", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_refuses(t, EBADMSG, "lacks its attribute axis");

    t = trial_new("Concat", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_no_in(t);
    set_int(t, "axis", 0);
    trial_refuses(t, EBADMSG, "leaves out input 1");

    t = trial_new("Add", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_no_in(t);
    trial_refuses(t, EBADMSG, "leaves out input 1");

    const int64_t two[] = {2, 2};
    t = trial_new("MaxPool", 17);
    trial_in(t, VD_F32, DIMS(1, 1, 4, 4), NULL);
    set_ints(t, "kernel_shape", 2, two);
    trial_outputs(t, 2);
    trial_refuses(t, EPERM, "output 1 (y1) is not supported");

    t = trial_new("DynamicQuantizeLinear", 17);
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_refuses(t, EBADMSG, "has 1 outputs; it needs 3");

    /* Names that are empty at the end are not there. */
    t = trial_new("MaxPool", 17);
    trial_in(t, VD_F32, DIMS(1, 1, 4, 4), NULL);
    set_ints(t, "kernel_shape", 2, two);
    trial_outputs(t, 2);
    t->out_name[1] = "";
    t->out_p[1] = NULL;
    trial_no_in(t);
    assert_int_equal(trial_infer(t), 0);
    check_shape(&t->out[0], VD_F32, DIMS(1, 1, 3, 3));
    trial_free(t);

    /* What moved from attribute to input is refused in the other form. */
    const int64_t axis[] = {0};
    t = trial_new("Squeeze", 13);
    trial_in(t, VD_F32, DIMS(1, 4), NULL);
    set_ints(t, "axes", 1, axis);
    trial_refuses(t, EPERM, "attribute axes is not supported");
    t = trial_new("ReduceMean", 17);
    trial_in(t, VD_F32, DIMS(1, 4), NULL);
    trial_in(t, VD_S64, DIMS(1), axis);
    trial_refuses(t, EBADMSG, "has 2 inputs");
    t = trial_new("Shape", 14);
    trial_in(t, VD_F32, DIMS(1, 4), NULL);
    set_int(t, "start", 1);
    trial_refuses(t, EPERM, "attribute start");
    t = trial_new("Clip", 11);
    trial_in(t, VD_F32, DIMS(1, 4), NULL);
    set_float(t, "min", 1);
    trial_refuses(t, EPERM, "attribute min");
    t = trial_new("AveragePool", 18);
    trial_in(t, VD_F32, DIMS(1, 1, 4, 4), NULL);
    set_ints(t, "dilations", 2, two);
    trial_refuses(t, EPERM, "attribute dilations");
}

static void labels_name_the_node(void **state)
{
    (void)state;
    struct trial *t = trial_new("Add", 17);
    t->node.name = ""; /* then the first output stands in */
    t->out_name[0] = "sum7";
    trial_in(t, VD_F32, DIMS(4), f4);
    trial_in(t, VD_F32, DIMS(3), f4);
    assert_int_equal(trial_infer(t), -ERANGE);
    assert_string_equal(vd_reason(), "node sum7 (Add): sizes 4 and 3 of dim 1 from the end cannot be broadcast together");
    trial_free(t);
}

/* A convolution or pool: input dims, weight dims (rank 0: none), attributes by name; the shape that comes out or the refusal. */
struct geometry {
    const char *op;
    int64_t x[5], w[5];
    int rank, w_rank;
    struct { const char *name; int64_t v[6]; int n; } list[4];
    const char *auto_pad;
    int64_t group, ceil_mode;
    int err;
    const char *text;
    int64_t y[5];
};

static void windows(void **state)
{
    (void)state;
    static const struct geometry all[] = {
        /* ONNX's examples */
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"pads", {1, 1, 1, 1}, 4}}, .y = {1, 1, 5, 5}},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, .y = {1, 1, 3, 3}},
        {"Conv", {1, 1, 7, 5}, {1, 1, 3, 3}, 4, 4, {{"pads", {1, 0, 1, 0}, 4}, {"strides", {2, 2}, 2}}, .y = {1, 1, 4, 2}},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"strides", {2, 2}, 2}}, "SAME_LOWER", .y = {1, 1, 3, 3}},
        {"Conv", {1, 1, 9}, {2, 1, 3}, 3, 3, {{"dilations", {2}, 1}}, "SAME_UPPER", .y = {1, 2, 9}},
        {"Conv", {2, 6, 4, 5, 6}, {9, 2, 1, 2, 3}, 5, 5, .group = 3, .y = {2, 9, 4, 4, 4}},
        {"MaxPool", {1, 3, 32}, {0}, 3, 0, {{"kernel_shape", {2}, 1}}, .y = {1, 3, 31}},
        {"MaxPool", {1, 1, 4, 4}, {0}, 4, 0, {{"kernel_shape", {3, 3}, 2}, {"strides", {2, 2}, 2}}, .ceil_mode = 1, .y = {1, 1, 2, 2}},
        {"MaxPool", {1, 1, 2, 2}, {0}, 4, 0, {{"kernel_shape", {1, 1}, 2}, {"strides", {2, 2}, 2}}, .ceil_mode = 1, .y = {1, 1, 1, 1}},
        {"AveragePool", {1, 1, 6}, {0}, 3, 0, {{"kernel_shape", {3}, 1}, {"strides", {2}, 1}}, "VALID", .ceil_mode = 1, .y = {1, 1, 3}},
        {"MaxPool", {1, 1, 4, 4}, {0}, 4, 0, {{"kernel_shape", {2, 2}, 2}, {"dilations", {2, 2}, 2}}, .y = {1, 1, 2, 2}},
        /* Hostile ones */
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"strides", {0, 1}, 2}}, .err = EBADMSG, .text = "strides[0] is 0"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"strides", {1, -2}, 2}}, .err = EBADMSG, .text = "strides[1] is -2"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"dilations", {1, 0}, 2}}, .err = EBADMSG, .text = "dilations[1] is 0"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"pads", {0, 0, -1, 0}, 4}}, .err = EBADMSG, .text = "pads[2] is -1"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"pads", {0, 0, INT64_MAX, 0}, 4}}, .err = EBADMSG, .text = "pads[2]"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"dilations", {INT64_MAX, 1}, 2}}, .err = EBADMSG, .text = "dilations[0]"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"pads", {1, 1}, 2}}, .err = EBADMSG, .text = "pads has 2 values"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"kernel_shape", {3, 2}, 2}}, .err = EBADMSG, .text = "kernel_shape[1] is 2"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, .auto_pad = "SAME", .err = EBADMSG, .text = "auto_pad is 'SAME'"},
        {"Conv", {1, 1, 2, 5}, {1, 1, 3, 3}, 4, 4, .err = ERANGE, .text = "reaches over 3 elements of dim 2, but the padded input has only 2"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3, 3}, 4, 4, {{"dilations", {1, 3}, 2}}, .err = ERANGE, .text = "reaches over 7"},
        {"Conv", {1, 4, 5, 5}, {6, 2, 3, 3}, 4, 4, .group = -1, .err = EBADMSG, .text = "group is -1"},
        {"Conv", {1, 4, 5, 5}, {5, 2, 3, 3}, 4, 4, .group = 2, .err = EBADMSG, .text = "does not divide"},
        {"Conv", {1, 5, 5, 5}, {6, 2, 3, 3}, 4, 4, .group = 2, .err = ERANGE, .text = "5 channels"},
        {"Conv", {1, 5, 5, 5}, {6, 2, 3, 3}, 4, 4, .group = INT64_MAX, .err = EBADMSG, .text = "does not divide"},
        {"Conv", {1, 3, 5, 5}, {6, 2, 3, 3}, 4, 4, .err = ERANGE, .text = "3 channels"},
        {"Conv", {1, 0, 5, 5}, {6, 0, 3, 3}, 4, 4, .err = ERANGE, .text = "none may be 0"},
        {"Conv", {1, 1, 0, 5}, {1, 1, 1, 1}, 4, 4, .err = ERANGE, .text = "dim 2 is 0"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 0, 3}, 4, 4, .err = EBADMSG, .text = "dim 0 is 0"},
        {"Conv", {1, 1, 5, 5}, {1, 1, 3}, 4, 3, .err = EBADMSG, .text = "weights of rank 3"},
        {"Conv", {1, 5}, {1, 5}, 2, 2, .err = ENOTSUP, .text = "rank 2"},
        {"Conv", {1, 1, 1 << 20, 1 << 20}, {1 << 20, 1, 1, 1}, 4, 4, .err = ERANGE, .text = "2^40"},
        {"MaxPool", {1, 1, 4, 4}, {0}, 4, 0, .err = EBADMSG, .text = "kernel_shape is missing"},
        {"MaxPool", {1, 1, 4, 4}, {0}, 4, 0, {{"kernel_shape", {2, 0}, 2}}, .err = EBADMSG, .text = "kernel_shape[1] is 0"},
        {"MaxPool", {1, 1, 4, 4}, {0}, 4, 0, {{"kernel_shape", {2, 2}, 2}, {"pads", {0, 2, 0, 0}, 4}}, .err = EBADMSG,
         .text = "must be smaller than kernel_shape[1], 2"},
        {"MaxPool", {1, 1, 4, 4}, {0}, 4, 0, {{"kernel_shape", {2, 2}, 2}}, .ceil_mode = 7, .err = EBADMSG, .text = "ceil_mode is 7"},
        {"MaxPool", {1, 1, 9}, {0}, 3, 0, {{"kernel_shape", {3}, 1}, {"dilations", {2}, 1}}, "SAME_LOWER", .err = EPERM,
         .text = "auto_pad is SAME_LOWER"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const struct geometry *g = &all[i];
        struct trial *t = trial_new(g->op, 22);
        trial_in(t, VD_F32, g->rank, g->x, NULL);
        if (g->w_rank)
            trial_in(t, VD_F32, g->w_rank, g->w, NULL);
        for (int k = 0; k < 4 && g->list[k].name; k++)
            set_ints(t, g->list[k].name, g->list[k].n, g->list[k].v);
        if (g->auto_pad)
            set_str(t, "auto_pad", g->auto_pad);
        if (g->group)
            set_int(t, "group", g->group);
        if (g->ceil_mode)
            set_int(t, "ceil_mode", g->ceil_mode);
        if (g->err) {
            trial_refuses(t, g->err, g->text);
            continue;
        }
        if (trial_infer(t))
            fail_msg("case %zu: %s", i, vd_reason());
        check_shape(&t->out[0], VD_F32, g->rank, g->y);
        trial_free(t);
    }
}

static void convolution_inputs(void **state)
{
    (void)state;
    struct trial *t = trial_new("Conv", 17);
    trial_in(t, VD_F32, DIMS(1, 2, 5, 5), NULL);
    trial_in(t, VD_F32, DIMS(3, 2, 3, 3), NULL);
    trial_in(t, VD_F32, DIMS(2), f4);
    trial_refuses(t, EBADMSG, "input 2 (bias)");

    for (int wrong = 0; wrong < 4; wrong++) {
        const int64_t zp_dim[] = {wrong == 1 ? 2 : 3}, x_dim[] = {2};
        t = trial_new("ConvInteger", 17);
        trial_in(t, VD_U8, DIMS(1, 2, 5, 5), NULL);
        trial_in(t, VD_S8, DIMS(3, 2, 3, 3), NULL);
        trial_in(t, wrong == 2 ? VD_S8 : VD_U8, wrong == 3, x_dim, NULL);
        trial_in(t, VD_S8, 1, zp_dim, NULL);
        if (!wrong) {
            assert_int_equal(trial_infer(t), 0);
            check_shape(&t->out[0], VD_S32, DIMS(1, 3, 3, 3));
            trial_free(t);
        } else
            trial_refuses(t, EBADMSG, wrong == 1 ? "input 3 (w_zero_point)" : wrong == 2 ? "must be of one type" : "input 2 (x_zero_point)");
    }
}

/* x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias; the shape of one at a time is wrong. */
static void static_convolution_inputs(void **state)
{
    (void)state;
    static const int type[] = {VD_U8, VD_F32, VD_U8, VD_S8, VD_F32, VD_S8, VD_F32, VD_S8, VD_S32};
    static const int64_t x[] = {1, 2, 5, 5}, w[] = {3, 2, 3, 3}, three[] = {3}, two[] = {2};
    for (int wrong = 0; wrong < 9; wrong++) {
        struct trial *t = trial_new("QLinearConv", 17);
        for (int i = 0; i < 9; i++)
            if (i == 0 || i == 3)
                trial_in(t, i == wrong && i ? VD_S16 : type[i], 4, i ? w : x, NULL);
            else
                trial_in(t, type[i], i == wrong || i == 8 || i == 4, i == wrong ? two : three, NULL);
        if (wrong) {
            trial_refuses(t, EBADMSG, wrong == 3 ? "must be of one type" : wrong == 8 ? "input 8 (bias)" : "must be one value");
            continue;
        }
        assert_int_equal(trial_infer(t), 0);
        check_shape(&t->out[0], VD_S8, DIMS(1, 3, 3, 3));
        trial_free(t);
    }
}

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

static void products(void **state)
{
    (void)state;
    static const struct {
        int ra, rb, ry;
        int64_t a[4], b[4], y[4];
        int err;
    } all[] = {
        {2, 2, 2, {2, 3}, {3, 4}, {2, 4}, 0}, {1, 2, 1, {3}, {3, 4}, {4}, 0}, {2, 1, 1, {2, 3}, {3}, {2}, 0}, {1, 1, 0, {3}, {3}, {0}, 0},
        {3, 3, 3, {5, 2, 3}, {1, 3, 4}, {5, 2, 4}, 0}, {4, 3, 4, {7, 1, 2, 3}, {5, 3, 4}, {7, 5, 2, 4}, 0}, {3, 1, 2, {5, 2, 3}, {3}, {5, 2}, 0},
        {2, 2, 2, {2, 0}, {0, 4}, {2, 4}, 0},
        {2, 2, 0, {2, 3}, {2, 3}, {0}, ERANGE}, {3, 3, 0, {5, 2, 3}, {4, 3, 2}, {0}, ERANGE}, {0, 2, 0, {0}, {1, 2}, {0}, EBADMSG},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct trial *t = trial_new("MatMul", 17);
        trial_in(t, VD_F32, all[i].ra, all[i].a, NULL);
        trial_in(t, VD_F32, all[i].rb, all[i].b, NULL);
        if (all[i].err) {
            trial_refuses(t, all[i].err, "");
            continue;
        }
        assert_int_equal(trial_infer(t), 0);
        check_shape(&t->out[0], VD_F32, all[i].ry, all[i].y);
        trial_free(t);
    }
    struct trial *t = trial_new("Gemm", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(4, 3), NULL);
    trial_refuses(t, ERANGE, "3 and 4 elements");
    t = trial_new("Gemm", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3, 4), NULL);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_refuses(t, ERANGE, "2 x 4");
    t = trial_new("Gemm", 17);
    trial_in(t, VD_F32, DIMS(2, 3, 1), NULL);
    trial_in(t, VD_F32, DIMS(3, 4), NULL);
    trial_refuses(t, ERANGE, "must be matrices");
}

/* A sum that may leave 32 bits: 33025 products fit whatever they are, more only when the weights are known to be small. */
static void integer_sums(void **state)
{
    (void)state;
    enum { K = 40000 };
    uint8_t *w = vd_calloc(K, 1);
    assert_non_null(w);
    for (int how = 0; how < 4; how++) {
        const int64_t k = how ? K : 33025, one = 1;
        const uint8_t zp = how == 3;
        memset(w, how == 2 ? 255 : 1, K);
        struct trial *t = trial_new("MatMulInteger", 17);
        trial_in(t, VD_U8, 2, (const int64_t[]){1, k}, NULL);
        trial_in(t, VD_U8, 2, (const int64_t[]){k, 1}, how < 2 ? NULL : w);
        trial_in(t, VD_U8, SCALAR, NULL);
        trial_in(t, VD_U8, 1, &one, &zp);
        if (how == 0 || how == 3) {
            assert_int_equal(trial_infer(t), 0);
            trial_free(t);
        } else
            trial_refuses(t, ENOTSUP, "may not fit 32 bits");
    }
    vd_free(w);
}

static void quantisers(void **state)
{
    (void)state;
    const float bad[] = {1, 0, 1}, nan[] = {1, NAN, 1};
    struct trial *t = trial_new("QuantizeLinear", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3), bad);
    trial_refuses(t, EBADMSG, "has 0 at 1; it must be finite and positive");
    t = trial_new("DequantizeLinear", 17);
    trial_in(t, VD_U8, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3), bad);
    assert_int_equal(trial_infer(t), 0); /* nothing is divided */
    trial_free(t);
    t = trial_new("DequantizeLinear", 17);
    trial_in(t, VD_U8, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3), nan);
    trial_refuses(t, EBADMSG, "nan at 1");
    t = trial_new("QuantizeLinear", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_refuses(t, ERANGE, "2 values for the 3 of axis 1");
    t = trial_new("QuantizeLinear", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3), NULL);
    trial_in(t, VD_S8, SCALAR, NULL);
    trial_refuses(t, EBADMSG, "must be as many");
    t = trial_new("QuantizeLinear", 21);
    trial_in(t, VD_F32, DIMS(2, 4), NULL);
    trial_in(t, VD_F32, DIMS(2, 2), NULL);
    set_int(t, "block_size", 2);
    trial_refuses(t, EPERM, "block_size is 2");
    t = trial_new("QuantizeLinear", 23);
    trial_in(t, VD_F32, DIMS(2, 4), NULL);
    trial_in(t, VD_F32, SCALAR, NULL);
    set_int(t, "output_dtype", 21); /* uint4 */
    trial_refuses(t, EPERM, "output_dtype is 21");
    t = trial_new("QuantizeLinear", 23);
    trial_in(t, VD_F32, DIMS(2, 4), NULL);
    trial_in(t, VD_F32, SCALAR, NULL);
    set_int(t, "precision", VD_F16);
    trial_refuses(t, EPERM, "precision is 10");
    t = trial_new("DequantizeLinear", 23);
    trial_in(t, VD_S8, DIMS(2, 4), NULL);
    trial_in(t, VD_F32, SCALAR, NULL);
    set_int(t, "output_dtype", VD_F16);
    trial_refuses(t, EPERM, "output_dtype is 10");
    t = trial_new("DequantizeLinear", 23);
    trial_in(t, VD_S8, DIMS(2, 4), NULL);
    trial_in(t, VD_F32, SCALAR, NULL);
    trial_in(t, VD_U8, SCALAR, NULL);
    trial_refuses(t, EBADMSG, "must be of one type");
    t = trial_new("Cast", 17);
    trial_in(t, VD_F32, DIMS(2), NULL);
    set_int(t, "to", VD_STRING);
    trial_refuses(t, EPERM, "to is 8 (string)");
    t = trial_new("Cast", 17);
    trial_in(t, VD_F32, DIMS(2), NULL);
    set_int(t, "to", INT64_MAX);
    trial_refuses(t, EPERM, "type?");
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
    trial_in(t, VD_F32, DIMS(2), f4);
    trial_refuses(t, EBADMSG, "input 1 (min) has 2 elements");
    t = trial_new("Constant", 17);
    trial_refuses(t, EBADMSG, "0 attributes");
    t = trial_new("Constant", 17);
    set_int(t, "value_int", 1);
    set_float(t, "value_float", 1);
    trial_refuses(t, EBADMSG, "2 attributes");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound), cmocka_unit_test(nodes_are_held_against_rows), cmocka_unit_test(labels_name_the_node),
        cmocka_unit_test(windows), cmocka_unit_test(convolution_inputs), cmocka_unit_test(static_convolution_inputs),
        cmocka_unit_test(shapes_that_hang_on_data),
        cmocka_unit_test(reshapes), cmocka_unit_test(axes), cmocka_unit_test(slices_refused), cmocka_unit_test(products),
        cmocka_unit_test(integer_sums), cmocka_unit_test(quantisers), cmocka_unit_test(normalisation),
        cmocka_unit_test(sizes_that_explode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
