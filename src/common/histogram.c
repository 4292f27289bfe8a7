/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/histogram.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { LEAST_EXPONENT = -126, MOST_BITS = 12 };

/* floor(v * 2^-e), exact: v has 24 bits, and the caller keeps the quotient under 2^14. */
static int64_t bin_of(float v, double per_width)
{
    const double x = (double)v * per_width;
    const int64_t t = (int64_t)x;
    return t - (x < (double)t);
}

void vd_hist_geometry(float lo, float hi, int *exponent, int64_t *first, int *n_bins)
{
    assert(isfinite(lo) && isfinite(hi) && lo <= hi);
    const float most = fmaxf(fabsf(lo), fabsf(hi));
    int e = most > 0 ? ilogbf(most) - MOST_BITS : LEAST_EXPONENT;
    if (e < LEAST_EXPONENT)
        e = LEAST_EXPONENT;
    for (;; e++) { /* from at most 2^14 bins: ends soon, and later for a wider range, so that bins only grow */
        const double per_width = ldexp(1, -e);
        const int64_t a = bin_of(lo, per_width), b = bin_of(hi, per_width);
        if (b - a < VD_HIST_BINS) {
            *exponent = e;
            *first = a;
            *n_bins = (int)(b - a) + 1;
            return;
        }
    }
}

static int64_t floor_shift(int64_t v, int by)
{
    if (by > 40) /* |v| is under 2^14 */
        by = 40;
    const int64_t d = (int64_t)1 << by;
    return v >= 0 ? v / d : -((-v + d - 1) / d);
}

void vd_hist_cover(struct vd_hist *h, float lo, float hi)
{
    if (h->covers) {
        lo = fminf(lo, h->min);
        hi = fmaxf(hi, h->max);
    }
    int e, n;
    int64_t first;
    assert(h->room == VD_HIST_BINS);
    vd_hist_geometry(lo, hi, &e, &first, &n);
    if (h->covers && (e != h->exponent || first != h->first || n != h->n_bins)) {
        uint64_t count[VD_HIST_BINS] = {0};
        assert(e >= h->exponent);
        for (int i = 0; i < h->n_bins; i++)
            if (h->count[i]) {
                const int64_t at = floor_shift(h->first + i, e - h->exponent) - first;
                assert(at >= 0 && at < n);
                count[at] += h->count[i];
            }
        memcpy(h->count, count, sizeof(count));
    }
    h->covers = true;
    h->min = lo;
    h->max = hi;
    h->exponent = e;
    h->first = first;
    h->n_bins = n;
}

void vd_hist_count(const struct vd_hist *h, const float *v, size_t n, uint64_t *count)
{
    const double per_width = ldexp(1, -h->exponent);
    const int64_t first = h->first;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)v[i] * per_width;
        const int32_t t = (int32_t)x; /* under 2^14 */
        count[t - (x < (double)t) - first]++;
    }
}

void vd_hist_add(struct vd_hist *h, const uint64_t *count)
{
    for (int i = 0; i < h->n_bins; i++) {
        h->count[i] += count[i];
        h->n += count[i];
    }
}

void vd_hist_merge(struct vd_hist *h, const struct vd_hist *other)
{
    if (!other->covers)
        return;
    vd_hist_cover(h, other->min, other->max);
    for (int i = 0; i < other->n_bins; i++)
        if (other->count[i])
            h->count[floor_shift(other->first + i, h->exponent - other->exponent) - h->first] += other->count[i];
    h->n += other->n;
}

double vd_hist_quantile(const struct vd_hist *h, double share)
{
    const double want = share * (double)h->n, width = ldexp(1, h->exponent);
    double below = 0;
    for (int i = 0; i < h->n_bins; i++) {
        const double c = (double)h->count[i];
        if (c > 0 && below + c >= want) {
            const double v = ((double)(h->first + i) + fmax(0, want - below) / c) * width;
            return fmin((double)h->max, fmax((double)h->min, v));
        }
        below += c;
    }
    return (double)h->max;
}

void vd_exact_add(vd_exact *sum, double v)
{
    assert(fabs(v) <= 0x1p56);
    *sum += (vd_exact)rint(ldexp(v, 50));
}

double vd_exact_value(vd_exact sum) { return ldexp((double)sum, -50); }
