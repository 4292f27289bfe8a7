/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"
#include "ops/op_math.h"

/* The elementwise operators: corners of types, values that ONNX leaves open, refusals, and all float32 that matter for the functions
 * of this project's own. Breadth is in oracle/test_elementwise_ort.py. */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct trial *binary(const char *op, int opset, int type, const void *a, const void *b, int64_t n)
{
    struct trial *t = trial_new(op, opset);
    trial_in(t, type, 1, &n, a);
    trial_in(t, type, 1, &n, b);
    return t;
}

static void done(struct trial *t, const void *want, size_t bytes)
{
    trial_run(t, NULL);
    check_data(&t->out[0], want, bytes);
    trial_free(t);
}

#define UNARY(op, opset, vtype, T, x, ...) \
    do { \
        const T in[] = x, want[] = __VA_ARGS__; \
        struct trial *t = trial_new(op, opset); \
        trial_in(t, vtype, DIMS((int64_t)COUNT(in)), in); \
        done(t, want, sizeof(want)); \
    } while (0)
#define BINARY(op, opset, vtype, T, R, a, b, ...) \
    do { \
        const T p[] = a, q[] = b; \
        const R want[] = __VA_ARGS__; \
        done(binary(op, opset, vtype, p, q, (int64_t)COUNT(p)), want, sizeof(want)); \
    } while (0)
#define L(...) {__VA_ARGS__}

static void integers(void **state)
{
    (void)state;
    UNARY("Neg", 13, VD_S8, int8_t, L(-128, 5, 0), L(-128, -5, 0));
    UNARY("Neg", 13, VD_S16, int16_t, L(INT16_MIN, 5), L(INT16_MIN, -5));
    UNARY("Neg", 13, VD_S64, int64_t, L(INT64_MIN, 5), L(INT64_MIN, -5));
    UNARY("Abs", 13, VD_S32, int32_t, L(INT32_MIN, -5, 7), L(INT32_MIN, 5, 7));
    UNARY("Abs", 13, VD_U64, uint64_t, L(UINT64_MAX, 0), L(UINT64_MAX, 0));
    UNARY("Sign", 13, VD_S8, int8_t, L(-128, 0, 9), L(-1, 0, 1));
    UNARY("Sign", 13, VD_U32, uint32_t, L(UINT32_MAX, 0, 9), L(1, 0, 1));
    UNARY("BitwiseNot", 18, VD_U16, uint16_t, L(0, 0xff00), L(0xffff, 0xff));
    UNARY("BitwiseNot", 18, VD_S64, int64_t, L(0, -1), L(-1, 0));
    UNARY("Relu", 14, VD_S16, int16_t, L(-3, 0, 4), L(0, 0, 4));

    BINARY("Add", 14, VD_U16, uint16_t, uint16_t, L(65535, 1), L(2, 3), L(1, 4));
    BINARY("Sub", 14, VD_S16, int16_t, int16_t, L(INT16_MIN, 1), L(1, 3), L(INT16_MAX, -2));
    BINARY("Mul", 7, VD_U64, uint64_t, uint64_t, L(UINT64_MAX, 3), L(UINT64_MAX, 5), L(1, 15));
    BINARY("Div", 7, VD_U32, uint32_t, uint32_t, L(UINT32_MAX, 3, 7), L(UINT32_MAX, 0, 2), L(1, 0, 3));
    BINARY("Div", 14, VD_S16, int16_t, int16_t, L(INT16_MIN, -7, 7), L(-1, 2, 0), L(INT16_MIN, -3, 0));

    BINARY("Mod", 13, VD_S32, int32_t, int32_t, L(-7, 7, -7, 7, INT32_MIN, 5, -6), L(3, -3, -3, 3, -1, 0, 3), L(2, -2, -1, 1, 0, 0, 0));
    BINARY("Mod", 13, VD_S8, int8_t, int8_t, L(-128, -128, 127), L(127, -1, -128), L(126, 0, -1));
    BINARY("Mod", 13, VD_U8, uint8_t, uint8_t, L(200, 7, 9), L(7, 0, 255), L(4, 0, 9));
    const int64_t a[] = {-7, 7, INT64_MIN, INT64_MAX, 1}, b[] = {3, -3, -1, 10, 0}, rest[] = {-1, 1, 0, 7, 0};
    struct trial *t = binary("Mod", 10, VD_S64, a, b, 5);
    set_int(t, "fmod", 1);
    done(t, rest, sizeof(rest));

    BINARY("Min", 12, VD_S8, int8_t, int8_t, L(-128, 3), L(127, 2), L(-128, 2));
    BINARY("Max", 12, VD_U64, uint64_t, uint64_t, L(UINT64_MAX, 3), L(0, 2), L(UINT64_MAX, 3));
    BINARY("BitwiseAnd", 18, VD_S8, int8_t, int8_t, L(-1, 12), L(-128, 10), L(-128, 8));
    BINARY("BitwiseOr", 18, VD_U32, uint32_t, uint32_t, L(1, 12), L(1u << 31, 10), L(1u << 31 | 1, 14));
    BINARY("BitwiseXor", 18, VD_S16, int16_t, int16_t, L(-1, 12), L(1, 10), L(-2, 6));
    BINARY("Less", 9, VD_U64, uint64_t, uint8_t, L(UINT64_MAX, 1), L(1, UINT64_MAX), L(0, 1));
    BINARY("Greater", 9, VD_S64, int64_t, uint8_t, L(INT64_MIN, 1), L(INT64_MAX, -1), L(0, 1));
    BINARY("PRelu", 9, VD_S32, int32_t, int32_t, L(-3, 3, INT32_MIN), L(2, 2, 3), L(-6, 3, INT32_MIN));
    BINARY("PRelu", 16, VD_U64, uint64_t, uint64_t, L(3, UINT64_MAX), L(2, 2), L(3, UINT64_MAX));
}

