/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_rows [WIDTH]: speed of the row kernels (kernels/rows.h) in every set that this CPU has, one thread, on one row whose inputs
 * are in the cache, as in a stream. The limit of the multiplying instructions is measured before and after each line, and the
 * share is that of the better one: other work on the machine slows both. Winograd counts the products of the plain sum. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/mem.h"
#include "common/status.h"
#include "kernels/kernels.h"
#include "limits.h"

enum { RUNS = 15, MAX_K = 5 };

struct bench {
    const struct vd_kernels *k;
    struct vd_row_conv conv;
    vd_row_conv_fn *fn;
    void *dst;
    const void *src[MAX_K];
    size_t src_block, dst_block;
    const float *residual;
    int width;
    void *transformed; /* Winograd: one row is transformed for each row that is made */
};

static void run(void *arg)
{
    const struct bench *b = arg;

    if (b->transformed)
        b->k->row.wino_row(b->transformed, b->src[0], b->src_block, b->conv.shape.ic, b->width);
    b->fn(&b->conv, b->dst, b->dst_block, b->src, b->src_block, b->residual, b->dst_block, b->width);
}

static void *memory(size_t size)
{
    void *p = vd_aligned(size);

    if (!p) {
        fprintf(stderr, "no memory\n");
        exit(5);
    }
    memset(p, 0, size);
    return p;
}

/* tail: 0 to bytes, or fp32 with bias and Relu; 1 fp32 with a range too; 2 with a residual */
static void bench_conv(const struct vd_kernels *k, struct vd_row_shape s, int to_bytes, int tail, int winograd, int width)
{
    static const char *const kinds[] = {"dense", "first", "last", "depthwise"};
    const size_t size = s.integer ? 1 : 4, wide = (size_t)((width + VD_ROW_SLACK) * s.stride + (s.kw - 1) * s.dilation + 4);
    const size_t blocks_in = ((size_t)s.ic + VD_LANES - 1) / VD_LANES, blocks_out = ((size_t)s.oc + VD_LANES - 1) / VD_LANES;
    const size_t n_w = (size_t)s.oc * (size_t)(s.kind == VD_ROW_DEPTHWISE ? 1 : s.ic) * (size_t)(s.kh * s.kw);
    const double mac = (double)n_w * width * 1e-9;
    float range[2] = {0, 0};
    struct bench b = {.k = k, .conv.shape = s, .width = width};
    void *memories[MAX_K], *weight = memory(n_w * size), *pack, *residual;
    float *one = memory(blocks_out * VD_LANES * 4), *none = memory(blocks_out * VD_LANES * 4);
    vd_row_pack_fn *pack_fn = winograd ? k->row.pack_wino : s.integer ? k->row.pack_u8[s.kind] : k->row.pack_f32[s.kind];

    b.src_block = (wide * VD_LANES * size + 63) & ~(size_t)63;
    b.dst_block = ((size_t)(width + VD_ROW_SLACK) * VD_LANES * 4 + 63) & ~(size_t)63;
    b.dst = memory(b.dst_block * blocks_out);
    residual = memory(b.dst_block * blocks_out);
    for (size_t i = 0; i < n_w; i++)
        if (s.integer)
            ((int8_t *)weight)[i] = (int8_t)(i * 37 % 255 - 127);
        else
            ((float *)weight)[i] = (float)(i * 37 % 255) / 255 - 0.5f;
    for (size_t i = 0; i < blocks_out * VD_LANES; i++)
        one[i] = 0.001f;
    pack = memory(pack_fn(&s, weight, NULL));
    pack_fn(&s, weight, pack);
    for (int ky = 0; ky < s.kh; ky++) {
        uint8_t *p = memories[ky] = memory(b.src_block * blocks_in);
        for (size_t i = 0; i < b.src_block * blocks_in / size; i++)
            if (s.integer)
                p[i] = (uint8_t)(i * 61 % 256);
            else
                ((float *)(void *)p)[i] = (float)(i * 61 % 256) / 255;
        b.src[ky] = p;
    }
    b.conv.weight = pack;
    b.conv.tail = (struct vd_row_tail){.to_bytes = to_bytes, .bias32 = (const int32_t *)(const void *)none, .scale = one, .zp = 7, .hi = 255,
                                       .bias = none, .clamp = true, .hi_f = 1e9f, .range = tail == 1 ? range : NULL};
    b.residual = tail == 2 ? residual : NULL;
    b.fn = winograd ? k->row.conv_wino : s.integer ? k->row.conv_u8[s.kind] : k->row.conv_f32[s.kind];
    if (winograd) {
        const size_t bytes = k->row.wino_bytes(s.ic, width);
        for (int ky = 0; ky < s.kh; ky++) {
            void *row = memory(bytes);
            k->row.wino_row(row, b.src[ky], b.src_block, s.ic, width);
            b.src[ky] = row;
        }
        b.src[0] = memories[0];
        b.transformed = memory(bytes);
        k->row.wino_row(b.transformed, memories[0], b.src_block, s.ic, width);
    }

    struct vd_limits before;
    const char *limit_of = strcmp(k->name, "c") ? k->name : vd_kernels_name(1);
    double limit = 0, rate = 0;
    for (int i = 0; i < 3; i++) { /* the best of three, the limit between them */
        if (limit_of) {
            vd_limits_measure(limit_of, &before);
            limit = (s.integer ? before.u8 : before.f32) > limit ? (s.integer ? before.u8 : before.f32) : limit;
        }
        const double t = vd_bench_measure(run, &b, RUNS);
        rate = mac / t > rate ? mac / t : rate;
    }

    printf("%-10s %s %-9s %s %3d -> %3d, %dx%d, stride %d%s  %7.1f GMAC/s", k->name, s.integer ? "u8 " : "f32", winograd ? "winograd" : kinds[s.kind],
           to_bytes ? "to u8 " : tail == 1 ? "range " : tail == 2 ? "resid." : "to f32", s.ic, s.oc, s.kh, s.kw, s.stride,
           s.dilation > 1 ? ", dilated" : "", rate);
    if (limit > 0)
        printf("  %3.0f %% of %.1f", 100 * rate / limit, limit);
    printf("\n");
    fflush(stdout);
    for (int ky = 0; ky < s.kh; ky++) {
        if (winograd && ky > 0)
            vd_free((void *)(uintptr_t)b.src[ky]);
        vd_free(memories[ky]);
    }
    vd_free(b.transformed);
    vd_free(weight);
    vd_free(pack);
    vd_free(b.dst);
    vd_free(residual);
    vd_free(one);
    vd_free(none);
}

