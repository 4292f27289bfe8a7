/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QUANT_H
#define VD_QUANT_H

#include "onnx/onnx.h"

struct vd_quant_opts {
    int weight_type;           /* VD_U8 (zero point 128, default) or VD_S8 (zero point 0) */
    bool per_tensor;           /* one scale for all output channels */
    const bool *fp32;          /* by node of the model: leave it as it is; NULL: none */
    const char *source_sha256; /* recorded in metadata_props; NULL: not recorded */
};

struct vd_quant_layer {
    const char *node;     /* its name, else that of its output */
    const char *op;       /* "Conv", "MatMul" or "Gemm" */
    size_t weights;       /* 0 when they are not constant */
    double sqnr_db;       /* weights' signal to quantisation noise; INFINITY without noise */
    const char *why_fp32; /* NULL: quantised; else why the node was left as it is */
};

struct vd_quant_report {
    int conv, matmul, gemm;       /* nodes rewritten */
    int skipped;                  /* nodes of these kinds that stay in fp32 */
    struct vd_quant_layer *layer; /* in file order, skipped ones too; in out's arena */
    int n_layer;
};

/* ONNX Runtime's dynamic form: each Conv, MatMul and Gemm with constant float32 weights becomes
 * DynamicQuantizeLinear (once per distinct input), ConvInteger or MatMulInteger, Cast, Mul, Mul and Add, in the order of ONNX
 * Runtime's quantiser. Names are its own (x_quantized, x_scale, x_zero_point, w_quantized, w_scale, NODE_quant), but for the
 * four nodes after the product: y_sum, y_float, y_scales and y_mul are a third as long, and in a tiny model names are a tenth
 * of the file. For the same reason the bias initialiser of a Conv is stored as [1,M,1,1] instead of being reshaped by a node,
 * and all weights share one zero point. in's initialisers that lose their last use go.
 * out shares in's arena-owned strings and bytes, so in must outlive it; same input, same bytes.
 * Weights symmetric, per output channel (scale [1,M,1,1] for Conv, [N] for MatMul) or one scalar: scale = absmax / 127 as
 * float32 of the float64 quotient, 1 when that is below FLT_MIN; q = clamp(rint(w / scale), -127, 127) in float32,
 * stored + 128 for VD_U8.
 * Gemm: transB and an alpha that multiplies every weight exactly go into the weights, beta into a constant C likewise;
 * transA, and factors that would round, leave the node in fp32.
 * -EBADMSG: weights that are not finite, or a node that contradicts itself; -ENOTSUP: nothing to quantise, already quantised, or
 * opset under 11. On failure out is empty. */
int vd_quantize_dynamic(const struct vd_onnx_model *in, const struct vd_quant_opts *o, struct vd_onnx_model *out, struct vd_quant_report *rep);

#endif