static void shifts(void **state)
{
    (void)state;
    for (int right = 0; right < 2; right++) {
        const uint8_t a8[] = {16, 255, 255, 255}, b8[] = {1, 7, 8, 255}, r8[2][4] = {{32, 128, 0, 0}, {8, 1, 0, 0}};
        const uint16_t a16[] = {0x8001, 1, 0xffff}, b16[] = {1, 15, 16}, r16[2][3] = {{2, 0x8000, 0}, {0x4000, 0, 0}};
        const uint32_t a32[] = {0x80000001, 1, 7}, b32[] = {1, 31, 32}, r32[2][3] = {{2, 0x80000000, 0}, {0x40000000, 0, 0}};
        const uint64_t a64[] = {UINT64_MAX, 1, 7}, b64[] = {1, 63, UINT64_MAX},
                       r64[2][3] = {{UINT64_MAX - 1, 1ull << 63, 0}, {UINT64_MAX >> 1, 0, 0}};
        const struct { int type; const void *a, *b, *want; int64_t n; size_t bytes; } all[] = {
            {VD_U8, a8, b8, r8[right], 4, sizeof(a8)}, {VD_U16, a16, b16, r16[right], 3, sizeof(a16)},
            {VD_U32, a32, b32, r32[right], 3, sizeof(a32)}, {VD_U64, a64, b64, r64[right], 3, sizeof(a64)},
        };
        for (size_t i = 0; i < COUNT(all); i++) {
            struct trial *t = binary("BitShift", 11, all[i].type, all[i].a, all[i].b, all[i].n);
            set_str(t, "direction", right ? "RIGHT" : "LEFT");
            done(t, all[i].want, all[i].bytes);
        }
    }
}

