/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>

#include "op_harness.h"
#include "ops/op_math.h"

/* What the operators compute: ONNX's own examples, corners of types, and random shapes against loops that index every element the
 * long way. The oracle test against ONNX Runtime covers breadth; this one corners, threads and bits. */

static uint64_t seed = 20261125;
static struct vd_workers *four;

static int below(struct vd_rng *r, int n) { return (int)(vd_rng_u32(r) % (uint32_t)n); }

static float *floats(struct vd_rng *r, size_t n)
{
    float *v = vd_calloc(n + 1, sizeof(*v));
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = vd_rng_f32(r) * 8 - 4;
    return v;
}

static uint8_t *bytes(struct vd_rng *r, size_t n)
{
    uint8_t *v = vd_calloc(n + 1, 1);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (uint8_t)vd_rng_u32(r);
    return v;
}

static size_t count_of(int rank, const int64_t *dim)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= (size_t)dim[i];
    return n;
}

/* Element i of `out`, as an index into a tensor of these dims that is broadcast to it. */
static size_t broadcast_index(const struct vd_tensor *out, size_t i, int rank, const int64_t *dim)
{
    size_t at = 0, step = 1;
    for (int d = 1; d <= out->rank; d++) {
        const size_t x = i % (size_t)out->dim[out->rank - d];
        i /= (size_t)out->dim[out->rank - d];
        if (d > rank)
            continue;
        at += dim[rank - d] == 1 ? 0 : x * step;
        step *= (size_t)dim[rank - d];
    }
    return at;
}

/* A random shape; one dim in a few is long enough for several pieces of work. */
static int random_shape(struct vd_rng *r, int lo, int hi, int64_t *dim)
{
    const int rank = lo + below(r, hi - lo + 1);
    for (int i = 0; i < rank; i++)
        dim[i] = 1 + below(r, 6);
    if (rank && below(r, 4) == 0)
        dim[below(r, rank)] = 900 + below(r, 3000);
    return rank;
}

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

