/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "graph/graph.h"

#define F32 VD_T(VD_F32)
#define F16 VD_T(VD_F16)
#define U8S8 (VD_T(VD_U8) | VD_T(VD_S8))
#define S32 VD_T(VD_S32)
#define S64 VD_T(VD_S64)
#define IDX (S32 | S64)
#define WIDE (VD_T(VD_U16) | VD_T(VD_S16) | VD_T(VD_U32) | VD_T(VD_F64))
#define BOOL VD_T(VD_BOOL)
/* Whatever has a fixed size: for operators that only move elements, and for casts. */
#define ANY (F32 | F16 | U8S8 | S32 | S64 | BOOL | WIDE | VD_T(VD_U64))
/* Elementwise arithmetic: float64 where an operator rounds at most once. */
#define FLOAT (F32 | VD_T(VD_F64))
#define SINT (VD_T(VD_S8) | VD_T(VD_S16) | S32 | S64)
#define UINT (VD_T(VD_U8) | VD_T(VD_U16) | VD_T(VD_U32) | VD_T(VD_U64))
#define INT (SINT | UINT)
#define INT_32_64 (S32 | S64 | VD_T(VD_U32) | VD_T(VD_U64))

#define ROW(op, from, to, in0, in1, out0, out1) .name = op, .opset_min = from, .opset_max = to, .in_min = in0, .in_max = in1, \
    .out_min = out0, .out_max = out1
#define FN(f) .infer = vd_infer_##f, .run = vd_run_##f
#define WINDOW "kernel_shape:I strides:I pads:I auto_pad:s "
#define RESIZE "mode:s coordinate_transformation_mode:s nearest_mode:s cubic_coeff_a:f exclude_outside:i extrapolation_value:f"
#define LAST 23