/* A NaN is not equal to itself, is greater than nothing, and is what Min and Max give. */
static void not_a_number(void **state)
{
    (void)state;
#define A L(NAN, 1, NAN, -0.0f, INFINITY)
#define B L(1, NAN, NAN, 0, -INFINITY)
    BINARY("Equal", 11, VD_F32, float, uint8_t, A, B, L(0, 0, 0, 1, 0));
    BINARY("Less", 7, VD_F32, float, uint8_t, A, B, L(0, 0, 0, 0, 0));
    BINARY("Greater", 7, VD_F32, float, uint8_t, A, B, L(0, 0, 0, 0, 1));
    BINARY("LessOrEqual", 12, VD_F32, float, uint8_t, A, B, L(0, 0, 0, 1, 0));
    BINARY("GreaterOrEqual", 12, VD_F64, double, uint8_t, A, B, L(0, 0, 0, 1, 1));
    const float a[] = A, b[] = B;
    for (int how = 0; how < 2; how++)
        for (int swap = 0; swap < 2; swap++) {
            struct trial *t = binary(how ? "Max" : "Min", 13, VD_F32, swap ? b : a, swap ? a : b, 5);
            trial_run(t, NULL);
            const float *y = t->out[0].data;
            assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2]) && y[3] == 0 && y[4] == (how ? INFINITY : -INFINITY));
            trial_free(t);
        }
    const float x[] = {NAN, -0.0f, 3, -INFINITY, 0.5f, 1.5f, -2.5f, 0x1p30f + 128};
    static const struct { const char *op; int opset; float want[8]; } same[] = {
        {"Sign", 9, {NAN, 0, 1, -1, 1, 1, -1, 1}}, {"Abs", 7, {NAN, 0, 3, INFINITY, 0.5f, 1.5f, 2.5f, 0x1p30f + 128}},
        {"Neg", 7, {NAN, 0, -3, INFINITY, -0.5f, -1.5f, 2.5f, -0x1p30f - 128}},
        {"Round", 11, {NAN, -0.0f, 3, -INFINITY, 0, 2, -2, 0x1p30f + 128}},
        {"Floor", 7, {NAN, -0.0f, 3, -INFINITY, 0, 1, -3, 0x1p30f + 128}}, {"Ceil", 7, {NAN, -0.0f, 3, -INFINITY, 1, 2, -2, 0x1p30f + 128}},
        {"ThresholdedRelu", 10, {0, 0, 3, 0, 0, 1.5f, 0, 0x1p30f + 128}},
        {"LeakyRelu", 16, {NAN, -0.0f, 3, -INFINITY, 0.5f, 1.5f, -2.5f * 0.01f, 0x1p30f + 128}},
    };
    for (size_t i = 0; i < COUNT(same); i++) {
        struct trial *t = trial_new(same[i].op, same[i].opset);
        trial_in(t, VD_F32, DIMS(8), x);
        trial_run(t, NULL);
        check_floats(&t->out[0], same[i].want, 8);
        trial_free(t);
    }
    for (int which = 0; which < 4; which++) {
        const double d[] = {INFINITY, -INFINITY, NAN, 1e300};
        struct trial *t = trial_new("IsInf", 10);
        trial_in(t, VD_F64, DIMS(4), d);
        set_int(t, "detect_positive", which & 1);
        set_int(t, "detect_negative", which >> 1);
        done(t, (uint8_t[]){(uint8_t)(which & 1), (uint8_t)(which >> 1), 0, 0}, 4);
    }
    struct trial *t = trial_new("IsNaN", 9);
    trial_in(t, VD_F32, DIMS(8), x);
    done(t, (uint8_t[]){1, 0, 0, 0, 0, 0, 0, 0}, 8);
#undef A
#undef B
}

/* A bool is true where its byte is not 0, and results are 0 or 1. */
static void logic(void **state)
{
    (void)state;
#define A L(0, 0, 2, 255, 1)
#define B L(0, 7, 0, 1, 1)
    BINARY("And", 7, VD_BOOL, uint8_t, uint8_t, A, B, L(0, 0, 0, 1, 1));
    BINARY("Or", 7, VD_BOOL, uint8_t, uint8_t, A, B, L(0, 1, 1, 1, 1));
    BINARY("Xor", 7, VD_BOOL, uint8_t, uint8_t, A, B, L(0, 1, 1, 0, 0));
    BINARY("Equal", 7, VD_BOOL, uint8_t, uint8_t, A, B, L(1, 0, 0, 1, 1));
    UNARY("Not", 7, VD_BOOL, uint8_t, A, L(1, 1, 0, 0, 0));
#undef A
#undef B
    const uint8_t pick[] = {0, 200};
    const double a[] = {1, 2, 3}, b = 9;
    struct trial *t = trial_new("Where", 9);
    trial_in(t, VD_BOOL, DIMS(2, 1), pick);
    trial_in(t, VD_F64, DIMS(1, 3), a);
    trial_in(t, VD_F64, SCALAR, &b);
    trial_run(t, NULL);
    check_shape(&t->out[0], VD_F64, DIMS(2, 3));
    check_data(&t->out[0], (double[]){9, 9, 9, 1, 2, 3}, 48);
    trial_free(t);
}