/* Sums over random axes, against the long way in float64; the same bits whatever the threads. */
static void reductions(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 1000 + (uint64_t)round);
        int64_t dim[8], axes[8], keep[8];
        const int rank = random_shape(&r, 1, 6, dim), mean = below(&r, 2), ints = below(&r, 3) == 0;
        int n = 0;
        for (int d = 0; d < rank; d++) {
            const bool gone = below(&r, 2);
            keep[d] = gone ? 1 : dim[d];
            if (gone)
                axes[n++] = below(&r, 2) ? d : d - rank;
        }
        if (!n)
            memset(keep, 0, sizeof(keep));
        for (int d = 0; !n && d < rank; d++)
            keep[d] = 1;
        const size_t count = count_of(rank, dim), outs = count_of(rank, keep);
        float *x = floats(&r, count);
        int32_t *v = vd_calloc(count, sizeof(*v));
        double *sum = vd_calloc(outs, sizeof(*sum));
        assert_true(v && sum);
        struct vd_tensor full = {.rank = rank};
        memcpy(full.dim, dim, sizeof(dim));
        for (size_t i = 0; i < count; i++) {
            v[i] = (int32_t)(x[i] * 1000);
            sum[broadcast_index(&full, i, rank, keep)] += ints ? v[i] : (double)x[i];
        }
        void *first = NULL;
        for (int threaded = 0; threaded < 2; threaded++) {
            struct trial *t = trial_new(mean ? "ReduceMean" : "ReduceSum", 18);
            const int64_t n_axes = n;
            trial_in(t, ints ? VD_S32 : VD_F32, rank, dim, ints ? (void *)v : x);
            if (n)
                trial_in(t, VD_S64, 1, &n_axes, axes);
            trial_run(t, threaded ? four : NULL);
            check_shape(&t->out[0], ints ? VD_S32 : VD_F32, rank, keep);
            for (size_t i = 0; i < outs; i++) {
                const double part = mean ? (double)(count / outs) : 1, want = sum[i] / part;
                if (ints ? ((int32_t *)t->out[0].data)[i] != (int32_t)want
                         : fabs((double)((float *)t->out[0].data)[i] - want) > fabs(want) * 0x1p-23 + 1e-12 * (double)(count / outs))
                    fail_msg("round %d of seed %" PRIu64 ": element %zu", round, seed, i);
            }
            if (!threaded) {
                first = t->out[0].data;
                t->out[0].data = NULL;
            } else
                check_data(&t->out[0], first, vd_tensor_bytes(&t->out[0]));
            trial_free(t);
        }
        vd_free(first);
        vd_free(x);
        vd_free(v);
        vd_free(sum);
    }
    const float some[] = {1, 2, 3};
    struct trial *t = trial_new("ReduceSum", 13); /* no axes and nothing to be done */
    trial_in(t, VD_F32, DIMS(3), some);
    trial_in(t, VD_S64, DIMS(0), NULL);
    set_int(t, "noop_with_empty_axes", 1);
    trial_run(t, NULL);
    check_floats(&t->out[0], some, 3);
    trial_free(t);
    for (int mean = 0; mean < 2; mean++) { /* sums of nothing */
        t = trial_new(mean ? "ReduceMean" : "ReduceSum", 11);
        trial_in(t, VD_F32, DIMS(2, 0, 2), NULL);
        set_ints(t, "axes", 1, (const int64_t[]){1});
        set_int(t, "keepdims", 0);
        trial_run(t, NULL);
        check_shape(&t->out[0], VD_F32, DIMS(2, 2));
        check_floats(&t->out[0], (float[]){0, 0, 0, 0}, 4);
        trial_free(t);
    }
    t = trial_new("ReduceSum", 11);
    trial_in(t, VD_S32, DIMS(3), (int32_t[]){INT32_MAX, INT32_MAX, 4});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){2}, 4);
    trial_free(t);
    t = trial_new("ReduceMean", 11); /* exact, and cut towards zero */
    trial_in(t, VD_S32, DIMS(2, 3), (int32_t[]){INT32_MAX, INT32_MAX, 4, -1, -2, -4});
    set_ints(t, "axes", 1, (const int64_t[]){1});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){1431655766, -2}, 8);
    trial_free(t);
    /* 2^24 ones and a half: float32 sums would stop at 2^24 */
    enum { MANY = (1 << 24) + 2 };
    float *ones = vd_calloc(MANY, sizeof(*ones));
    assert_non_null(ones);
    for (size_t i = 0; i < MANY; i++)
        ones[i] = 1;
    t = trial_new("GlobalAveragePool", 17);
    trial_in(t, VD_F32, DIMS(1, 1, MANY), ones);
    trial_run(t, four);
    check_floats(&t->out[0], (float[]){1}, 1);
    trial_free(t);
    vd_free(ones);
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

