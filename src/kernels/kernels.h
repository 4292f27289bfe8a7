/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_KERNELS_H
#define VD_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "kernels/rows.h"

/* One struct of pointers: the C references, overwritten upward by what the CPU
 * has. Kernels only assert; the plan proves what they assume.
 *
 * A convolution works on a band: some input rows of all channels of one group,
 * copied (fp32) or quantised (s16) into scratch with the padding written out.
 * Input element of tap t for output pixel (y, x) is
 *     src[y * src_step + tap[t] + x]
 * because a strided row is stored as `stride` rows of its phases: column c of the padded row goes to phase c % stride,
 * position c / stride. So one kernel serves every stride, dilation and kernel size, always
 * with unit steps along x. Scratch rows may be read VD_BAND_SLACK elements (fp32) or pairs (s16) past the last
 * pixel of each tap: allocated, any value. */
enum {
    VD_OC_BLOCK = 4,    /* output channels that a weight block holds */
    VD_BAND_SLACK = 32, /* elements or pairs after the last one that may be read (never used) */
};

/* What follows the sum, in this order and each step rounded on its own, as the
 * ONNX graph that it stands for would. NULL or flag off: the step is left out.
 * A clamp is v < lo ? lo : v, then hi < v ? hi : v, as ONNX Runtime's Relu and Clip are: NaN stays NaN, -0 stays -0
 * when a bound is 0, and hi wins over a larger lo. Given the same sum, every set gives the same bits (any NaN for a NaN). */
struct vd_conv_tail {
    const float *scale;    /* [oc] integer kernels: (float)acc * scale[oc] */
    const float *bias;     /* [oc] + bias[oc] */
    int clamp;             /* then to lo..hi; Relu is lo 0, hi +inf */
    float lo, hi;
    const float *residual; /* same layout as dst: + residual */
    int clamp2;            /* after the residual */
    float lo2, hi2;
};

/* dst: plane of output channel 0, row 0 of this band; planes dst_plane apart and
 * rows dst_row apart (elements). residual in the tail uses the same steps. Exactly rows * width * n_oc
 * elements are written. n_oc: 1..VD_OC_BLOCK (a last block may be partial; the weights are then zero-filled). */
struct vd_conv_args {
    void *dst;               /* float, or int32_t when raw */
    ptrdiff_t dst_plane, dst_row;
    int rows, width, n_oc;
    const void *src;         /* float or int16_t pairs (two channels of one pixel side by side) */
    ptrdiff_t src_step;      /* elements (fp32) or pairs (s16) between the input rows of neighbouring output rows */
    const uint32_t *tap;     /* [taps] offsets in elements or pairs */
    int taps;
    const void *weight;      /* float [taps][VD_OC_BLOCK], or int16 [taps][VD_OC_BLOCK][2] */
    struct vd_conv_tail tail; /* pointers already moved to this block's first channel */
    int raw;                 /* s16 only: store the int32 sums, no tail */
};

struct vd_kernels {
    const char *name; /* "c"; "avx2", "avxvnni", "avx512vnni"; "neon", "dotprod", "i8mm" */

    /* fp32: sum over taps in order, fused or separate multiply-add. */
    void (*conv_f32)(const struct vd_conv_args *a);
    /* int16 activations and weights (8-bit values less their zero points, so |v| <= 255), exact int32 sums:
     * the plan has proved that they fit. */
    void (*conv_s16)(const struct vd_conv_args *a);

    /* lo = min(lo, min x), hi = max(hi, max x) over n elements. A NaN in x makes both NaN, so that a result that is
     * finite says that every element is. A zero comes out as +0. */
    void (*range_f32)(const float *x, size_t n, float *lo, float *hi);
    /* QuantizeLinear to uint8, less the zero point:
     *     clamp(rint(x / scale), 0 - zp, 255 - zp)
     * of two rows a and b (b may be NULL: zero) interleaved: dst[2*i] from a, dst[2*i+1] from b. Rint is half to even;
     * the division is a division. NaN (a NaN, or 0 / 0) becomes 0 - zp. */
    void (*quantize_pair)(int16_t *dst, const float *a, const float *b, size_t n, float scale, int zp);

    /* Planes: v / max and back, rint half to even, clamped to 0..max; NaN becomes 0. strides are the caller's. */
    void (*u8_to_f32)(float *dst, const uint8_t *src, size_t n);
    void (*u16_to_f32)(float *dst, const uint16_t *src, size_t n, int max);
    void (*f32_to_u8)(uint8_t *dst, const float *src, size_t n);
    void (*f32_to_u16)(uint16_t *dst, const float *src, size_t n, int max);

    struct vd_row_kernels row; /* rows.h */
};

/* The set of that name; NULL or "auto": the best that this CPU has. -EINVAL for an unknown name (the reason lists
 * them), -ENOTSUP for one that this CPU lacks. *out is NULL then. */
int vd_kernels_get(const char *name, const struct vd_kernels **out);
/* Names that this CPU can run, weakest first; NULL past the end. For tests, help and benchmarks. */
const char *vd_kernels_name(int i);

/* The ladder, one function a set: overwrite what it does better. */
void vd_kernels_init_c(struct vd_kernels *k);
void vd_kernels_init_avx2(struct vd_kernels *k);
void vd_kernels_init_avxvnni(struct vd_kernels *k);
void vd_kernels_init_avx512vnni(struct vd_kernels *k);
void vd_kernels_init_neon(struct vd_kernels *k);
void vd_kernels_init_dotprod(struct vd_kernels *k);
void vd_kernels_init_i8mm(struct vd_kernels *k);

#endif
