/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* Where a rounding of float32 stands, and in which order sums are formed: the places where ONNX Runtime's bytes are met
 * (docs/numerics.md). Each value here tells that order from its neighbours; tests/oracle/test_quantized_models.py has whole nets. */

static float one_float(const char *op, int rank, const int64_t *dim, const float *x)
{
    struct trial *t = trial_new(op, 17);
    trial_in(t, VD_F32, rank, dim, x);
    trial_run(t, NULL);
    const float y = *(const float *)t->out[0].data;
    trial_free(t);
    return y;
}

static void means_of_planes(void **state)
{
    (void)state;
    /* four lanes: 1 + 1 beside 1e8 - 1e8; one after the other it would be 1 */
    assert_true(one_float("GlobalAveragePool", DIMS(1, 1, 4), (const float[]){1e8f, 1, -1e8f, 1}) == 0.5f);
    /* what is left over four comes last: 1 was lost beside 1e8, in float64 it would not be */
    assert_true(one_float("GlobalAveragePool", DIMS(1, 1, 5), (const float[]){1e8f, 1, 0, 0, -1e8f}) == 0);
    /* large planes are summed in float64 */
    enum { LARGE = 4097 };
    float *x = vd_calloc(LARGE, sizeof(*x));
    assert_non_null(x);
    x[0] = 1e8f;
    x[1] = 1;
    x[LARGE - 1] = -1e8f;
    assert_true(one_float("GlobalAveragePool", DIMS(1, 1, LARGE), x) == (float)(1.0 / LARGE));
    x[LARGE - 2] = -1e8f;
    assert_true(one_float("GlobalAveragePool", DIMS(1, 1, LARGE - 1), x) == 0); /* 1 - 1e8 in a lane */
    vd_free(x);
}

/* Channels of one element each, or two equal ones, through a kernel of one. */
static float chain(int64_t channels, const float *x, const float *w)
{
    struct trial *t = trial_new("ConvTranspose", 17);
    trial_in(t, VD_F32, DIMS(1, channels, 1), x);
    trial_in(t, VD_F32, DIMS(channels, 1, 1), w);
    trial_run(t, NULL);
    const float y = *(const float *)t->out[0].data;
    trial_free(t);
    return y;
}

static void chains_of_channels(void **state)
{
    (void)state;
    assert_true(chain(3, (const float[]){1e8f, 1, -1e8f}, (const float[]){1, 1, 1}) == 0); /* float32, in order */
    assert_true(chain(2, (const float[]){1, 1 + 0x1p-12f}, (const float[]){-1, 1 + 0x1p-12f}) == 0x1p-11f + 0x1p-24f); /* fused */
    /* of one position a chain has 128 * 8 channels at most: what is lost in the first chain is kept beside the second */
    enum { CHANNELS = 1025 };
    float *x = vd_calloc(2 * CHANNELS, sizeof(*x)), *w = x ? x + CHANNELS : NULL;
    assert_non_null(x);
    for (int i = 0; i < CHANNELS; i++)
        w[i] = 1;
    x[0] = 0x1p24f;
    x[1022] = x[1023] = 1; /* each is lost beside 2^24 */
    x[1024] = 2;
    assert_true(chain(CHANNELS, x, w) == 0x1p24f + 2);
    x[0] = 1;
    x[1022] = 0;
    x[1023] = 0x1p24f; /* the first chain is 2^24; 1 is lost in it */
    x[1024] = -0x1p24f;
    assert_true(chain(CHANNELS, x, w) == 0);
    vd_free(x);
    /* the kernel's elements one after the other, then the bias: (1e8 + 1) - 1e8, then + 1 */
    struct trial *t = trial_new("ConvTranspose", 17);
    trial_in(t, VD_F32, DIMS(1, 1, 3), (const float[]){-1e8f, 1, 1e8f});
    trial_in(t, VD_F32, DIMS(1, 1, 3), (const float[]){1, 1, 1});
    trial_in(t, VD_F32, DIMS(1), (const float[]){1});
    set_ints(t, "pads", 2, (const int64_t[]){2, 2});
    trial_run(t, NULL);
    assert_true(*(const float *)t->out[0].data == 1);
    trial_free(t);
}

/* Two bytes of which 1 is in steps of just less than a half, and a zero point of 127 for the output. */
static int step_of(const char *op, int inputs, const char *kernel)
{
    static const float just_less = 0x1.fffffep-2f, unit = 1;
    static const uint8_t one = 1, zero = 0, middle = 127;
    static const int64_t kernel_of_one = 1;
    struct trial *t = trial_new(op, 17);
    trial_in(t, VD_U8, DIMS(1, 1, 1), &one);
    trial_in(t, VD_F32, SCALAR, &just_less);
    trial_in(t, VD_U8, SCALAR, &zero);
    if (inputs == 2) {
        trial_in(t, VD_U8, DIMS(1, 1, 1), &one);
        trial_in(t, VD_F32, SCALAR, &unit);
        trial_in(t, VD_U8, SCALAR, &zero);
    }
    trial_in(t, VD_F32, SCALAR, &unit);
    trial_in(t, VD_U8, SCALAR, &middle);
    if (kernel)
        set_ints(t, kernel, 1, &kernel_of_one); /* not copied */
    trial_run(t, NULL);
    const int y = *(const uint8_t *)t->out[0].data;
    trial_free(t);
    return y;
}

static void steps_of_bytes(void **state)
{
    (void)state;
    /* rint(0.49999997 + 127): the sum is 127.5 */
    assert_int_equal(step_of("com.microsoft:QLinearMul", 2, NULL), 128);
    assert_int_equal(step_of("com.microsoft:QLinearAveragePool", 1, "kernel_shape"), 128);
    /* rint(0.49999997) + 127 */
    assert_int_equal(step_of("com.microsoft:QLinearLeakyRelu", 1, NULL), 127);
    assert_int_equal(step_of("com.microsoft:QLinearGlobalAveragePool", 1, NULL), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_of_planes),
        cmocka_unit_test(chains_of_channels),
        cmocka_unit_test(steps_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