/* The sum runs through k in order: the plain loop gives the same bits, for every shape, transpose and number of threads. */
static void float_products(void **state)
{
    (void)state;
    for (int round = 0; round < 80; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 3000 + (uint64_t)round);
        const int64_t m = 1 + below(&r, round % 3 ? 9 : 150), k = 1 + below(&r, round % 3 ? 20 : 200), n = 1 + below(&r, round % 3 ? 20 : 150);
        const int ta = below(&r, 2), tb = below(&r, 2), form = below(&r, 6);
        const float alpha = below(&r, 2) ? 1 : 0.3f, beta = below(&r, 3) ? 1 : -0.7f;
        static const int c_rank[] = {0, 1, 1, 2, 2, 2};
        const int64_t c_dim[][2] = {{0, 0}, {1, 0}, {n, 0}, {m, 1}, {1, n}, {m, n}};
        float *a = floats(&r, (size_t)(m * k)), *b = floats(&r, (size_t)(k * n)), *c = floats(&r, (size_t)(m * n));
        struct trial *t = trial_new("Gemm", 13);
        trial_in(t, VD_F32, DIMS(ta ? k : m, ta ? m : k), a);
        trial_in(t, VD_F32, DIMS(tb ? n : k, tb ? k : n), b);
        trial_in(t, VD_F32, c_rank[form], c_dim[form], c);
        set_int(t, "transA", ta);
        set_int(t, "transB", tb);
        set_float(t, "alpha", alpha);
        set_float(t, "beta", beta);
        trial_run(t, below(&r, 2) ? four : NULL);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                float sum = 0;
                for (int64_t q = 0; q < k; q++)
                    sum += a[ta ? q * m + i : i * k + q] * b[tb ? j * k + q : q * n + j];
                const size_t at = broadcast_index(&t->out[0], (size_t)(i * n + j), c_rank[form], c_dim[form]);
                const float want = sum * alpha + beta * c[at];
                if (((const float *)t->out[0].data)[i * n + j] != want)
                    fail_msg("round %d of seed %" PRIu64 ": %" PRId64 ", %" PRId64, round, seed, i, j);
            }
        trial_free(t);
        vd_free(a);
        vd_free(b);
        vd_free(c);
    }
    /* Batches: 2 x 1 of the left against 3 of the right. */
    float a[4], b[6], want[12];
    for (int i = 0; i < 4; i++)
        a[i] = (float)(i + 1);
    for (int i = 0; i < 6; i++)
        b[i] = (float)(10 * i + 1);
    for (int i = 0; i < 12; i++) /* [2][3][1][2]: row i / 6 of a, matrix i / 2 % 3 of b */
        want[i] = a[i / 6 * 2 + i % 2] * b[i / 2 % 3 * 2] + a[i / 6 * 2 + 1 - i % 2] * b[i / 2 % 3 * 2 + 1];
    float b2[12]; /* [3][2][2], so that each column meets the row in another order */
    for (int i = 0; i < 3; i++)
        b2[4 * i] = b2[4 * i + 3] = b[2 * i], b2[4 * i + 1] = b2[4 * i + 2] = b[2 * i + 1];
    struct trial *batch = trial_new("MatMul", 13);
    trial_in(batch, VD_F32, DIMS(2, 1, 1, 2), a);
    trial_in(batch, VD_F32, DIMS(1, 3, 2, 2), b2);
    trial_run(batch, four);
    check_shape(&batch->out[0], VD_F32, DIMS(2, 3, 1, 2));
    check_floats(&batch->out[0], want, 12);
    trial_free(batch);
    /* C is not read where beta is 0. */
    struct trial *t = trial_new("Gemm", 13);
    trial_in(t, VD_F32, DIMS(1, 1), (float[]){2});
    trial_in(t, VD_F32, DIMS(1, 1), (float[]){3});
    trial_in(t, VD_F32, DIMS(1), (float[]){NAN});
    set_float(t, "beta", 0);
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){6}, 1);
    trial_free(t);
    t = trial_new("Gemm", 13); /* a sum of nothing */
    trial_in(t, VD_F32, DIMS(2, 0), NULL);
    trial_in(t, VD_F32, DIMS(0, 2), NULL);
    trial_in(t, VD_F32, DIMS(2), (float[]){5, 6});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){5, 6, 5, 6}, 4);
    trial_free(t);
}

