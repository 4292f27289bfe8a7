/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QUANT_H
#define VD_QUANT_H

#include "onnx/onnx.h"

struct vd_quant_opts {
    int weight_type;  /* VD_U8 (zero point 128, default) or VD_S8 (zero point 0) */
    bool per_tensor;  /* one scale for all output channels */
};

struct vd_quant_report {
    int conv, matmul, gemm, skipped; /* nodes rewritten; left in fp32 because their weights are not constant */
    struct { const char *node; double sqnr_db; } *layer; /* weights' signal to quantisation noise; in out's arena */
    int n_layer;
};

/* ONNX Runtime's dynamic form: each Conv, MatMul and Gemm with constant weights becomes
 * DynamicQuantizeLinear, ConvInteger or MatMulInteger, Cast, Mul, Mul and Add. in's initialisers that lose their last use go.
 * out shares in's arena-owned strings and bytes, so in must outlive it; same input, same bytes. Weights symmetric:
 * scale = absmax / 127 as float32 of the float64 quotient, q = clamp(rint(w / scale), -127, 127), stored + 128 for VD_U8;
 * scale 1 for an all-zero channel. -EBADMSG: not finite weights; -ENOTSUP: nothing to quantise, or already quantised. */
int vd_quantize_dynamic(const struct vd_onnx_model *in, const struct vd_quant_opts *o, struct vd_onnx_model *out, struct vd_quant_report *rep);

#endif
