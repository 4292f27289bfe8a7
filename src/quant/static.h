/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STATIC_H
#define VD_STATIC_H

#include "quant/calibration.h"

/* The static form: scales of the activations are fixed when the file is made. */

enum { VD_STATIC_ROOM = 8, VD_STATIC_TAIL = 16 };

struct vd_static_override { /* one tensor's own numbers, in place of what was seen */
    const char *tensor;
    bool has_range, has_scale, symmetric;
    float lo, hi, scale; /* lo <= 0 <= hi, lo < hi; scale > 0 */
    int zero_point;      /* 0..255, with has_scale */
};

struct vd_static_opts {
    const struct vd_calibration *calibration;
    enum vd_range_method method;
    double percentile;
    bool per_tensor;       /* one scale for all weights of a layer; else one for each output channel, which needs opset 13 */
    bool qoperator;        /* QLinearConv and ONNX Runtime's own operators; else QuantizeLinear and DequantizeLinear around float ones */
    bool no_bias_correction;
    bool float_sums;       /* Add of two activations stays in float, and what it reads and writes is rounded only where a layer reads it */
    double margin;         /* by which ranges are longer than the method's, at both ends; 0: 1 */
    const bool *fp32;      /* by node of the model: left as it is; NULL: none */
    const bool *two_bytes; /* by node: a Conv that reads its input in two bytes; NULL: none */
    const bool *tails;     /* by node: a Conv that reads what lies outside the range of its input in a second byte; NULL: none */
    bool tails_all;        /* every Conv whose input a node writes and nobody else has to read in 8 bits; with float_sums */
    const struct vd_static_override *override; int n_override;
    bool qat;              /* metadata_props say so: weights and ranges were trained for this form */
    const char *source_sha256; /* recorded in metadata_props; NULL: not recorded */
};

struct vd_static_layer { /* one Conv, Gemm or MatMul */
    int node;              /* in the source */
    const char *name, *op; /* its name, else that of its output */
    size_t weights;        /* 0 when they are not constant */
    double sqnr_db;        /* of the weights */
    const char *why_fp32;  /* NULL: quantised */
    float in_lo, in_hi;    /* range of its first input */
    double clipped;        /* share of that input's calibrated values outside it */
    bool two_bytes, tails; /* its input is two bytes an element; of them the second for what lies outside the range */
    bool float_out;        /* its output is not quantised again, since only float operators read it */
    double bias_shift;     /* the greatest bias correction of its channels, over the bias step */
    size_t pairs; int worst_pair; /* weight pairs that saturate vpmaddubsw (vd_weights_pairs), of signed weights */
};

struct vd_static_report {
    int quantised, skipped; /* layers */
    int others, others_left; /* further operators in 8 bits, and those that could be but are not, since nothing in 8 bits follows */
    struct vd_static_layer *layer; int n_layer; /* in file order; in out's arena */
};

/* in: float32 model in topological order, of which o->calibration speaks (its equalised form where that has groups). Conv, Gemm and MatMul
 * with constant weights are quantised, and what lies between two of them: Add, Mul, Concat, Sigmoid, LeakyRelu, Relu, Clip, pools and
 * operators that move elements. Relu and Clip behind a quantised operator become the end of its range, and stay
 * where that range, shared or longer, does not do their work. Concat and operators that move
 * elements have one scale on both sides. Behind the last layer nothing is quantised: such a Conv is ConvInteger, Cast and Mul with the
 * static scales, and where its input is an Add of two tensors that nobody else reads, it is the sum of two. Gemm and MatMul are
 * MatMulInteger, Cast and Mul. So every product of a layer that is not in rep as fp32 is one of integers.
 *
 * A Conv of o->two_bytes is the sum of two ConvInteger with the same weights: of its input in bytes of a range VD_STATIC_ROOM times that which was
 * seen, and of what that rounding left, in bytes of 1/255 of the first step. What wrote the input keeps it in float.
 *
 * A Conv of o->tails, likewise, of its input in bytes of the range itself, and of what that rounding left in steps VD_STATIC_TAIL times as long: zero
 * where the value was in the range, since half a step is nothing then. A value both of two_bytes and of tails is of two_bytes.
 *
 * Activations: uint8, range [lo, hi] with 0 in it, scale = float32((hi - lo) / 255), zero point rint(-lo / scale). Weights: int8, symmetric, as
 * vd_weights_quantize(); uint8 with zero point 128 in ConvInteger. Bias: int32, rint(b / (x_scale * w_scale)); where that would be over 2^30 the
 * channel's weight scale grows until it is not. Bias correction: the mean of the input's channels times what rounding did to the
 * weights is taken off the bias (Nagel et al., Data-Free Quantization, 2019, section 4.2, with means that were seen).
 *
 * -EBADMSG, -ENOTSUP: as vd_quantize_dynamic(); also opset under 13 without per_tensor, under 10; -EINVAL: the calibration lacks a tensor, an
 * override names none, or two_bytes, tails or float_sums with qoperator. out shares in's strings and bytes. On failure out is empty. */
int vd_quantize_static(const struct vd_onnx_model *in, const struct vd_static_opts *o, struct vd_onnx_model *out, struct vd_static_report *rep);

/* static_layout.c: where bytes lie in the static form of a model, for whoever computes as the file will (training). */
struct vd_static_spot { /* an activation that somebody reads in bytes */
    const char *tensor;
    int root;              /* the spot whose range it has; its own index where it has its own */
    bool fixed;            /* by contract */
    float lo, hi, scale;   /* of the root */
    int zp;
    bool clamped;          /* a Relu or Clip is folded into what writes it: */
    float clamp_lo, clamp_hi;
};
struct vd_static_step { /* a node */
    bool quantised;        /* its activations are read in bytes */
    bool dropped;          /* it is part of what comes before or behind it */
    bool float_out;        /* a layer: what it writes is float */
    int split;             /* a Conv that is spread over this Add, a node; -1 */
};
struct vd_static_layout {
    struct vd_arena arena;
    struct vd_static_spot *spot; int n_spot;
    struct vd_static_step *step; /* by node of the model */
    bool per_tensor;
};
/* Names are the model's. Errors as vd_quantize_static(); on failure l is empty. */
int vd_static_layout(const struct vd_onnx_model *in, const struct vd_static_opts *o, struct vd_static_layout *l);
void vd_static_layout_free(struct vd_static_layout *l);
/* rint(x / scale) + zp, at most 255 and at least 0. */
int vd_static_byte(float scale, int zp, float x);
/* Scale and zero point of lo..hi, with lo <= 0 <= hi. */
void vd_static_range(float lo, float hi, float *scale, int *zp);

/* equalize.c: cross-layer equalisation. Tensors that only Conv write and only Conv, Add, Relu, LeakyRelu, MaxPool and average pools read are groups
 * of one scale for each channel: weights and bias that write channel c are multiplied by it, weights that read c divided, and the model
 * computes the same but for rounding. The scale brings the channels of a group to one range, as c has seen them (the geometric mean of
 * a group's scales is 1), so that they share 8 bits evenly.
 * Groups of m, in c's arena, c->group and c->n_group; c holds what was seen of m. */
int vd_equalize(const struct vd_onnx_model *m, struct vd_calibration *c);
/* out: m with c->group applied. -EINVAL when a group is not one of m. out shares m's strings and bytes. */
int vd_equalized(const struct vd_onnx_model *m, const struct vd_calibration *c, struct vd_onnx_model *out);

#endif
