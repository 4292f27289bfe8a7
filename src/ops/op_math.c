/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_math.h"

#include <math.h>
#include <stdbool.h>

double vd_log(double x)
{
    uint64_t u = vd_bits64(x);
    int e = (int)(u >> 52) - 1023;
    double m = vd_double((u & 0xfffffffffffff) | (uint64_t)1023 << 52);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    /* log m = 2 atanh s, s = (m - 1) / (m + 1), |s| <= 0.1716: the term after the last is below 2^-56 of the first. */
    const double s = (m - 1) / (m + 1), z = s * s;
    double p = 1.0 / 21;
    for (int k = 19; k >= 1; k -= 2)
        p = p * z + 1.0 / k;
    return e * 0x1.62e42feep-1 + (2 * s * p + e * 0x1.a39ef35793c76p-33);
}

double vd_log1p(double x)
{
    if (x < 0x1p-8)
        return x * (1 - x * (1.0 / 2 - x * (1.0 / 3 - x * (1.0 / 4 - x * (1.0 / 5 - x * (1.0 / 6))))));
    return isnan(x) ? x : vd_log(1 + x);
}

double vd_pow(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    if (isnan(x) || isnan(y))
        return NAN;
    const double whole = trunc(y);
    const bool is_int = whole == y, odd = is_int && fabs(y) < 0x1p53 && fmod(y, 2) != 0;
    const double a = fabs(x);
    const bool negative = odd && signbit(x);
    double r;
    if (isinf(y))
        r = a == 1 ? 1 : (a > 1) == (y > 0) ? INFINITY : 0;
    else if (a == 0 || isinf(a))
        r = (a == 0) == (y > 0) ? 0 : INFINITY;
    else if (x < 0 && !is_int)
        return NAN;
    else {
        const bool tiny = a < 0x1p-1022;
        double t = y * (tiny ? vd_log(a * 0x1p64) - 64 * 0.693147180559945309417 : vd_log(a));
        r = t > 700 ? INFINITY : t < -700 ? 0 : vd_exp(t);
    }
    return negative ? -r : r;
}