/* Element by element, in G elements/s. */
struct flat {
    const struct vd_kernels *k;
    size_t n, block;
    uint8_t *a, *b;
    float *x, *y;
    float table[256];
    uint8_t codes[256];
};

static void run_add_u8(void *arg)
{
    static const struct vd_row_add add = {.ra = 0.7f, .rb = 0.6f, .fixed = 3, .hi = 255};
    const struct flat *f = arg;
    f->k->row.add_u8(f->a, f->a, f->b, f->n, &add);
}
static void run_quantize(void *arg) { const struct flat *f = arg; f->k->row.quantize_u8(f->a, f->x, f->n, 0.0041f, 7, 0, 255); }
static void run_dequantize(void *arg) { const struct flat *f = arg; f->k->row.dequantize_f32(f->x, f->a, f->n, 0.0041f, 7); }
static void run_lookup_u8(void *arg) { const struct flat *f = arg; f->k->row.lookup_u8(f->b, f->a, f->n, f->codes); }
static void run_lookup_f32(void *arg) { const struct flat *f = arg; f->k->row.lookup_f32(f->x, f->a, f->n, f->table); }
static void run_add_f32(void *arg) { const struct flat *f = arg; f->k->row.add_f32(f->x, f->x, f->y, f->n); }
static void run_clamp(void *arg) { const struct flat *f = arg; f->k->row.clamp_f32(f->x, f->y, f->n, 0, 6); }
static void run_block(void *arg) { const struct flat *f = arg; f->k->row.block_f32(f->x, f->block, f->y, f->n / 16, 16, (int)(f->n / 16)); }
static void run_plane(void *arg) { const struct flat *f = arg; f->k->row.plane_f32(f->y, f->n / 16, f->x, f->block, 16, (int)(f->n / 16)); }


