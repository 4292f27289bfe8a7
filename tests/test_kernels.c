/* SPDX-License-Identifier: BSD-2-Clause */
/* Every kernel of every set that this CPU has, over random odd shapes, against
 * oracles in this file and against the set "c". test_kernels [SEED], or VD_SEED in the environment, repeats a run. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "kernels/kernels.h"

enum { GUARD = 64, CANARY = 0xa5, CONV_CASES = 1000, FLAT_CASES = 1000 };

static const char *const known[] = {"c", "avx2"};
static struct vd_rng rng;
static uint64_t seed;
static size_t checks; /* values compared in the test that runs */

static uint32_t below(uint32_t n) { return vd_rng_u32(&rng) % n; }
static int between(int lo, int hi) { return lo + (int)below((uint32_t)(hi - lo + 1)); }
static int one_in(uint32_t n) { return below(n) == 0; }

static uint32_t bits(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

static float from_bits(uint32_t u)
{
    float v;

    memcpy(&v, &u, sizeof(v));
    return v;
}

static float special(void)
{
    const float list[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, 0x1p-149f, -0x1p-149f, 1.0f, -1.0f};

    return list[below(sizeof(list) / sizeof(list[0]))];
}

static float small(void) { return (float)between(-1000, 1000) / 64.0f; }

/* All NaNs are one: which payload comes out is the CPU's affair. */
static int same(float a, float b) { return bits(a) == bits(b) || (isnan(a) && isnan(b)); }

static void *get_memory(size_t size)
{
    void *p = vd_malloc(size);

    assert_non_null(p);
    return p;
}

/* A buffer with GUARD bytes on both sides; the whole is CANARY until written. */
struct guarded {
    uint8_t *all, *data;
    size_t size;
};

static struct guarded guard(size_t size, size_t offset)
{
    struct guarded g = {.size = size + offset};

    g.all = get_memory(g.size + 2 * GUARD);
    memset(g.all, CANARY, g.size + 2 * GUARD);
    g.data = g.all + GUARD + offset;
    return g;
}

/* [from, to) of the data was not written; negative is before it. */
static void check_untouched(const struct guarded *g, ptrdiff_t from, ptrdiff_t to, const char *what)
{
    for (ptrdiff_t i = from; i < to; i++)
        if (g->data[i] != CANARY)
            fail_msg("%s: wrote outside, at byte %td", what, i);
}

static void check_edges(const struct guarded *g, size_t used, const char *what)
{
    check_untouched(g, g->all - g->data, 0, what);
    check_untouched(g, (ptrdiff_t)used, (g->all + g->size + 2 * GUARD) - g->data, what);
}

/* fn for each set; a set that the CPU lacks is named. */
static void for_each_set(void (*fn)(const struct vd_kernels *k))
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct vd_kernels *k;
        const int rc = vd_kernels_get(known[i], &k);

        if (rc == -ENOTSUP) {
            print_message("[  SKIPPED ] %s\n", vd_reason());
            continue;
        }
        assert_int_equal(rc, 0);
        vd_rng_seed(&rng, seed);
        checks = 0;
        fn(k);
        if (checks == 0)
            fail_msg("%s: nothing was compared", k->name);
    }
}

/* ---- convolutions ---- */

struct conv_case {
    struct vd_conv_args a;
    int integer, exact; /* exact: every order of summing gives the same sum */
    void *src_all, *weight, *residual_all;
    uint32_t *tap;
    float scale[VD_OC_BLOCK], bias[VD_OC_BLOCK];
    size_t elements, offset; /* dst: from the first to the last element, and bytes before */
    char name[240];
};

static void random_clamp(float *lo, float *hi)
{
    static const float list[][2] = {{0, INFINITY}, {0, 6}, {-1, 1}, {-0.0f, 4}, {-3, 0}, {-3, -0.0f}, {0, 0}, {2, 1}, {-INFINITY, 0.5f}};
    const float *pick = list[below(sizeof(list) / sizeof(list[0]))];

    *lo = pick[0];
    *hi = pick[1];
}

/* Offsets as the plan makes them (channel, row, phase and column), or any. */
static uint32_t random_taps(struct conv_case *c, int width)
{
    const int structured = !one_in(3), stride = between(1, 3), dilation = between(1, 3), kernel = between(1, 5);
    const int row = (width + kernel * dilation + 7) & ~7;
    uint32_t last = 0;

    c->a.src_step = structured ? (ptrdiff_t)row * stride * stride : between(0, 150);
    for (int t = 0; t < c->a.taps; t++) {
        const int kx = t % kernel * dilation, ky = t / kernel % kernel * dilation, ch = t / (kernel * kernel);
        const int line = (ch * 12 + ky) * stride + kx % stride;
        c->tap[t] = structured ? (uint32_t)(line * row + kx / stride) : below(700);
        last = c->tap[t] > last ? c->tap[t] : last;
    }
    return last;
}

