/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/bound.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"

static const double level = 0.95, pi = 3.14159265358979323846;

double vd_normal_cdf(double x) { return erfc(-x / sqrt(2)) / 2; }

/* Student's t with a whole number of degrees of freedom: a finite sum (Abramowitz and Stegun 26.7.3 and 26.7.4). t > 0. */
static double student_cdf(double t, int df)
{
    const double theta = atan(t / sqrt(df)), c2 = 1 / (1 + t * t / df);
    double term = 1, sum = 0, inner;
    if (df % 2) {
        term = cos(theta);
        for (int k = 1; k < df - 1; k += 2) {
            sum += term;
            term *= c2 * (k + 1) / (k + 2);
        }
        inner = 2 / pi * (theta + (df > 1 ? sin(theta) * sum : 0));
    } else {
        for (int k = 0; k < df; k += 2) {
            sum += term;
            term *= c2 * (k + 1) / (k + 2);
        }
        inner = sin(theta) * sum;
    }
    return 0.5 + inner / 2;
}

/* By halving: both are asked a handful of times. */
double vd_normal_quantile(double p)
{
    double lo = -40, hi = 40;
    for (int k = 0; k < 100; k++) {
        const double mid = (lo + hi) / 2;
        *(vd_normal_cdf(mid) < p ? &lo : &hi) = mid;
    }
    return (lo + hi) / 2;
}

double vd_student_quantile(double p, int df)
{
    double lo = 0, hi = 1e6;
    for (int k = 0; k < 100; k++) {
        const double mid = (lo + hi) / 2;
        *(student_cdf(mid, df) < p ? &lo : &hi) = mid;
    }
    return (lo + hi) / 2;
}

static double drop_of(const struct vd_sums *s)
{
    const double aa = s->aa - s->a * s->a / s->n, bb = s->bb - s->b * s->b / s->n, ab = s->ab - s->a * s->b / s->n;
    /* Below the rounding of the sums a side is constant. */
    if (!(s->n > 1) || !(aa > 1e-13 * s->aa) || !(bb > 1e-13 * s->bb))
        return 1;
    return 1 - fmax(-1, fmin(1, ab / sqrt(aa * bb)));
}

static void add(struct vd_sums *s, const struct vd_sums *f, double sign)
{
    s->n += sign * f->n;
    s->a += sign * f->a;
    s->b += sign * f->b;
    s->aa += sign * f->aa;
    s->bb += sign * f->bb;
    s->ab += sign * f->ab;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Skewness of what each frame does to the drop, over 6. */
static double acceleration(const struct vd_sums *frame, size_t n, const struct vd_sums *all, double *without)
{
    double mean = 0, two = 0, three = 0;
    for (size_t i = 0; i < n; i++) {
        struct vd_sums s = *all;
        add(&s, &frame[i], -1);
        mean += without[i] = drop_of(&s);
    }
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = mean - without[i];
        two += d * d;
        three += d * d * d;
    }
    return two > 0 ? three / (6 * two * sqrt(two)) : 0;
}

/* As NumPy's percentile: linear between the two neighbours. */
static double at_share(const double *sorted, double share)
{
    const double x = share * (VD_RESAMPLES - 1);
    const int i = (int)fmin(VD_RESAMPLES - 2, floor(x));
    return sorted[i] + (x - i) * (sorted[i + 1] - sorted[i]);
}

int vd_drop_bound(const struct vd_sums *frame, size_t n, uint64_t seed, struct vd_bound *out)
{
    struct vd_sums all = {0};
    for (size_t i = 0; i < n; i++)
        add(&all, &frame[i], 1);
    *out = (struct vd_bound){.drop = n ? drop_of(&all) : NAN, .upper = NAN};
    if (n < VD_BOUND_LEAST || n > UINT32_MAX)
        return 0;
    double *drop = vd_calloc(VD_RESAMPLES, sizeof *drop), *without = vd_calloc(n, sizeof *without);
    if (drop && without) {
        struct vd_rng rng;
        vd_rng_seed(&rng, seed);
        double below = 0;
        for (int k = 0; k < VD_RESAMPLES; k++) {
            struct vd_sums s = {0};
            for (size_t i = 0; i < n; i++)
                add(&s, &frame[vd_rng_below(&rng, (uint32_t)n)], 1);
            drop[k] = drop_of(&s);
            below += drop[k] < out->drop ? 1 : drop[k] > out->drop ? 0 : 0.5;
        }
        qsort(drop, VD_RESAMPLES, sizeof *drop, ascending);
        const double a = acceleration(frame, n, &all, without), edge = 0.5 / VD_RESAMPLES;
        const double z0 = vd_normal_quantile(fmax(edge, fmin(1 - edge, below / VD_RESAMPLES)));
        const double z = z0 + sqrt((double)n / (double)(n - 1)) * vd_student_quantile(level, n > 10000 ? 9999 : (int)n - 1);
        const double share = 1 - a * z > 0 ? vd_normal_cdf(z0 + z / (1 - a * z)) : 1;
        out->upper = fmax(out->drop, at_share(drop, fmin(1, share)));
    }
    const int rc = drop && without ? 0 : vd_nomem(VD_RESAMPLES * sizeof *drop);
    vd_free(drop);
    vd_free(without);
    return rc;
}
