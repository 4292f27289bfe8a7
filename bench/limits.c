/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <string.h>
#include <time.h>
#include "limits.h"

double vd_bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double vd_bench_measure(void (*fn)(void *), void *arg, int runs)
{
    int calls = 1;
    double best = DBL_MAX;

    for (int run = 0; run < runs;) {
        const double begin = vd_bench_now();
        for (int i = 0; i < calls; i++)
            fn(arg);
        const double t = vd_bench_now() - begin;
        if (t < 1e-3) {
            calls *= 2;
            continue;
        }
        best = t / calls < best ? t / calls : best;
        run++;
    }
    return best;
}

#if defined(__x86_64__)
/* In assembly, so that no compiler can do better or worse than the instructions can: twelve sums in registers. */
enum { ROUNDS = 4096, SUMS = 12, RUNS = 25 };

#define MADD(t) "vpmaddwd %%ymm15, %%ymm15, %%ymm" #t "\n\t"
#define ADD(i, t) "vpaddd %%ymm" #t ", %%ymm" #i ", %%ymm" #i "\n\t"
#define FMA(i) "vfmadd231ps %%ymm15, %%ymm15, %%ymm" #i "\n\t"
#define FMA512(i) "vfmadd231ps %%zmm15, %%zmm15, %%zmm" #i "\n\t"
#define DOT_S16(i) "vpdpwssd %%zmm15, %%zmm15, %%zmm" #i "\n\t"
#define DOT_U8(i) "vpdpbusd %%zmm15, %%zmm15, %%zmm" #i "\n\t"
#define TWELVE(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define CLOBBER \
    "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
    "xmm14", "xmm15"
#define LOOP(name, body) \
    static void name(void *arg) \
    { \
        long n = ROUNDS; \
        (void)arg; \
        __asm__ volatile("vzeroall\n1:\n\t" body "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(n) : : CLOBBER); \
    }

LOOP(only_fma, TWELVE(FMA))
/* Each sum is a step behind its product, which is the best order of several tried. */
LOOP(only_madd, MADD(12) MADD(13) ADD(0, 12) MADD(14) ADD(1, 13) MADD(12) ADD(2, 14) MADD(13) ADD(3, 12) MADD(14) ADD(4, 13)
     MADD(12) ADD(5, 14) MADD(13) ADD(6, 12) MADD(14) ADD(7, 13) MADD(12) ADD(8, 14) MADD(13) ADD(9, 12) MADD(14) ADD(10, 13)
     ADD(11, 14))
LOOP(only_fma512, TWELVE(FMA512))
LOOP(only_dot_s16, TWELVE(DOT_S16))
LOOP(only_dot_u8, TWELVE(DOT_U8))
#if defined(VD_HAVE_AVXVNNI)
#define DOT_VEX(i) "%{vex%} vpdpbusd %%ymm15, %%ymm15, %%ymm" #i "\n\t"
LOOP(only_dot_vex, TWELVE(DOT_VEX))
#endif

void vd_limits_measure(const char *set, struct vd_limits *l)
{
    const double n = (double)ROUNDS * SUMS * 8e-9; /* products of 32 bits in 256, in billions */

    *l = (struct vd_limits){0, 0, 0};
    if (strcmp(set, "avx2") == 0 || strcmp(set, "avxvnni") == 0) {
        l->f32 = n / vd_bench_measure(only_fma, NULL, RUNS);
        l->s16 = 2 * n / vd_bench_measure(only_madd, NULL, RUNS);
        l->u8 = l->s16; /* bytes are multiplied as 16 bits */
#if defined(VD_HAVE_AVXVNNI)
        if (strcmp(set, "avxvnni") == 0)
            l->u8 = 4 * n / vd_bench_measure(only_dot_vex, NULL, RUNS);
#endif
    } else if (strcmp(set, "avx512vnni") == 0) {
        l->f32 = 2 * n / vd_bench_measure(only_fma512, NULL, RUNS);
        l->s16 = 4 * n / vd_bench_measure(only_dot_s16, NULL, RUNS);
        l->u8 = 8 * n / vd_bench_measure(only_dot_u8, NULL, RUNS);
    }
}
#elif defined(VD_HAVE_NEON)
/* Sixteen sums in registers (bytes without dot products: eight, and what waits to be added to them). */
enum { ROUNDS = 4096, SUMS = 16, RUNS = 25 };

#define FMLA(i) "fmla v" #i ".4s, v30.4s, v31.4s\n\t"
#define SMLAL(i) "smlal v" #i ".4s, v30.4h, v31.4h\n\t"
#define BYTES(i, t) "smull v" #t ".8h, v30.8b, v31.8b\n\tsmlal v" #t ".8h, v30.8b, v31.8b\n\tsadalp v" #i ".4s, v" #t ".8h\n\t"
#define SDOT(i) "sdot v" #i ".4s, v30.16b, v31.4b[0]\n\t"
#define SUDOT(i) "sudot v" #i ".4s, v30.16b, v31.4b[0]\n\t"
#define SIXTEEN(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23)
#define LOOP(name, more, body) \
    static void name(void *arg) \
    { \
        long n = ROUNDS; \
        (void)arg; \
        __asm__ volatile(more "movi v30.4s, #0\n\tmovi v31.4s, #0\n1:\n\t" body "subs %0, %0, #1\n\tb.ne 1b" \
                         : "+r"(n) : : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", \
                         "v22", "v23", "v30", "v31"); \
    }

LOOP(only_fma, "", SIXTEEN(FMLA))
LOOP(only_s16, "", SIXTEEN(SMLAL))
LOOP(only_bytes, "", BYTES(0, 16) BYTES(1, 17) BYTES(2, 18) BYTES(3, 19) BYTES(4, 20) BYTES(5, 21) BYTES(6, 22) BYTES(7, 23))
LOOP(only_dot, ".arch armv8.2-a+dotprod\n\t", SIXTEEN(SDOT))
#if defined(VD_HAVE_I8MM)
LOOP(only_dot_mixed, ".arch armv8.2-a+dotprod+i8mm\n\t", SIXTEEN(SUDOT))
#endif

void vd_limits_measure(const char *set, struct vd_limits *l)
{
    const double n = (double)ROUNDS * SUMS * 4e-9; /* products of 32 bits in 128, in billions */

    *l = (struct vd_limits){0, 0, 0};
    if (strcmp(set, "neon") != 0 && strcmp(set, "dotprod") != 0 && strcmp(set, "i8mm") != 0)
        return;
    l->f32 = n / vd_bench_measure(only_fma, NULL, RUNS);
    l->s16 = n / vd_bench_measure(only_s16, NULL, RUNS);
    if (strcmp(set, "neon") == 0)
        l->u8 = 2 * n / vd_bench_measure(only_bytes, NULL, RUNS); /* eight times sixteen a round */
    else if (strcmp(set, "dotprod") == 0)
        l->u8 = 4 * n / vd_bench_measure(only_dot, NULL, RUNS);
#if defined(VD_HAVE_I8MM)
    else
        l->u8 = 4 * n / vd_bench_measure(only_dot_mixed, NULL, RUNS);
#endif
}
#else
void vd_limits_measure(const char *set, struct vd_limits *l)
{
    (void)set;
    *l = (struct vd_limits){0, 0, 0};
}
#endif
