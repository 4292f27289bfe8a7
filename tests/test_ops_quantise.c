/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_random.h"

/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: ONNX's vectors, ties, every axis, corners of ONNX Runtime, refusals. */

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

static void quantising(void **state)
{
    (void)state;
    /* ONNX's example; a tie on either side; a division that is none by the reciprocal; beyond both ends */
    const float x[] = {0, 2, 4, 1000, -254, -1000, 1, 3, 5, NAN, INFINITY, -INFINITY}, two = 2;
    const uint8_t zp = 128;
    struct trial *t = trial_new("QuantizeLinear", 10);
    trial_in(t, VD_F32, DIMS(12), x);
    trial_in(t, VD_F32, SCALAR, &two);
    trial_in(t, VD_U8, SCALAR, &zp);
    trial_run(t, NULL);
    check_data(&t->out[0], (uint8_t[]){128, 129, 130, 255, 1, 0, 128, 130, 130, 0, 255, 0}, 12);
    trial_free(t);
    const float scale = 5.0f / 255.0f;
    t = trial_new("QuantizeLinear", 23);
    trial_in(t, VD_F32, DIMS(1), (float[]){-2.5f});
    trial_in(t, VD_F32, DIMS(1), &scale);
    set_int(t, "output_dtype", VD_S8);
    set_int(t, "precision", VD_F32);
    trial_run(t, NULL);
    check_shape(&t->out[0], VD_S8, DIMS(1));
    check_data(&t->out[0], (int8_t[]){-127}, 1);
    trial_free(t);

    for (int axis = -3; axis < 3; axis++) { /* a scale for each index of every axis */
        const int64_t dim[] = {2, 3, 4}, n = dim[axis < 0 ? axis + 3 : axis];
        float v[24], s[4];
        uint8_t z[4];
        for (int i = 0; i < 24; i++)
            v[i] = (float)(i * 7 % 50) - 20;
        for (int i = 0; i < 4; i++)
            s[i] = (float)(i + 1) * 0.25f, z[i] = (uint8_t)(100 + i);
        t = trial_new("QuantizeLinear", 13);
        trial_in(t, VD_F32, 3, dim, v);
        trial_in(t, VD_F32, 1, &n, s);
        trial_in(t, VD_U8, 1, &n, z);
        set_int(t, "axis", axis);
        trial_run(t, NULL);
        struct trial *back = trial_new("DequantizeLinear", 13);
        trial_in(back, VD_U8, 3, dim, t->out[0].data);
        trial_in(back, VD_F32, 1, &n, s);
        trial_in(back, VD_U8, 1, &n, z);
        set_int(back, "axis", axis);
        trial_run(back, NULL);
        for (int i = 0; i < 24; i++) {
            const int a = axis < 0 ? axis + 3 : axis, ch = a == 0 ? i / 12 : a == 1 ? i / 4 % 3 : i % 4;
            const double q = fmin(fmax(rint((double)v[i] / (double)s[ch]) + z[ch], 0), 255);
            assert_int_equal(((uint8_t *)t->out[0].data)[i], (int)q);
            assert_true(((float *)back->out[0].data)[i] == (float)(q - z[ch]) * s[ch]);
        }
        trial_free(back);
        trial_free(t);
    }
    t = trial_new("DequantizeLinear", 13); /* the axis is 1 where none is given */
    trial_in(t, VD_U8, DIMS(2, 2), (uint8_t[]){1, 1, 1, 1});
    trial_in(t, VD_F32, DIMS(2), (float[]){1, 2});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){1, 2, 1, 2}, 4);
    trial_free(t);
    t = trial_new("DequantizeLinear", 10);
    trial_in(t, VD_S32, DIMS(3), (int32_t[]){INT32_MIN, 16777217, -3});
    trial_in(t, VD_F32, SCALAR, &two);
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){-0x1p32f, 33554432, -6}, 3);
    trial_free(t);
    t = trial_new("QuantizeLinear", 10);
    trial_in(t, VD_S32, DIMS(4), (int32_t[]){3, 5, INT32_MAX, INT32_MIN});
    trial_in(t, VD_F32, SCALAR, &two);
    trial_run(t, NULL);
    check_data(&t->out[0], (uint8_t[]){2, 2, 255, 0}, 4);
    trial_free(t);
}

