/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_kernels [WIDTH [ROWS]]: speed of every kernel in every set that this CPU has, one thread.
 *
 * Convolutions in GMAC/s, with the share of what the multiplying instructions alone reach in registers
 * (a pair with an empty half counts as the two products that it costs); the rest in elements. */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/mem.h"
#include "common/status.h"
#include "kernels/kernels.h"
#include "limits.h"

enum { RUNS = 25, MAX_IC = 16, KERNEL = 3 };

static double measure(void (*fn)(void *), void *arg) { return vd_bench_measure(fn, arg, RUNS); }

static struct vd_limits limits; /* of the set that is measured; the C set's are AVX2's */

struct conv {
    void (*fn)(const struct vd_conv_args *a);
    struct vd_conv_args args;
    int blocks;
    size_t weight_step, dst_step;
};

static void run_conv(void *arg)
{
    const struct conv *c = arg;

    for (int b = 0; b < c->blocks; b++) {
        struct vd_conv_args a = c->args;
        a.weight = (const char *)a.weight + (size_t)b * c->weight_step;
        a.dst = (float *)a.dst + (size_t)b * c->dst_step;
        c->fn(&a);
    }
}

/* A band of the learned filter: 3x3, scale, bias and Relu, or for the last layer residual and clip. */
static void bench_conv(const struct vd_kernels *k, int integer, int ic, int oc, int width, int rows)
{
    static uint32_t tap[MAX_IC * KERNEL * KERNEL];
    const size_t line = ((size_t)width + KERNEL - 1 + VD_BAND_SLACK + 15) & ~(size_t)15, band_in = (size_t)rows + KERNEL - 1;
    const int planes = integer ? (ic + 1) / 2 : ic;
    const size_t n_src = line * band_in * (size_t)planes, n_dst = (size_t)width * (size_t)rows * (size_t)oc;
    const size_t n_w = sizeof(tap) / sizeof(tap[0]) * MAX_IC;
    const float one[VD_OC_BLOCK] = {1, 1, 1, 1}, none[VD_OC_BLOCK] = {0};
    float *src = vd_aligned(n_src * 4), *dst = vd_aligned(n_dst * 4), *res = vd_aligned(n_dst * 4), *w = vd_aligned(n_w * 4);
    int taps = 0;

    if (!src || !dst || !res || !w) {
        fprintf(stderr, "no memory\n");
        exit(5);
    }
    for (size_t p = 0; p < (size_t)planes; p++)
        for (size_t ky = 0; ky < KERNEL; ky++)
            for (size_t kx = 0; kx < KERNEL; kx++)
                tap[taps++] = (uint32_t)((p * band_in + ky) * line + kx);
    memset(res, 0, n_dst * 4);
    for (size_t i = 0; i < n_src; i++)
        src[i] = (float)(i % 255); /* as pairs of int16 these are numbers as good as any */
    for (size_t i = 0; i < n_w; i++)
        w[i] = 0.5f;

    struct conv c = {
        .fn = integer ? k->conv_s16 : k->conv_f32,
        .args = {.dst = dst, .dst_plane = (ptrdiff_t)width * rows, .dst_row = width, .rows = rows, .width = width,
                 .n_oc = oc < VD_OC_BLOCK ? oc : VD_OC_BLOCK, .src = src, .src_step = (ptrdiff_t)line, .tap = tap, .taps = taps,
                 .weight = w, .tail = {.scale = integer ? one : NULL, .bias = none, .clamp = oc > 1, .hi = FLT_MAX,
                                       .residual = oc > 1 ? NULL : res, .clamp2 = oc == 1, .hi2 = 1}},
        .blocks = (oc + VD_OC_BLOCK - 1) / VD_OC_BLOCK,
        .weight_step = (size_t)taps * VD_OC_BLOCK * 4,
        .dst_step = n_dst / (size_t)((oc + VD_OC_BLOCK - 1) / VD_OC_BLOCK),
    };
    const double t = measure(run_conv, &c), mac = (double)n_dst * ic * KERNEL * KERNEL * 1e-9;
    const double limit = integer ? limits.s16 : limits.f32, cost = integer ? mac * planes * 2 / ic : mac;

    printf("%-10s conv_%s %2d -> %2d  %7.1f GMAC/s", k->name, integer ? "s16" : "f32", ic, oc, mac / t);
    if (limit > 0)
        printf("  %3.0f %% of the limit", 100 * cost / t / limit);
    printf("\n");
    vd_free(src);
    vd_free(dst);
    vd_free(res);
    vd_free(w);
}

