/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernels that take rows of numbers: range, quantisation, planes. As test_kernels.c. */
#include "kernel_harness.h"

enum { CASES = 1000 };

static size_t random_count(void) { return one_in(10) ? below(5000) : below(100); }
static float any_float(void) { return one_in(3) ? special() : one_in(2) ? from_bits(vd_rng_u32(&rng)) : small(); }

static void range_set(const struct vd_kernels *k)
{
    for (int i = 0; i < cases(CASES); i++) {
        const size_t n = random_count();
        const int specials = one_in(3);
        float *x = get_memory(n * 4 + 1), lo = one_in(2) ? 0.0f : small(), hi = one_in(2) ? lo : lo + 1;
        float want_lo = lo, want_hi = hi;
        int nan = 0;

        for (size_t j = 0; j < n; j++) {
            x[j] = specials && one_in(20) ? any_float() : small();
            nan |= isnan(x[j]);
            want_lo = fminf(want_lo, x[j]);
            want_hi = fmaxf(want_hi, x[j]);
        }
        k->range_f32(x, n, &lo, &hi);
        if (nan ? !isnan(lo) || !isnan(hi) : !(lo == want_lo && hi == want_hi) || (lo == 0 && signbit(lo)) || (hi == 0 && signbit(hi)))
            fail_msg("seed %llu, %s: range_f32 of %zu: %a..%a, not %a..%a%s", (unsigned long long)seed, k->name, n, (double)lo, (double)hi,
                (double)want_lo, (double)want_hi, nan ? " (NaN)" : "");
        checks++;
        vd_free(x);
    }
    for (size_t n = 0; n <= 80; n++) { /* the sign of a zero does not show */
        float x[80], lo = -0.0f, hi = -0.0f;
        for (size_t j = 0; j < n; j++)
            x[j] = -0.0f;
        k->range_f32(x, n, &lo, &hi);
        assert_true(bits(lo) == 0 && bits(hi) == 0);
        checks++;
    }
    for (size_t n = 1; n <= 80; n++) /* each position matters */
        for (size_t j = 0; j < n; j++)
            for (int what = 0; what < 3; what++) {
                float x[80] = {0}, lo = 0, hi = 0;
                x[j] = what == 0 ? NAN : what == 1 ? -INFINITY : 5;
                k->range_f32(x, n, &lo, &hi);
                assert_true(what == 0 ? isnan(lo) && isnan(hi) : what == 1 ? lo == -INFINITY && hi == 0 : lo == 0 && hi == 5);
                checks++;
            }
}

static int16_t quantize_oracle(float x, float scale, int zp)
{
    /* A quotient rounded to double and then to float is the one rounded to float. */
    const float v = (float)((double)x / (double)scale);

    if (isnan(v))
        return (int16_t)-zp;
    return (int16_t)(v < -(float)zp ? -zp : v > (float)(255 - zp) ? 255 - zp : (int)nearbyintf(v));
}

static void quantize_set(const struct vd_kernels *k)
{
    static const float scales[] = {1, 0.5f, 0.25f, 1.0f / 255, 0x1p-149f, 0x1p-126f, 0x1p-20f, FLT_MAX, 0x1p127f, 0x1p126f, 0, 2.0f / 255};

    for (int i = 0; i < cases(CASES * 4); i++) {
        const size_t n = random_count(), offset = 2 * below(16);
        const float scale = one_in(2) ? scales[below(sizeof(scales) / sizeof(scales[0]))] : from_bits(vd_rng_u32(&rng) & 0x7f7fffff);
        const int zp = one_in(2) ? between(0, 255) : one_in(2) ? 0 : 255, two = !one_in(3), mode = between(0, 2);
        float *x[2] = {get_memory(n * 4 + 1), get_memory(n * 4 + 1)};
        struct guarded g = guard(n * 4, offset);
        char what[160];

        for (int p = 0; p < 2; p++)
            for (size_t j = 0; j < n; j++) {
                x[p][j] = mode == 0 ? any_float() : ((float)between(-600, 600) / 2 - (mode == 1 ? (float)zp : 0)) * scale;
                for (int ulps = between(-1, 1); mode == 1 && ulps; ulps = 0)
                    x[p][j] = nextafterf(x[p][j], ulps < 0 ? -INFINITY : INFINITY); /* beside a half */
            }
        snprintf(what, sizeof(what), "seed %llu, %s: quantize_pair of %zu, scale %a, zp %d", (unsigned long long)seed, k->name, n,
            (double)scale, zp);
        k->quantize_pair((int16_t *)(void *)g.data, x[0], two ? x[1] : NULL, n, scale, zp);
        for (size_t j = 0; j < 2 * n; j++, checks++) {
            const float v = x[j % 2][j / 2];
            const int got = ((int16_t *)(void *)g.data)[j], want = j % 2 && !two ? 0 : quantize_oracle(v, scale, zp);
            if (got != want)
                fail_msg("%s: element %zu, %a: %d, not %d", what, j, (double)v, got, want);
        }
        check_edges(&g, n * 4, what);
        vd_free(g.all);
        vd_free(x[0]);
        vd_free(x[1]);
    }
}

