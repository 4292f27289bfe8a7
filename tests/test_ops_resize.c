/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* Resize and Upsample: ONNX's own examples, corners, refusals. Random cases are held against ONNX Runtime in
 * tests/oracle/test_resize_ort.py. */
static struct vd_workers *four;

struct how { const char *mode, *coord, *nearest, *policy; int64_t antialias, outside; int opset; };

/* x by scales (by_size false) or to sizes along the last two dims of 1 x 1 x h x w. */
static struct trial *resize(const struct how *k, int64_t h, int64_t w, const float *x, bool by_size, const float to[2], const float *roi)
{
    static float scales[4];
    static int64_t sizes[4];
    struct trial *t = trial_new("Resize", k->opset ? k->opset : 19);
    trial_in(t, VD_F32, DIMS(1, 1, h, w), x);
    if (roi)
        trial_in(t, VD_F32, DIMS(8), roi);
    else
        trial_no_in(t);
    for (int i = 0; i < 4; i++) {
        scales[i] = i < 2 ? 1 : to[i - 2];
        sizes[i] = i < 2 ? 1 : (int64_t)to[i - 2];
    }
    if (by_size)
        trial_no_in(t);
    else
        trial_in(t, VD_F32, DIMS(4), scales);
    if (by_size)
        trial_in(t, VD_S64, DIMS(4), sizes);
    if (k->mode)
        set_str(t, "mode", k->mode);
    if (k->coord)
        set_str(t, "coordinate_transformation_mode", k->coord);
    if (k->nearest)
        set_str(t, "nearest_mode", k->nearest);
    if (k->policy)
        set_str(t, "keep_aspect_ratio_policy", k->policy);
    if (k->antialias)
        set_int(t, "antialias", k->antialias);
    if (k->outside)
        set_float(t, "extrapolation_value", (float)k->outside);
    return t;
}

static void check_near(struct trial *t, int64_t h, int64_t w, const float *want)
{
    check_shape(&t->out[0], VD_F32, DIMS(1, 1, h, w));
    for (int64_t i = 0; i < h * w; i++)
        if (!(fabsf(((float *)t->out[0].data)[i] - want[i]) <= 2e-5f))
            fail_msg("element %d is %.9g, not %.9g", (int)i, (double)((float *)t->out[0].data)[i], (double)want[i]);
    trial_free(t);
}

static void examples(void **state)
{
    (void)state;
    static const float up[] = {1, 2, 3, 4}, down[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static float sixteen[16];
    for (int i = 0; i < 16; i++)
        sixteen[i] = (float)(i + 1);
    struct trial *t = resize(&(struct how){.mode = "nearest"}, 2, 2, up, false, (float[]){2, 3}, NULL);
    trial_run(t, four);
    check_near(t, 4, 6, (float[]){1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4});
    t = resize(&(struct how){.mode = "nearest"}, 2, 4, down, false, (float[]){0.6f, 0.6f}, NULL);
    trial_run(t, NULL);
    check_near(t, 1, 2, (float[]){1, 3});
    t = resize(&(struct how){.mode = "linear"}, 2, 2, up, false, (float[]){2, 2}, NULL);
    trial_run(t, NULL);
    check_near(t, 4, 4, (float[]){1, 1.25f, 1.75f, 2, 1.5f, 1.75f, 2.25f, 2.5f, 2.5f, 2.75f, 3.25f, 3.5f, 3, 3.25f, 3.75f, 4});
    t = resize(&(struct how){.mode = "linear", .coord = "align_corners"}, 2, 4, down, false, (float[]){0.6f, 0.6f}, NULL); /* 2.4 columns */
    trial_run(t, NULL);
    check_near(t, 1, 2, (float[]){1, 3.142857f});
    t = resize(&(struct how){.mode = "linear", .antialias = 1}, 2, 4, down, false, (float[]){0.6f, 0.6f}, NULL);
    trial_run(t, NULL);
    check_near(t, 1, 2, (float[]){2.875f, 4.5f});
    t = resize(&(struct how){.mode = "cubic", .antialias = 1}, 4, 4, sixteen, false, (float[]){0.6f, 0.6f}, NULL);
    trial_run(t, NULL);
    check_near(t, 2, 2, (float[]){2.5180721f, 4.2858863f, 9.589329f, 11.357142f});
    t = resize(&(struct how){.mode = "cubic"}, 4, 4, sixteen, false, (float[]){0.8f, 0.8f}, NULL);
    trial_run(t, NULL);
    check_near(t, 3, 3, (float[]){1.47119141f, 2.78125f, 4.08251953f, 6.71142578f, 8.02148438f, 9.32275391f, 11.91650391f, 13.2265625f, 14.52783203f});
    t = resize(&(struct how){.mode = "linear", .coord = "tf_crop_and_resize", .outside = 10}, 4, 4, sixteen, true, (float[]){3, 3},
               (float[]){0, 0, 0.4f, 0.6f, 1, 1, 1.2f, 1.7f});
    trial_run(t, NULL);
    check_near(t, 3, 3, (float[]){7.6f, 10, 10, 12.400001f, 10, 10, 10, 10, 10});
    t = resize(&(struct how){.mode = "nearest", .policy = "not_larger"}, 2, 4, down, true, (float[]){4, 6}, NULL);
    t->in[3].dim[0] = 4;
    set_ints(t, "axes", 4, (const int64_t[]){0, 1, 2, 3});
    assert_int_equal(trial_infer(t), 0); /* one scale for all, and the batch asks for 1 */
    check_shape(&t->out[0], VD_F32, DIMS(1, 1, 2, 4));
    trial_free(t);
}

/* A filter that is wider than any buffer, in both dims, on one thread and four; and a long line to a few elements. */
static void wide_filters(void **state)
{
    (void)state;
    enum { W = 20000, H = 3 };
    float *x = vd_calloc(W * H, sizeof(*x));
    assert_non_null(x);
    for (int i = 0; i < W * H; i++)
        x[i] = (float)(i % W) / 100 + (float)(i / W);
    for (int cubic = 0; cubic < 2; cubic++)
        for (int turned = 0; turned < 2; turned++) {
            float got[2][3];
            for (int threads = 0; threads < 2; threads++) {
                struct trial *t = turned ? resize(&(struct how){.mode = cubic ? "cubic" : "linear", .antialias = 1}, W, 1, x, true, (float[]){3, 1}, NULL)
                                         : resize(&(struct how){.mode = cubic ? "cubic" : "linear", .antialias = 1}, 1, W, x, true, (float[]){1, 3}, NULL);
                trial_run(t, threads ? four : NULL);
                memcpy(got[threads], t->out[0].data, sizeof(got[0]));
                trial_free(t);
            }
            assert_memory_equal(got[0], got[1], sizeof(got[0]));
            assert_true(fabsf(got[0][1] - 99.995f) < 1e-3f); /* the middle of a ramp */
            assert_true(got[0][0] > 20 && got[0][0] < 45 && got[0][2] > 155 && got[0][2] < 180);
        }
    vd_free(x);
}

static void strange_numbers(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4}, odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f};
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        for (int mode = 0; mode < 6; mode++) {
            static const char *const names[] = {"nearest", "linear", "cubic"};
            const float roi[] = {0, 0, odd[i], odd[i], 1, 1, mode < 3 ? 1 : odd[i], 1};
            struct trial *t = resize(&(struct how){.mode = names[mode % 3], .coord = "tf_crop_and_resize"}, 2, 2, x, true, (float[]){3, 5}, roi);
            trial_run(t, NULL);
            trial_free(t);
            t = resize(&(struct how){.mode = names[mode % 3]}, 2, 2, x, false, (float[]){odd[i], 1}, NULL);
            if (odd[i] == 1e-40f) { /* nothing is left */
                trial_run(t, NULL);
                check_shape(&t->out[0], VD_F32, DIMS(1, 1, 0, 2));
                trial_free(t);
            } else if (odd[i] == 3e38f)
                trial_refuses(t, ERANGE, "axis 2 would become");
            else
                trial_refuses(t, EBADMSG, "the scale of axis 2");
        }
}

