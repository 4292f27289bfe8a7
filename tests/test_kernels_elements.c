/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernels of rows.h that go element by element, and those between planes and blocked rows: every set against the steps of the
 * contract, written out here. Sources are exactly as long as they say. */
#include "kernel_harness.h"

enum { MAX_N = 300, ROUNDS = 1500 };

static int length(void) { return one_in(3) ? between(1, MAX_N) : between(1, 70); }

/* Exact memory, for the address sanitizer. */
static void *copy_of(const void *data, size_t size)
{
    void *p = get_memory(size);

    memcpy(p, data, size);
    return p;
}

/* dst: a guarded buffer, or the source itself. */
struct target { struct guarded g; uint8_t *data; };

static struct target target_of(void *source, size_t size)
{
    struct target t = {.data = source};

    if (!source || one_in(2)) {
        t.g = guard(size, 4 * (size_t)below(16));
        t.data = t.g.data;
    }
    return t;
}

static void end_target(struct target *t, size_t used, const char *what)
{
    if (t->g.all)
        check_edges(&t->g, used, what);
    vd_free(t->g.all);
}

static uint8_t code(float v, int off, int lo, int hi)
{
    const float r = isnan(v) ? (float)lo : rintf(v);

    return (uint8_t)((r < (float)lo ? lo : r > (float)hi ? hi : (int)r) + off);
}

static void add_u8_set(const struct vd_kernels *k)
{
    for (int round = 0; round < cases(ROUNDS); round++) {
        uint8_t a[MAX_N], b[MAX_N];
        const int n = length(), off = one_in(2) ? 128 : 0;
        struct vd_row_add p = {.ra = 2 * vd_rng_f32(&rng), .rb = 2 * vd_rng_f32(&rng), .fixed = small(), .off = off,
                               .lo = -off, .hi = 255 - off};

        if (one_in(3)) {
            p.lo = between(-off, 255 - off);
            p.hi = between(p.lo, 255 - off);
        }
        if (one_in(4)) { /* sums that end in a half */
            p.ra = 0.25f;
            p.rb = 0.75f;
            p.fixed = 0.5f * (float)between(-9, 9);
        }
        if (one_in(10))
            p.ra = special();
        if (one_in(10))
            p.fixed = special();
        for (int i = 0; i < n; i++) {
            a[i] = (uint8_t)below(256);
            b[i] = (uint8_t)below(256);
        }
        uint8_t *xa = copy_of(a, (size_t)n), *xb = copy_of(b, (size_t)n);
        struct target t = target_of(one_in(2) ? xa : xb, (size_t)n);
        k->row.add_u8(t.data, xa, xb, (size_t)n, &p);
        for (int i = 0; i < n; i++, checks++) {
            const int want = code(fmaf((float)(a[i] - off), p.ra, fmaf((float)(b[i] - off), p.rb, p.fixed)), off, p.lo, p.hi);
            if (t.data[i] != want)
                fail_msg("%s: add_u8(%d, %d) with %a, %a, %a, off %d, %d..%d is %d, not %d", k->name, a[i], b[i], (double)p.ra,
                         (double)p.rb, (double)p.fixed, off, p.lo, p.hi, t.data[i], want);
        }
        end_target(&t, (size_t)n, "add_u8");
        vd_free(xa);
        vd_free(xb);
    }
}

/* Quotients near and at ties, and everything else that floats can be. */
static float to_quantize(float scale)
{
    if (one_in(8))
        return special();
    if (one_in(3))
        return from_bits(vd_rng_u32(&rng));
    float v = ((float)between(-300, 300) + (one_in(2) ? 0.5f : vd_rng_f32(&rng))) * scale;
    for (int i = between(-2, 2); i; i += i < 0 ? 1 : -1)
        v = nextafterf(v, i < 0 ? -INFINITY : INFINITY);
    return v;
}

static void quantize_set(const struct vd_kernels *k)
{
    for (int round = 0; round < cases(3 * ROUNDS); round++) {
        float x[MAX_N], scale = ldexpf(0.5f + vd_rng_f32(&rng), between(-12, 3));
        const int n = length(), zp = (int)below(256), lo = one_in(3) ? (int)below(256) : 0, hi = one_in(3) ? between(lo, 255) : 255;

        if (one_in(6))
            scale = from_bits(vd_rng_u32(&rng) & 0x7fffffff);
        if (one_in(12))
            scale = ldexpf(nextafterf(1, 0), between(-8, 3)); /* a significand of all ones */
        if (one_in(12))
            scale = ldexpf(1, between(-149, 127));
        for (int i = 0; i < n; i++)
            x[i] = to_quantize(scale);
        float *in = copy_of(x, sizeof(float) * (size_t)n);
        struct target t = target_of(NULL, (size_t)n);
        k->row.quantize_u8(t.data, in, (size_t)n, scale, zp, lo, hi);
        for (int i = 0; i < n; i++, checks++) {
            const int want = code(x[i] / scale, zp, lo - zp, hi - zp);
            if (t.data[i] != want)
                fail_msg("%s: %a / %a with zero point %d, %d..%d is %d, not %d", k->name, (double)x[i], (double)scale, zp, lo, hi, t.data[i],
                         want);
        }
        end_target(&t, (size_t)n, "quantize_u8");
        vd_free(in);
    }
}