static void fill_s16(int16_t *v, size_t n, int mode)
{
    for (size_t i = 0; i < n; i++)
        v[i] = mode == 0 ? (int16_t)between(-255, 255) : mode == 1 ? (int16_t)(one_in(2) ? 255 : -255) : mode == 2 ? 255 : (int16_t)between(0, 3);
}

static void make_case(struct conv_case *c, int integer)
{
    const int width = one_in(20) ? between(200, 700) : between(1, 70), rows = between(1, 9), n_oc = between(1, VD_OC_BLOCK);
    const int exact = integer || one_in(2);

    memset(c, 0, sizeof(*c));
    c->integer = integer;
    c->exact = exact;
    c->a = (struct vd_conv_args){.rows = rows, .width = width, .n_oc = n_oc, .taps = one_in(10) ? 1 : between(1, 200)};
    c->tap = get_memory(sizeof(*c->tap) * (size_t)c->a.taps);

    /* The source ends exactly where the slack ends. */
    const uint32_t last_tap = random_taps(c, width);
    const size_t used = (size_t)(c->a.src_step * (rows - 1)) + last_tap + (size_t)width, shift = below(16);
    const size_t n_src = used + VD_BAND_SLACK, n_weight = (size_t)c->a.taps * VD_OC_BLOCK;
    c->src_all = get_memory((n_src + shift) * 4);
    c->weight = get_memory(n_weight * 4);
    if (integer) {
        int16_t *src = (int16_t *)c->src_all + 2 * shift, *w = c->weight;
        fill_s16(src, 2 * used, between(0, 3));
        fill_s16(w, 2 * n_weight, between(0, 3));
        for (size_t i = 2 * used; i < 2 * n_src; i++)
            src[i] = (int16_t)vd_rng_u32(&rng);
        for (size_t i = 0; i < 2 * n_weight; i++)
            w[i] = (int)(i / 2 % VD_OC_BLOCK) < n_oc ? w[i] : 0;
        c->a.src = src;
    } else {
        float *src = (float *)c->src_all + shift, *w = c->weight;
        for (size_t i = 0; i < used; i++)
            src[i] = exact ? (float)between(-15, 15) : vd_rng_f32(&rng) * 2 - 1;
        for (size_t i = used; i < n_src; i++)
            src[i] = special();
        for (size_t i = 0; i < n_weight; i++)
            w[i] = (int)(i % VD_OC_BLOCK) >= n_oc ? 0.0f : exact ? (float)between(-15, 15) : vd_rng_f32(&rng) * 2 - 1;
        c->a.src = src;
    }
    c->a.tap = c->tap;
    c->a.weight = c->weight;

    const int gap = one_in(4) ? 0 : between(GUARD / 4, GUARD / 2);
    c->a.dst_row = width + gap;
    c->a.dst_plane = c->a.dst_row * rows + (one_in(4) ? 0 : between(GUARD / 4, GUARD / 2));
    c->elements = (size_t)(c->a.dst_plane * (n_oc - 1) + c->a.dst_row * (rows - 1)) + (size_t)width;
    c->offset = 4 * below(16);

    c->a.raw = integer && one_in(4);
    const int specials = one_in(2);
    struct vd_conv_tail *t = &c->a.tail;
    for (int oc = 0; oc < VD_OC_BLOCK; oc++) {
        c->scale[oc] = specials && one_in(8) ? special() : small() / 4096;
        c->bias[oc] = specials && one_in(4) ? special() : small();
    }
    if (exact && !c->a.raw) {
        t->scale = integer && !one_in(8) ? c->scale : NULL;
        t->bias = one_in(3) ? NULL : c->bias;
        t->clamp = one_in(2);
        t->clamp2 = one_in(2);
        random_clamp(&t->lo, &t->hi);
        random_clamp(&t->lo2, &t->hi2);
        if (one_in(2)) { /* ends with its last element, too */
            float *r = c->residual_all = get_memory(c->elements * 4);
            for (size_t i = 0; i < c->elements; i++)
                r[i] = specials && one_in(4) ? special() : small();
            t->residual = r;
        }
    }
    snprintf(c->name, sizeof(c->name), "%s %dx%d n_oc %d taps %d src_step %td dst_row %td dst_plane %td%s tail %c%c%c%c%c",
        integer ? "conv_s16" : "conv_f32", width, rows, n_oc, c->a.taps, c->a.src_step, c->a.dst_row, c->a.dst_plane,
        c->a.raw ? " raw" : "", t->scale ? 's' : '-', t->bias ? 'b' : '-', t->clamp ? 'c' : '-', t->residual ? 'r' : '-', t->clamp2 ? '2' : '-');
}

