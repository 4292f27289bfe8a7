/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>

#include "op_random.h"
#include "ops/op_math.h"

/* Operators that go element by element: broadcasting against loops that index every element the long way, integers that wrap, the functions
 * of this project's own, float16, casts. More corners are in test_ops_elementwise.c. */

static void broadcasting(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + (uint64_t)round);
        int64_t dim[8], a[8], b[8];
        const int rank = random_shape(&r, 0, 6, dim), ra = below(&r, 3) ? rank : below(&r, rank + 1), rb = below(&r, 3) ? rank : below(&r, rank + 1);
        for (int i = 0; i < ra; i++)
            a[i] = below(&r, 3) ? dim[rank - ra + i] : 1;
        for (int i = 0; i < rb; i++)
            b[i] = below(&r, 3) ? dim[rank - rb + i] : 1;
        float *x = floats(&r, count_of(ra, a)), *y = floats(&r, count_of(rb, b));
        for (int threaded = 0; threaded < 2; threaded++) {
            struct trial *t = trial_new("Sub", 17);
            trial_in(t, VD_F32, ra, a, x);
            trial_in(t, VD_F32, rb, b, y);
            trial_run(t, threaded ? four : NULL);
            const float *got = t->out[0].data;
            for (size_t i = 0; i < vd_tensor_count(&t->out[0]); i++)
                if (got[i] != x[broadcast_index(&t->out[0], i, ra, a)] - y[broadcast_index(&t->out[0], i, rb, b)])
                    fail_msg("round %d of seed %" PRIu64 ": element %zu", round, seed, i);
            trial_free(t);
        }
        vd_free(x);
        vd_free(y);
    }
}

#define INTEGERS(name, T, vtype, ...) \
    static void name(const char *op, const T *a, const T *b, const T *want, size_t n) \
    { \
        const int64_t dim = (int64_t)n; \
        struct trial *t = trial_new(op, 17); \
        trial_in(t, vtype, 1, &dim, a); \
        trial_in(t, vtype, 1, &dim, b); \
        trial_run(t, NULL); \
        check_data(&t->out[0], want, n * sizeof(T)); \
        trial_free(t); \
    }
INTEGERS(on_s8, int8_t, VD_S8)
INTEGERS(on_u8, uint8_t, VD_U8)
INTEGERS(on_s32, int32_t, VD_S32)
INTEGERS(on_s64, int64_t, VD_S64)

static void integers_wrap(void **state)
{
    (void)state;
    on_s8("Add", (int8_t[]){127, -128, 5}, (int8_t[]){1, -1, 6}, (int8_t[]){-128, 127, 11}, 3);
    on_s8("Mul", (int8_t[]){-128, 100, 16}, (int8_t[]){-1, 3, 16}, (int8_t[]){-128, 44, 0}, 3);
    on_s8("Div", (int8_t[]){-128, -7, 7, 5, -1}, (int8_t[]){-1, 2, -2, 0, 0}, (int8_t[]){-128, -3, -3, 0, 0}, 5);
    on_u8("Sub", (uint8_t[]){0, 9}, (uint8_t[]){1, 4}, (uint8_t[]){255, 5}, 2);
    on_u8("Div", (uint8_t[]){200, 9, 1}, (uint8_t[]){255, 4, 0}, (uint8_t[]){0, 2, 0}, 3);
    on_s32("Add", (int32_t[]){INT32_MAX, INT32_MIN}, (int32_t[]){1, -1}, (int32_t[]){INT32_MIN, INT32_MAX}, 2);
    on_s32("Mul", (int32_t[]){INT32_MIN, 65536}, (int32_t[]){-1, 65537}, (int32_t[]){INT32_MIN, 65536}, 2);
    on_s32("Div", (int32_t[]){INT32_MIN, 7, -7, 1}, (int32_t[]){-1, -2, 2, 0}, (int32_t[]){INT32_MIN, -3, -3, 0}, 4);
    on_s64("Sub", (int64_t[]){INT64_MIN, 3}, (int64_t[]){1, 5}, (int64_t[]){INT64_MAX, -2}, 2);
    on_s64("Mul", (int64_t[]){INT64_MAX, INT64_MIN}, (int64_t[]){2, -1}, (int64_t[]){-2, INT64_MIN}, 2);
    on_s64("Div", (int64_t[]){INT64_MIN, 9, INT64_MAX}, (int64_t[]){-1, 0, -1}, (int64_t[]){INT64_MIN, 0, -INT64_MAX}, 3);
    on_s32("Pow", (int32_t[]){3, -2, 2, 0, -1, 0, 46341, 5}, (int32_t[]){13, 3, -1, 0, -3, -1, 2, 1},
           (int32_t[]){1594323, -8, 0, 1, -1, 0, -2147479015, 5}, 8);
    on_s64("Pow", (int64_t[]){10, 3}, (int64_t[]){18, 39}, (int64_t[]){1000000000000000000, 4052555153018976267}, 2);
}

