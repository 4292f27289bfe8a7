/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QDQ_H
#define VD_QDQ_H

#include "graph/graph.h"

/* Lower the QDQ form: DequantizeLinear, a float operator, perhaps Relu or Clip, QuantizeLinear become the 8-bit operator that
 * ONNX Runtime makes of them (QLinearConv, QLinearMatMul, QGemm and the other com.microsoft operators of the table), where scales and zero points are one
 * constant each (weights: one for each output channel) and nobody else reads the float values between. The arithmetic is that of
 * those operators (docs/numerics.md); a clamp becomes a clamp of bytes. Nodes are in order before and after; nodes that nobody reads any
 * more stay for the caller to drop. Constants are known as far as they do not come out of DequantizeLinear. -ENOMEM. */
int vd_graph_lower_qdq(struct vd_graph *g);

#endif
