/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions on the shipped models: settings, planes, tensors. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "shipped.h"
#include "vmaf_dnn/vmaf_dnn.h"

#define STEM "learned_filter_v1"

static uint64_t other[1]; /* what is no session */

static void test_null_and_settings(void **state)
{
    (void)state;
    vmaf_dnn_session *s = (vmaf_dnn_session *)other;
    assert_int_equal(vmaf_dnn_session_open(NULL, "x.onnx", NULL), -EINVAL);
    assert_int_equal(vmaf_dnn_session_open(&s, NULL, NULL), -EINVAL);
    assert_null(s);
    vmaf_dnn_settings set;
    vmaf_dnn_settings_default(&set);
    set.kernels = "mmx";
    assert_int_equal(vmaf_dnn_session_open(&s, shipped(STEM ".onnx"), &set), -EINVAL);
    assert_non_null(strstr(vmaf_dnn_last_error(), "mmx"));
    set.kernels = NULL;
    set.threads = -1;
    assert_int_equal(vmaf_dnn_session_open(&s, shipped(STEM ".onnx"), &set), -EINVAL);
    assert_null(s);
    vmaf_dnn_session_close(NULL);
    assert_null(vmaf_dnn_session_attached_ep(NULL));
    assert_int_equal(vmaf_dnn_validate_onnx(NULL), -EINVAL);
    assert_int_equal(vmaf_dnn_validate_onnx(shipped("registry.json")), -EBADMSG);
    assert_int_equal(vmaf_dnn_validate_onnx(shipped(STEM ".int8.onnx")), 0);
    vmaf_dnn_sidecar side;
    assert_int_equal(vmaf_dnn_sidecar_load(shipped(STEM ".onnx"), &side), 0);
    assert_string_equal(side.input_name, "degraded");
    assert_string_equal(side.quant_mode, "static");
    assert_int_equal(strlen(side.int8_sha256), 64);
    assert_int_equal(vmaf_dnn_sidecar_load(shipped("none.onnx"), &side), -ENOENT);
}

/* Planes: any size, 8 and 16 bits alike, strides of either sign, in place, nothing written beside the rows. */
static void test_planes(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    assert_int_equal(vmaf_dnn_session_open(&s, shipped(STEM ".onnx"), NULL), 0);
    static const int sizes[][2] = {{1, 1}, {2, 1}, {1, 7}, {17, 5}, {64, 48}, {33, 31}};
    enum { STRIDE = 96, ROWS = 50 };
    static uint8_t in[STRIDE * ROWS], out[STRIDE * ROWS], flipped[STRIDE * ROWS];
    static uint16_t in16[STRIDE * ROWS], out16[STRIDE * ROWS];
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        const int w = sizes[k][0], h = sizes[k][1];
        for (int i = 0; i < STRIDE * ROWS; i++)
            in[i] = (uint8_t)(i * 37 % 251);
        memset(out, 0xa5, sizeof(out));
        assert_int_equal(vmaf_dnn_session_run_luma8(s, in, STRIDE, w, h, out + STRIDE, STRIDE), 0);
        for (int y = 0; y < ROWS; y++)
            for (int x = 0; x < STRIDE; x++)
                if (y < 1 || y > h || x >= w)
                    assert_int_equal(out[y * STRIDE + x], 0xa5);

        /* bottom up, through the tensor interface, and in place */
        assert_int_equal(vmaf_dnn_session_run_luma8(s, in, STRIDE, w, h, flipped + (h - 1) * STRIDE, -STRIDE), 0);
        float x32[64 * 48], y32[64 * 48];
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                x32[y * w + x] = (float)in[y * STRIDE + x] / 255.0f;
        const size_t n = (size_t)w * (size_t)h;
        const vmaf_dnn_input ti = {.name = "degraded", .type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, h, w}, .data = x32, .count = n};
        vmaf_dnn_output to = {.name = "filtered", .type = VMAF_DNN_F32, .data = y32, .capacity = n};
        assert_int_equal(vmaf_dnn_session_run(s, &ti, 1, &to, 1), 0);
        assert_int_equal(to.written, n);
        assert_int_equal(to.rank, 4);
        assert_int_equal(vmaf_dnn_session_run_luma8(s, in, STRIDE, w, h, in, STRIDE), 0);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                const int want = (int)lrintf(fminf(fmaxf(y32[y * w + x] * 255.0f, 0), 255));
                assert_int_equal(out[(y + 1) * STRIDE + x], want);
                assert_int_equal(flipped[(h - 1 - y) * STRIDE + x], want);
                assert_int_equal(in[y * STRIDE + x], want);
            }

        /* 16-bit samples that are 257 times the 8-bit ones are the same numbers */
        for (int i = 0; i < STRIDE * ROWS; i++)
            in16[i] = (uint16_t)(i * 37 % 251 * 257);
        memset(out16, 0xa5, sizeof(out16));
        assert_int_equal(vmaf_dnn_session_run_plane16(s, in16, STRIDE * 2, w, h, out16, STRIDE * 2, 16), 0);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                assert_in_range(abs(out16[y * STRIDE + x] - (int)lrintf(y32[y * w + x] * 65535.0f)), 0, 1);
        assert_int_equal(out16[w], 0xa5a5);
    }
    /* samples over the depth are read as its maximum */
    static uint16_t over[STRIDE * ROWS];
    for (int i = 0; i < STRIDE * ROWS; i++) {
        in16[i] = (uint16_t)(i % 3 ? i % 1000 : 1023);
        over[i] = (uint16_t)(i % 3 ? i % 1000 : 1024 + i);
    }
    assert_int_equal(vmaf_dnn_session_run_plane16(s, in16, STRIDE * 2, 40, 30, out16, STRIDE * 2, 10), 0);
    assert_int_equal(vmaf_dnn_session_run_plane16(s, over, STRIDE * 2, 40, 30, over, STRIDE * 2, 10), 0);
    for (int y = 0; y < 30; y++)
        assert_memory_equal(out16 + y * STRIDE, over + y * STRIDE, 40 * sizeof(*over));
    assert_int_equal(vmaf_dnn_session_run_luma8(s, in, STRIDE, 0, 1, out, STRIDE), -EINVAL);
    assert_int_equal(vmaf_dnn_session_run_luma8(s, in, 3, 4, 2, out, STRIDE), -EINVAL);
    assert_int_equal(vmaf_dnn_session_run_luma8(s, NULL, STRIDE, 4, 2, out, STRIDE), -EINVAL);
    assert_int_equal(vmaf_dnn_session_run_plane16(s, in16, STRIDE, 4, 2, out16, STRIDE, 8), -EINVAL);
    assert_int_equal(vmaf_dnn_session_run_plane16(s, in16, STRIDE, 4, 2, out16, STRIDE, 17), -EINVAL);
    vmaf_dnn_session_close(s);
}

