/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_H
#define VD_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/workers.h"
#include "onnx/onnx.h"

/* One operator of the op table: what it means (infer) and the plain way to do
 * it (run). Convolutions and the fused patterns are lowered to the kernels of
 * src/kernels by the plan; all other operators run through these functions. */

/* Element data is contiguous, row-major, 64-byte aligned for values that the
 * plan owns. data NULL: not known (in infer) or zero elements. */
struct vd_tensor {
    int type; /* enum vd_type */
    int rank;
    int64_t dim[VD_MAX_RANK];
    void *data;
};

size_t vd_tensor_count(const struct vd_tensor *t); /* elements; dims were checked by vd_tensor_check() */
size_t vd_tensor_bytes(const struct vd_tensor *t);

struct vd_op_call {
    const struct vd_onnx_node *node; /* attributes; names for messages */
    int opset;
    int n_in, n_out;
    const struct vd_tensor *const *in; /* NULL for an omitted optional input */
    struct vd_tensor *const *out;      /* NULL for an output that nobody asked for */
    struct vd_workers *workers;        /* run only; may be NULL */
};

/* infer: given input types and dims, and data where it is known before the run (constants, shapes),
 * set type, rank and dims of each output. Owns every check that run relies on: rank, dims, axis ranges,
 * attribute values. -EPERM: an attribute value or form that is not supported; -EBADMSG: the node contradicts itself or ONNX;
 * -ENOTSUP: a shape that depends on data not known before the run. Messages come from vd_op_fail().
 * Input types were checked against the row before. -ERANGE: sizes that do not fit together.
 * run: all data present; writes out[i]->data, which has room for the inferred shape. Allocates nothing, cannot fail.
 * Outputs do not overlap inputs. */
typedef int vd_infer_fn(const struct vd_op_call *c);
typedef void vd_run_fn(const struct vd_op_call *c);

enum { VD_ANY_ARITY = 255, VD_OP_MAX_IN = 9 };

/* Bit masks of element types: 1u << type. */
#define VD_T(t) (1u << (t))

struct vd_op {
    const char *name;
    uint8_t opset_min, opset_max; /* opsets of the model for which this row holds */
    uint8_t in_min, in_max;       /* VD_ANY_ARITY: any number */
    uint8_t out_min, out_max;
    uint16_t types[VD_OP_MAX_IN]; /* allowed types of each input; the last non-zero one holds for the rest. float16 is
                                   * never listed except where has_f16: elsewhere the plan computes it in float32 */
    uint8_t f32_out;            /* outputs (1 << i) that are float32 also where the inputs are float16 */
    bool has_f16;               /* run itself takes float16 (it only moves bytes, or converts) */
    const char *attrs;          /* allowed: "name:t name:t", t of i f s t I F as in "axis:i pads:I"; "to:i!" must be there */
    vd_infer_fn *infer;
    vd_run_fn *run;             /* NULL: lowered always (Conv, ConvInteger) */
};

/* -err with "node NAME (OP): text"; the first output's name stands in for an empty node name. */
int vd_op_fail(const struct vd_op_call *c, int err, const char *fmt, ...) VD_PRINTF(3, 4);

/* Attributes with their defaults; the table has checked names and types. */
int64_t vd_op_int(const struct vd_op_call *c, const char *name, int64_t fallback);
float vd_op_float(const struct vd_op_call *c, const char *name, float fallback);
const char *vd_op_str(const struct vd_op_call *c, const char *name, const char *fallback);
int vd_op_ints(const struct vd_op_call *c, const char *name, const int64_t **v); /* element count; 0 and NULL when absent */

/* axis in -rank..rank-1 to 0..rank-1; -EBADMSG by name otherwise. */
int vd_op_axis(const struct vd_op_call *c, int64_t axis, int rank, int *out);
/* NumPy broadcasting of two shapes into out (rank and dims only). */
int vd_op_broadcast(const struct vd_op_call *c, const struct vd_tensor *a, const struct vd_tensor *b, struct vd_tensor *out);
/* Rank at most 8, every dim >= 0, bytes fit in 2^40: run on every inferred output. */
int vd_tensor_check(const struct vd_op_call *c, const struct vd_tensor *t);
/* Element i of a known integer tensor (int64 or int32). */
int64_t vd_tensor_int(const struct vd_tensor *t, size_t i);

/* Geometry of a convolution or pool over any number of spatial dims (op_window.c), from the attributes kernel_shape, strides,
 * pads, dilations, auto_pad, ceil_mode; kernel from the weights where the attribute is absent. */
struct vd_window {
    int n;                  /* spatial dims: 1 to 3 */
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t out[3];         /* output size of each */
};
/* x: input (N, C, spatial...); w: weights (M, C/group, kernel...) or NULL for pools. */
int vd_window_infer(const struct vd_op_call *c, const struct vd_tensor *x, const struct vd_tensor *w, struct vd_window *win);

