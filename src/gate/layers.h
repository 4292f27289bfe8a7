/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LAYERS_H
#define VD_LAYERS_H

#include "gate/probe.h"

/* Where the fp32 graph and the int8 graph are one, by the names that quantisers keep.
 *
 * A value y of the fp32 graph is in the int8 graph
 *
 *   y_DequantizeLinear_Output   QDQ, as ONNX Runtime writes it: y as its readers see it
 *   y                           dynamic, and whatever was not quantised
 *   y_quantized                 QOperator, with y_scale and y_zero_point
 *
 * the first of them that is computed there. A layer is what the int8 graph computes between one such value and those nearest before it, where that has an integer in it,
 * or weights other than the fp32 graph's. So a quantiser is counted once: with the value it rounds (QDQ, QOperator), or with the layer
 * that reads it (dynamic). */

struct vd_point { /* a value in both */
    const char *fp32;
    struct vd_probe_value int8;
};

struct vd_layer {
    const char *name, *op;    /* of the fp32 node that computes it; its output's name where it has none */
    const char *int8_name, *int8_op; /* of the int8 node that does the work */
    int int8_index;           /* its place in the file */
    int out;                  /* point */
    int *in, n_in;            /* points */
    bool quantised;           /* false: the same nodes in both */
};

/* An activation that is rounded to 8 bits. */
struct vd_rounded {
    const char *fp32;         /* value of the fp32 graph */
    bool dynamic;             /* its range is taken from the values themselves */
    double lo, hi;            /* what it can hold; static only */
};

struct vd_layers {
    struct vd_arena arena;
    struct vd_point *point; int n_point;
    struct vd_layer *layer; int n_layer;       /* in the order of the fp32 graph; also those that are not quantised */
    struct vd_rounded *rounded; int n_rounded;
};

/* Both must outlive l. -EBADMSG: they have nothing in common. On failure l is empty. */
int vd_layers_match(struct vd_layers *l, const struct vd_onnx_model *fp32, const struct vd_onnx_model *int8);
void vd_layers_free(struct vd_layers *l);

#endif