static void dynamic(const float *x, int64_t n, float scale, uint8_t zp, const uint8_t *y)
{
    struct trial *t = trial_new("DynamicQuantizeLinear", 11);
    trial_in(t, VD_F32, 1, &n, x);
    trial_outputs(t, 3);
    trial_run(t, four);
    check_shape(&t->out[1], VD_F32, 0, NULL);
    check_shape(&t->out[2], VD_U8, 0, NULL);
    check_floats(&t->out[1], &scale, 1);
    assert_int_equal(*(uint8_t *)t->out[2].data, zp);
    check_data(&t->out[0], y, (size_t)n);
    trial_free(t);
}

static void quantising_by_range(void **state)
{
    (void)state;
    /* The vectors of ONNX's own tests */
    dynamic((float[]){0, 2, -3, -2.5f, 1.34f, 0.5f}, 6, 0.0196078438f, 153, (uint8_t[]){153, 255, 0, 26, 221, 179});
    dynamic((float[]){-1, -2.1f, -1.3f, -2.5f, -3.34f, -4}, 6, 0.0156862754f, 255, (uint8_t[]){191, 121, 172, 96, 42, 0});
    dynamic((float[]){1, 2.1f, 1.3f, 2.5f, 3.34f, 4, 1.5f, 2.6f, 3.9f, 4, 3, 2.345f}, 12, 0.0156862754f, 0,
            (uint8_t[]){64, 134, 83, 159, 213, 255, 96, 166, 249, 255, 191, 149});
    /* ONNX Runtime's corners */
    dynamic((float[]){0, 0}, 2, 1, 0, (uint8_t[]){0, 0});
    dynamic(NULL, 0, 1, 0, NULL);
    dynamic((float[]){0, 1e-40f}, 2, 1e-40f / 255, 0, (uint8_t[]){0, 255});
    dynamic((float[]){0, NAN, 1}, 3, 1.0f / 255, 0, (uint8_t[]){0, 0, 255});
    dynamic((float[]){0, INFINITY, 1}, 3, INFINITY, 0, (uint8_t[]){0, 0, 0});
    dynamic((float[]){-INFINITY, 1}, 2, INFINITY, 0, (uint8_t[]){0, 0});
    /* The least and the greatest wherever they are, in pieces of many threads */
    enum { N = 300007 };
    float *x = vd_calloc(N, sizeof(*x));
    uint8_t *want = vd_calloc(N, 1);
    assert_true(x && want);
    for (int round = 0; round < 6; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 5000 + (uint64_t)round);
        for (size_t i = 0; i < N; i++)
            x[i] = vd_rng_f32(&r) - 0.5f;
        x[round < 2 ? 0 : (size_t)below(&r, N)] = -2;
        x[round % 2 ? N - 1 : (size_t)below(&r, N)] = 3.1f;
        float lo = 0, hi = 0;
        for (size_t i = 0; i < N; i++)
            lo = fminf(lo, x[i]), hi = fmaxf(hi, x[i]);
        const float scale = (hi - lo) / 255;
        const uint8_t zp = (uint8_t)rintf(0 - lo / scale);
        for (size_t i = 0; i < N; i++)
            want[i] = (uint8_t)fmin(fmax(rint((double)(x[i] / scale)) + zp, 0), 255);
        dynamic(x, N, scale, zp, want);
    }
    vd_free(x);
    vd_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantisers), cmocka_unit_test(quantising), cmocka_unit_test(quantising_by_range),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