static void unary(const char *op, int opset, const float *x, const float *want, size_t n)
{
    const int64_t dim = (int64_t)n;
    struct trial *t = trial_new(op, opset);
    trial_in(t, VD_F32, 1, &dim, x);
    trial_run(t, NULL);
    check_floats(&t->out[0], want, n);
    trial_free(t);
}

static void rectifiers(void **state)
{
    (void)state;
    const float x[] = {-1, 0, 2, -0.0f, NAN, INFINITY, -INFINITY, 1e-45f, -1e-45f};
    unary("Relu", 7, x, (float[]){0, 0, 2, -0.0f, NAN, INFINITY, 0, 1e-45f, 0}, 9);
    unary("Sqrt", 7, (float[]){4, 2, -0.0f, -1, INFINITY}, (float[]){2, 1.41421354f, -0.0f, NAN, INFINITY}, 5);
    unary("Identity", 7, x, x, 9);
    for (int how = 0; how < 4; how++) {
        static const float lo = -1, hi = 0.5f;
        struct trial *t = trial_new("Clip", how ? 13 : 7);
        trial_in(t, VD_F32, DIMS(9), x);
        if (!how)
            set_float(t, "min", lo), set_float(t, "max", hi);
        else if (how == 3)
            trial_in(t, VD_F32, SCALAR, &hi), trial_in(t, VD_F32, SCALAR, &lo); /* least above greatest */
        else {
            trial_in(t, VD_F32, SCALAR, &lo);
            if (how == 1)
                trial_in(t, VD_F32, SCALAR, &hi);
        }
        trial_run(t, NULL);
        static const float both[] = {-1, 0, 0.5f, -0.0f, NAN, 0.5f, -1, 1e-45f, -1e-45f}, all[] = {-1, -1, -1, -1, NAN, -1, -1, -1, -1},
                           low[] = {-1, 0, 2, -0.0f, NAN, INFINITY, -1, 1e-45f, -1e-45f};
        check_floats(&t->out[0], how == 2 ? low : how == 3 ? all : both, 9);
        trial_free(t);
    }
    const uint8_t u[] = {0, 3, 200, 255}, top = 100;
    struct trial *t = trial_new("Clip", 13);
    trial_in(t, VD_U8, DIMS(4), u);
    trial_no_in(t);
    trial_in(t, VD_U8, SCALAR, &top);
    trial_run(t, NULL);
    check_data(&t->out[0], (uint8_t[]){0, 3, 100, 100}, 4);
    trial_free(t);
}

