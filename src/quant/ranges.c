/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "quant/calibration.h"

static const char *const names[] = {"percentile", "minmax", "mse", "entropy", "average"};
enum { N_METHODS = sizeof(names) / sizeof(*names), LEVELS = 255, ENTROPY_LEVELS = 128 };

const char *vd_range_method_name(enum vd_range_method m) { return names[m]; }

bool vd_range_method_parse(const char *s, enum vd_range_method *m)
{
    for (int i = 0; i < N_METHODS; i++)
        if (!strcmp(s, names[i])) {
            *m = (enum vd_range_method)i;
            return true;
        }
    return false;
}

static double edge(const struct vd_hist *h, int i) { return ldexp((double)(h->first + i), h->exponent); }

/* What is lost by clipping at edge i: squares of the distances of all that lies beyond. side -1: below, 1: above. A bin's values are taken as
 * spread evenly in it. */
static double clip_error(const struct vd_hist *h, int i, int side)
{
    const double width = ldexp(1, h->exponent), at = edge(h, i);
    double sum = 0;
    for (int k = side < 0 ? 0 : i; k < (side < 0 ? i : h->n_bins); k++) {
        const double d = edge(h, k) + width / 2 - at;
        sum += (double)h->count[k] * (d * d + width * width / 12);
    }
    return sum;
}

/* Bins [a, b) are kept: every pair of edges about 0. */
static void least_squares(const struct vd_hist *h, double *lo, double *hi)
{
    double below[VD_HIST_BINS + 1], above[VD_HIST_BINS + 1], best = INFINITY;
    for (int i = 0; i <= h->n_bins; i++) {
        below[i] = clip_error(h, i, -1);
        above[i] = clip_error(h, i, 1);
    }
    for (int a = 0; a <= h->n_bins; a++) {
        const double from = fmin(0, fmax(edge(h, a), (double)h->min));
        if (edge(h, a) > 0 && a > 0)
            break;
        for (int b = h->n_bins; b > a; b--) {
            const double to = fmax(0, fmin(edge(h, b), (double)h->max)), step = (to - from) / LEVELS;
            if (edge(h, b) < 0 && b < h->n_bins)
                break;
            const double e = below[a] + above[b] + (double)h->n * step * step / 12;
            if (e < best) {
                best = e;
                *lo = from;
                *hi = to;
            }
        }
    }
}

/* Of the bins [a, b), with what lies beyond counted into the end bins, and the same in ENTROPY_LEVELS levels; 0 log 0 is 0, and a bin that no
 * level can hold counts as one value there. */
static double divergence(const struct vd_hist *h, int a, int b)
{
    double p[VD_HIST_BINS] = {0}, total = 0, sum = 0;
    const int n = b - a;
    for (int i = 0; i < h->n_bins; i++)
        p[i < a ? 0 : i >= b ? n - 1 : i - a] += (double)h->count[i];
    for (int level = 0; level < ENTROPY_LEVELS && level < n; level++) {
        const int from = level * n / (ENTROPY_LEVELS < n ? ENTROPY_LEVELS : n), to = (level + 1) * n / (ENTROPY_LEVELS < n ? ENTROPY_LEVELS : n);
        double c = 0;
        int used = 0;
        for (int i = from; i < to; i++) { /* the level spreads what is inside the range over the bins that are in use */
            c += (double)h->count[a + i];
            used += p[i] > 0;
        }
        for (int i = from; i < to; i++)
            if (p[i] > 0) {
                const double q = c > 0 ? c / used : 1;
                total += q;
                sum += p[i] * log(p[i] / q);
            }
    }
    return sum / (double)h->n + log(total / (double)h->n); /* q is normalised */
}

static void least_divergence(const struct vd_hist *h, double *lo, double *hi)
{
    const int zero = h->first > 0 ? 0 : -h->first > h->n_bins ? h->n_bins : (int)-h->first;
    const int reach = zero > h->n_bins - zero ? zero : h->n_bins - zero;
    double best = INFINITY;
    for (int r = reach; r > ENTROPY_LEVELS / 2; r--) {
        const int a = zero - r > 0 ? zero - r : 0, b = zero + r < h->n_bins ? zero + r : h->n_bins;
        if (b - a < ENTROPY_LEVELS)
            break;
        const double d = divergence(h, a, b);
        if (d < best) {
            best = d;
            *lo = fmax(edge(h, a), (double)h->min);
            *hi = fmin(edge(h, b), (double)h->max);
        }
    }
}

void vd_range(const struct vd_calib_tensor *t, uint64_t frames, enum vd_range_method m, double percentile, float *lo, float *hi)
{
    double a = (double)t->hist.min, b = (double)t->hist.max;
    if (!t->fixed && t->hist.n)
        switch (m) {
        case VD_RANGE_MINMAX: break;
        case VD_RANGE_PERCENTILE:
            if (percentile < 100) {
                a = vd_hist_quantile(&t->hist, 1 - percentile / 100);
                b = vd_hist_quantile(&t->hist, percentile / 100);
            }
            break;
        case VD_RANGE_MSE: least_squares(&t->hist, &a, &b); break;
        case VD_RANGE_ENTROPY: least_divergence(&t->hist, &a, &b); break;
        case VD_RANGE_AVERAGE:
            a = vd_exact_value(t->frame_min) / (double)frames;
            b = vd_exact_value(t->frame_max) / (double)frames;
            break;
        }
    *lo = (float)fmin(a, 0);
    *hi = (float)fmax(b, 0);
}

double vd_range_clipped(const struct vd_calib_tensor *t, float lo, float hi)
{
    const struct vd_hist *h = &t->hist;
    double out = 0;
    for (int i = 0; i < h->n_bins; i++)
        if (edge(h, i + 1) <= (double)lo || edge(h, i) > (double)hi)
            out += (double)h->count[i];
    return h->n ? out / (double)h->n : 0;
}
