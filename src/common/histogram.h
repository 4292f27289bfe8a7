/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_HISTOGRAM_H
#define VD_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts of float32 values in bins whose width is a power of two, that merge exactly: the bins follow from the least and the greatest
 * value alone, whatever the order in which values came, and a bin of one width lies whole in one bin of any greater width.
 * Bin i holds the values of [first + i, first + i + 1) * 2^exponent. exponent is the least, but not under ilogb(greatest magnitude) - 12
 * nor -126, for which VD_HIST_BINS bins are enough. */
enum { VD_HIST_BINS = 512 };

struct vd_hist {
    uint64_t n;      /* values; the rest is set when there are any, or vd_hist_cover() was called */
    bool covers;
    float min, max;
    int exponent, n_bins;
    int64_t first;
    uint64_t *count; /* room bins, of whoever made the histogram; 0 before there are values */
    int room;        /* VD_HIST_BINS, or fewer where nothing is added any more */
};

/* Make bins for the finite values lo..hi: lo <= hi. room is VD_HIST_BINS, as for add and merge. */
void vd_hist_cover(struct vd_hist *h, float lo, float hi);
/* count[i] += values of bin i, for values that are covered. Does not change h, so that threads may have a count each. */
void vd_hist_count(const struct vd_hist *h, const float *v, size_t n, uint64_t *count);
void vd_hist_add(struct vd_hist *h, const uint64_t *count); /* and n with it */
void vd_hist_merge(struct vd_hist *h, const struct vd_hist *other);
/* The bins that the least and greatest value ask for: what a histogram from a file is held against. */
void vd_hist_geometry(float lo, float hi, int *exponent, int64_t *first, int *n_bins);

/* The value below which a share of all values lies (0..1), straight within a bin, and within min..max. */
double vd_hist_quantile(const struct vd_hist *h, double share);

/* Sums that do not depend on the order: whole multiples of 2^-50 in 128 bits. |v| is at most 2^56, and there are at most 2^20. */
__extension__ typedef __int128 vd_exact;
void vd_exact_add(vd_exact *sum, double v); /* rounded to the nearest multiple, half to even */
double vd_exact_value(vd_exact sum);

#endif