static void refusals(void **state)
{
    (void)state;
    static const struct { struct how how; int err; const char *text; } all[] = {
        {{.mode = "bilinear"}, EBADMSG, "attribute mode is 'bilinear'"},
        {{.mode = "linear", .coord = "half"}, EBADMSG, "attribute coordinate_transformation_mode is 'half'"},
        {{.mode = "linear", .coord = "tf_half_pixel_for_nn", .opset = 13}, EBADMSG, "tf_half_pixel_for_nn"},
        {{.mode = "linear", .coord = "half_pixel_symmetric", .opset = 18}, EBADMSG, "half_pixel_symmetric"},
        {{.mode = "nearest", .nearest = "round"}, EBADMSG, "attribute nearest_mode is 'round'"},
        {{.mode = "nearest", .policy = "larger"}, EBADMSG, "attribute keep_aspect_ratio_policy is 'larger'"},
        {{.mode = "nearest", .antialias = 1}, EBADMSG, "antialias is set with mode nearest"},
        {{.mode = "linear", .coord = "tf_crop_and_resize"}, EBADMSG, "needs input 1 (roi)"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        trial_refuses(resize(&all[i].how, 2, 2, NULL, false, (float[]){2, 2}, NULL), all[i].err, all[i].text);
    struct trial *t = trial_new("Resize", 13);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    trial_refuses(t, EBADMSG, "neither scales nor sizes are given");
    t = trial_new("Resize", 13);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    trial_no_in(t);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_refuses(t, ENOTSUP, "input 2 (scales) is computed at run time");
    t = trial_new("Resize", 13);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    trial_no_in(t);
    trial_in(t, VD_F32, DIMS(3), (float[]){1, 2, 3});
    trial_refuses(t, EBADMSG, "input 2 (scales) has 3 values for 2 axes");
    t = trial_new("Resize", 13);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    trial_no_in(t);
    trial_no_in(t);
    trial_in(t, VD_S64, DIMS(2), (int64_t[]){1, 0});
    trial_refuses(t, ERANGE, "input 3 (sizes) has 0 for axis 1");
    t = trial_new("Resize", 18);
    trial_in(t, VD_U16, DIMS(1, 2), NULL);
    trial_no_in(t);
    trial_in(t, VD_F32, DIMS(2), (float[]){1, 2});
    set_str(t, "mode", "linear");
    trial_refuses(t, EPERM, "mode is linear, which is not supported for uint16");
    t = trial_new("Resize", 18);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    trial_no_in(t);
    trial_in(t, VD_F32, DIMS(2), (float[]){1, 2});
    set_ints(t, "axes", 2, (const int64_t[]){1, -1});
    trial_refuses(t, EBADMSG, "axis -1 is given twice");
    t = trial_new("Upsample", 7);
    trial_in(t, VD_F32, DIMS(1, 2), NULL);
    struct vd_onnx_attr *a = trial_attr(t, "scales", VD_ATTR_FLOATS);
    a->v.floats = (const float[]){1, -2};
    a->n = 2;
    trial_refuses(t, EBADMSG, "the scale of axis 1 is -2");
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
        cmocka_unit_test(examples), cmocka_unit_test(wide_filters), cmocka_unit_test(strange_numbers), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
