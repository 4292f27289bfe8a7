/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_MATH_H
#define VD_OP_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp, log and pow out of +, -, *, / alone, so that every machine, compiler and C
 * library gives the same bits; a vector loop may be made of them. Relative error
 * below 2^-45: rounded to float32 the result is within 0.501 units in the last place. */

static inline uint64_t vd_bits64(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

static inline double vd_double(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* x in -700..700, or NaN, which stays one. */
static inline double vd_exp(double x)
{
    /* 1.5 * 2^52: adding it leaves the nearest integer in the low bits. */
    const double magic = 0x1.8p52, t = x * 0x1.71547652b82fep0 + magic, k = t - magic;
    const double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33; /* |r| <= 0.347; 13 terms: 2^-50 */
    double p = 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return p * vd_double((vd_bits64(t) + 1023) << 52); /* |k| <= 1010: a normal power of two */
}

/* e^x - 1 and tanh x, x in -700..700 (tanh: -350..350) or NaN: where the difference would cancel, the first terms of the series,
 * whose rest is below 2^-48. Relative error below 2^-36: within 0.51 units of a float32. */
static inline double vd_expm1(double x)
{
    const double near = x * (1 + x * (1.0 / 2 + x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120))))), far = vd_exp(x) - 1;
    return fabs(x) < 0x1p-8 ? near : far;
}

static inline double vd_tanh(double x)
{
    const double z = x * x, near = x * (1 - z * (1.0 / 3 - z * (2.0 / 15))), e = vd_exp(2 * x), far = (e - 1) / (e + 1);
    return fabs(x) < 0x1p-8 ? near : far;
}

double vd_log1p(double x);         /* x in 0..1e300, or NaN: relative error below 2^-40 */
double vd_log(double x);           /* x positive, normal and finite */
double vd_pow(double x, double y); /* C's pow(), Annex F, at the error above */

#endif
