/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GRAPH_H
#define VD_GRAPH_H

#include "onnx/onnx.h"
#include "ops/op.h"

/* The op table (ops.c): the allowlist and the thing that runs. NULL: no row of
 * that name holds for that opset. vd_op_known: some row has the name. */
const struct vd_op *vd_op_find(const char *name, int opset);
bool vd_op_known(const char *name);
/* Row i, NULL past the end: for listings. */
const struct vd_op *vd_op_row(int i);

struct vd_value {
    const char *name;
    int type;                 /* enum vd_type */
    struct vd_tensor *constant; /* aligned data in the graph's arena; NULL when computed */
    int producer;             /* node, or -1 */
    int uses;                 /* inputs of nodes and graph outputs that name it */
};

struct vd_fused_conv; /* fused.h */

struct vd_node {
    const struct vd_op *op;           /* NULL for a fused node */
    const struct vd_onnx_node *proto; /* attributes and name; for a fused node its convolution */
    struct vd_fused_conv *conv;       /* set by lowering for every convolution */
    int *in, *out;                    /* value indices; -1 for an omitted one */
    int n_in, n_out;
    bool dead;                        /* fused into another node, or folded */
};

struct vd_graph {
    struct vd_arena arena;
    const struct vd_onnx_model *model; /* must outlive the graph */
    struct vd_value *value; int n_value;
    struct vd_node *node;   int n_node; /* in an order in which every input is there before its use */
    const struct vd_onnx_value *in;  int n_in;  /* graph inputs; value i is input i */
    const struct vd_onnx_value *out; int n_out;
    int *out_value;                    /* value of each graph output */
};

/* Names to indices, operators to rows of the table (arity, attributes and types
 * checked against the row), nodes in topological order, element types inferred,
 * constants folded. -EPERM with the operator's name when it is not in the
 * table; -EBADMSG for undefined names and cycles. On failure the graph is freed. */
int vd_graph_build(struct vd_graph *g, const struct vd_onnx_model *m);
void vd_graph_free(struct vd_graph *g);

/* Report every operator that is in the way, not only the first: calls say once
 * per distinct problem; returns their number. */
int vd_graph_refusals(const struct vd_onnx_model *m, void (*say)(void *arg, const char *line), void *arg);

#endif