static void free_case(struct conv_case *c)
{
    vd_free(c->src_all);
    vd_free(c->weight);
    vd_free(c->residual_all);
    vd_free(c->tap);
}

/* What ONNX Runtime's Clip and Relu do: NaN and a zero that is already in
 * bounds come out as they went in. */
static float clip(float v, float lo, float hi)
{
    if (v < lo)
        v = lo;
    if (v > hi)
        v = hi;
    return v;
}

static float tail_oracle(const struct vd_conv_tail *t, float v, int oc, ptrdiff_t at)
{
    if (t->scale)
        v = (float)((double)v * (double)t->scale[oc]); /* a double holds the product, and rounds the sum harmlessly */
    if (t->bias)
        v = (float)((double)v + (double)t->bias[oc]);
    if (t->clamp)
        v = clip(v, t->lo, t->hi);
    if (t->residual)
        v = (float)((double)v + (double)t->residual[at]);
    if (t->clamp2)
        v = clip(v, t->lo2, t->hi2);
    return v;
}

/* One output the plain way; *size is the sum of the products' magnitudes. */
static double sum_oracle(const struct conv_case *c, int oc, int y, int x, double *size)
{
    const struct vd_conv_args *a = &c->a;
    double sum = 0;

    *size = 0;
    for (int t = 0; t < a->taps; t++) {
        const ptrdiff_t at = y * a->src_step + (ptrdiff_t)a->tap[t] + x;
        double p;
        if (c->integer) {
            const int16_t *s = (const int16_t *)a->src + 2 * at, *w = (const int16_t *)a->weight + 2 * (t * VD_OC_BLOCK + oc);
            p = (double)s[0] * w[0] + (double)s[1] * w[1];
        } else {
            p = (double)((const float *)a->src)[at] * (double)((const float *)a->weight)[t * VD_OC_BLOCK + oc];
        }
        sum += p;
        *size += fabs(p);
    }
    return sum;
}

static void check_conv(const struct conv_case *c, const struct vd_kernels *k, const struct vd_kernels *ref)
{
    struct guarded g = guard(c->elements * 4, c->offset), h = guard(c->elements * 4, c->offset);
    struct vd_conv_args a = c->a, b = c->a;
    size_t end = 0; /* of what was written before */
    char what[300];

    snprintf(what, sizeof(what), "seed %llu, %s: %s", (unsigned long long)seed, k->name, c->name);
    a.dst = g.data;
    b.dst = h.data;
    (c->integer ? k->conv_s16 : k->conv_f32)(&a);
    (c->integer ? ref->conv_s16 : ref->conv_f32)(&b);
    for (int oc = 0; oc < a.n_oc; oc++)
        for (int y = 0; y < a.rows; y++) {
            const ptrdiff_t row = oc * a.dst_plane + y * a.dst_row;
            check_untouched(&g, (ptrdiff_t)end, row * 4, what);
            for (int x = 0; x < a.width; x++) {
                const ptrdiff_t at = row + x;
                const float got = ((float *)a.dst)[at], want_c = ((float *)b.dst)[at];
                double size;
                const double sum = sum_oracle(c, oc, y, x, &size);

                checks++;
                if (a.raw) {
                    if (((int32_t *)a.dst)[at] != (int32_t)sum)
                        fail_msg("%s: oc %d y %d x %d: %d, not %.0f", what, oc, y, x, ((int32_t *)a.dst)[at], sum);
                } else if (c->exact) {
                    const float want = tail_oracle(&a.tail, (float)sum, oc, at);
                    if (!same(got, want) || !same(got, want_c))
                        fail_msg("%s: oc %d y %d x %d: %a, not %a (c: %a)", what, oc, y, x, (double)got, (double)want, (double)want_c);
                } else {
                    const double bound = (a.taps + 4) * (double)FLT_EPSILON * size;
                    if (!(fabs(got - sum) <= bound) || !(fabs((double)got - want_c) <= bound))
                        fail_msg("%s: oc %d y %d x %d: %a, not %a (c: %a), bound %a", what, oc, y, x, (double)got, sum, (double)want_c, bound);
                }
            }
            end = (size_t)(row + a.width) * 4;
        }
    check_edges(&g, c->elements * 4, what);
    vd_free(g.all);
    vd_free(h.all);
}

