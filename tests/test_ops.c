/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* The table itself, and what of a node is held against its row. Each family of operators has a file, test_ops_*.c. */

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
    trial_refuses(t, EBADMSG, "has 1 input; at opset 17 it needs 2");

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
    trial_refuses(t, EBADMSG, "has 1 output; it needs 3");

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound), cmocka_unit_test(nodes_are_held_against_rows), cmocka_unit_test(labels_name_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