static void byte_set(const struct vd_kernels *k)
{
    for (int round = 0; round < cases(ROUNDS); round++) {
        uint8_t x[MAX_N], codes[256];
        float table[256];
        const int n = length(), zp = (int)below(256);
        const float scale = one_in(4) ? special() : small();

        for (int i = 0; i < 256; i++) {
            codes[i] = (uint8_t)below(256);
            table[i] = one_in(9) ? special() : small();
        }
        for (int i = 0; i < n; i++)
            x[i] = (uint8_t)below(256);
        uint8_t *in = copy_of(x, (size_t)n);
        for (int what = 0; what < 3; what++) {
            const size_t size = (size_t)n * (what ? 4 : 1);
            struct target t = target_of(NULL, size);
            if (what == 0)
                k->row.lookup_u8(t.data, in, (size_t)n, codes);
            else if (what == 1)
                k->row.lookup_f32((float *)t.data, in, (size_t)n, table);
            else
                k->row.dequantize_f32((float *)t.data, in, (size_t)n, scale, zp);
            for (int i = 0; i < n; i++, checks++) {
                const float got = what ? ((const float *)t.data)[i] : t.data[i];
                const float want = what == 0 ? codes[x[i]] : what == 1 ? table[x[i]] : (float)(x[i] - zp) * scale;
                if (!same(got, want))
                    fail_msg("%s: function %d of byte %d is %a, not %a", k->name, what, x[i], (double)got, (double)want);
            }
            end_target(&t, size, "a function of bytes");
        }
        k->row.lookup_u8(in, in, (size_t)n, codes);
        for (int i = 0; i < n; i++)
            if (in[i] != codes[x[i]])
                fail_msg("%s: lookup_u8 in place: byte %d", k->name, x[i]);
        vd_free(in);
    }
}

static void float_set(const struct vd_kernels *k)
{
    for (int round = 0; round < cases(ROUNDS); round++) {
        float a[MAX_N], b[MAX_N];
        const int n = length();
        const float lo = one_in(4) ? special() : small(), hi = one_in(4) ? special() : lo + fabsf(small());

        for (int i = 0; i < n; i++) {
            a[i] = one_in(3) ? special() : small();
            b[i] = one_in(3) ? special() : small();
        }
        const size_t size = sizeof(float) * (size_t)n;
        for (int clamp = 0; clamp < 2; clamp++) {
            float *xa = copy_of(a, size), *xb = copy_of(b, size);
            struct target t = target_of(one_in(2) || clamp ? xa : xb, size);
            if (clamp)
                k->row.clamp_f32((float *)t.data, xa, (size_t)n, lo, hi);
            else
                k->row.add_f32((float *)t.data, xa, xb, (size_t)n);
            for (int i = 0; i < n; i++, checks++) {
                const float up = a[i] < lo ? lo : a[i], want = clamp ? hi < up ? hi : up : a[i] + b[i], got = ((const float *)t.data)[i];
                if (!same(got, want))
                    fail_msg("%s: %s of %a and %a, %a to %a: %a, not %a", k->name, clamp ? "clamp" : "sum", (double)a[i], (double)b[i],
                             (double)lo, (double)hi, (double)got, (double)want);
            }
            end_target(&t, size, "add_f32 or clamp_f32");
            vd_free(xa);
            vd_free(xb);
        }
    }
}

/* To blocks and back; a plane's row is read and written to its end and no further. */
static void plane_set(const struct vd_kernels *k)
{
    for (int round = 0; round < cases(ROUNDS); round++) {
        const int channels = one_in(2) ? between(1, 4) : between(1, 40), width = between(1, 50), blocks = (channels + VD_LANES - 1) / VD_LANES;
        const size_t step = (size_t)width + below(20), n = step * (size_t)(channels - 1) + (size_t)width;
        const size_t block = ((size_t)(width + VD_ROW_SLACK - 1) * VD_LANES * 4 + 63) & ~(size_t)63;
        float *plane = get_memory(n * 4), *row = vd_aligned(block * (size_t)blocks);

        assert_non_null(row);
        memset(row, 0xff, block * (size_t)blocks);
        for (size_t i = 0; i < n; i++)
            plane[i] = one_in(5) ? special() : small();
        k->row.block_f32(row, block, plane, step, channels, width);
        for (int c = 0; c < blocks * VD_LANES; c++)
            for (int x = 0; x < width; x++, checks++) {
                const float got = row[(size_t)(c / VD_LANES) * (block / 4) + (size_t)(x * VD_LANES + c % VD_LANES)];
                const float want = c < channels ? plane[(size_t)c * step + (size_t)x] : 0.0f;
                if (bits(got) != bits(want))
                    fail_msg("%s: block_f32: channel %d of %d, pixel %d of %d: %a, not %a", k->name, c, channels, x, width, (double)got, (double)want);
            }
        struct guarded g = guard(n * 4, 4 * (size_t)below(3));
        k->row.plane_f32((float *)g.data, step, row, block, channels, width);
        for (int c = 0; c < channels; c++) {
            const size_t at = (size_t)c * step;
            if (memcmp((float *)g.data + at, plane + at, sizeof(float) * (size_t)width) != 0)
                fail_msg("%s: plane_f32: channel %d of %d, width %d", k->name, c, channels, width);
            if (c < channels - 1)
                check_untouched(&g, (ptrdiff_t)(at + (size_t)width) * 4, (ptrdiff_t)(at + step) * 4, "plane_f32, between planes");
        }
        check_edges(&g, n * 4, "plane_f32");
        vd_free(g.all);
        vd_free(plane);
        vd_free(row);
    }
}