/* Against the C library's double functions, which are better than 1e-15. */
static void functions(void **state)
{
    (void)state;
    struct vd_rng r;
    vd_rng_seed(&r, seed);
    double worst_exp = 0, worst_log = 0;
    for (int i = 0; i < 200000; i++) {
        const double x = (vd_rng_f64(&r) - 0.5) * (i % 3 ? 40 : 1400), e = vd_exp(x), want = exp(x);
        worst_exp = fmax(worst_exp, fabs(e - want) / want);
        const double y = i % 2 ? want : vd_rng_f64(&r) + 0.5;
        if (y >= DBL_MIN) {
            const double l = log(y);
            worst_log = fmax(worst_log, l == 0 ? fabs(vd_log(y)) : fabs(vd_log(y) - l) / fabs(l));
        }
    }
    assert_true(worst_exp < 0x1p-45);
    assert_true(worst_log < 0x1p-50);
    assert_true(isnan(vd_exp(NAN)));

    static const double part[] = {0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 2.5, -2.5, 1e-300, -1e-300, 1e300, 7, -7, 5e-324, INFINITY, -INFINITY,
                                  NAN, 4294967297.0, 1 + 0x1p-30, 1 - 0x1p-30, 100, -100, 0x1p53, 0x1p60};
    enum { N = sizeof(part) / sizeof(part[0]) };
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            const double got = vd_pow(part[i], part[k]), want = pow(part[i], part[k]);
            const float gf = (float)got, wf = (float)want; /* the range of floats is what is promised */
            if (isnan(want) ? !isnan(got) : !(gf == wf ? signbit(gf) == signbit(wf) : fabsf(gf - wf) <= fabsf(wf) * 0x1p-23f + 0x1p-149f))
                fail_msg("pow(%a, %a) is %a, not %a", part[i], part[k], got, want);
        }
    for (int i = 0; i < 100000; i++) {
        const double x = exp((vd_rng_f64(&r) - 0.5) * 20), y = (vd_rng_f64(&r) - 0.5) * 20, want = pow(x, y);
        assert_true(fabs(vd_pow(x, y) - want) <= want * 0x1p-42);
    }

    float x[512], s[512];
    for (int i = 0; i < 512; i++) {
        x[i] = i < 500 ? (vd_rng_f32(&r) - 0.5f) * (i < 250 ? 20 : 220) : 0;
        const double e = 1 / (1 + exp(-(double)x[i]));
        s[i] = (float)e;
    }
    x[510] = INFINITY, s[510] = 1, x[511] = -INFINITY, s[511] = 0, x[509] = NAN, s[509] = NAN;
    struct trial *t = trial_new("Sigmoid", 17);
    trial_in(t, VD_F32, DIMS(512), x);
    trial_run(t, NULL);
    for (int i = 0; i < 512; i++) {
        const float got = ((float *)t->out[0].data)[i];
        if (isnan(s[i]) ? !isnan(got) : !(fabsf(got - s[i]) <= s[i] * 0x1p-23f))
            fail_msg("sigmoid(%a) is %a, not %a", (double)x[i], (double)got, (double)s[i]);
    }
    trial_free(t);
}

/* Every float16 and back; and at, below and above the middle of every pair of neighbours. */
static void half_floats(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const int e = (int)(h >> 10 & 31);
        const double m = h & 0x3ff, sign = h & 0x8000 ? -1 : 1;
        const float f = vd_f32_from_f16((uint16_t)h);
        if (e == 31 && m != 0) {
            assert_true(isnan(f));
            assert_true((vd_f16_from_f32(f) & 0x7fff) > 0x7c00);
            continue;
        }
        const double want = e == 31 ? INFINITY : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
        if (f != (float)(sign * want) || !!signbit(f) != (sign < 0))
            fail_msg("float16 %04x is %a, not %a", h, (double)f, sign * want);
        assert_int_equal(vd_f16_from_f32(f), h);
        if (e == 31)
            continue;
        const uint16_t next = (uint16_t)(h + 1), even = h & 1 ? next : (uint16_t)h;
        const double up = (next & 0x7fff) == 0x7c00 ? 65536 : fabs((double)vd_f32_from_f16(next)); /* infinity begins where 2^16 would be */
        const float mid = (float)(sign * (want + up) / 2); /* 12 bits: exact */
        assert_int_equal(vd_f16_from_f32(mid), even);
        assert_int_equal(vd_f16_from_f32(nextafterf(mid, 0)), h);
        assert_int_equal(vd_f16_from_f32(nextafterf(mid, (float)sign * INFINITY)), next);
    }
    assert_int_equal(vd_f16_from_f32(FLT_MAX), 0x7c00);
    assert_int_equal(vd_f16_from_f32(-1e-45f), 0x8000);
    assert_true((vd_f16_from_f32(-NAN) & 0x7fff) > 0x7c00);
}