/* The same pixels whatever else is in the call: row by row, and cut in two at any column. */
static void check_conv_parts(const struct conv_case *c, const struct vd_kernels *k)
{
    struct guarded g = guard(c->elements * 4, c->offset), h = guard(c->elements * 4, c->offset);
    void (*conv)(const struct vd_conv_args *) = c->integer ? k->conv_s16 : k->conv_f32;
    struct vd_conv_args a = c->a;
    const int cut = between(0, a.width - 1);

    a.dst = g.data;
    conv(&a);
    for (int y = 0; y < c->a.rows; y++)
        for (int part = 0; part < 2; part++) {
            const ptrdiff_t at = y * c->a.dst_row + (part ? cut : 0), from = y * c->a.src_step + (part ? cut : 0);
            a.rows = 1;
            a.width = part ? c->a.width - cut : cut;
            if (a.width == 0)
                continue;
            a.dst = (float *)(void *)h.data + at;
            a.src = (const char *)c->a.src + 4 * from;
            a.tail.residual = c->a.tail.residual ? c->a.tail.residual + at : NULL;
            conv(&a);
        }
    int equal = memcmp(g.all, h.all, (size_t)(g.data - g.all)) == 0;
    for (size_t i = 0; i < c->elements; i++)
        equal &= c->a.raw ? ((int32_t *)(void *)g.data)[i] == ((int32_t *)(void *)h.data)[i]
                          : same(((float *)(void *)g.data)[i], ((float *)(void *)h.data)[i]);
    if (!equal)
        fail_msg("seed %llu, %s: %s: the rows one by one, cut at %d, are not the whole", (unsigned long long)seed, k->name, c->name, cut);
    vd_free(g.all);
    vd_free(h.all);
}

static void conv_set(const struct vd_kernels *k, int integer)
{
    const struct vd_kernels *ref;

    assert_int_equal(vd_kernels_get("c", &ref), 0);
    for (int i = 0; i < CONV_CASES; i++) {
        struct conv_case c;
        make_case(&c, integer);
        check_conv(&c, k, ref);
        check_conv_parts(&c, k);
        free_case(&c);
    }
}

static void conv_f32_set(const struct vd_kernels *k) { conv_set(k, 0); }
static void conv_s16_set(const struct vd_kernels *k) { conv_set(k, 1); }

/* Clip(x, lo, hi) as ONNX Runtime 1.32 gave it on arrays of 1 to 1000, bit by bit. */
static void clamp_set(const struct vd_kernels *k)
{
    static const struct {
        uint32_t x, lo, hi, y;
    } list[] = {
        {0x80000000, 0, 0x7f800000, 0x80000000}, /* Relu(-0) is -0 */
        {0x7fc00000, 0, 0x7f800000, 0x7fc00000}, {0xff800000, 0, 0x7f800000, 0}, {0x7f800000, 0, 0x7f800000, 0x7f800000},
        {0x80000000, 0, 0x40c00000, 0x80000000}, {0xbf800000, 0x80000000, 0x40c00000, 0x80000000},
        {0, 0xbf800000, 0x80000000, 0}, {0x3f800000, 0xbf800000, 0x80000000, 0x80000000},
        {0x80000000, 0xbf800000, 0, 0x80000000}, {0x7f800000, 0, 0, 0}, {0xbf800000, 0, 0x80000000, 0},
        {0x3f800000, 0, 0x80000000, 0x80000000}, {0, 0x40000000, 0x3f800000, 0x3f800000}, {0x7fc00000, 0x40000000, 0x3f800000, 0x7fc00000},
    };
    static const float minus_one[VD_OC_BLOCK] = {-1, -1, -1, -1};
    const uint32_t tap = 0;
    const float src[33 + VD_BAND_SLACK] = {0}, weight[VD_OC_BLOCK] = {0}; /* for both: zeros of 4 bytes */
    float dst[33], x[33];

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        for (int width = 1; width <= 33; width += 8)
            for (int way = 0; way < 4; way++) {
                const int integer = way & 1, second = way >> 1;
                const float lo = from_bits(list[i].lo), hi = from_bits(list[i].hi), want = from_bits(list[i].y);
                /* The value comes as a bias, or as a residual, on the sum 0. Times -1 the sum is -0, and a -0 added to it stays
                 * one; without a scale there is no way for -0 to get there. */
                const struct vd_conv_tail t = {.scale = integer ? minus_one : NULL, .bias = second ? NULL : x, .clamp = !second,
                    .lo = lo, .hi = hi, .residual = second ? x : NULL, .clamp2 = second, .lo2 = lo, .hi2 = hi};
                const struct vd_conv_args a = {.dst = dst, .rows = 1, .width = width, .n_oc = 1, .src = src, .tap = &tap, .taps = 1,
                    .weight = weight, .tail = t};

                if (!integer && list[i].x == 0x80000000)
                    continue;
                for (int j = 0; j < 33; j++)
                    x[j] = from_bits(list[i].x);
                (integer ? k->conv_s16 : k->conv_f32)(&a);
                for (int j = 0; j < width; j++, checks++)
                    if (!same(dst[j], want))
                        fail_msg("%s: %a clamped to [%a, %a] is %a, not %a", k->name, (double)x[0], (double)lo, (double)hi,
                            (double)dst[j], (double)want);
            }
}

