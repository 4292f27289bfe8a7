/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_H
#define VD_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- compare.c: streaming comparison of two outputs, a reference and a test. */
struct vd_compare {
    size_t n; /* pairs of which both are finite */
    double mean_a, mean_b, m2_a, m2_b, cov; /* Welford, over everything added */
    double worst_abs, sum_sq;
    bool nonfinite_a, nonfinite_b; /* worst_abs is INFINITY then */
};
void vd_compare_add(struct vd_compare *c, const float *a, const float *b, size_t n);
/* Pearson's correlation; NaN when either side is constant or not finite. */
double vd_compare_plcc(const struct vd_compare *c);
double vd_compare_rmse(const struct vd_compare *c);
double vd_psnr(const float *a, const float *b, size_t n); /* peak 1; INFINITY when equal */

/* --- samples.c: deterministic luma pictures in 0..1. */
enum { VD_RECORD_SAMPLES = 16, VD_PICTURES = 12 };
/* Picture i of VD_PICTURES, w x h (each at least 16), w*h floats: edges, gradients, 1/f texture, text-like detail and mixtures.
 * Same bits on every machine: no libm but sqrt, no contraction. */
void vd_picture(float *dst, int w, int h, int i);
/* degrade.c: what the filter expects: Gaussian blur (sigma 1.2, 11 taps, edges repeated), then the loss of a
 * grey baseline JPEG at the quality (8-bit samples, 8x8 DCT, Annex K luminance table scaled as libjpeg does; the edge is
 * repeated into the last blocks). src != dst; w*h floats in 0..1, and out.
 * scratch: w*h floats. */
void vd_blur(float *dst, const float *src, int w, int h, double sigma, float *scratch);
void vd_jpeg_loss(float *dst, const float *src, int w, int h, int quality);

/* --- gate.c: the verdict on one model. */
struct vd_gate_opts {
    int threads;
    const char *kernels;  /* NULL: best */
    const char *registry; /* NULL: as vd_resolve() */
    const char *trusted_keys;
    bool require_pinned;
    double budget;        /* < 0: the registry's, else 0.01 */
    bool quick;           /* the record's samples only */
};
enum vd_budget { VD_BUDGET_DEFAULT, VD_BUDGET_REGISTRY, VD_BUDGET_GIVEN }; /* where a budget is from */
struct vd_gate_result {
    char id[256];
    const char *mode;       /* "dynamic", ... */
    bool skipped;           /* quant_mode fp32; nothing below is set then */
    bool pass;
    bool pinned;            /* both files have their digest in registry or sidecar */
    bool all_int8;          /* the int8 file has no convolution or matrix product in fp32 */
    double budget;
    enum vd_budget budget_from;
    double plcc, drop, worst_abs, rmse;                         /* the record's 16 samples */
    int pictures;                                               /* 0: the model's input is no picture, or quick */
    double real_plcc, real_drop, real_worst_abs, real_rmse;     /* synthetic pictures */
    bool is_filter;         /* kind filter, or no kind is known and a picture becomes a picture */
    double residue_plcc;                                        /* correlation of output - input, pictures; filters only */
    double gain_fp32, gain_int8;                                /* mean dB of PSNR against clean, pictures; filters only */
    char why[256];                                              /* "" or the reason of a FAIL */
};
/* Both files of a model on the record's samples and on the pictures. Pass: 1 - PLCC is at most the budget on both sets, and every output
 * finite. Symbolic batch is 1, symbolic height and width are the sidecar's, else 224.
 * 0 with a result (pass, fail or skipped), or a negative errno when the model cannot be gated: all of vmaf_dnn_session_open(), and
 * -ENOTSUP for inputs that are not floating-point or have another symbolic dimension; -ENOENT for a model without registry row, sidecar
 * and int8 file; -EBADMSG when the two files do not have the same inputs and outputs. */
int vd_gate(const char *path_or_id, const struct vd_gate_opts *o, struct vd_gate_result *r);

#endif
