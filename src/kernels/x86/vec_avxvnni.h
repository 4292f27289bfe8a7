/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_VEC_AVXVNNI_H
#define VD_VEC_AVXVNNI_H

#include "kernels/x86/vec_avx2.h"

/* AVX2 and AVX-VNNI. sum + four products of bytes x, unsigned, and w, signed, in each lane: vpdpbusd, which does not saturate. */
static inline vd_vi vi_dot_u8(vd_vi sum, vd_vi x, vd_vi w)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
    return sum;
}

/* Four bytes, at any address, in all lanes. */
static inline vd_vi vi_four(const uint8_t *p)
{
    vd_vi v;

    __asm__("vpbroadcastd %1, %0" : "=x"(v) : "m"(*(const uint8_t(*)[4])p));
    return v;
}

#endif