static void integer_products(void **state)
{
    (void)state;
    /* ONNX's example */
    struct trial *t = trial_new("MatMulInteger", 10);
    trial_in(t, VD_U8, DIMS(4, 3), (uint8_t[]){11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0});
    trial_in(t, VD_U8, DIMS(3, 2), (uint8_t[]){1, 4, 2, 5, 3, 6});
    trial_in(t, VD_U8, DIMS(1), (uint8_t[]){12});
    trial_in(t, VD_U8, DIMS(1), (uint8_t[]){0});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){-38, -83, -44, -98, -50, -113, -56, -128}, 32);
    trial_free(t);
    for (int round = 0; round < 120; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 4000 + (uint64_t)round);
        const bool big = round % 6 == 0;
        const int64_t batch = 1 + below(&r, 3), m = 1 + below(&r, big ? 90 : 8), k = 1 + below(&r, big ? 700 : 30), n = 1 + below(&r, big ? 90 : 20);
        const bool sa = below(&r, 2), sb = below(&r, 2), rows = below(&r, 2), cols = below(&r, 2), b_batch = below(&r, 2);
        uint8_t *a = bytes(&r, (size_t)(batch * m * k)), *b = bytes(&r, (size_t)((b_batch ? batch : 1) * k * n));
        uint8_t *za = bytes(&r, (size_t)m), *zb = bytes(&r, (size_t)n);
        const int64_t nza = rows ? m : 1, nzb = cols ? n : 1;
        t = trial_new("MatMulInteger", 17);
        trial_in(t, sa ? VD_S8 : VD_U8, DIMS(batch, m, k), a);
        trial_in(t, sb ? VD_S8 : VD_U8, b_batch ? 3 : 2, b_batch ? (const int64_t[]){batch, k, n} : (const int64_t[]){k, n}, b);
        trial_in(t, sa ? VD_S8 : VD_U8, 1, &nza, za);
        trial_in(t, sb ? VD_S8 : VD_U8, 1, &nzb, zb);
        trial_run(t, below(&r, 2) ? four : NULL);
        for (int64_t i = 0; i < batch * m * n; i++) {
            const int64_t z = i / n / m, y = i / n % m, x = i % n;
            int64_t sum = 0;
#define VALUE(is_signed, v) ((is_signed) ? (int)(int8_t)(v) : (int)(v))
            for (int64_t q = 0; q < k; q++)
                sum += (int64_t)(VALUE(sa, a[(z * m + y) * k + q]) - VALUE(sa, za[rows ? y : 0])) *
                       (VALUE(sb, b[((b_batch ? z : 0) * k + q) * n + x]) - VALUE(sb, zb[cols ? x : 0]));
            assert_int_equal(((const int32_t *)t->out[0].data)[i], sum);
        }
        trial_free(t);
        vd_free(a);
        vd_free(b);
        vd_free(za);
        vd_free(zb);
    }
    t = trial_new("MatMul", 17); /* wraps */
    trial_in(t, VD_S32, DIMS(1, 2), (int32_t[]){65536, INT32_MAX});
    trial_in(t, VD_S32, DIMS(2, 1), (int32_t[]){65536, 2});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){-2}, 4);
    trial_free(t);
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

static void normalising(void **state)
{
    (void)state;
    const float x[] = {-1, 0, 1, 2, 3, 4}, s[] = {1, 1.5f}, b[] = {0, 1}, mean[] = {0, 3}, var[] = {1, 1.5f}, four_point = 4;
    struct trial *t = trial_new("BatchNormalization", 9); /* ONNX's example */
    trial_in(t, VD_F32, DIMS(1, 2, 1, 3), x);
    trial_in(t, VD_F32, DIMS(2), s);
    trial_in(t, VD_F32, DIMS(2), b);
    trial_in(t, VD_F32, DIMS(2), mean);
    trial_in(t, VD_F32, DIMS(2), var);
    trial_run(t, four);
    for (int i = 0; i < 6; i++) {
        const double want = ((double)x[i] - (double)mean[i / 3]) / sqrt((double)var[i / 3] + 1e-5) * (double)s[i / 3] + (double)b[i / 3];
        assert_true(fabs((double)((float *)t->out[0].data)[i] - want) < 1e-6);
    }
    trial_free(t);
    t = trial_new("BatchNormalization", 15); /* rank 1: one channel */
    trial_in(t, VD_F32, DIMS(3), (float[]){1, 2, 3});
    for (int i = 0; i < 4; i++)
        trial_in(t, VD_F32, DIMS(1), &four_point);
    set_float(t, "epsilon", 0);
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){-2, 0, 2}, 3);
    trial_free(t);
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

static int start(void **state)
{
    (void)state;
    const char *given = getenv("VD_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    printf("VD_SEED=%" PRIu64 "\n", seed);
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
        cmocka_unit_test(broadcasting), cmocka_unit_test(integers_wrap), cmocka_unit_test(rectifiers), cmocka_unit_test(functions),
        cmocka_unit_test(half_floats), cmocka_unit_test(casts), cmocka_unit_test(moves), cmocka_unit_test(shapes),
        cmocka_unit_test(reductions), cmocka_unit_test(pools), cmocka_unit_test(pools_padded_to_size),
        cmocka_unit_test(float_products), cmocka_unit_test(integer_products),
        cmocka_unit_test(quantising), cmocka_unit_test(quantising_by_range), cmocka_unit_test(normalising),
        cmocka_unit_test(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