/* What the contract of the pools says of one output; of bytes as floats. */
static float pooled(int which, float (*tap)(const void *row, ptrdiff_t at), const void *const *src, const struct vd_row_pool *p, ptrdiff_t at)
{
    float most = which == 0 ? 0 : p->rows && p->taps ? -INFINITY : -FLT_MAX;
    double sum = 0;
    for (int r = 0; r < p->rows; r++)
        for (int t = 0; t < p->taps; t++) {
            const float v = tap(src[r], at + t * p->step);
            if (isnan(v) || v > most)
                most = v;
            sum += (double)v;
        }
    return which < 2 ? most : p->rows && p->taps ? (float)(sum / p->count) : 0.0f;
}
static float byte_tap(const void *row, ptrdiff_t at) { return ((const uint8_t *)row)[at]; }
static float float_tap(const void *row, ptrdiff_t at) { return ((const float *)row)[at]; }

/* Sources are as long as the windows reach. */
static void pool_set(const struct vd_kernels *k)
{
    for (int round = 0; round < ROUNDS; round++) {
        const int which = (int)below(3), lanes = one_in(3) ? 1 : VD_LANES, width = between(1, 20), stride = between(1, 3), dilation = between(1, 2);
        const size_t size = which == 0 ? 1 : sizeof(float);
        struct vd_row_pool p = {.rows = between(one_in(9) ? 0 : 1, 4), .taps = between(one_in(9) ? 0 : 1, 4), .lanes = lanes, .at = (ptrdiff_t)below(3) * lanes,
                                .step = (ptrdiff_t)dilation * lanes, .pixel = (ptrdiff_t)stride * lanes, .count = between(1, 20)};
        const size_t n = (size_t)p.at + (size_t)(((width - 1) * stride + (p.taps ? (p.taps - 1) * dilation : 0) + 1) * lanes);
        const void *src[4];
        for (int r = 0; r < p.rows; r++) {
            uint8_t *row = get_memory(n * size);
            for (size_t i = 0; i < n; i++) {
                if (which == 0)
                    row[i] = (uint8_t)below(256);
                else
                    ((float *)(void *)row)[i] = one_in(6) ? special() : small();
            }
            src[r] = row;
        }
        struct guarded g = guard((size_t)(width * lanes) * size, lanes == 1 ? size * below(4) : 64);
        if (which == 0)
            k->row.max_u8(g.data, (const uint8_t *const *)src, &p, width);
        else
            (which == 1 ? k->row.max_f32 : k->row.average_f32)((float *)(void *)g.data, (const float *const *)src, &p, width);
        for (int i = 0; i < width * lanes; i++, checks++) {
            const float want = pooled(which, which == 0 ? byte_tap : float_tap, src, &p, p.at + i / lanes * p.pixel + i % lanes);
            const float got = which == 0 ? g.data[i] : ((float *)(void *)g.data)[i];
            if (!same(got, want))
                fail_msg("%s: pool %d of %d x %d, lanes %d, stride %d: element %d is %a, not %a", k->name, which, p.rows, p.taps, lanes, stride, i,
                         (double)got, (double)want);
        }
        check_edges(&g, (size_t)(width * lanes) * size, "pool");
        vd_free(g.all);
        for (int r = 0; r < p.rows; r++)
            vd_free((void *)(uintptr_t)src[r]);
    }
}

static void test_add_u8(void **state) { (void)state; for_each_set(add_u8_set); }
static void test_quantize(void **state) { (void)state; for_each_set(quantize_set); }
static void test_bytes(void **state) { (void)state; for_each_set(byte_set); }
static void test_floats(void **state) { (void)state; for_each_set(float_set); }
static void test_planes(void **state) { (void)state; for_each_set(plane_set); }
static void test_pools(void **state) { (void)state; for_each_set(pool_set); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_u8), cmocka_unit_test(test_quantize), cmocka_unit_test(test_bytes), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_planes), cmocka_unit_test(test_pools),
    };

    choose_seed(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