static int code_oracle(float v, int max)
{
    v = (float)((double)v * max);
    return !(v > 0) ? 0 : v > (float)max ? max : (int)nearbyintf(v);
}

/* Every code there is, with both kernels of a depth; max 255 stands for 8 bits. */
static void check_codes(const struct vd_kernels *k, int max)
{
    const size_t n = max == 255 ? 256 : 65536;
    float *f = get_memory(n * 4);
    uint16_t *wide = get_memory(n * 2);
    uint8_t *byte = get_memory(n);

    for (size_t i = 0; i < n; i++) {
        wide[i] = (uint16_t)i;
        byte[i] = (uint8_t)i;
    }
    if (max == 255)
        k->u8_to_f32(f, byte, n);
    else
        k->u16_to_f32(f, wide, n, max);
    for (size_t i = 0; i < n; i++, checks++)
        if (bits(f[i]) != bits((float)((double)i / max)))
            fail_msg("%s: code %zu of %d becomes %a", k->name, i, max, (double)f[i]);
    memset(byte, 0x77, n);
    memset(wide, 0x77, n * 2);
    if (max == 255)
        k->f32_to_u8(byte, f, n);
    else
        k->f32_to_u16(wide, f, n, max);
    for (size_t i = 0; i < n; i++, checks++)
        if ((max == 255 ? byte[i] : wide[i]) != (i < (size_t)max ? i : (size_t)max))
            fail_msg("%s: code %zu of %d does not come back", k->name, i, max);
    vd_free(f);
    vd_free(wide);
    vd_free(byte);
}

/* Any floats, any length and place. */
static void check_planes(const struct vd_kernels *k, int max)
{
    const size_t n = random_count(), size = max == 255 ? 1 : 2, offset = size * below(16), offset_f = 4 * below(8);
    float *x = get_memory(n * 4 + 1);
    uint8_t *codes = get_memory(n * 2 + 1);
    struct guarded g = guard(n * size, offset), f = guard(n * 4, offset_f);
    char what[120];

    snprintf(what, sizeof(what), "seed %llu, %s: %zu values of 0..%d", (unsigned long long)seed, k->name, n, max);
    for (size_t i = 0; i < n; i++) {
        codes[2 * i] = (uint8_t)below(256);
        codes[2 * i + 1] = (uint8_t)below(256);
        x[i] = one_in(4) ? any_float() : (float)between(-10, 2 * max + 10) / (2 * (float)max);
        if (one_in(3))
            x[i] = nextafterf(x[i], one_in(2) ? -INFINITY : INFINITY);
    }
    if (max == 255) {
        k->f32_to_u8(g.data, x, n);
        k->u8_to_f32((float *)(void *)f.data, codes, n);
    } else {
        k->f32_to_u16((uint16_t *)(void *)g.data, x, n, max);
        k->u16_to_f32((float *)(void *)f.data, (const uint16_t *)(void *)codes, n, max);
    }
    for (size_t i = 0; i < n; i++, checks++) {
        const int got = max == 255 ? g.data[i] : ((uint16_t *)(void *)g.data)[i];
        const int code = max == 255 ? codes[i] : ((uint16_t *)(void *)codes)[i];
        if (got != code_oracle(x[i], max))
            fail_msg("%s: %a becomes %d, not %d", what, (double)x[i], got, code_oracle(x[i], max));
        if (bits(((float *)(void *)f.data)[i]) != bits((float)((double)code / max)))
            fail_msg("%s: %d becomes %a", what, code, (double)((float *)(void *)f.data)[i]);
    }
    check_edges(&g, n * size, what);
    check_edges(&f, n * 4, what);
    vd_free(x);
    vd_free(codes);
    vd_free(g.all);
    vd_free(f.all);
}

static void planes_set(const struct vd_kernels *k)
{
    for (int bpc = 8; bpc <= 16; bpc++)
        check_codes(k, (1 << bpc) - 1);
    for (int i = 0; i < cases(CASES); i++)
        check_planes(k, (1 << between(8, 16)) - 1);
}

static void test_range(void **state) { (void)state; for_each_set(range_set); }
static void test_quantize(void **state) { (void)state; for_each_set(quantize_set); }
static void test_planes(void **state) { (void)state; for_each_set(planes_set); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_range), cmocka_unit_test(test_quantize), cmocka_unit_test(test_planes)};

    choose_seed(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
