/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>

#include "op_random.h"

/* Convolutions and pools: shapes that come out and refusals; pools also against the definition. What convolutions compute is in test_kernels*.c
 * and tests/oracle. */

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
    trial_in(t, VD_F32, DIMS(2), (const float[]){1, 2, 3, 4});
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

/* Pools of random geometry, against the definition. */
static void pools(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 2000 + (uint64_t)round);
        const int n = 1 + below(&r, 3), rank = n + 2;
        const bool average = below(&r, 2), include = average && below(&r, 2), ceil_mode = below(&r, 2);
        int64_t dim[5] = {1 + below(&r, 2), 1 + below(&r, 3)}, k[3], stride[3], dil[3], pads[6];
        for (int i = 0; i < n; i++) {
            k[i] = 1 + below(&r, 3);
            stride[i] = 1 + below(&r, 3);
            dil[i] = 1 + below(&r, 2);
            pads[i] = below(&r, (int)k[i]);
            pads[n + i] = below(&r, (int)k[i]);
            dim[i + 2] = (k[i] - 1) * dil[i] + 1 + below(&r, n == 1 ? 600 : 12);
        }
        float *x = floats(&r, count_of(rank, dim));
        struct trial *t = trial_new(average ? "AveragePool" : "MaxPool", 22);
        trial_in(t, VD_F32, rank, dim, x);
        set_ints(t, "kernel_shape", n, k);
        set_ints(t, "strides", n, stride);
        set_ints(t, "dilations", n, dil);
        set_ints(t, "pads", 2 * n, pads);
        set_int(t, "ceil_mode", ceil_mode);
        if (average)
            set_int(t, "count_include_pad", include);
        trial_run(t, below(&r, 2) ? four : NULL);
        const struct vd_tensor *y = &t->out[0];
        for (size_t i = 0; i < vd_tensor_count(y); i++) {
            int64_t at[5];
            size_t rest = i;
            for (int d = rank - 1; d >= 0; d--) {
                at[d] = (int64_t)(rest % (size_t)y->dim[d]);
                rest /= (size_t)y->dim[d];
            }
            double sum = 0, most = -INFINITY, hits = 0;
            for (int64_t tap = 0; tap < k[0] * (n > 1 ? k[1] : 1) * (n > 2 ? k[2] : 1); tap++) {
                int64_t left = tap, index = at[0] * dim[1] + at[1];
                bool inside = true, padded = true;
                for (int d = 0; d < n; d++) {
                    const int64_t pos = at[d + 2] * stride[d] - pads[d] + left % k[d] * dil[d];
                    left /= k[d];
                    inside = inside && pos >= 0 && pos < dim[d + 2];
                    padded = padded && pos < dim[d + 2] + pads[n + d];
                    index = index * dim[d + 2] + pos;
                }
                if (inside) {
                    sum += (double)x[index];
                    most = fmax(most, (double)x[index]);
                }
                hits += include ? padded : inside;
            }
            const float want = average ? (float)(hits > 0 ? sum / hits : 0) : most == -INFINITY ? -FLT_MAX : (float)most;
            const float got = ((const float *)y->data)[i];
            if (average ? fabsf(got - want) > 1e-6f : got != want)
                fail_msg("round %d of seed %" PRIu64 ": element %zu is %g, not %g", round, seed, i, (double)got, (double)want);
        }
        trial_free(t);
        vd_free(x);
    }
    const float x[] = {1, NAN, 3, -INFINITY, -INFINITY, 2};
    struct trial *t = trial_new("MaxPool", 17);
    trial_in(t, VD_F32, DIMS(1, 1, 6), x);
    set_ints(t, "kernel_shape", 1, (const int64_t[]){2});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){NAN, NAN, 3, -INFINITY, 2}, 5);
    trial_free(t);
    t = trial_new("MaxPool", 17);
    trial_in(t, VD_S8, DIMS(1, 1, 4), (int8_t[]){-128, -128, -1, -2});
    set_ints(t, "kernel_shape", 1, (const int64_t[]){2});
    trial_run(t, NULL);
    check_data(&t->out[0], (int8_t[]){-128, -1, -1}, 3);
    trial_free(t);
}

static void pools_padded_to_size(void **state)
{
    (void)state;
    for (int lower = 0; lower < 2; lower++) {
        struct trial *t = trial_new("MaxPool", 17);
        trial_in(t, VD_F32, DIMS(1, 1, 4), (float[]){4, 3, 2, 1});
        set_ints(t, "kernel_shape", 1, (const int64_t[]){2});
        set_str(t, "auto_pad", lower ? "SAME_LOWER" : "SAME_UPPER");
        trial_run(t, NULL);
        check_floats(&t->out[0], lower ? (float[]){4, 4, 3, 2} : (float[]){4, 3, 2, 1}, 4);
        trial_free(t);
    }
    for (int average = 0; average < 2; average++) { /* all four taps are in the padding */
        struct trial *t = trial_new(average ? "AveragePool" : "MaxPool", 19);
        trial_in(t, VD_F32, DIMS(1, 1, 2, 2), (float[]){1, 1, 1, 1});
        set_ints(t, "kernel_shape", 2, (const int64_t[]){2, 2});
        set_ints(t, "dilations", 2, (const int64_t[]){3, 3});
        set_ints(t, "pads", 4, (const int64_t[]){1, 1, 1, 1});
        trial_run(t, NULL);
        check_floats(&t->out[0], average ? (float[]){0} : (float[]){-FLT_MAX}, 1);
        trial_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows), cmocka_unit_test(convolution_inputs), cmocka_unit_test(static_convolution_inputs),
        cmocka_unit_test(pools), cmocka_unit_test(pools_padded_to_size),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
