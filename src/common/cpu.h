/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CPU_H
#define VD_CPU_H

/* Usable sets, not single bits: a flag is set only when the CPU has all of it
 * and the operating system saves the registers. */
enum {
    VD_CPU_AVX2 = 1 << 0,       /* AVX2, FMA, F16C */
    VD_CPU_AVX512VNNI = 1 << 1, /* AVX-512 F, BW, DQ, VL and VNNI, besides the above */
    VD_CPU_AVXVNNI = 1 << 2,    /* AVX-VNNI (vpdpbusd without AVX-512), besides AVX2 */
    VD_CPU_NEON = 1 << 3,       /* Advanced SIMD of aarch64, which every one has in practice */
    VD_CPU_DOTPROD = 1 << 4,    /* FEAT_DotProd (sdot, udot) and Armv8.2-A, besides the above */
    VD_CPU_I8MM = 1 << 5,       /* FEAT_I8MM (usdot, sudot, usmmla), besides the above */
};

unsigned vd_cpu_flags(void);

/* CPUs that this process may use: affinity mask and cgroup quota (v2 or v1),
 * whichever is smaller; at least 1. */
int vd_cpu_count(void);

/* The quota's share of that, rounded up; INT_MAX without one. root goes before
 * /proc and /sys and is "" but in tests. */
int vd_cpu_quota(const char *root);

#endif