/* 3x3 windows of stride 1; elements are those of the result. */
static const struct vd_row_pool window = {.rows = 3, .taps = 3, .lanes = VD_LANES, .step = VD_LANES, .pixel = VD_LANES, .count = 9};
static void run_max_u8(void *arg)
{
    const struct flat *f = arg;
    f->k->row.max_u8(f->b, (const uint8_t *const[]){f->a, f->a, f->a}, &window, (int)(f->n / VD_LANES) - 2);
}
static void run_max_f32(void *arg)
{
    const struct flat *f = arg;
    f->k->row.max_f32(f->x, (const float *const[]){f->y, f->y, f->y}, &window, (int)(f->n / VD_LANES) - 2);
}
static void run_average(void *arg)
{
    const struct flat *f = arg;
    f->k->row.average_f32(f->x, (const float *const[]){f->y, f->y, f->y}, &window, (int)(f->n / VD_LANES) - 2);
}

static void bench_flat(const struct vd_kernels *k, int width)
{
    static const struct { const char *name; void (*fn)(void *); } list[] = {
        {"add_u8", run_add_u8}, {"quantize_u8", run_quantize}, {"dequantize_f32", run_dequantize}, {"lookup_u8", run_lookup_u8},
        {"lookup_f32", run_lookup_f32}, {"add_f32", run_add_f32}, {"clamp_f32", run_clamp}, {"block_f32", run_block}, {"plane_f32", run_plane},
        {"max_u8", run_max_u8}, {"max_f32", run_max_f32}, {"average_f32", run_average},
    };
    struct flat f = {.k = k, .n = (size_t)width * VD_LANES, .block = (size_t)(width + VD_ROW_SLACK) * VD_LANES * 4};

    f.a = memory(f.n);
    f.b = memory(f.n);
    f.x = memory(f.block);
    f.y = memory(f.block);
    for (size_t i = 0; i < f.n; i++) {
        f.a[i] = (uint8_t)(i * 61);
        f.y[i] = f.x[i] = (float)(i % 255) / 255;
    }
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        printf("%-10s %-15s %7.2f G elements/s\n", k->name, list[i].name, (double)f.n * 1e-9 / vd_bench_measure(list[i].fn, &f, RUNS));
    vd_free(f.a);
    vd_free(f.b);
    vd_free(f.x);
    vd_free(f.y);
}

static const struct vd_row_shape shapes[] = {
    {VD_ROW_DENSE, true, 16, 16, 3, 3, 1, 1}, {VD_ROW_DENSE, true, 32, 32, 3, 3, 1, 1}, {VD_ROW_DENSE, true, 16, 32, 3, 3, 2, 1},
    {VD_ROW_DENSE, true, 32, 16, 1, 1, 1, 1}, {VD_ROW_FIRST, true, 1, 16, 3, 3, 1, 1}, {VD_ROW_LAST, true, 16, 1, 3, 3, 1, 1},
    {VD_ROW_DEPTHWISE, true, 32, 32, 3, 3, 1, 1}, {VD_ROW_DEPTHWISE, true, 32, 32, 3, 3, 2, 1},
};

int main(int argc, char **argv)
{
    const int width = argc > 1 ? atoi(argv[1]) : 1920;
    const char *name;

    if (argc > 3 || width < 1 || width > 1 << 16) {
        fprintf(stderr, "usage: bench_rows [WIDTH [SET]]\n");
        return 2;
    }
    for (int i = 0; (name = vd_kernels_name(i)); i++) {
        const struct vd_kernels *k;
        if (argc > 2 && strcmp(name, argv[2]) != 0)
            continue;
        if (vd_kernels_get(name, &k) < 0) {
            fprintf(stderr, "%s\n", vd_reason());
            return 2;
        }
        for (int integer = 1; integer >= 0; integer--)
            for (size_t n = 0; n < sizeof(shapes) / sizeof(shapes[0]); n++) {
                struct vd_row_shape s = shapes[n];
                s.integer = integer;
                if (integer) {
                    bench_conv(k, s, 1, 0, 0, width);
                    if (n == 0)
                        bench_conv(k, s, 0, 1, 0, width);
                } else {
                    bench_conv(k, s, 0, 0, 0, width);
                    if (k->row.conv_wino && s.kind == VD_ROW_DENSE && s.kw == 3 && s.stride == 1) {
                        bench_conv(k, s, 0, 0, 1, width);
                        bench_conv(k, s, 0, 2, 1, width);
                    }
                }
            }
        bench_flat(k, width);
    }
    return 0;
}