/* smoke_v0 is fixed at 4x4 and convolution-only: any size does. */
static void test_fixed_size(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    uint8_t in[7 * 3] = {9, 200, 31}, out[7 * 3];
    assert_int_equal(vmaf_dnn_session_open(&s, shipped("smoke_v0.onnx"), NULL), 0);
    assert_int_equal(vmaf_dnn_session_run_luma8(s, in, 7, 7, 3, out, 7), 0);
    assert_int_equal(vmaf_dnn_session_run_luma8(s, in, 1, 1, 1, out, 1), 0);
    vmaf_dnn_session_close(s);
}

static void test_tensors(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    assert_int_equal(vmaf_dnn_session_open(&s, shipped("smoke_v0.onnx"), NULL), 0);
    vmaf_dnn_slot slot;
    assert_int_equal(vmaf_dnn_session_input(s, 0, &slot), 0);
    assert_string_equal(slot.name, "features");
    assert_int_equal(vmaf_dnn_session_input(s, 1, &slot), -ERANGE);
    float x[16] = {0}, y[16];
    vmaf_dnn_input in = {.name = "features", .type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, 4, 4}, .data = x, .count = 16};
    vmaf_dnn_output out = {.type = VMAF_DNN_F32, .data = y, .capacity = 16};
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), 0);
    in.name = "nobody";
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -EINVAL);
    assert_non_null(strstr(vmaf_dnn_last_error(), "nobody"));
    in.name = NULL;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 2, &out, 1), -EINVAL);
    in.count = 15; /* a shape that reads past the caller's data */
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -EINVAL);
    in.count = 16;
    in.shape[0] = 0;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -EINVAL);
    in.shape[0] = (int64_t)1 << 62;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -ERANGE);
    in.shape[0] = 1;
    in.type = VMAF_DNN_U8;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -EINVAL);
    in.type = VMAF_DNN_F32;
    out.capacity = 3;
    y[0] = 42;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -ENOSPC);
    assert_int_equal(out.written, 16);
    assert_true(y[0] == 42);
    vmaf_dnn_session_close(s);

    assert_int_equal(vmaf_dnn_session_open(&s, shipped("smoke_fp16_v0.onnx"), NULL), 0);
    const uint16_t half[4] = {0x3c00, 0x8001, 0x7c00, 0xc500};
    uint16_t half_out[4];
    vmaf_dnn_input hin = {.type = VMAF_DNN_F16, .rank = 4, .shape = {1, 1, 2, 2}, .data = half, .count = 4};
    vmaf_dnn_output hout = {.type = VMAF_DNN_F16, .data = half_out, .capacity = 4};
    assert_int_equal(vmaf_dnn_session_run(s, &hin, 1, &hout, 1), 0);
    assert_memory_equal(half, half_out, sizeof(half));
    const float single[4] = {1, -0.5f, 0.1f, 65504};
    float single_out[4];
    hin.type = hout.type = VMAF_DNN_F32;
    hin.data = single;
    hout.data = single_out;
    assert_int_equal(vmaf_dnn_session_run(s, &hin, 1, &hout, 1), 0);
    assert_true(single_out[0] == 1 && single_out[1] == -0.5f && single_out[2] == 0.0999755859375f && single_out[3] == 65504);
    vmaf_dnn_session_close(s);
}

