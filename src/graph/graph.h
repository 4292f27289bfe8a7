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
/* Arity, attribute names and attribute types of a node against its row.
 * -EPERM: an attribute that is not supported, by name; -EBADMSG: wrong arity or type. */
int vd_op_check_node(const struct vd_op *op, const struct vd_onnx_node *n, int opset);

struct vd_value {
    const char *name;
    const struct vd_tensor *constant; /* aligned data in the graph's arena; NULL when computed */
    int producer;                     /* node, or -1 */
    int uses;                         /* inputs of live nodes and graph outputs that name it */
};

struct vd_node {
    const struct vd_op *op;
    const struct vd_onnx_node *proto; /* attributes, and names for messages */
    int *in, *out;                    /* value indices; -1 for an omitted one */
    int n_in, n_out;
};

struct vd_graph {
    struct vd_arena arena;
    const struct vd_onnx_model *model; /* must outlive the graph */
    struct vd_value *value;
    int n_value;
    struct vd_node *node; /* live nodes, each after what it reads */
    int n_node;
    int n_in, n_out;      /* value i is graph input i */
    int *out;             /* value of each graph output */
};

/* Names to indices, operators to rows of the table, nodes in topological order,
 * the QDQ form lowered to 8-bit operators (qdq.h), what depends on constants alone computed, nodes that no output needs dropped.
 * -EPERM with the operator's name when it is not in the table; -EBADMSG for
 * undefined names and cycles. On failure the graph is freed. */
int vd_graph_build(struct vd_graph *g, const struct vd_onnx_model *m);
void vd_graph_free(struct vd_graph *g);

/* Every operator that is in the way, not only the first (refusals.c): say is called once for
 * each distinct problem. Returns their number. in: types and shapes of the graph inputs, so that nodes are also looked at for
 * types, attribute values and shapes, each that reads nothing of a refused one; NULL: names, attributes and arity only. */
int vd_graph_refusals(const struct vd_onnx_model *m, const struct vd_tensor *in, void (*say)(void *arg, const char *line), void *arg);

/* eval.c: one node on known inputs. Data of the outputs is allocated in the
 * arena. Types are checked against the row; float16 is computed in float32
 * where the row asks for it. in[i] NULL where omitted. */
int vd_node_infer(const struct vd_node *n, int opset, const struct vd_tensor *const *in, struct vd_tensor *const *out,
                  struct vd_arena *scratch);
int vd_node_eval(const struct vd_node *n, int opset, const struct vd_tensor *const *in, struct vd_tensor *const *out,
                 struct vd_arena *arena);
/* Whether running the node is worth what is left of *room, and takes it away: the elements that are walked or, where each of the output meets many of
 * the input, the products. A bound from above: a tensor of no elements counts as if each dim of 0 were 1. */
enum { VD_EVAL_ROOM = 1 << 26 }; /* of what is computed when a model is opened, and for each shape */
bool vd_node_affords(const struct vd_node *n, const struct vd_tensor *const *in, struct vd_tensor *const *out, double *room);
/* The node computes in float32 what is stored in float16. */
bool vd_node_widens(const struct vd_node *n, const struct vd_tensor *const *in);
void vd_widen_f16(struct vd_tensor *f32, const struct vd_tensor *f16);  /* data of both in place */
void vd_narrow_f16(struct vd_tensor *f16, const struct vd_tensor *f32);

#endif
