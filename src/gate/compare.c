/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/measure.h"

#include <math.h>

/* Sums of so many float32 are exact in float64 to the last bit or nearly: a constant side has a variance of exactly 0. */
enum { CHUNK = 4096 };

/* Means and central moments of one chunk in two passes, then joined to what is there (Chan, Golub, LeVeque). */
static void add_chunk(struct vd_compare *c, const float *a, const float *b, size_t n)
{
    double sum_a = 0, sum_b = 0;
    size_t finite = 0;
    for (size_t i = 0; i < n; i++) {
        const bool fa = isfinite(a[i]), fb = isfinite(b[i]);
        c->nonfinite_a |= !fa;
        c->nonfinite_b |= !fb;
        if (!fa || !fb) {
            c->worst_abs = INFINITY;
            continue;
        }
        sum_a += (double)a[i];
        sum_b += (double)b[i];
        finite++;
    }
    if (!finite)
        return;
    const double k = (double)finite, mean_a = sum_a / k, mean_b = sum_b / k;
    double m2_a = 0, m2_b = 0, cov = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            continue;
        const double da = (double)a[i] - mean_a, db = (double)b[i] - mean_b, d = fabs((double)a[i] - (double)b[i]);
        m2_a += da * da;
        m2_b += db * db;
        cov += da * db;
        c->sum_sq += d * d;
        c->sum_abs += d;
        if (d > c->worst_abs)
            c->worst_abs = d;
    }
    const struct vd_compare chunk = {.n = finite, .mean_a = mean_a, .mean_b = mean_b, .m2_a = m2_a, .m2_b = m2_b, .cov = cov};
    vd_compare_join(c, &chunk);
}

void vd_compare_join(struct vd_compare *c, const struct vd_compare *more)
{
    c->nonfinite_a |= more->nonfinite_a;
    c->nonfinite_b |= more->nonfinite_b;
    c->sum_sq += more->sum_sq;
    c->sum_abs += more->sum_abs;
    if (more->worst_abs > c->worst_abs)
        c->worst_abs = more->worst_abs;
    if (!more->n)
        return;
    const double had = (double)c->n, k = (double)more->n, all = had + k, w = had * k / all;
    const double da = more->mean_a - c->mean_a, db = more->mean_b - c->mean_b;
    c->mean_a += da * k / all;
    c->mean_b += db * k / all;
    c->m2_a += more->m2_a + da * da * w;
    c->m2_b += more->m2_b + db * db * w;
    c->cov += more->cov + da * db * w;
    c->n += more->n;
}

void vd_compare_add(struct vd_compare *c, const float *a, const float *b, size_t n)
{
    for (size_t at = 0; at < n; at += CHUNK)
        add_chunk(c, a + at, b + at, n - at < CHUNK ? n - at : CHUNK);
}

double vd_compare_plcc(const struct vd_compare *c)
{
    if (c->nonfinite_a || c->nonfinite_b || !(c->m2_a > 0) || !(c->m2_b > 0))
        return NAN;
    /* squares of float32 from 1e-90 to 1e86, summed: their product is well inside float64 */
    return fmax(-1, fmin(1, c->cov / sqrt(c->m2_a * c->m2_b)));
}

double vd_compare_rmse(const struct vd_compare *c)
{
    return c->nonfinite_a || c->nonfinite_b || !c->n ? NAN : sqrt(c->sum_sq / (double)c->n);
}

double vd_psnr(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    return sum > 0 || isnan(sum) ? -10 * log10(sum / (double)n) : INFINITY;
}
