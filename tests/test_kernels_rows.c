/* SPDX-License-Identifier: BSD-2-Clause */
/* The row convolutions of rows.h: every set against plain sums (64-bit integers, float64) over random shapes. Source rows are
 * as long as the contract says and no longer, so that the address sanitizer sees a read too many. */
#include "kernel_harness.h"

enum { MAX_K = 5 };

static inline size_t up64(size_t n) { return (n + 63) & ~(size_t)63; }
static inline int blocks_of(int channels) { return (channels + VD_LANES - 1) / VD_LANES; }

struct conv_case {
    struct vd_row_conv conv;
    int width;
    void *weight; /* plain order */
    uint8_t *memory[MAX_K];
    const void *src[MAX_K];
    size_t src_block, dst_block;
    int thin_src, thin_dst;
    float *residual;
    int32_t *bias32;
    float *scale, *bias, *range;
    int extreme, special;
};

static int weight_at(const struct conv_case *c, int o, int i, int ky, int kx)
{
    const struct vd_row_shape *s = &c->conv.shape;

    return ((o * (s->kind == VD_ROW_DEPTHWISE ? 1 : s->ic) + i) * s->kh + ky) * s->kw + kx;
}

static size_t element_at(const struct conv_case *c, int channel, int x, size_t block, int thin, size_t size)
{
    (void)c;
    return thin ? (size_t)x : (size_t)(channel / VD_LANES) * (block / size) + (size_t)x * VD_LANES + (size_t)(channel % VD_LANES);
}

/* Values whose sums are the same in float and in double. */
static float unusual(void)
{
    const float list[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, 0x1p-140f};

    return list[below(sizeof(list) / sizeof(list[0]))];
}

/* One row of input: what is past the taps of the last pixel is slack and holds NaN, lanes past the channels 0 or any byte. */
static void make_row(struct conv_case *c, int ky)
{
    const struct vd_row_shape *s = &c->conv.shape;
    const int used = (c->width - 1) * s->stride + (s->kw - 1) * s->dilation + 1, all = used + (VD_ROW_SLACK - 1) * s->stride;
    const int n_blocks = c->thin_src ? 1 : blocks_of(s->ic), lanes = c->thin_src ? 1 : VD_LANES;
    const size_t size = s->integer ? 1 : 4, last = (size_t)all * (size_t)lanes * size + (c->thin_src && s->integer ? 3 : 0);
    const size_t front = one_in(2) ? 0 : (size_t)below(20) * size;

    c->src_block = up64((size_t)all * VD_LANES * size);
    c->memory[ky] = get_memory(front + c->src_block * (size_t)(n_blocks - 1) + last);
    uint8_t *row = c->memory[ky] + front;
    c->src[ky] = row;
    for (size_t i = 0; i < c->src_block * (size_t)(n_blocks - 1) + last; i++)
        row[i] = (uint8_t)(s->integer ? below(256) : 0xff); /* a NaN */
    for (int b = 0; b < n_blocks; b++)
        for (int x = 0; x < used; x++)
            for (int l = 0; l < lanes; l++) {
                const size_t at = element_at(c, b * VD_LANES + l, x, c->src_block, c->thin_src, size);
                if (s->integer)
                    row[at] = (uint8_t)(c->extreme == 1 ? 255 : c->extreme && !one_in(9) ? 0 : below(256));
                else
                    ((float *)row)[at] = b * VD_LANES + l >= s->ic ? 0.0f : c->special && one_in(40) ? unusual() : small();
            }
}

static float *floats(int n, int padded, float lo, float hi)
{
    float *v = vd_calloc((size_t)padded, sizeof(float));

    assert_non_null(v);
    for (int i = 0; i < n; i++)
        v[i] = lo + (hi - lo) * vd_rng_f32(&rng);
    return v;
}

static int fixed_ic; /* not 0: so many input channels, the largest products and few outputs */

static struct conv_case make_case(enum vd_row_conv_kind kind, int integer, int winograd)
{
    static const int kernels[] = {1, 2, 3, 3, 3, 4, 5}, channels[] = {1, 2, 3, 4, 15, 16, 16, 17, 32, 33, 48};
    struct conv_case c = {.width = one_in(3) ? between(1, 100) : between(1, 20)};
    struct vd_row_shape *s = &c.conv.shape;
    struct vd_row_tail *t = &c.conv.tail;

