/* SPDX-License-Identifier: BSD-2-Clause */
/* The convolutions of every set that this CPU has, over random odd shapes, against
 * oracles in this file and against the set "c"; and the ladder. test_kernels [SEED], or VD_SEED in the environment, repeats a run. */
#include "kernel_harness.h"

enum { CASES = 1000 };

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
    static const float list[][2] = {
        {0, INFINITY}, {0, 6}, {-1, 1}, {-0.0f, 4}, {-3, 0}, {-3, -0.0f}, {0, 0}, {2, 1}, {-INFINITY, 0.5f},
    };
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
        v[i] = (int16_t)(mode == 0 ? between(-255, 255) : mode == 1 ? (one_in(2) ? 255 : -255) : mode == 2 ? 255 : between(0, 3));
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
        c->a.raw ? " raw" : "", t->scale ? 's' : '-', t->bias ? 'b' : '-', t->clamp ? 'c' : '-', t->residual ? 'r' : '-',
        t->clamp2 ? '2' : '-');
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
                        fail_msg("%s: oc %d y %d x %d: %a, not %a (c: %a), bound %a", what, oc, y, x, (double)got, sum,
                            (double)want_c, bound);
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
        fail_msg("seed %llu, %s: %s: the rows one by one, cut at %d, are not the whole", (unsigned long long)seed, k->name,
            c->name, cut);
    vd_free(g.all);
    vd_free(h.all);
}

static void conv_set(const struct vd_kernels *k, int integer)
{
    const struct vd_kernels *ref;

    assert_int_equal(vd_kernels_get("c", &ref), 0);
    for (int i = 0; i < cases(CASES); i++) {
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
        snprintf(text, sizeof(text), "kernel set '%s' is unknown: auto, c, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm", *bad);
        assert_string_equal(vd_reason(), text);
    }
}

static void test_conv_f32(void **state) { (void)state; for_each_set(conv_f32_set); }
static void test_conv_s16(void **state) { (void)state; for_each_set(conv_s16_set); }
static void test_clamp(void **state) { (void)state; for_each_set(clamp_set); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get), cmocka_unit_test(test_conv_f32), cmocka_unit_test(test_conv_s16), cmocka_unit_test(test_clamp),
    };

    choose_seed(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