struct flat {
    const struct vd_kernels *k;
    float *f, *g;
    void *out;
    size_t n;
};

static void run_range(void *arg)
{
    const struct flat *p = arg;
    float lo = 0, hi = 0;

    p->k->range_f32(p->f, p->n, &lo, &hi);
}

static void run_quantize(void *arg)
{
    const struct flat *p = arg;

    p->k->quantize_pair(p->out, p->f, p->g, p->n, 0.0041f, 17);
}

static void run_u8_to_f32(void *arg)
{
    const struct flat *p = arg;

    p->k->u8_to_f32(p->f, p->out, p->n);
}

static void run_u16_to_f32(void *arg)
{
    const struct flat *p = arg;

    p->k->u16_to_f32(p->f, p->out, p->n, 65535);
}

static void run_f32_to_u8(void *arg)
{
    const struct flat *p = arg;

    p->k->f32_to_u8(p->out, p->f, p->n);
}

static void run_f32_to_u16(void *arg)
{
    const struct flat *p = arg;

    p->k->f32_to_u16(p->out, p->f, p->n, 1023);
}

static void bench_flat(const struct vd_kernels *k, int width)
{
    static const struct {
        const char *name;
        void (*fn)(void *);
        int per; /* floats read or written for each of n */
    } list[] = {
        {"range_f32", run_range, 1}, {"quantize_pair", run_quantize, 2}, {"u8_to_f32", run_u8_to_f32, 1},
        {"u16_to_f32", run_u16_to_f32, 1}, {"f32_to_u8", run_f32_to_u8, 1}, {"f32_to_u16", run_f32_to_u16, 1},
    };
    struct flat p = {.k = k, .n = (size_t)width};

    p.f = vd_aligned(p.n * 4);
    p.g = vd_aligned(p.n * 4);
    p.out = vd_aligned(p.n * 4);
    if (!p.f || !p.g || !p.out) {
        fprintf(stderr, "no memory\n");
        exit(5);
    }
    memset(p.out, 0x55, p.n * 4);
    for (size_t i = 0; i < p.n; i++)
        p.f[i] = p.g[i] = (float)(i % 1000) / 1000;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        printf("%-10s %-16s %7.2f G elements/s\n", k->name, list[i].name, (double)width * list[i].per * 1e-9 / measure(list[i].fn, &p));
    vd_free(p.f);
    vd_free(p.g);
    vd_free(p.out);
}

int main(int argc, char **argv)
{
    static const int shape[][2] = {{1, 16}, {16, 16}, {16, 1}};
    const int width = argc > 1 ? atoi(argv[1]) : 1280, rows = argc > 2 ? atoi(argv[2]) : 6;
    const char *name;

    if (argc > 3 || width < 1 || width > 1 << 20 || rows < 1 || rows > 64) {
        fprintf(stderr, "usage: bench_kernels [WIDTH [ROWS]]\n");
        return 2;
    }
    printf("3x3, width %d, bands of %d rows, one thread\n", width, rows);
    for (int i = 0; (name = vd_kernels_name(i)); i++) {
        const struct vd_kernels *k;
        if (vd_kernels_get(name, &k) < 0) {
            fprintf(stderr, "%s\n", vd_reason());
            return 2;
        }
        vd_limits_measure(i == 0 && vd_kernels_name(1) ? vd_kernels_name(1) : name, &limits);
        if (i > 0)
            printf("%-10s limit: fp32 %.1f, 16-bit pairs %.1f, bytes %.1f GMAC/s\n", name, limits.f32, limits.s16, limits.u8);
        for (int integer = 0; integer < 2; integer++)
            for (size_t s = 0; s < sizeof(shape) / sizeof(shape[0]); s++)
                bench_conv(k, integer, shape[s][0], shape[s][1], width, rows);
        bench_flat(k, width);
    }
    return 0;
}
