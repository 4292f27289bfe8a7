/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_MEASURE_H
#define VD_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Figures of two outputs of one shape, a of the fp32 file and b of the int8 file. */

/* --- compare.c: streaming comparison. */
struct vd_compare {
    size_t n; /* pairs of which both are finite */
    double mean_a, mean_b, m2_a, m2_b, cov; /* Welford, over everything added */
    double worst_abs, sum_sq, sum_abs;
    bool nonfinite_a, nonfinite_b; /* worst_abs is INFINITY then */
};
void vd_compare_add(struct vd_compare *c, const float *a, const float *b, size_t n);
void vd_compare_join(struct vd_compare *c, const struct vd_compare *more);
/* Pearson's correlation; NaN when either side is constant or not finite. */
double vd_compare_plcc(const struct vd_compare *c);
double vd_compare_rmse(const struct vd_compare *c);
double vd_psnr(const float *a, const float *b, size_t n); /* peak 1; INFINITY when equal */

/* rank.c: Spearman's correlation, ties have the mean of their ranks; NaN when a side is constant. Finite values. -ENOMEM. */
int vd_srocc(const float *a, const float *b, size_t n, double *out);
/* ssim.c: mean SSIM of two planes of w x h in 0..1 (Wang and others 2004: Gaussian of 11 x 11 and sigma 1.5, K 0.01 and 0.03,
 * where the window fits); NaN when a side is under 11. -ENOMEM. */
int vd_ssim(const float *a, const float *b, int w, int h, double *out);

/* --- measure.c: one output of a model on a set of samples. */
struct vd_frame { /* on one sample */
    struct vd_compare c;
    double psnr, ssim; /* of int8 against fp32; NaN: the output is no picture of the input's size */
    double gain[2];    /* dB of PSNR against clean, over what went in; NaN: there is no clean picture, or it was not damaged */
};

enum { VD_KEEP_EACH = 4096 }; /* pairs of a sample that are kept for ranks and plots: all, or so many, evenly spaced */

struct vd_cell {
    const char *output;
    bool picture;              /* gives a picture: psnr and ssim are there */
    struct vd_frame *frame;
    int n, room;
    float *kept[2];            /* pairs, frame after frame; finite ones only */
    size_t n_kept, kept_room;
    /* After vd_cell_end(). */
    struct vd_compare all, added; /* added: output - input, pictures only */
    double plcc, drop, upper;     /* upper: bound.h */
    double srocc, rmse;
    double slope, offset;         /* of int8 = slope * fp32 + ...; offset: mean int8 - mean fp32 */
    double mean_abs;
    double psnr, psnr_least, ssim, ssim_least;
    double gain[2], gain_loss, gain_loss_worst; /* gain_loss: mean of fp32's gain - int8's */
    int n_gain;
    int worst;                 /* frame: not finite, else the largest squared error */
    int bad;                   /* first frame that is not finite, -1: none */
    int psnr_frame, ssim_frame, gain_frame, abs_frame; /* where the worst is */
};

/* Append one sample: n elements of either side. in: what the filter saw, clean: what it should give; either may be NULL. w, h: of the
 * picture. scratch: n floats where in is given. -ENOMEM. */
struct vd_cell_sample {
    const float *a, *b, *in, *clean;
    size_t n;
    int w, h;
    float *scratch[2];
};
int vd_cell_add(struct vd_cell *c, const struct vd_cell_sample *s);
/* Sums of everything; the bound's draws begin from seed. */
int vd_cell_end(struct vd_cell *c, uint64_t seed);
void vd_cell_free(struct vd_cell *c);

#endif
