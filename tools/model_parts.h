/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_MODEL_PARTS_H
#define VD_MODEL_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "onnx/onnx.h"

/* What a model's initialisers are: weights (what products, normalisations and additions of a layer take, its bias with them; of an int8 file the same
 * numbers in bytes), or constants (bounds of Clip, shapes, axes, scales, zero points). An int8 file has as many weights as its fp32 file, where a bias
 * stayed a number for each channel. */
struct vd_parts {
    struct vd_arena arena;
    bool *weight; /* by initialiser */
    struct vd_names init; /* their names */
    size_t weights, weight_bytes, constants, constant_bytes;
    int weight_tensors, constant_tensors;
};
int vd_parts_find(struct vd_parts *p, const struct vd_onnx_model *m); /* -ENOMEM; p is empty then */
void vd_parts_free(struct vd_parts *p);

/* The name that options of quantize know a node by: its own, else that of its output. */
const char *vd_node_label(const struct vd_onnx_node *n);
/* A line for each node, in the file's order: label, operator, weights, their shape; the output, where that is another name. */
void vd_parts_print(const struct vd_parts *p, const struct vd_onnx_model *m);

#endif