uint16_t vd_f16_from_f32(float f); /* round half to even; overflow to infinity; NaN stays NaN */
float vd_f32_from_f16(uint16_t h);

/* The families. Each file op_FAMILY.c defines these; src/graph/ops.c lists them. */
#define VD_OPS(X) \
    /* op_elementwise.c */ X(add) X(sub) X(mul) X(div) X(pow) X(mod) X(relu) X(clip) \
    /* op_unary.c */ X(neg) X(abs) X(sign) X(floor) X(ceil) X(round) X(sqrt) X(reciprocal) X(exp) X(log) X(tanh) X(sigmoid) X(erf) \
    X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh) X(is_nan) X(is_inf) \
    /* op_activation.c */ X(leaky_relu) X(thresholded_relu) X(elu) X(selu) X(celu) X(softplus) X(softsign) X(hard_sigmoid) \
    X(hard_swish) X(mish) X(gelu) X(prelu) \
    /* op_compare.c */ X(greater) X(less) X(greater_or_equal) X(less_or_equal) X(equal) X(and) X(or) X(xor) X(not) X(where) \
    /* op_bits.c */ X(bitwise_and) X(bitwise_or) X(bitwise_xor) X(bitwise_not) X(bit_shift) \
    /* op_variadic.c */ X(min) X(max) X(sum) X(mean) \
    /* op_cast.c */ X(cast) X(cast_like) \
    /* op_dropout.c */ X(dropout) \
    /* op_shape.c */ X(identity) X(reshape) X(flatten) X(squeeze) X(unsqueeze) X(concat) X(shape) X(gather) X(constant) \
    /* op_move.c */ X(transpose) X(expand) X(split) X(depth_to_space) X(space_to_depth) X(slice) \
    /* op_pad.c */ X(pad) X(tile) \
    /* op_fill.c */ X(size) X(constant_of_shape) X(range) X(eye_like) X(trilu) X(cum_sum) X(one_hot) \
    /* op_reduce.c */ X(reduce_mean) X(reduce_sum) X(reduce_l1) X(reduce_l2) X(reduce_sum_square) X(reduce_prod) \
    X(reduce_max) X(reduce_min) X(reduce_log_sum) X(reduce_log_sum_exp) X(global_average_pool) X(global_max_pool) \
    X(global_lp_pool) \
    /* op_resize.c */ X(resize) \
    /* op_softmax.c */ X(softmax) X(log_softmax) X(hardmax) X(lp_normalization) \
    /* op_arg.c */ X(arg_max) X(arg_min) \
    /* op_norm.c */ X(instance_normalization) X(group_normalization) X(layer_normalization) X(rms_normalization) \
    X(mean_variance_normalization) \
    /* op_lrn.c */ X(lrn) \
    /* op_scatter.c */ X(gather_elements) X(scatter_elements) X(gather_nd) X(scatter_nd) X(reverse_sequence) \
    /* op_pool.c */ X(max_pool) X(average_pool) X(batch_normalization) \
    /* op_matmul.c */ X(matmul) X(gemm) \
    /* op_matmul_integer.c */ X(matmul_integer) X(qlinear_matmul) X(qgemm) \
    /* op_conv_transpose.c */ X(conv_transpose) \
    /* op_qlinear.c */ X(qlinear_sigmoid) X(qlinear_leaky_relu) X(qlinear_add) X(qlinear_mul) X(qlinear_concat) \
    X(qlinear_global_average_pool) X(qlinear_average_pool) \
    /* op_qlinear_more.c */ X(qlinear_softmax) X(qlinear_where) \
    /* op_quantize.c */ X(quantize_linear) X(dequantize_linear) X(dynamic_quantize_linear)
#define VD_OP_DECLARE(f) vd_infer_fn vd_infer_##f; vd_run_fn vd_run_##f;
VD_OPS(VD_OP_DECLARE)
/* QLinearAdd of unsigned bytes (int8 as v + 128, with off 128): saturate(rint(fma(a - off, ra, fma(b - off, rb, fixed))) + off). From a call
 * whose scales and zero points are known. */
struct vd_qlinear_add {
    float ra, rb, fixed;
    int off;
};
struct vd_qlinear_add vd_qlinear_add(const struct vd_op_call *c);
/* GlobalAveragePool of planes of at most so many floats: summed in float32, element i in lane i % 4, (lane 0 + lane 2) + (lane 1 + lane 3), and
 * what is left over four one by one behind that; the plan does it on its own layout. */
enum { VD_SMALL_PLANE = 4096 };
/* op_conv.c: no plain run, see src/plan */
vd_infer_fn vd_infer_conv, vd_infer_conv_integer, vd_infer_qlinear_conv;

#endif