/* Any number of inputs, of which the last alone may be wide; and what Mean rounds. */
static void any_number(void **state)
{
    (void)state;
    const float a[] = {1, 2}, b = 10, c[] = {100, 200, 300, 400};
    static const float sums[] = {111, 211, 311, 411, 112, 212, 312, 412};
    for (int mean = 0; mean < 2; mean++) {
        struct trial *t = trial_new(mean ? "Mean" : "Sum", 8);
        trial_in(t, VD_F32, DIMS(2, 1), a);
        trial_in(t, VD_F32, SCALAR, &b);
        trial_in(t, VD_F32, DIMS(1, 4), c);
        trial_run(t, NULL);
        check_shape(&t->out[0], VD_F32, DIMS(2, 4));
        float want[8];
        for (int i = 0; i < 8; i++)
            want[i] = mean ? sums[i] / 3 : sums[i];
        check_floats(&t->out[0], want, 8);
        trial_free(t);
    }
    struct trial *t = trial_new("Max", 7);
    trial_in(t, VD_F32, DIMS(4), c);
    trial_run(t, NULL);
    check_floats(&t->out[0], c, 4);
    trial_free(t);
    /* long enough for pieces of several workers, the same with one and with four */
    enum { N = 70001 };
    struct vd_workers *four;
    assert_int_equal(vd_workers_create(4, &four), 0);
    double *x = vd_calloc(N, sizeof(*x)), *want = vd_calloc(N, sizeof(*want));
    assert_true(x && want);
    const double more[] = {0.5, 0.25};
    for (int i = 0; i < N; i++)
        x[i] = i, want[i] = (i + 0.75) / 3;
    t = trial_new("Mean", 13);
    trial_in(t, VD_F64, DIMS(1), &more[0]);
    trial_in(t, VD_F64, DIMS(1), &more[1]);
    trial_in(t, VD_F64, DIMS(N), x);
    trial_run(t, four);
    check_data(&t->out[0], want, N * sizeof(*want));
    trial_free(t);
    vd_free(x);
    vd_free(want);
    vd_workers_free(four);
}

/* Every 1261st float32 from -104 to 104, in this project's functions against the C library's: 0.51 units in the last place. */
static void own_functions(void **state)
{
    (void)state;
    static const struct { const char *op; int opset; } ops[] = {{"Exp", 7}, {"Tanh", 7}, {"Sigmoid", 7}, {"Elu", 7}, {"Softplus", 7},
                                                               {"Mish", 18}, {"Log", 7}};
    enum { PART = 1 << 14 };
    float *x = vd_calloc(PART, sizeof(*x));
    assert_non_null(x);
    for (size_t o = 0; o < COUNT(ops); o++)
        for (uint32_t bits = 0; bits < 0x42d00000;) {
            for (int i = 0; i < PART; i += 2, bits += 1261) {
                memcpy(&x[i], &bits, sizeof(bits));
                x[i + 1] = -x[i];
            }
            struct trial *t = trial_new(ops[o].op, ops[o].opset);
            trial_in(t, VD_F32, DIMS(PART), x);
            trial_run(t, NULL);
            const float *y = t->out[0].data;
            for (int i = 0; i < PART; i++) {
                const double v = (double)x[i], soft = fmax(v, 0) + log1p(exp(-fabs(v)));
                const double all[] = {exp(v), tanh(v), 1 / (1 + exp(-v)), v < 0 ? expm1(v) : v, soft, v * tanh(soft), log(v)};
                const float near = (float)all[o];
                const double unit = (double)(nextafterf(fabsf(near), INFINITY) - fabsf(near));
                if (isnan(all[o]) ? !isnan(y[i]) : y[i] != near && !(fabs((double)y[i] - all[o]) <= 0.51 * unit))
                    fail_msg("%s(%a) is %a, not %a", ops[o].op, v, (double)y[i], all[o]);
            }
            trial_free(t);
        }
    vd_free(x);
}