    s->kind = kind;
    s->integer = integer;
    s->ic = channels[below(sizeof(channels) / sizeof(channels[0]))];
    s->oc = channels[below(sizeof(channels) / sizeof(channels[0]))];
    if (fixed_ic) {
        s->ic = fixed_ic;
        s->oc = between(1, 17);
        c.width = between(1, 30);
    }
    if (kind == VD_ROW_FIRST)
        s->ic = 1;
    if (kind == VD_ROW_LAST)
        s->oc = 1;
    if (kind == VD_ROW_DEPTHWISE)
        s->oc = s->ic;
    s->kh = kernels[below(sizeof(kernels) / sizeof(kernels[0]))];
    s->kw = one_in(3) ? kernels[below(sizeof(kernels) / sizeof(kernels[0]))] : s->kh;
    s->stride = one_in(2) ? 1 : between(1, 3);
    s->dilation = one_in(3) ? between(1, 3) : 1;
    if (winograd) {
        s->kw = 3;
        s->stride = s->dilation = 1;
    }
    const int common = !integer && (kind == VD_ROW_FIRST || kind == VD_ROW_DEPTHWISE) && one_in(3); /* what sets have a kernel of its own for */
    if (common) {
        s->kh = s->kw = 3;
        s->stride = between(1, 2);
        s->dilation = 1;
    }
    if (fixed_ic) {
        s->kh = s->kw = 3;
        s->stride = s->dilation = 1;
    }
    c.thin_src = kind == VD_ROW_FIRST;
    c.thin_dst = kind == VD_ROW_LAST;
    c.extreme = fixed_ic ? 1 : integer && one_in(3) ? between(1, 2) : 0; /* 0 is -128 to sets that multiply signed bytes */
    c.special = one_in(4);

    const int padded = blocks_of(s->oc) * VD_LANES;
    t->to_bytes = integer && one_in(2);
    if (integer) {
        t->bias32 = c.bias32 = vd_calloc((size_t)padded, sizeof(int32_t));
        t->scale = c.scale = floats(s->oc, padded, 0, t->to_bytes ? (one_in(4) ? 1000.0f : 0.002f) : 0.01f);
        assert_non_null(c.bias32);
        for (int i = 0; i < s->oc; i++)
            c.bias32[i] = one_in(3) ? (int32_t)vd_rng_u32(&rng) : between(-30000, 30000);
    }
    if (t->to_bytes) {
        t->zp = (int)below(256);
        t->lo = one_in(2) ? 0 : (int)below(256);
        t->hi = one_in(2) ? 255 : between(t->lo, 255);
    } else {
        t->bias = c.bias = one_in(4) ? NULL : floats(s->oc, padded, -9, 9);
        t->clamp = one_in(2) && !(winograd && c.special); /* what is not finite must show */
        t->lo_f = one_in(2) ? 0 : small();
        t->hi_f = one_in(2) ? INFINITY : t->lo_f + fabsf(small());
        t->clamp2 = !common && one_in(2) && !(winograd && c.special);
        t->lo2_f = one_in(2) ? 0 : small();
        t->hi2_f = one_in(2) ? INFINITY : t->lo2_f + fabsf(small());
        if (!common && one_in(2)) {
            t->range = c.range = floats(2, 2, 0, 0);
            if (one_in(2)) {
                c.range[0] = -9e9f * vd_rng_f32(&rng);
                c.range[1] = 9e9f * vd_rng_f32(&rng);
            }
        }
    }
    for (int ky = 0; ky < s->kh; ky++)
        make_row(&c, ky);

