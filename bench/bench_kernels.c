/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_kernels [WIDTH [ROWS]]: speed of every kernel in every set that this CPU has, one thread.
 *
 * Convolutions in GMAC/s, with the share of what the multiplying instructions alone reach in registers
 * (a pair with an empty half counts as the two products that it costs); the rest in elements. */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/mem.h"
#include "common/status.h"
#include "kernels/kernels.h"

enum { RUNS = 25, MAX_IC = 16, KERNEL = 3 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of several runs of a millisecond or more, in seconds a call. */
static double measure(void (*fn)(void *), void *arg)
{
    int calls = 1;
    double best = DBL_MAX;

    for (int run = 0; run < RUNS;) {
        const double begin = now();
        for (int i = 0; i < calls; i++)
            fn(arg);
        const double t = now() - begin;
        if (t < 1e-3) {
            calls *= 2;
            continue;
        }
        best = t / calls < best ? t / calls : best;
        run++;
    }
    return best;
}

/* GMAC/s of nothing but the instructions, 12 sums in registers as in the kernels; 0: not known here. */
struct limit { double f32, s16; };
static struct limit limit_avx2, limit_avx512;

#if defined(__x86_64__)
/* In assembly, so that no compiler can do better or worse than the instructions can. */
enum { LIMIT_ROUNDS = 4096, LIMIT_SUMS = 12 };

#define FMA(i) "vfmadd231ps %%ymm15, %%ymm15, %%ymm" #i "\n\t"
#define MADD(t) "vpmaddwd %%ymm15, %%ymm15, %%ymm" #t "\n\t"
#define ADD(i, t) "vpaddd %%ymm" #t ", %%ymm" #i ", %%ymm" #i "\n\t"
#define CLOBBER \
    "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
    "xmm14", "xmm15"

static void only_fma(void *arg)
{
    long n = LIMIT_ROUNDS;

    (void)arg;
    __asm__ volatile("vzeroall\n1:\n\t" FMA(0) FMA(1) FMA(2) FMA(3) FMA(4) FMA(5) FMA(6) FMA(7) FMA(8) FMA(9) FMA(10) FMA(11)
                     "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(n) : : CLOBBER);
}

static void only_madd(void *arg)
{
    long n = LIMIT_ROUNDS;

    (void)arg;
    /* Each sum is a step behind its product, which is the best order of several tried. */
    __asm__ volatile("vzeroall\n1:\n\t" MADD(12) MADD(13) ADD(0, 12) MADD(14) ADD(1, 13) MADD(12) ADD(2, 14) MADD(13) ADD(3, 12)
                     MADD(14) ADD(4, 13) MADD(12) ADD(5, 14) MADD(13) ADD(6, 12) MADD(14) ADD(7, 13) MADD(12) ADD(8, 14)
                     MADD(13) ADD(9, 12) MADD(14) ADD(10, 13) ADD(11, 14)
                     "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(n) : : CLOBBER);
}

#define FMA512(i) "vfmadd231ps %%zmm15, %%zmm15, %%zmm" #i "\n\t"
#define DOT512(i) "vpdpwssd %%zmm15, %%zmm15, %%zmm" #i "\n\t"
#define TWELVE(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)

static void only_fma512(void *arg)
{
    long n = LIMIT_ROUNDS;

    (void)arg;
    __asm__ volatile("vzeroall\n1:\n\t" TWELVE(FMA512) "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(n) : : CLOBBER);
}

static void only_dot512(void *arg)
{
    long n = LIMIT_ROUNDS;

    (void)arg;
    __asm__ volatile("vzeroall\n1:\n\t" TWELVE(DOT512) "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(n) : : CLOBBER);
}

static void measure_limits(void)
{
    const double n = (double)LIMIT_ROUNDS * LIMIT_SUMS * 8e-9;

    if (vd_kernels_name(1)) {
        limit_avx2 = (struct limit){n / measure(only_fma, NULL), 2 * n / measure(only_madd, NULL)};
        printf("limit avx2: vfmadd %.1f GMAC/s, vpmaddwd + vpaddd %.1f GMAC/s\n", limit_avx2.f32, limit_avx2.s16);
    }
    if (vd_kernels_name(2)) {
        limit_avx512 = (struct limit){2 * n / measure(only_fma512, NULL), 4 * n / measure(only_dot512, NULL)};
        printf("limit avx512vnni: vfmadd %.1f GMAC/s, vpdpwssd %.1f GMAC/s\n", limit_avx512.f32, limit_avx512.s16);
    }
}
#else
static void measure_limits(void) {}
#endif

/* What a set is held to: the C set to AVX2's. */
static struct limit limit_of(const struct vd_kernels *k)
{
    return strcmp(k->name, "avx512vnni") ? limit_avx2 : limit_avx512;
}

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
    const double limit = integer ? limit_of(k).s16 : limit_of(k).f32, cost = integer ? mac * planes * 2 / ic : mac;

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
    measure_limits();
    for (int i = 0; (name = vd_kernels_name(i)); i++) {
        const struct vd_kernels *k;
        if (vd_kernels_get(name, &k) < 0) {
            fprintf(stderr, "%s\n", vd_reason());
            return 2;
        }
        for (int integer = 0; integer < 2; integer++)
            for (size_t s = 0; s < sizeof(shape) / sizeof(shape[0]); s++)
                bench_conv(k, integer, shape[s][0], shape[s][1], width, rows);
        bench_flat(k, width);
    }
    return 0;
}