/* By name, then opset. A node has the first row that holds for the model's opset. */
static const struct vd_op table[] = {
    {ROW("Abs", 7, LAST, 1, 1, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(abs)},
    {ROW("Acos", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(acos)},
    {ROW("Acosh", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(acosh)},
    {ROW("Add", 7, 13, 2, 2, 1, 1), .types = {FLOAT | INT_32_64}, .attrs = "", FN(add)},
    {ROW("Add", 14, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(add)},
    {ROW("And", 7, LAST, 2, 2, 1, 1), .types = {BOOL}, .attrs = "", FN(and)},
    {ROW("ArgMax", 7, 11, 1, 1, 1, 1), .types = {FLOAT | INT}, .attrs = "axis:i keepdims:i", FN(arg_max)},
    {ROW("ArgMax", 12, LAST, 1, 1, 1, 1), .types = {FLOAT | INT}, .attrs = "axis:i keepdims:i select_last_index:i", FN(arg_max)},
    {ROW("ArgMin", 7, 11, 1, 1, 1, 1), .types = {FLOAT | INT}, .attrs = "axis:i keepdims:i", FN(arg_min)},
    {ROW("ArgMin", 12, LAST, 1, 1, 1, 1), .types = {FLOAT | INT}, .attrs = "axis:i keepdims:i select_last_index:i", FN(arg_min)},
    {ROW("Asin", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(asin)},
    {ROW("Asinh", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(asinh)},
    {ROW("Atan", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(atan)},
    {ROW("Atanh", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(atanh)},
    {ROW("AveragePool", 7, 9, 1, 1, 1, 1), .types = {F32}, .attrs = WINDOW "count_include_pad:i", FN(average_pool)},
    {ROW("AveragePool", 10, 18, 1, 1, 1, 1), .types = {F32}, .attrs = WINDOW "count_include_pad:i ceil_mode:i", FN(average_pool)},
    {ROW("AveragePool", 19, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = WINDOW "count_include_pad:i ceil_mode:i dilations:I",
     FN(average_pool)},
    {ROW("BatchNormalization", 7, 8, 5, 5, 1, 1), .types = {F32}, .attrs = "epsilon:f momentum:f spatial:i", FN(batch_normalization)},
    {ROW("BatchNormalization", 9, 13, 5, 5, 1, 1), .types = {F32}, .attrs = "epsilon:f momentum:f", FN(batch_normalization)},
    {ROW("BatchNormalization", 14, LAST, 5, 5, 1, 1), .types = {F32}, .attrs = "epsilon:f momentum:f training_mode:i",
     FN(batch_normalization)},
    {ROW("BitShift", 11, LAST, 2, 2, 1, 1), .types = {UINT}, .attrs = "direction:s!", FN(bit_shift)},
    {ROW("BitwiseAnd", 18, LAST, 2, 2, 1, 1), .types = {INT}, .attrs = "", FN(bitwise_and)},
    {ROW("BitwiseNot", 18, LAST, 1, 1, 1, 1), .types = {INT}, .attrs = "", FN(bitwise_not)},
    {ROW("BitwiseOr", 18, LAST, 2, 2, 1, 1), .types = {INT}, .attrs = "", FN(bitwise_or)},
    {ROW("BitwiseXor", 18, LAST, 2, 2, 1, 1), .types = {INT}, .attrs = "", FN(bitwise_xor)},
    {ROW("Cast", 7, 18, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "to:i!", FN(cast)},
    {ROW("Cast", 19, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "to:i! saturate:i", FN(cast)},
    {ROW("CastLike", 15, 18, 2, 2, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "", FN(cast_like)},
    {ROW("CastLike", 19, LAST, 2, 2, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "saturate:i", FN(cast_like)},
    {ROW("Ceil", 7, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "", FN(ceil)},
    {ROW("Celu", 12, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f", FN(celu)},
    {ROW("Clip", 7, 10, 1, 1, 1, 1), .types = {F32}, .attrs = "min:f max:f", FN(clip)},
    {ROW("Clip", 11, 11, 1, 3, 1, 1), .types = {FLOAT}, .attrs = "", FN(clip)},
    {ROW("Clip", 12, LAST, 1, 3, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(clip)},
    {ROW("Concat", 7, LAST, 1, VD_ANY_ARITY, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "axis:i!", FN(concat)},
    {ROW("Constant", 7, 11, 0, 0, 1, 1), .has_f16 = true, .attrs = "value:t!", FN(constant)},
    {ROW("Constant", 12, LAST, 0, 0, 1, 1), .has_f16 = true,
     .attrs = "value:t value_int:i value_ints:I value_float:f value_floats:F", FN(constant)},
    {ROW("ConstantOfShape", 9, LAST, 1, 1, 1, 1), .types = {S64}, .has_f16 = true, .attrs = "value:t", FN(constant_of_shape)},
    {ROW("Conv", 7, LAST, 2, 3, 1, 1), .types = {F32}, .attrs = WINDOW "dilations:I group:i", .infer = vd_infer_conv},
    {ROW("ConvInteger", 10, LAST, 2, 4, 1, 1), .types = {U8S8}, .attrs = WINDOW "dilations:I group:i", .infer = vd_infer_conv_integer},
    {ROW("ConvTranspose", 7, LAST, 2, 3, 1, 1), .types = {F32},
     .attrs = WINDOW "dilations:I group:i output_padding:I output_shape:I", FN(conv_transpose)},
    {ROW("Cos", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(cos)},
    {ROW("Cosh", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(cosh)},
    {ROW("CumSum", 11, LAST, 2, 2, 1, 1), .types = {FLOAT | IDX, IDX}, .attrs = "exclusive:i reverse:i", FN(cum_sum)},
    {ROW("DepthToSpace", 7, 10, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "blocksize:i!", FN(depth_to_space)},
    {ROW("DepthToSpace", 11, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "blocksize:i! mode:s", FN(depth_to_space)},
    {ROW("DequantizeLinear", 10, 12, 2, 3, 1, 1), .types = {U8S8 | S32, F32, U8S8 | S32}, .attrs = "", FN(dequantize_linear)},
    {ROW("DequantizeLinear", 13, 20, 2, 3, 1, 1), .types = {U8S8 | S32, F32, U8S8 | S32}, .attrs = "axis:i", FN(dequantize_linear)},
    {ROW("DequantizeLinear", 21, 22, 2, 3, 1, 1), .types = {U8S8 | S32, F32, U8S8 | S32}, .attrs = "axis:i block_size:i",
     FN(dequantize_linear)},
    {ROW("DequantizeLinear", 23, LAST, 2, 3, 1, 1), .types = {U8S8 | S32, F32, U8S8 | S32},
     .attrs = "axis:i block_size:i output_dtype:i", FN(dequantize_linear)},
    {ROW("Div", 7, 13, 2, 2, 1, 1), .types = {FLOAT | INT_32_64}, .attrs = "", FN(div)},
    {ROW("Div", 14, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(div)},
    {ROW("Dropout", 7, 11, 1, 1, 1, 2), .types = {FLOAT | F16}, .has_f16 = true, .attrs = "ratio:f", FN(dropout)},
    {ROW("Dropout", 12, LAST, 1, 3, 1, 2), .types = {FLOAT | F16, FLOAT | F16, BOOL}, .has_f16 = true, .attrs = "seed:i",
     FN(dropout)},
    {ROW("DynamicQuantizeLinear", 11, LAST, 1, 1, 3, 3), .types = {F32}, .attrs = "", FN(dynamic_quantize_linear)},
    {ROW("Elu", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f", FN(elu)},
    {ROW("Equal", 7, 10, 2, 2, 1, 1), .types = {BOOL | IDX}, .attrs = "", FN(equal)},
    {ROW("Equal", 11, LAST, 2, 2, 1, 1), .types = {FLOAT | INT | BOOL}, .attrs = "", FN(equal)},
    {ROW("Erf", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(erf)},
    {ROW("Exp", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(exp)},
    {ROW("Expand", 8, LAST, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "", FN(expand)},
    {ROW("EyeLike", 9, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "dtype:i k:i", FN(eye_like)},
    {ROW("Flatten", 7, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "axis:i", FN(flatten)},
    {ROW("Floor", 7, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "", FN(floor)},
    {ROW("Gather", 7, LAST, 2, 2, 1, 1), .types = {ANY, IDX}, .has_f16 = true, .attrs = "axis:i", FN(gather)},
    {ROW("GatherElements", 11, LAST, 2, 2, 1, 1), .types = {ANY, IDX}, .has_f16 = true, .attrs = "axis:i", FN(gather_elements)},
    {ROW("GatherND", 11, 11, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "", FN(gather_nd)},
    {ROW("GatherND", 12, LAST, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "batch_dims:i", FN(gather_nd)},
    {ROW("Gelu", 20, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "approximate:s", FN(gelu)},
    {ROW("Gemm", 7, 10, 3, 3, 1, 1), .types = {F32}, .attrs = "alpha:f beta:f transA:i transB:i", FN(gemm)},
    {ROW("Gemm", 11, LAST, 2, 3, 1, 1), .types = {F32}, .attrs = "alpha:f beta:f transA:i transB:i", FN(gemm)},
    {ROW("GlobalAveragePool", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(global_average_pool)},
    {ROW("GlobalLpPool", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "p:i", FN(global_lp_pool)},
    {ROW("GlobalMaxPool", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(global_max_pool)},
    {ROW("Greater", 7, 8, 2, 2, 1, 1), .types = {FLOAT}, .attrs = "", FN(greater)},
    {ROW("Greater", 9, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(greater)},
    {ROW("GreaterOrEqual", 12, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(greater_or_equal)},
    {ROW("GroupNormalization", 18, 20, 3, 3, 1, 1), .types = {F32}, .attrs = "epsilon:f num_groups:i!", FN(group_normalization)},
    {ROW("GroupNormalization", 21, LAST, 3, 3, 1, 1), .types = {F32}, .attrs = "epsilon:f num_groups:i! stash_type:i",
     FN(group_normalization)},
    {ROW("HardSigmoid", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f beta:f", FN(hard_sigmoid)},
    {ROW("HardSwish", 14, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(hard_swish)},
    {ROW("Hardmax", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "axis:i", FN(hardmax)},
    {ROW("Identity", 7, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "", FN(identity)},
    {ROW("InstanceNormalization", 7, LAST, 3, 3, 1, 1), .types = {F32}, .attrs = "epsilon:f", FN(instance_normalization)},
    {ROW("IsInf", 10, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "detect_negative:i detect_positive:i", FN(is_inf)},
    {ROW("IsNaN", 9, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "", FN(is_nan)},
    {ROW("LRN", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f beta:f bias:f size:i!", FN(lrn)},
    {ROW("LayerNormalization", 17, LAST, 2, 3, 1, 3), .types = {F32}, .f32_out = 6, .attrs = "axis:i epsilon:f stash_type:i",
     FN(layer_normalization)},
    {ROW("LeakyRelu", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f", FN(leaky_relu)},
    {ROW("Less", 7, 8, 2, 2, 1, 1), .types = {FLOAT}, .attrs = "", FN(less)},
    {ROW("Less", 9, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(less)},
    {ROW("LessOrEqual", 12, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(less_or_equal)},
    {ROW("Log", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(log)},
    {ROW("LogSoftmax", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "axis:i", FN(log_softmax)},
    {ROW("LpNormalization", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "axis:i p:i", FN(lp_normalization)},
    {ROW("MatMul", 7, 8, 2, 2, 1, 1), .types = {F32}, .attrs = "", FN(matmul)},
    {ROW("MatMul", 9, LAST, 2, 2, 1, 1), .types = {F32 | IDX}, .attrs = "", FN(matmul)},
    {ROW("MatMulInteger", 10, LAST, 2, 4, 1, 1), .types = {U8S8}, .attrs = "", FN(matmul_integer)},
    {ROW("Max", 7, 11, 1, VD_ANY_ARITY, 1, 1), .types = {FLOAT}, .attrs = "", FN(max)},
    {ROW("Max", 12, LAST, 1, VD_ANY_ARITY, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(max)},
    {ROW("MaxPool", 7, 7, 1, 1, 1, 1), .types = {F32}, .attrs = WINDOW, FN(max_pool)},
    {ROW("MaxPool", 8, 9, 1, 1, 1, 1), .types = {F32}, .attrs = WINDOW "storage_order:i", FN(max_pool)},
    {ROW("MaxPool", 10, 11, 1, 1, 1, 1), .types = {F32}, .attrs = WINDOW "storage_order:i ceil_mode:i dilations:I", FN(max_pool)},
    {ROW("MaxPool", 12, LAST, 1, 1, 1, 1), .types = {F32 | U8S8}, .attrs = WINDOW "storage_order:i ceil_mode:i dilations:I", FN(max_pool)},
    {ROW("Mean", 7, LAST, 1, VD_ANY_ARITY, 1, 1), .types = {FLOAT}, .attrs = "", FN(mean)},
    {ROW("MeanVarianceNormalization", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "axes:I", FN(mean_variance_normalization)},
    {ROW("Min", 7, 11, 1, VD_ANY_ARITY, 1, 1), .types = {FLOAT}, .attrs = "", FN(min)},
    {ROW("Min", 12, LAST, 1, VD_ANY_ARITY, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(min)},
    {ROW("Mish", 18, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(mish)},
    {ROW("Mod", 10, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "fmod:i", FN(mod)},
    {ROW("Mul", 7, 13, 2, 2, 1, 1), .types = {FLOAT | INT_32_64}, .attrs = "", FN(mul)},
    {ROW("Mul", 14, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(mul)},
    {ROW("Neg", 7, LAST, 1, 1, 1, 1), .types = {FLOAT | SINT}, .attrs = "", FN(neg)},
    {ROW("Not", 7, LAST, 1, 1, 1, 1), .types = {BOOL}, .attrs = "", FN(not)},
    {ROW("OneHot", 9, LAST, 3, 3, 1, 1), .types = {FLOAT | F16 | INT, FLOAT | F16 | INT, ANY}, .has_f16 = true, .attrs = "axis:i", FN(one_hot)},
    {ROW("Or", 7, LAST, 2, 2, 1, 1), .types = {BOOL}, .attrs = "", FN(or)},
    {ROW("PRelu", 7, 8, 2, 2, 1, 1), .types = {F32}, .attrs = "", FN(prelu)},
    {ROW("PRelu", 9, LAST, 2, 2, 1, 1), .types = {F32 | INT_32_64}, .attrs = "", FN(prelu)},
    {ROW("Pad", 7, 10, 1, 1, 1, 1), .types = {FLOAT | F16}, .has_f16 = true, .attrs = "pads:I! mode:s value:f", FN(pad)},
    {ROW("Pad", 11, 12, 2, 3, 1, 1), .types = {FLOAT | F16 | INT, S64, FLOAT | F16 | INT}, .has_f16 = true, .attrs = "mode:s", FN(pad)},
    {ROW("Pad", 13, 17, 2, 3, 1, 1), .types = {ANY, S64, ANY}, .has_f16 = true, .attrs = "mode:s", FN(pad)},
    {ROW("Pad", 18, LAST, 2, 4, 1, 1), .types = {ANY, S64, ANY, IDX}, .has_f16 = true, .attrs = "mode:s", FN(pad)},
    {ROW("Pow", 7, 11, 2, 2, 1, 1), .types = {F32}, .attrs = "", FN(pow)},
    {ROW("Pow", 12, LAST, 2, 2, 1, 1), .types = {F32 | IDX, FLOAT | INT}, .attrs = "", FN(pow)},
    {ROW("QLinearConv", 10, LAST, 8, 9, 1, 1), .types = {U8S8, F32, U8S8, U8S8, F32, U8S8, F32, U8S8, S32},
     .attrs = WINDOW "dilations:I group:i", .infer = vd_infer_qlinear_conv},
    {ROW("QLinearMatMul", 10, LAST, 8, 8, 1, 1), .types = {U8S8, F32, U8S8, U8S8, F32, U8S8, F32, U8S8}, .attrs = "", FN(qlinear_matmul)},
    {ROW("QuantizeLinear", 10, 12, 2, 3, 1, 1), .types = {F32 | S32, F32, U8S8}, .attrs = "", FN(quantize_linear)},
    {ROW("QuantizeLinear", 13, 18, 2, 3, 1, 1), .types = {F32 | S32, F32, U8S8}, .attrs = "axis:i", FN(quantize_linear)},
    {ROW("QuantizeLinear", 19, 20, 2, 3, 1, 1), .types = {F32 | S32, F32, U8S8}, .attrs = "axis:i saturate:i", FN(quantize_linear)},
    {ROW("QuantizeLinear", 21, 22, 2, 3, 1, 1), .types = {F32 | S32, F32, U8S8}, .attrs = "axis:i saturate:i block_size:i output_dtype:i",
     FN(quantize_linear)},
    {ROW("QuantizeLinear", 23, LAST, 2, 3, 1, 1), .types = {F32 | S32, F32, U8S8},
     .attrs = "axis:i saturate:i block_size:i output_dtype:i precision:i", FN(quantize_linear)},
    {ROW("RMSNormalization", 23, LAST, 2, 2, 1, 1), .types = {F32}, .attrs = "axis:i epsilon:f stash_type:i", FN(rms_normalization)},
    {ROW("Range", 11, LAST, 3, 3, 1, 1), .types = {FLOAT | IDX | VD_T(VD_S16)}, .attrs = "", FN(range)},
    {ROW("Reciprocal", 7, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "", FN(reciprocal)},
    {ROW("ReduceL1", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_l1)},
    {ROW("ReduceL1", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_l1)},
    {ROW("ReduceL2", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_l2)},
    {ROW("ReduceL2", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_l2)},
    {ROW("ReduceLogSum", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_log_sum)},
    {ROW("ReduceLogSum", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_log_sum)},
    {ROW("ReduceLogSumExp", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_log_sum_exp)},
    {ROW("ReduceLogSumExp", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_log_sum_exp)},
    {ROW("ReduceMax", 7, 11, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_max)},
    {ROW("ReduceMax", 12, 17, 1, 1, 1, 1), .types = {FLOAT | IDX | U8S8}, .attrs = "axes:I keepdims:i", FN(reduce_max)},
    {ROW("ReduceMax", 18, 19, 1, 2, 1, 1), .types = {FLOAT | IDX | U8S8, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_max)},
    {ROW("ReduceMax", 20, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX | U8S8 | BOOL, S64}, .attrs = "keepdims:i noop_with_empty_axes:i",
     FN(reduce_max)},
    {ROW("ReduceMean", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_mean)},
    {ROW("ReduceMean", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_mean)},
    {ROW("ReduceMin", 7, 11, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_min)},
    {ROW("ReduceMin", 12, 17, 1, 1, 1, 1), .types = {FLOAT | IDX | U8S8}, .attrs = "axes:I keepdims:i", FN(reduce_min)},
    {ROW("ReduceMin", 18, 19, 1, 2, 1, 1), .types = {FLOAT | IDX | U8S8, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_min)},
    {ROW("ReduceMin", 20, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX | U8S8 | BOOL, S64}, .attrs = "keepdims:i noop_with_empty_axes:i",
     FN(reduce_min)},
    {ROW("ReduceProd", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_prod)},
    {ROW("ReduceProd", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_prod)},
    {ROW("ReduceSum", 7, 12, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_sum)},
    {ROW("ReduceSum", 13, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_sum)},
    {ROW("ReduceSumSquare", 7, 17, 1, 1, 1, 1), .types = {FLOAT | IDX}, .attrs = "axes:I keepdims:i", FN(reduce_sum_square)},
    {ROW("ReduceSumSquare", 18, LAST, 1, 2, 1, 1), .types = {FLOAT | IDX, S64}, .attrs = "keepdims:i noop_with_empty_axes:i", FN(reduce_sum_square)},
    {ROW("Relu", 7, 13, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(relu)},
    {ROW("Relu", 14, LAST, 1, 1, 1, 1), .types = {F32 | SINT}, .attrs = "", FN(relu)},
    {ROW("Reshape", 7, 13, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "", FN(reshape)},
    {ROW("Reshape", 14, LAST, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "allowzero:i", FN(reshape)},
    {ROW("Resize", 10, 10, 2, 2, 1, 1), .types = {ANY ^ F16, F32}, .attrs = "mode:s", FN(resize)},
    {ROW("Resize", 11, 17, 1, 4, 1, 1), .types = {ANY ^ F16, FLOAT, F32, S64}, .attrs = RESIZE, FN(resize)},
    {ROW("Resize", 18, LAST, 1, 4, 1, 1), .types = {ANY ^ F16, FLOAT, F32, S64},
     .attrs = RESIZE " antialias:i axes:I keep_aspect_ratio_policy:s", FN(resize)},
    {ROW("ReverseSequence", 10, LAST, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "batch_axis:i time_axis:i",
     FN(reverse_sequence)},
    {ROW("Round", 11, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "", FN(round)},
    {ROW("Scatter", 9, 10, 3, 3, 1, 1), .types = {ANY, IDX, ANY}, .has_f16 = true, .attrs = "axis:i", FN(scatter_elements)},
    {ROW("ScatterElements", 11, 15, 3, 3, 1, 1), .types = {ANY, IDX, ANY}, .has_f16 = true, .attrs = "axis:i", FN(scatter_elements)},
    {ROW("ScatterElements", 16, LAST, 3, 3, 1, 1), .types = {ANY ^ F16, IDX, ANY ^ F16}, .attrs = "axis:i reduction:s", FN(scatter_elements)},
    {ROW("ScatterND", 11, 15, 3, 3, 1, 1), .types = {ANY, S64, ANY}, .has_f16 = true, .attrs = "", FN(scatter_nd)},
    {ROW("ScatterND", 16, LAST, 3, 3, 1, 1), .types = {ANY ^ F16, S64, ANY ^ F16}, .attrs = "reduction:s", FN(scatter_nd)},
    {ROW("Selu", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f gamma:f", FN(selu)},
    {ROW("Shape", 7, 14, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "", FN(shape)},
    {ROW("Shape", 15, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "start:i end:i", FN(shape)},
    {ROW("Sigmoid", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(sigmoid)},
    {ROW("Sign", 9, LAST, 1, 1, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(sign)},
    {ROW("Sin", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(sin)},
    {ROW("Sinh", 9, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(sinh)},
    {ROW("Size", 7, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "", FN(size)},
    {ROW("Slice", 7, 9, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "starts:I! ends:I! axes:I", FN(slice)},
    {ROW("Slice", 10, LAST, 3, 5, 1, 1), .types = {ANY, IDX}, .has_f16 = true, .attrs = "", FN(slice)},
    {ROW("Softmax", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "axis:i", FN(softmax)},
    {ROW("Softplus", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(softplus)},
    {ROW("Softsign", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(softsign)},
    {ROW("SpaceToDepth", 7, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "blocksize:i!", FN(space_to_depth)},
    {ROW("Split", 7, 12, 1, 1, 1, VD_ANY_ARITY), .types = {ANY}, .has_f16 = true, .attrs = "axis:i split:I", FN(split)},
    {ROW("Split", 13, 17, 1, 2, 1, VD_ANY_ARITY), .types = {ANY, S64}, .has_f16 = true, .attrs = "axis:i", FN(split)},
    {ROW("Split", 18, LAST, 1, 2, 1, VD_ANY_ARITY), .types = {ANY, S64}, .has_f16 = true, .attrs = "axis:i num_outputs:i", FN(split)},
    {ROW("Sqrt", 7, LAST, 1, 1, 1, 1), .types = {FLOAT}, .attrs = "", FN(sqrt)},
    {ROW("Squeeze", 7, 12, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "axes:I", FN(squeeze)},
    {ROW("Squeeze", 13, LAST, 1, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "", FN(squeeze)},
    {ROW("Sub", 7, 13, 2, 2, 1, 1), .types = {FLOAT | INT_32_64}, .attrs = "", FN(sub)},
    {ROW("Sub", 14, LAST, 2, 2, 1, 1), .types = {FLOAT | INT}, .attrs = "", FN(sub)},
    {ROW("Sum", 7, LAST, 1, VD_ANY_ARITY, 1, 1), .types = {FLOAT}, .attrs = "", FN(sum)},
    {ROW("Tan", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(tan)},
    {ROW("Tanh", 7, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "", FN(tanh)},
    {ROW("ThresholdedRelu", 10, LAST, 1, 1, 1, 1), .types = {F32}, .attrs = "alpha:f", FN(thresholded_relu)},
    {ROW("Tile", 7, LAST, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "", FN(tile)},
    {ROW("Transpose", 7, LAST, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "perm:I", FN(transpose)},
    {ROW("Trilu", 14, LAST, 1, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "upper:i", FN(trilu)},
    {ROW("Unsqueeze", 7, 12, 1, 1, 1, 1), .types = {ANY}, .has_f16 = true, .attrs = "axes:I!", FN(unsqueeze)},
    {ROW("Unsqueeze", 13, LAST, 2, 2, 1, 1), .types = {ANY, S64}, .has_f16 = true, .attrs = "", FN(unsqueeze)},
    {ROW("Upsample", 7, 8, 1, 1, 1, 1), .types = {ANY ^ F16}, .attrs = "scales:F! mode:s", FN(resize)},
    {ROW("Upsample", 9, 9, 2, 2, 1, 1), .types = {ANY ^ F16, F32}, .attrs = "mode:s", FN(resize)},
    {ROW("Where", 9, LAST, 3, 3, 1, 1), .types = {BOOL, ANY}, .has_f16 = true, .attrs = "", FN(where)},
    {ROW("Xor", 7, LAST, 2, 2, 1, 1), .types = {BOOL}, .attrs = "", FN(xor)},
    /* What ONNX Runtime's quantiser writes in its QOperator form. */
    {ROW("com.microsoft:QGemm", 7, LAST, 6, 9, 1, 1), .types = {U8S8, F32, U8S8, U8S8, F32, U8S8, S32, F32, U8S8},
     .attrs = "alpha:f transA:i transB:i", FN(qgemm)},
    {ROW("com.microsoft:QLinearAdd", 7, LAST, 7, 8, 1, 1), .types = {U8S8, F32, U8S8, U8S8, F32, U8S8, F32, U8S8}, .attrs = "",
     FN(qlinear_add)},
    {ROW("com.microsoft:QLinearAveragePool", 7, LAST, 4, 5, 1, 1), .types = {U8S8, F32, U8S8, F32, U8S8},
     .attrs = WINDOW "ceil_mode:i count_include_pad:i channels_last:i", FN(qlinear_average_pool)},
    {ROW("com.microsoft:QLinearConcat", 7, LAST, 5, VD_ANY_ARITY, 1, 1), .types = {F32 | U8S8}, .attrs = "axis:i!", FN(qlinear_concat)},
    {ROW("com.microsoft:QLinearGlobalAveragePool", 7, LAST, 4, 5, 1, 1), .types = {U8S8, F32, U8S8, F32, U8S8}, .attrs = "channels_last:i",
     FN(qlinear_global_average_pool)},
    {ROW("com.microsoft:QLinearLeakyRelu", 7, LAST, 4, 5, 1, 1), .types = {U8S8, F32, U8S8, F32, U8S8}, .attrs = "alpha:f",
     FN(qlinear_leaky_relu)},
    {ROW("com.microsoft:QLinearMul", 7, LAST, 7, 8, 1, 1), .types = {U8S8, F32, U8S8, U8S8, F32, U8S8, F32, U8S8}, .attrs = "",
     FN(qlinear_mul)},
    {ROW("com.microsoft:QLinearSigmoid", 7, LAST, 4, 5, 1, 1), .types = {U8S8, F32, U8S8, F32, U8S8}, .attrs = "", FN(qlinear_sigmoid)},
    {ROW("com.microsoft:QLinearSoftmax", 7, LAST, 5, 5, 1, 1), .types = {U8S8, F32, U8S8, F32, U8S8}, .attrs = "axis:i opset:i",
     FN(qlinear_softmax)},
    {ROW("com.microsoft:QLinearWhere", 7, LAST, 9, 9, 1, 1), .types = {BOOL, U8S8, F32, U8S8, U8S8, F32, U8S8, F32, U8S8}, .attrs = "",
     FN(qlinear_where)},
};
enum { ROWS = sizeof(table) / sizeof(table[0]) };

const struct vd_op *vd_op_row(int i)
{
    return i >= 0 && i < ROWS ? &table[i] : NULL;
}

const struct vd_op *vd_op_find(const char *name, int opset)
{
    for (int i = 0; i < ROWS; i++)
        if (opset >= table[i].opset_min && opset <= table[i].opset_max && !strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

bool vd_op_known(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (!strcmp(table[i].name, name))
            return true;
    return false;
}

static const char *type_word(int type)
{
    switch (type) {
    case VD_ATTR_FLOAT: return "a float";
    case VD_ATTR_INT: return "an integer";
    case VD_ATTR_STRING: return "a string";
    case VD_ATTR_TENSOR: return "a tensor";
    case VD_ATTR_FLOATS: return "a list of floats";
    case VD_ATTR_INTS: return "a list of integers";
    default: return "something else";
    }
}

static int type_of(char letter)
{
    switch (letter) {
    case 'f': return VD_ATTR_FLOAT;
    case 'i': return VD_ATTR_INT;
    case 's': return VD_ATTR_STRING;
    case 't': return VD_ATTR_TENSOR;
    case 'F': return VD_ATTR_FLOATS;
    default: return VD_ATTR_INTS;
    }
}

/* The next "name:t" or "name:t!" of a row's list; false at its end. */
struct attr_spec {
    const char *name;
    size_t len;
    int type;
    bool required;
};

static bool next_spec(const char **p, struct attr_spec *s)
{
    *p += strspn(*p, " ");
    if (!**p)
        return false;
    s->name = *p;
    s->len = strcspn(*p, ":");
    s->type = type_of((*p)[s->len + 1]);
    *p += s->len + 2;
    s->required = **p == '!';
    *p += s->required;
    return true;
}

static bool spec_is(const struct attr_spec *s, const char *name)
{
    return strlen(name) == s->len && !memcmp(name, s->name, s->len);
}

/* What a message calls the node: its name, or else its first output's. */
static const char *label(const struct vd_onnx_node *n)
{
    return n->name && n->name[0] ? n->name : n->n_out > 0 && n->out[0][0] ? n->out[0] : "?";
}

static int check_attrs(const struct vd_op *op, const struct vd_onnx_node *n)
{
    struct attr_spec s;
    for (int i = 0; i < n->n_attr; i++) {
        const struct vd_onnx_attr *a = &n->attr[i];
        const char *p = op->attrs;
        bool found = false;
        while (!found && next_spec(&p, &s))
            found = spec_is(&s, a->name);
        if (!found)
            return vd_fail(EPERM, "node %s: operator %s attribute %s is not supported", label(n), op->name, a->name);
        if (a->type != s.type)
            return vd_fail(EBADMSG, "node %s: operator %s attribute %s is %s where %s belongs", label(n), op->name, a->name,
                           type_word(a->type), type_word(s.type));
    }
    for (const char *p = op->attrs; next_spec(&p, &s);) {
        bool found = !s.required;
        for (int i = 0; !found && i < n->n_attr; i++)
            found = spec_is(&s, n->attr[i].name);
        if (!found)
            return vd_fail(EBADMSG, "node %s: operator %s lacks its attribute %.*s", label(n), op->name, (int)s.len, s.name);
    }
    return 0;
}

int vd_op_check_node(const struct vd_op *op, const struct vd_onnx_node *n, int opset)
{
    /* Optional inputs and outputs at the end may be written as empty names: they are not there. */
    int n_in = n->n_in, n_out = n->n_out;
    while (op->in_max != VD_ANY_ARITY && n_in > op->in_min && !n->in[n_in - 1][0])
        n_in--;
    while (n_out > op->out_min && !n->out[n_out - 1][0])
        n_out--;
    if (n_in < op->in_min)
        return vd_fail(EBADMSG, "node %s: operator %s has %d input%s; at opset %d it needs %d", label(n), op->name, n_in, vd_s(n_in), opset,
                       op->in_min);
    if (op->in_max != VD_ANY_ARITY && n_in > op->in_max)
        return vd_fail(EBADMSG, "node %s: operator %s has %d input%s; at opset %d it takes %d", label(n), op->name, n_in, vd_s(n_in), opset,
                       op->in_max);
    for (int i = 0; i < n_in; i++)
        if (!n->in[i][0] && (i < op->in_min || op->in_max == VD_ANY_ARITY))
            return vd_fail(EBADMSG, "node %s: operator %s leaves out input %d, which it needs", label(n), op->name, i);
    if (n_out < op->out_min)
        return vd_fail(EBADMSG, "node %s: operator %s has %d output%s; it needs %d", label(n), op->name, n_out, vd_s(n_out), op->out_min);
    if (n_out > op->out_max)
        return vd_fail(EPERM, "node %s: operator %s output %d (%s) is not supported", label(n), op->name, op->out_max,
                       n->out[op->out_max]);
    return check_attrs(op, n);
}