    const int n = s->oc * (kind == VD_ROW_DEPTHWISE ? 1 : s->ic) * s->kh * s->kw;
    c.weight = get_memory((size_t)n * (integer ? 1 : 4));
    for (int i = 0; i < n; i++)
        if (integer)
            ((int8_t *)c.weight)[i] = (int8_t)(c.extreme ? one_in(fixed_ic ? 1000 : 9) ? 127 : -128 : between(-128, 127));
        else
            ((float *)c.weight)[i] = small() / 16;
    const int wide = c.width + VD_ROW_SLACK - 1, lanes = c.thin_dst ? 1 : VD_LANES;
    c.dst_block = up64((size_t)wide * (size_t)lanes * (t->to_bytes ? 1 : 4)) + 64 * (size_t)below(2);
    if (!t->to_bytes && !common && one_in(2)) {
        const size_t size = c.dst_block * (size_t)blocks_of(s->oc);
        c.residual = vd_aligned(size);
        assert_non_null(c.residual);
        for (size_t i = 0; i < size / 4; i++)
            c.residual[i] = NAN;
        for (int o = 0; o < s->oc; o++)
            for (int x = 0; x < c.width; x++)
                c.residual[element_at(&c, o, x, c.dst_block, c.thin_dst, 4)] = c.special && one_in(40) ? unusual() : small();
    }
    return c;
}

static void free_case(struct conv_case *c)
{
    for (int ky = 0; ky < c->conv.shape.kh; ky++)
        vd_free(c->memory[ky]);
    vd_free(c->weight);
    vd_free(c->residual);
    vd_free(c->bias32);
    vd_free(c->scale);
    vd_free(c->bias);
    vd_free(c->range);
}

/* The exact sum of one output (fp32: in float64), and the sum of the products' sizes. */
static double sum_at(const struct conv_case *c, int o, int x, double *size)
{
    const struct vd_row_shape *s = &c->conv.shape;
    double sum = 0;

    *size = 0;
    for (int ky = 0; ky < s->kh; ky++)
        for (int kx = 0; kx < s->kw; kx++)
            for (int i = 0; i < (s->kind == VD_ROW_DEPTHWISE ? 1 : s->ic); i++) {
                const int channel = s->kind == VD_ROW_DEPTHWISE ? o : i, w = weight_at(c, o, i, ky, kx);
                const size_t at = element_at(c, channel, x * s->stride + kx * s->dilation, c->src_block, c->thin_src, s->integer ? 1 : 4);
                const double p = s->integer ? (double)((const uint8_t *)c->src[ky])[at] * ((const int8_t *)c->weight)[w]
                                            : (double)((const float *)c->src[ky])[at] * (double)((const float *)c->weight)[w];
                sum += p;
                *size += fabs(p);
            }
    return sum;
}

static float clamp_as(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return hi < v ? hi : v;
}

/* What comes out for a sum; err grows by what rounding may do. Steps in float, as the contract has them. */
static float expected(const struct conv_case *c, int o, int x, double exact, double *err)
{
    const struct vd_row_tail *t = &c->conv.tail;
    float v = c->conv.shape.integer ? (float)(int32_t)((uint32_t)(int64_t)exact + (uint32_t)t->bias32[o]) * t->scale[o] : (float)exact;

    *err += fabs((double)v) * 0x1p-24;
    if (t->bias) {
        v += t->bias[o];
        *err += fabs((double)v) * 0x1p-24;
    }
    if (t->clamp)
        v = clamp_as(v, t->lo_f, t->hi_f);
    if (c->residual) {
        v += c->residual[element_at(c, o, x, c->dst_block, c->thin_dst, 4)];
        *err += fabs((double)v) * 0x1p-23;
    }
    return t->clamp2 ? clamp_as(v, t->lo2_f, t->hi2_f) : v;
}

static void describe(const struct vd_kernels *k, const struct conv_case *c, const char *what, char text[300])
{
    static const char *const kinds[] = {"dense", "first", "last", "depthwise"};
    const struct vd_row_shape *s = &c->conv.shape;

    snprintf(text, 300, "%s %s %s%s %d -> %d, %dx%d, stride %d, dilation %d, width %d%s", k->name, what, kinds[s->kind],
             s->integer ? c->conv.tail.to_bytes ? " u8 to u8" : " u8 to f32" : " f32", s->ic, s->oc, s->kh, s->kw, s->stride, s->dilation,
             c->width, c->extreme ? ", extreme" : c->special ? ", special" : "");
}