/* Far out, where a formula would be infinity times 0. */
static void far_out(void **state)
{
    (void)state;
    const float x[] = {-1e38f, -300, 300, 1e38f, INFINITY, -INFINITY, NAN};
    static const struct { const char *op; int opset; float low, minus; } ops[] = {
        {"Gelu", 20, -0.0f, NAN}, {"Mish", 18, -0.0f, NAN}, {"HardSwish", 14, -0.0f, NAN}, {"Softplus", 7, 0, 0}, {"Elu", 7, -1, -1},
        {"Celu", 12, -1, -1},
    };
    for (size_t o = 0; o < COUNT(ops); o++)
        for (int tanh_form = 0; tanh_form <= !o; tanh_form++) {
            struct trial *t = trial_new(ops[o].op, ops[o].opset);
            trial_in(t, VD_F32, DIMS(7), x);
            if (tanh_form)
                set_str(t, "approximate", "tanh");
            trial_run(t, NULL);
            check_floats(&t->out[0], (float[]){ops[o].low, ops[o].low, 300, 1e38f, INFINITY, ops[o].minus, NAN}, 7);
            trial_free(t);
        }
    struct trial *t = trial_new("Softsign", 7);
    trial_in(t, VD_F32, DIMS(3), (float[]){-1, 3, INFINITY});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){-0.5f, 0.75f, NAN}, 3);
    trial_free(t);
    t = trial_new("HardSigmoid", 7);
    trial_in(t, VD_F32, DIMS(4), (float[]){-1, 0, 1, NAN});
    set_float(t, "alpha", 0.5f);
    set_float(t, "beta", 0.6f);
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){(float)((double)0.6f - 0.5), 0.6f, 1, NAN}, 4);
    trial_free(t);
}

static void casts(void **state)
{
    (void)state;
    const uint64_t big[] = {UINT64_MAX, (1ull << 63) + (1ull << 39) + 1, 5, 0};
    const struct { int to; const void *want; size_t bytes; } from[] = {
        {VD_F32, (float[]){0x1p64f, 0x1.000002p63f, 5, 0}, 16}, {VD_F64, (double[]){0x1p64, 0x1.000001p63, 5, 0}, 32},
        {VD_S8, (int8_t[]){-1, 1, 5, 0}, 4}, {VD_BOOL, (uint8_t[]){1, 1, 1, 0}, 4}, {VD_U64, big, 32},
        {VD_F16, (uint16_t[]){0x7c00, 0x7c00, 0x4500, 0}, 8},
    };
    for (size_t i = 0; i < COUNT(from); i++)
        for (int like = 0; like < 2; like++) {
            struct trial *t = trial_new(like ? "CastLike" : "Cast", 19);
            trial_in(t, VD_U64, DIMS(4), big);
            if (like)
                trial_in(t, from[i].to, DIMS(1), NULL);
            else
                set_int(t, "to", from[i].to);
            done(t, from[i].want, from[i].bytes);
        }
    struct trial *t = trial_new("Cast", 13);
    trial_in(t, VD_F64, DIMS(6), (double[]){0x1p63, 0x1.8p63, 7.9, -1, 0x1p64, NAN});
    set_int(t, "to", VD_U64);
    done(t, (uint64_t[]){1ull << 63, 3ull << 62, 7, UINT64_MAX, 1ull << 63, 1ull << 63}, 48);
    t = trial_new("Pow", 12);
    trial_in(t, VD_S32, DIMS(3), (int32_t[]){-1, 2, 3});
    trial_in(t, VD_U64, DIMS(3), (uint64_t[]){UINT64_MAX, 1ull << 63, 4});
    done(t, (int32_t[]){-1, 0, 81}, 12);
}

static struct trial *dropout(int opset, const float *ratio, const uint8_t *training, int outputs)
{
    static const float x[] = {1, -2, 3};
    struct trial *t = trial_new("Dropout", opset);
    trial_in(t, VD_F32, DIMS(3), x);
    if (ratio)
        trial_in(t, VD_F32, SCALAR, ratio);
    else if (training)
        trial_no_in(t);
    if (training)
        trial_in(t, VD_BOOL, SCALAR, training);
    trial_outputs(t, outputs);
    return t;
}

