/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_H
#define VD_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "gate/measure.h"
#include "trust/trust.h"
#include "vmaf_dnn/vmaf_dnn.h"

/* --- samples.c: deterministic luma pictures in 0..1. */
enum { VD_RECORD_SAMPLES = 16, VD_PICTURES = 12, VD_MAX_SAMPLES = 100000 };
/* Picture i (from 0), w x h (each at least 16), w*h floats: edges, gradients, 1/f texture, text-like detail and mixtures. The first
 * VD_PICTURES are each of their own kind; from there on they are drawn from those kinds again with other shapes, textures and levels.
 * Same bits on every machine: no libm but sqrt, no contraction. */
void vd_picture(float *dst, int w, int h, int i);
const char *vd_picture_name(int i); /* its kind: "stripes" */
/* degrade.c: what the filter expects: Gaussian blur (11 taps, edges repeated), then the loss of a
 * grey baseline JPEG at the quality (8-bit samples, 8x8 DCT, Annex K luminance table scaled as libjpeg does; the edge is
 * repeated into the last blocks). src != dst; w*h floats in 0..1, and out.
 * scratch: w*h floats. */
void vd_blur(float *dst, const float *src, int w, int h, double sigma, float *scratch);
void vd_jpeg_loss(float *dst, const float *src, int w, int h, int quality);
void vd_gauss_taps(double *tap, int radius, double sigma); /* 2 * radius + 1 weights whose sum is 1 */

/* --- gate.c: the verdict on one model. */

/* Samples from outside: frames of a clip, or arrays. */
struct vd_gate_source {
    const char *name; /* for reports */
    void *ctx;
    int w, h;         /* pictures of this size; 0: whole inputs, whose shapes prepare sets */
    int64_t n;        /* samples */
    bool degrade;     /* the pictures are clean, and a filter is to see them damaged as its sidecar says */
    /* Where w is 0: in[] has names, types and the shapes of the model (-1: free) and gets those of one sample. */
    int (*prepare)(void *ctx, vmaf_dnn_input *in, size_t n_in);
    /* One sample: the picture to sample[0], or input i to sample[i]; *number is its place in the source. 1, 0 after the last, or a
     * negative errno. */
    int (*next)(void *ctx, float *const *sample, int64_t *number);
};

struct vd_gate_opts {
    int threads;
    const char *kernels;  /* NULL: best */
    const char *registry; /* NULL: as vd_resolve() */
    const char *trusted_keys;
    bool require_pinned;
    double budget;        /* < 0: the registry's, else 0.01 */
    bool compat;          /* the record's gate alone */
    int samples;          /* of noise, and of pictures: at least this many, 0: 16 and 12 */
    uint64_t seed;        /* of the bound's draws, and of windows */
    const struct vd_gate_source *source;
    size_t n_source;
    bool keep;            /* what explaining needs: vd_gate_result.kept */
};

/* What all samples of one kind gave. */
enum vd_set_kind { VD_SET_NOISE, VD_SET_PICTURES, VD_SET_SOURCE };
struct vd_set {
    enum vd_set_kind kind;
    const char *name;     /* "the record's samples", "noise", "pictures", or the source's */
    bool realistic;       /* every rule holds; else those of the record and of the bound */
    bool has_clean;
    int w, h;             /* of its pictures; 0 */
    int n;
    int64_t *number;      /* of each sample */
    struct vd_cell *cell; /* by output */
};
/* "sample 3", "picture 5 (print)", "frame 217". Returns dst. */
enum { VD_FRAME_NAME = 64 };
char *vd_frame_name(char dst[VD_FRAME_NAME], const struct vd_set *s, int i);

enum vd_verdict { VD_PASS, VD_INSUFFICIENT, VD_FAIL };
const char *vd_verdict_name(enum vd_verdict v); /* "PASS", ... */

/* One rule on one output of one set. */
struct vd_rule {
    const char *key;      /* of the registry, "finite", "constant", "adds_nothing" or "runs" */
    int set, output;      /* output -1: all together */
    double value, upper, limit; /* NaN where it has none */
    enum { VD_LIMIT_DEFAULT, VD_LIMIT_REGISTRY, VD_LIMIT_GIVEN } from;
    int frame;            /* the one to look at, -1: none */
    enum vd_verdict verdict;
    const char *why;      /* a line that a person can act on; "" for PASS */
};

/* One sample that is kept for explaining: inputs, and what came of them. Pictures alone have w and h. */
struct vd_kept {
    char name[VD_FRAME_NAME];
    int set, w, h;
    vmaf_dnn_input *in;   /* shape and data */
    float *result[2];     /* all outputs, one after the other */
    size_t n_result;
    float *clean;         /* or NULL */
};
enum { VD_MAX_KEPT = 5 }; /* the worst, and up to four others */

enum vd_budget { VD_BUDGET_DEFAULT, VD_BUDGET_REGISTRY, VD_BUDGET_GIVEN }; /* where a budget is from */
struct vd_gate_result {
    struct vd_arena arena;
    char id[256], fp32_path[VD_MAX_PATH], int8_path[VD_MAX_PATH];
    char fp32_sha256[65], int8_sha256[65];
    char kernels[32];
    const char *mode;       /* "dynamic", ... */
    bool skipped;           /* quant_mode fp32; nothing below is set then */
    enum vd_verdict verdict;
    bool pinned;            /* both files have their digest in registry or sidecar */
    bool all_int8;          /* the int8 file has no convolution or matrix product in fp32 */
    bool is_filter;         /* kind filter, or no kind is known and a picture becomes a picture */
    double budget;
    enum vd_budget budget_from;
    double plcc, drop, worst_abs, rmse; /* the record's 16 samples, all outputs together */
    size_t n_in, n_out;
    struct vd_set *set;
    int n_set;
    struct vd_rule *rule;
    int n_rule;
    char why[256];          /* "" or the first reason against a PASS */
    struct vd_kept kept[VD_MAX_KEPT]; /* opts.keep; the first is the worst sample of the realistic sets, or of the noise */
    int n_kept;
};
/* Both files of a model on the record's samples, on pictures, and on what the sources give; docs/adr/0012 has the rules. Symbolic batch is
 * 1, symbolic height and width are the sidecar's, else 224; a filter that takes any size sees pictures of a source whole, every other
 * model a window of its own size.
 * 0 with a result (also FAIL, INSUFFICIENT or skipped), or a negative errno when the model cannot be gated: all of
 * vmaf_dnn_session_open(), and
 * -ENOTSUP for inputs that are not floating-point or have another symbolic dimension, or for a source that does not fit them; -ENOENT for
 * a model without registry row, sidecar and int8 file; -EBADMSG when the two files do not have the same inputs and outputs, or the
 * registry asks for a rule that is not known; what a source returns. The result is to be freed after 0. */
int vd_gate(const char *path_or_id, const struct vd_gate_opts *o, struct vd_gate_result *r);
void vd_gate_result_free(struct vd_gate_result *r);

/* rules.c: every rule on what the sets gave, into r->rule, r->verdict and r->why. */
struct vd_gate_limits { double limit[VD_N_LIMITS]; bool has[VD_N_LIMITS]; int from[VD_N_LIMITS]; };
void vd_gate_limits(struct vd_gate_limits *l, const struct vd_row *row, const struct vd_row *sidecar, bool filter);
int vd_gate_judge(struct vd_gate_result *r, const struct vd_gate_limits *l, const struct vd_compare *record);
/* A rule that was decided before there are figures ("runs"). */
int vd_gate_note(struct vd_gate_result *r, const char *key, int set, int frame, const char *why);

#endif