/* How far a sum may be from the exact one; products: the sum of |product|. Infinity: anything, but not finite where the exact is not. */
typedef double bound_fn(const struct conv_case *c, int o, int x, double products);

static double plain_bound(const struct conv_case *c, int o, int x, double products)
{
    const struct vd_row_shape *s = &c->conv.shape;

    (void)o, (void)x;
    return (s->kh * s->kw * (s->kind == VD_ROW_DEPTHWISE ? 1 : s->ic) + 4) * 0x1p-24 * 2 * products;
}

/* docs/numerics.md: |A| (|G| |w| * |B| |x|), summed over rows and channels. */
static double wino_bound(const struct conv_case *c, int o, int x, double products)
{
    static const double A[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, 1, 2, 2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, 1, 8, 8, 1}};
    static const double B[6][6] = {{4, 0, 5, 0, 1, 0}, {0, 4, 4, 1, 1, 0}, {0, 4, 4, 1, 1, 0},
                                   {0, 2, 1, 2, 1, 0}, {0, 2, 1, 2, 1, 0}, {0, 4, 0, 5, 0, 1}};
    static const double G[6][3] = {{1 / 4., 0, 0}, {1 / 6., 1 / 6., 1 / 6.}, {1 / 6., 1 / 6., 1 / 6.},
                                   {1 / 24., 1 / 12., 1 / 6.}, {1 / 24., 1 / 12., 1 / 6.}, {0, 0, 1}};
    const struct vd_row_shape *s = &c->conv.shape;
    double sum = 0;

    (void)products;
    for (int ky = 0; ky < s->kh; ky++)
        for (int i = 0; i < s->ic; i++)
            for (int j = 0; j < 6; j++) {
                double u = 0, v = 0;
                for (int k = 0; k < 3; k++)
                    u += G[j][k] * fabs((double)((const float *)c->weight)[weight_at(c, o, i, ky, k)]);
                for (int k = 0; k < 6 && x / 4 * 4 + k < c->width + 2; k++) {
                    const float value = ((const float *)c->src[ky])[element_at(c, i, x / 4 * 4 + k, c->src_block, 0, 4)];
                    if (!isfinite(value))
                        return INFINITY;
                    v += B[j][k] * fabs((double)value);
                }
                sum += A[x % 4][j] * u * v;
            }
    return (s->kh * s->ic + 6) * 0x1p-24 * 1.01 * sum;
}

/* The row that a kernel made against the sums. */
static void check_row(const struct conv_case *c, const struct guarded *g, bound_fn *bound, float lo, float hi, const char *text)
{
    const struct vd_row_shape *s = &c->conv.shape;
    const struct vd_row_tail *t = &c->conv.tail;
    const size_t size = t->to_bytes ? 1 : 4;
    const int n_blocks = blocks_of(s->oc), lanes = c->thin_dst ? 1 : VD_LANES;
    int nan = 0;

    for (int o = 0; o < s->oc; o++)
        for (int x = 0; x < c->width; x++, checks++) {
            double products, err = 0;
            const double sum = sum_at(c, o, x, &products);
            const size_t at = element_at(c, o, x, c->dst_block, c->thin_dst, size);

            if (t->to_bytes) {
                const float v = rintf((float)(int32_t)((uint32_t)(int64_t)sum + (uint32_t)t->bias32[o]) * t->scale[o]);
                const double code = (double)v + t->zp, want = code < t->lo ? t->lo : code > t->hi ? t->hi : code;
                if (g->data[at] != want)
                    fail_msg("%s: channel %d pixel %d is %d, not %g", text, o, x, g->data[at], want);
                continue;
            }
            err = bound(c, o, x, products);
            const int loose = isinf(err) && bound != plain_bound;
            const float want = expected(c, o, x, sum, &err), got = ((const float *)g->data)[at];
            if (loose) {
                if (!isfinite(want) && isfinite(got))
                    fail_msg("%s: channel %d pixel %d is %a, not %a", text, o, x, (double)got, (double)want);
            } else if (isfinite(want) && isfinite(products) && !s->integer ? !(fabs((double)got - (double)want) <= err) : !same(got, want))
                fail_msg("%s: channel %d pixel %d is %a, not %a (within %g)", text, o, x, (double)got, (double)want, err);
            nan |= isnan(got);
            lo = got < lo ? got : lo;
            hi = hi < got ? got : hi;
        }
    if (t->range) {
        lo = nan ? NAN : lo + 0.0f;
        hi = nan ? NAN : hi + 0.0f;
        if (!same(t->range[0], lo) || !same(t->range[1], hi))
            fail_msg("%s: range is %a to %a, not %a to %a", text, (double)t->range[0], (double)t->range[1], (double)lo, (double)hi);
    }
    if (!t->to_bytes && !c->thin_dst)
        for (int o = s->oc; o < n_blocks * VD_LANES; o++)
            for (int x = 0; x < c->width; x++)
                if (bits(((const float *)g->data)[element_at(c, o, x, c->dst_block, 0, 4)]) != 0)
                    fail_msg("%s: lane %d past the channels is not 0 at pixel %d", text, o, x);
    /* Nothing outside the row and its slack. */
    const size_t wide = (size_t)(c->width + VD_ROW_SLACK - 1) * (size_t)lanes * size;
    check_untouched(g, g->all - g->data, 0, text);
    for (int b = 0; b < n_blocks; b++)
        check_untouched(g, (ptrdiff_t)((size_t)b * c->dst_block + wide),
                        b < n_blocks - 1 ? (ptrdiff_t)((size_t)(b + 1) * c->dst_block) : (g->all + g->size + 2 * GUARD) - g->data, text);
}