static void cast(int from, const void *x, int to, const void *want, int64_t n)
{
    struct trial *t = trial_new("Cast", 17);
    trial_in(t, from, 1, &n, x);
    set_int(t, "to", to);
    trial_run(t, NULL);
    assert_int_equal(t->out[0].type, to);
    check_data(&t->out[0], want, (size_t)n * vd_type_size(to));
    trial_free(t);
}

static void casts(void **state)
{
    (void)state;
    const float f[] = {3e9f, -3e9f, 300, -1.9f, 255.9f, 1e20f, NAN, INFINITY, -INFINITY, -129};
    cast(VD_F32, f, VD_U8, (uint8_t[]){0, 0, 44, 255, 255, 0, 0, 0, 0, 127}, 10);
    cast(VD_F32, f, VD_S8, (int8_t[]){0, 0, 44, -1, -1, 0, 0, 0, 0, 127}, 10);
    cast(VD_F32, f, VD_S32, (int32_t[]){INT32_MIN, INT32_MIN, 300, -1, 255, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, -129}, 10);
    cast(VD_F32, f, VD_S64, (int64_t[]){3000000000, -3000000000, 300, -1, 255, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, -129}, 10);
    cast(VD_F32, f, VD_BOOL, (uint8_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 10);
    cast(VD_F32, (float[]){0, -0.0f, 0.1f}, VD_BOOL, (uint8_t[]){0, 0, 1}, 3);
    cast(VD_F32, (float[]){2147483520, -2147483648.f}, VD_S32, (int32_t[]){2147483520, INT32_MIN}, 2);
    cast(VD_F32, (float[]){-1.5f, 65504, 65520, 1e-8f, 6e-8f}, VD_F16, (uint16_t[]){0xbe00, 0x7bff, 0x7c00, 0, 1}, 5);
    cast(VD_F16, (uint16_t[]){0x3c00, 0x8001, 0x7c00}, VD_F32, (float[]){1, -0x1p-24f, INFINITY}, 3);
    cast(VD_S32, (int32_t[]){300, -1, 256, 16777217}, VD_U8, (uint8_t[]){44, 255, 0, 1}, 4);
    cast(VD_S32, (int32_t[]){16777217, -16777219, INT32_MIN}, VD_F32, (float[]){16777216, -16777220, -0x1p31f}, 3);
    cast(VD_S64, (int64_t[]){1LL << 53 | 1, -1}, VD_S64, (int64_t[]){1LL << 53 | 1, -1}, 2); /* not by way of double */
    /* one rounding: by way of double this would be 2^60 */
    cast(VD_S64, (int64_t[]){(1LL << 60) + (1LL << 36) + 1}, VD_F32, (float[]){0x1.000002p60f}, 1);
    cast(VD_BOOL, (uint8_t[]){0, 1, 7}, VD_S32, (int32_t[]){0, 1, 1}, 3);
    cast(VD_F64, (double[]){1.5, 1e300}, VD_F32, (float[]){1.5f, INFINITY}, 2);
    cast(VD_U32, (uint32_t[]){UINT32_MAX}, VD_S64, (int64_t[]){UINT32_MAX}, 1);
}

/* Whatever takes a tensor takes one of no elements, and writes nothing. */
static void nothing_at_all(void **state)
{
    (void)state;
    static const char *const ops[] = {"Relu", "Sqrt", "Sigmoid", "Identity", "Add", "Mul", "Div", "Pow", "Concat", "MatMul"};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct trial *t = trial_new(ops[i], 17);
        const int n = t->op->in_min > 1 ? 2 : 1;
        for (int k = 0; k < n; k++)
            trial_in(t, VD_F32, DIMS(0, 3, !strcmp(ops[i], "MatMul") ? 3 : 2), NULL);
        if (!strcmp(ops[i], "Concat"))
            set_int(t, "axis", 1);
        trial_run(t, four);
        assert_int_equal(vd_tensor_count(&t->out[0]), 0);
        trial_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting), cmocka_unit_test(integers_wrap), cmocka_unit_test(rectifiers), cmocka_unit_test(functions),
        cmocka_unit_test(half_floats), cmocka_unit_test(casts), cmocka_unit_test(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