/* ---- range, quantisation, planes ---- */

static size_t random_count(void) { return one_in(10) ? below(5000) : below(100); }
static float any_float(void) { return one_in(3) ? special() : one_in(2) ? from_bits(vd_rng_u32(&rng)) : small(); }

static void range_set(const struct vd_kernels *k)
{
    for (int i = 0; i < FLAT_CASES; i++) {
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

    for (int i = 0; i < FLAT_CASES * 4; i++) {
        const size_t n = random_count(), offset = 2 * below(16);
        const float scale = one_in(2) ? scales[below(sizeof(scales) / sizeof(scales[0]))] : fabsf(from_bits(vd_rng_u32(&rng) & 0x7f7fffff));
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
    for (int i = 0; i < FLAT_CASES; i++)
        check_planes(k, (1 << between(8, 16)) - 1);
}

/* ---- the ladder ---- */

static void test_get(void **state)
{
    const struct vd_kernels *k, *best = NULL;
    const char *name;
    int n = 0;

    (void)state;
    for (; (name = vd_kernels_name(n)); n++) {
        assert_int_equal(vd_kernels_get(name, &best), 0);
        assert_string_equal(best->name, name);
        assert_true(best->conv_f32 && best->conv_s16 && best->range_f32 && best->quantize_pair);
        assert_true(best->u8_to_f32 && best->u16_to_f32 && best->f32_to_u8 && best->f32_to_u16);
    }
    assert_true(n >= 1);
    assert_string_equal(vd_kernels_name(0), "c");
    assert_null(vd_kernels_name(n));
    assert_null(vd_kernels_name(-1));
    assert_int_equal(vd_kernels_get(NULL, &k), 0);
    assert_ptr_equal(k, best);
    assert_int_equal(vd_kernels_get("auto", &k), 0);
    assert_ptr_equal(k, best);
    for (const char *const *bad = (const char *const[]){"foo", "", "AVX2", "avx", "c ", NULL}; *bad; bad++) {
        char text[100];
        k = best;
        assert_int_equal(vd_kernels_get(*bad, &k), -EINVAL);
        assert_null(k);
        snprintf(text, sizeof(text), "kernel set '%s' is unknown: auto, c, avx2", *bad);
        assert_string_equal(vd_reason(), text);
    }
}

static void test_conv_f32(void **state) { (void)state; for_each_set(conv_f32_set); }
static void test_conv_s16(void **state) { (void)state; for_each_set(conv_s16_set); }
static void test_clamp(void **state) { (void)state; for_each_set(clamp_set); }
static void test_range(void **state) { (void)state; for_each_set(range_set); }
static void test_quantize(void **state) { (void)state; for_each_set(quantize_set); }
static void test_planes(void **state) { (void)state; for_each_set(planes_set); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get), cmocka_unit_test(test_conv_f32), cmocka_unit_test(test_conv_s16), cmocka_unit_test(test_clamp),
        cmocka_unit_test(test_range), cmocka_unit_test(test_quantize), cmocka_unit_test(test_planes),
    };
    const char *text = argc > 1 ? argv[1] : getenv("VD_SEED");

    seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003u;
    print_message("seed %llu (repeat with VD_SEED or as the argument)\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
