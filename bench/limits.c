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
#else
void vd_limits_measure(const char *set, struct vd_limits *l)
{
    (void)set;
    *l = (struct vd_limits){0, 0, 0};
}
#endif