/* A buffer whose data is 64-byte aligned. */
static struct guarded guard_aligned(size_t size)
{
    struct guarded g = {.size = size, .all = vd_aligned(size + 2 * GUARD)};

    assert_non_null(g.all);
    memset(g.all, CANARY, size + 2 * GUARD);
    g.data = g.all + GUARD;
    return g;
}

static void *pack_of(vd_row_pack_fn *fn, const struct conv_case *c)
{
    const size_t size = fn(&c->conv.shape, c->weight, NULL);
    struct guarded g = guard_aligned(size);

    assert_int_equal(size % 64, 0);
    assert_int_equal(fn(&c->conv.shape, c->weight, g.data), size);
    check_edges(&g, size, "pack");
    void *pack = vd_aligned(size);
    assert_non_null(pack);
    memcpy(pack, g.data, size);
    vd_free(g.all);
    return pack;
}

static void run_case(const struct vd_kernels *k, struct conv_case *c)
{
    const struct vd_row_shape *s = &c->conv.shape;
    const struct vd_row_tail *t = &c->conv.tail;
    const int n_blocks = blocks_of(s->oc);
    struct guarded g = guard_aligned(c->dst_block * (size_t)n_blocks);
    void *pack = pack_of((s->integer ? k->row.pack_u8 : k->row.pack_f32)[s->kind], c);
    const float lo = t->range ? t->range[0] : 0, hi = t->range ? t->range[1] : 0;
    const float *residual = c->residual;
    char text[300];

    if (residual && one_in(2)) { /* in place */
        memcpy(g.data, residual, c->dst_block * (size_t)n_blocks);
        residual = (const float *)g.data;
        for (int b = 0; b < n_blocks; b++) {
            const size_t wide = (size_t)(c->width + VD_ROW_SLACK - 1) * (c->thin_dst ? 1 : VD_LANES) * 4;
            memset(g.data + (size_t)b * c->dst_block + wide, CANARY, c->dst_block - wide);
        }
    }
    describe(k, c, "conv", text);
    c->conv.weight = pack;
    (s->integer ? k->row.conv_u8 : k->row.conv_f32)[s->kind](&c->conv, g.data, c->dst_block, c->src, c->src_block, residual, c->dst_block,
                                                             c->width);
    check_row(c, &g, plain_bound, lo, hi, text);

    /* Any part of the row, made alone, has the same bits. */
    const int from = (int)below((uint32_t)c->width), n = between(1, c->width - from);
    const size_t size = t->to_bytes ? 1 : 4, step = (size_t)s->stride * (c->thin_src ? 1 : VD_LANES) * (s->integer ? 1 : 4);
    if (!c->residual) {
        struct guarded part = guard_aligned(c->dst_block * (size_t)n_blocks);
        struct vd_row_conv conv = c->conv;
        const void *src[MAX_K];

        conv.tail.range = NULL;
        for (int ky = 0; ky < s->kh; ky++)
            src[ky] = (const uint8_t *)c->src[ky] + (size_t)from * step;
        (s->integer ? k->row.conv_u8 : k->row.conv_f32)[s->kind](&conv, part.data, c->dst_block, src, c->src_block, NULL, 0, n);
        for (int o = 0; o < s->oc; o++)
            for (int x = 0; x < n; x++) {
                const uint8_t *a = part.data + element_at(c, o, x, c->dst_block, c->thin_dst, size) * size;
                const uint8_t *b = g.data + element_at(c, o, from + x, c->dst_block, c->thin_dst, size) * size;
                float fa = 0, fb = 0;
                memcpy(&fa, a, size);
                memcpy(&fb, b, size);
                if (t->to_bytes ? *a != *b : !same(fa, fb))
                    fail_msg("%s: pixel %d of channel %d is another when made from pixel %d on", text, from + x, o, from);
            }
        vd_free(part.all);
    }
    vd_free(pack);
    vd_free(g.all);
}

