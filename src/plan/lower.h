/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LOWER_H
#define VD_LOWER_H

#include "graph/graph.h"

/* What becomes of a node when shapes are known: a run of nodes that one step
 * stands for. Indices are of the graph's values and nodes. */
struct vd_fusion {
    int head;             /* the Conv or ConvInteger */
    int last;             /* the node whose place the step takes */
    int out;              /* value that the step writes */
    int x;                /* value that it reads: for the dynamic pattern the one before DynamicQuantizeLinear */
    bool dynamic;         /* DynamicQuantizeLinear .. Add stands behind it */
    bool scaled;          /* Cast and Mul by constants stand behind a ConvInteger, which row streams take; x is its bytes */
    int w_scale;          /* dynamic, scaled: constant value, one element or one a channel */
    int second;           /* scaled: another such ConvInteger of the same window, whose product is added behind the bias; -1 */
    int x2, w_scale2;     /* its bytes and scales */
    int rest;             /* x2 is QuantizeLinear of what rounding this float value to x left: rest_q and rest_dq are that and
                             DequantizeLinear of x; -1: x2 is read as it is */
    int rest_q, rest_dq;
    int bias;             /* constant value with one element or one a channel; -1 */
    int residual;         /* -1 */
    bool clamp, clamp2;   /* before and after the residual; QLinearConv: lo..hi are bytes, as its output has them */
    float lo, hi, lo2, hi2;
};

/* t: type and shape of every value (data where it is known). consumer: the one node that
 * reads a value of one use, else -1. */
struct vd_lower {
    const struct vd_graph *g;
    const struct vd_tensor *t;
    const int *consumer;
    bool plain;    /* each node by itself */
    const bool *by_rows; /* by node: a ConvInteger that row streams can do, input and all */
    bool *covered; /* set for each node that a fusion stands for, its head included */
};

/* Follow what comes after convolution `node` as far as one step can stand for it,
 * with the same result in every bit. Every value in between has that one use. */
/* Relu, or Clip whose bounds are known floats. */
bool vd_lower_clamp(const struct vd_graph *g, const struct vd_node *n, float *lo, float *hi);
void vd_lower_conv(const struct vd_lower *l, int node, struct vd_fusion *f);

#endif