static void dropouts(void **state)
{
    (void)state;
    const float x[] = {1, -2, 3}, some = 0.3f, none = 0;
    const uint8_t yes = 1, no = 0;
    for (int how = 0; how < 5; how++) {
        struct trial *t = dropout(how < 2 ? 7 + 3 * how : 12, how == 3 ? &some : how == 4 ? &none : NULL, how == 3 ? &no : how == 4 ? &yes : NULL, 2);
        trial_run(t, NULL);
        check_floats(&t->out[0], x, 3);
        if (!how)
            check_floats(&t->out[1], (float[]){1, 1, 1}, 3);
        else
            check_data(&t->out[1], (uint8_t[]){1, 1, 1}, 3);
        trial_free(t);
    }
    struct trial *t = dropout(13, NULL, NULL, 2); /* the mask alone */
    t->out_p[0] = NULL;
    t->out_name[0] = "";
    trial_run(t, NULL);
    check_data(&t->out[1], (uint8_t[]){1, 1, 1}, 3);
    trial_free(t);
    trial_refuses(dropout(12, NULL, &yes, 1), EPERM, "training_mode");
    trial_refuses(dropout(12, &some, &yes, 1), EPERM, "training_mode");
    t = dropout(12, &some, &yes, 1);
    t->in[1].data = NULL;
    trial_refuses(t, ENOTSUP, "input 1 (ratio)");
    t = dropout(12, &some, &yes, 1);
    t->in[2].data = NULL;
    trial_refuses(t, ENOTSUP, "input 2 (training_mode)");
    t = dropout(12, NULL, NULL, 1);
    trial_in(t, VD_F32, DIMS(2), x);
    trial_refuses(t, EBADMSG, "input 1 (ratio) has 2 elements");
}

static void refusals(void **state)
{
    (void)state;
    const float f[6] = {0};
    const int32_t n[6] = {0};
    struct trial *t = binary("Mod", 13, VD_F32, f, f, 3);
    trial_refuses(t, EBADMSG, "attribute fmod is 0; for float32 it must be 1");
    const uint8_t u[3] = {0};
    t = binary("BitShift", 11, VD_U8, u, u, 3);
    set_str(t, "direction", "left");
    trial_refuses(t, EBADMSG, "direction is 'left'");
    trial_refuses(binary("BitShift", 11, VD_U8, u, u, 3), EBADMSG, "direction");
    t = trial_new("Gelu", 20);
    trial_in(t, VD_F32, DIMS(3), f);
    set_str(t, "approximate", "sigmoid");
    trial_refuses(t, EBADMSG, "approximate is 'sigmoid'");
    static const char *const pairs[] = {"Equal", "Less", "Min", "PRelu", "Mod"};
    for (size_t i = 0; i < COUNT(pairs); i++) {
        t = trial_new(pairs[i], 13);
        trial_in(t, VD_F32, DIMS(3), f);
        trial_in(t, VD_S32, DIMS(3), n);
        set_int(t, "fmod", 1);
        if (strcmp(pairs[i], "Mod"))
            t->node.n_attr = 0;
        trial_refuses(t, EBADMSG, "one type");
        t = trial_new(pairs[i], 13);
        trial_in(t, VD_S32, DIMS(3), n);
        trial_in(t, VD_S32, DIMS(2), n);
        trial_refuses(t, ERANGE, "cannot be broadcast");
    }
    t = trial_new("PRelu", 9);
    trial_in(t, VD_F32, DIMS(1, 3), f);
    trial_in(t, VD_F32, DIMS(2, 3), f);
    trial_refuses(t, ERANGE, "slope");
    t = trial_new("PRelu", 9);
    trial_in(t, VD_F32, DIMS(3), f);
    trial_in(t, VD_F32, DIMS(1, 3), f);
    trial_refuses(t, ERANGE, "slope");
    t = trial_new("Sum", 7);
    trial_in(t, VD_F32, DIMS(3), f);
    trial_in(t, VD_F32, DIMS(1), f);
    trial_refuses(t, ERANGE, "before opset 8");
    t = trial_new("Where", 16);
    trial_in(t, VD_BOOL, DIMS(2), u);
    trial_in(t, VD_F32, DIMS(3), f);
    trial_in(t, VD_F32, DIMS(1), f);
    trial_refuses(t, ERANGE, "cannot be broadcast");
    t = trial_new("Where", 16);
    trial_in(t, VD_BOOL, DIMS(1), u);
    trial_in(t, VD_F32, DIMS(3), f);
    trial_in(t, VD_S32, DIMS(3), n);
    trial_refuses(t, EBADMSG, "one type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(shifts), cmocka_unit_test(not_a_number), cmocka_unit_test(logic),
        cmocka_unit_test(any_number), cmocka_unit_test(own_functions), cmocka_unit_test(far_out), cmocka_unit_test(casts),
        cmocka_unit_test(dropouts), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