/* Inputs are read where the caller has them, at any address, in this run alone; the result may go there too. */
static void test_caller_data(void **state)
{
    enum { W = 23, H = 9, N = W * H };
    (void)state;
    vmaf_dnn_session *s;
    vmaf_dnn_settings settings;
    vmaf_dnn_settings_default(&settings);
    for (int baseline = 0; baseline < 2; baseline++) {
        static unsigned char at[N * sizeof(float) + 64] __attribute__((aligned(64)));
        float x[N], want[N], y[N];
        settings.baseline = baseline;
        assert_int_equal(vmaf_dnn_session_open(&s, shipped(STEM ".onnx"), &settings), 0);
        for (int i = 0; i < N; i++)
            x[i] = (float)(i * 37 % 101) / 101;
        vmaf_dnn_input in = {.type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, H, W}, .data = x, .count = N};
        vmaf_dnn_output out = {.type = VMAF_DNN_F32, .data = want, .capacity = N};
        assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), 0);
        for (size_t off = 0; off < 64; off += off < 4 ? 1 : 4) {
            memset(x, 0xff, sizeof(x)); /* what an earlier run read is nobody's */
            for (int i = 0; i < N; i++) {
                const float v = (float)(i * 37 % 101) / 101;
                memcpy(at + off + (size_t)i * sizeof(v), &v, sizeof(v));
            }
            in.data = at + off;
            out.data = y;
            assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), 0);
            assert_memory_equal(y, want, sizeof(y));
            out.data = at + off;
            assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), 0);
            assert_memory_equal(at + off, want, sizeof(want));
        }
        vmaf_dnn_session_close(s);
    }
}

static void test_not_finite(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    float x[16] = {0}, y[16];
    const vmaf_dnn_input in = {.type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, 4, 4}, .data = x, .count = 16};
    vmaf_dnn_output out = {.type = VMAF_DNN_F32, .data = y, .capacity = 16};
    assert_int_equal(vmaf_dnn_session_open(&s, shipped("../../tests/data/dynamic/learned_filter_v1.onnx"), NULL), 0); /* no range holds these */
    x[7] = NAN;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -ERANGE);
    x[7] = INFINITY;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), -ERANGE);
    x[7] = 1;
    assert_int_equal(vmaf_dnn_session_run(s, &in, 1, &out, 1), 0);
    vmaf_dnn_session_close(s);
}

/* After the first run at a size, nothing is allocated. */
static void test_runs_allocate_nothing(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    static uint8_t plane[64 * 64];
    for (int base = 0; base < 2; base++) {
        vmaf_dnn_settings set;
        vmaf_dnn_settings_default(&set);
        set.baseline = base;
        assert_int_equal(vmaf_dnn_session_open(&s, shipped(STEM ".onnx"), &set), 0);
        assert_int_equal(vmaf_dnn_session_run_luma8(s, plane, 64, 64, 64, plane, 64), 0);
        const size_t before = vd_mem_count();
        for (int i = 0; i < 3; i++)
            assert_int_equal(vmaf_dnn_session_run_luma8(s, plane, 64, 64, 64, plane, 64), 0);
        assert_int_equal(vd_mem_count(), before);
        vmaf_dnn_session_close(s);
    }
}

/* The k-th allocation fails, for every k: -ENOMEM (or, for a thread, -EAGAIN), *out NULL, nothing leaked. */
static void test_no_memory(void **state)
{
    (void)state;
    vmaf_dnn_settings set;
    vmaf_dnn_settings_default(&set);
    set.threads = 2;
    for (size_t k = 1;; k++) {
        vmaf_dnn_session *s = (vmaf_dnn_session *)other;
        vd_mem_fail_at(k, 0);
        const int rc = vmaf_dnn_session_open(&s, shipped(STEM ".onnx"), &set);
        vd_mem_fail_at(0, 0);
        if (rc == 0) {
            vmaf_dnn_session_close(s);
            assert_true(k > 10);
            return;
        }
        if (rc != -ENOMEM)
            fail_msg("allocation %zu: %d '%s'", k, rc, vmaf_dnn_last_error());
        assert_null(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_and_settings),
        cmocka_unit_test(test_planes), cmocka_unit_test(test_fixed_size), cmocka_unit_test(test_tensors), cmocka_unit_test(test_caller_data),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_runs_allocate_nothing), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