static void conv_set(const struct vd_kernels *k, int integer)
{
    for (int kind = 0; kind < VD_ROW_KINDS; kind++)
        for (int i = 0; i < cases(150); i++) {
            struct conv_case c = make_case((enum vd_row_conv_kind)kind, integer, 0);

            run_case(k, &c);
            free_case(&c);
        }
}

/* Where the whole numbers of a transform come to the end of 32 bits, and the next: 304 channels in avx2. */
static void large_set(const struct vd_kernels *k)
{
    static const int channels[] = {288, 303, 304, 305, 320};

    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        fixed_ic = channels[i];
        struct conv_case c = make_case(VD_ROW_DENSE, 1, 0);
        run_case(k, &c);
        free_case(&c);
    }
    fixed_ic = 0;
}

/* Rows are transformed, each into just the memory that it asks for; NaN in the slack must not show. */
static void wino_set(const struct vd_kernels *k)
{
    if (!k->row.conv_wino) {
        checks = 1; /* this set has none */
        return;
    }
    for (int i = 0; i < cases(300); i++) {
        struct conv_case c = make_case(VD_ROW_DENSE, 0, 1);
        const struct vd_row_shape *s = &c.conv.shape;
        struct guarded g = guard_aligned(c.dst_block * (size_t)blocks_of(s->oc)), row[MAX_K];
        const float lo = c.range ? c.range[0] : 0, hi = c.range ? c.range[1] : 0;
        const size_t size = k->row.wino_bytes(s->ic, c.width);
        const void *src[MAX_K];
        void *pack = pack_of(k->row.pack_wino, &c);
        char text[300];

        describe(k, &c, "winograd", text);
        for (int ky = 0; ky < s->kh; ky++) {
            row[ky] = guard_aligned(size);
            k->row.wino_row(row[ky].data, c.src[ky], c.src_block, s->ic, c.width);
            check_edges(&row[ky], size, text);
            src[ky] = row[ky].data;
        }
        c.conv.weight = pack;
        k->row.conv_wino(&c.conv, g.data, c.dst_block, src, 0, c.residual, c.dst_block, c.width);
        check_row(&c, &g, wino_bound, lo, hi, text);
        for (int ky = 0; ky < s->kh; ky++)
            vd_free(row[ky].all);
        vd_free(pack);
        vd_free(g.all);
        free_case(&c);
    }
}

static void conv_u8_set(const struct vd_kernels *k)
{
    conv_set(k, 1);
    large_set(k);
}
static void conv_f32_set(const struct vd_kernels *k) { conv_set(k, 0); }
static void test_conv_u8(void **state) { (void)state; for_each_set(conv_u8_set); }
static void test_conv_f32(void **state) { (void)state; for_each_set(conv_f32_set); }
static void test_wino(void **state) { (void)state; for_each_set(wino_set); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv_u8), cmocka_unit_test(test_conv_f32), cmocka_unit_test(test_wino)};

    choose_seed(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
