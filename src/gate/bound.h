/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_BOUND_H
#define VD_BOUND_H

#include <stddef.h>
#include <stdint.h>

/* How sure a drop of correlation is that was measured on n frames: the upper end of a one-sided 95 % confidence interval.
 *
 * Frames are drawn again with replacement, VD_RESAMPLES times, each time as many as there are; the elements of a frame stay together,
 * since they are not independent. The end is Efron's bias-corrected and accelerated one (BCa, DiCiccio and Efron 1996; acceleration
 * from the jackknife), at the level of Student's t instead of the normal's (Hesterberg 2015), without which a dozen
 * frames promise too much. docs/adr/0012 has the coverage that was measured. */
enum { VD_RESAMPLES = 2000, VD_BOUND_LEAST = 3 /* frames */ };

/* One frame: sums over its pairs, about centres that all frames share. */
struct vd_sums { double n, a, b, aa, bb, ab; };

struct vd_bound {
    double drop;  /* 1 - PLCC of all frames together */
    double upper; /* NaN: fewer than VD_BOUND_LEAST frames, or a side is constant. Never under drop */
};
/* Draws are numpy.random.default_rng(seed).integers(0, n, size=n), resample after resample. Resamples in which a side is constant say
 * nothing of correlation, and count as a drop of 1. -ENOMEM. */
int vd_drop_bound(const struct vd_sums *frame, size_t n, uint64_t seed, struct vd_bound *out);

double vd_normal_cdf(double x);
double vd_normal_quantile(double p);         /* 0 < p < 1, to 1e-12 */
double vd_student_quantile(double p, int df); /* 0.5 < p < 1, df from 1 */

#endif
