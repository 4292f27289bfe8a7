/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STATIC_PRIV_H
#define VD_STATIC_PRIV_H

#include "quant/rewrite.h"
#include "quant/static.h"

/* static_plan.c decides what becomes of each node and value, quantize_static.c writes it. */

enum vd_static_kind {
    VD_STATIC_FLOAT,   /* as it is */
    VD_STATIC_CONV,
    VD_STATIC_PRODUCT, /* Gemm, MatMul */
    VD_STATIC_PAIR,    /* Add, Mul of two activations */
    VD_STATIC_ONE,     /* an activation in, an activation out, scales of their own */
    VD_STATIC_MOVE,    /* moves elements: one scale */
    VD_STATIC_CONCAT,  /* one scale */
};

struct vd_static_value {
    const char *name;
    int producer;        /* node; -1: a graph input, -2: a constant */
    int uses, reader;    /* by nodes and the graph; the one node that reads it, -1 */
    bool is_out;         /* of the graph */
    const struct vd_calib_tensor *seen;
    bool wanted;         /* something reads it in 8 bits */
    bool two_bytes;      /* in twice 8 bits, by every layer that reads it */
    bool can_tails;      /* tails_all: readers are layers that can read it so, or read floats */
    bool fine;           /* two_bytes: the first is coarse and the second what it left; else the second is for what lies outside the range */
    bool through;        /* a Relu or Clip alone reads it, whose result is wanted */
    bool bytes_first;    /* what writes it writes bytes: everybody else reads them dequantised */
    int root;            /* of those with one scale */
    float lo, hi, scale; /* of a root, when wanted */
    int zp;
    bool forced;         /* an override gave scale and zero point */
    bool clamped;        /* a Relu or Clip was folded into what writes it: */
    float clamp_lo, clamp_hi;
    /* names, once they are written */
    const char *raw, *q, *dq, *scale_name, *zp_name, *rest; /* rest: the second of two bytes */
    const char *free; /* what is to be clamped, where the range does not do it */
};

struct vd_static_node {
    enum vd_static_kind kind;
    bool quantised, dropped; /* dropped: folded into what comes before or behind it */
    int result;              /* value that it writes, behind what is folded into it */
    int *in;                 /* values; -1 */
    int split;               /* CONV behind which nothing is quantised: the Add that it is spread over, -1 */
    bool float_out;          /* CONV, PRODUCT: the result is float */
    const char *why;         /* CONV, PRODUCT: why it is in fp32 */
};

struct vd_static {
    struct vd_rewrite r;
    const struct vd_onnx_model *in;
    const struct vd_static_opts *o;
    struct vd_static_report *rep;
    struct vd_names values;
    struct vd_static_value *value; int n_value;
    struct vd_static_node *node;
    const char *w_zp, *w_zp_u8; /* of int8 and uint8 weights, once they are written */
    const char *rest_zp;
};

/* Whether the model and the options can be at all. */
int vd_static_check(const struct vd_onnx_model *in, const struct vd_static_opts *o);
/* After vd_rewrite_begin(). Value, node and the report's layers are in the new model's arena. */
int vd_static_plan(struct vd_static *s);
struct vd_static_value *vd_static_root(struct vd_static *s, int v);
/* The clamp that was folded into v's writer is more than the ends of its range do, or somebody reads v in float. */
bool vd_static_must_clamp(struct vd_static *s, int v);
const char *vd_static_label(const struct vd_onnx_node *n);

#endif
