/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROWS_H
#define VD_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kernels of the row streams (docs/adr/0009): each makes one row of one tensor from rows of its inputs.
 *
 * A row of a tensor [N,C,H,W] at one n and y:
 *   blocked  channels in blocks of VD_LANES, innermost: element (c, x) is block[c / VD_LANES][x][c % VD_LANES]; blocks are
 *            `block` bytes apart. Lanes past C are there: kernels write 0 to fp32 ones and anything to bytes;
 *            the weights that meet them are 0.
 *   thin     C is 1: one element a pixel.
 * A tensor of one channel may also be blocked. Elements are float, or bytes. Bytes are unsigned: an int8 tensor is stored as
 * v + 128 with zero point + 128.
 * Rows are read and written as if the output row were up to VD_ROW_SLACK - 1 pixels wider than it is: a kernel may write that many
 * pixels past the width of dst, and read that many of residual and that many times the stride of src, past what the taps of the
 * last pixel reach (thin rows of bytes: 3 bytes more). All that is allocated, with any values; padding right of a row is
 * written after the row. Padding that the taps reach, left and right, is written out by the caller: 0 for fp32, the zero point for bytes.
 *
 * int8: exact int32 sums of u8 activations and s8 weights (less their zero point: the plan has proved that each fits -128..127 and
 * that the sums fit 32 bits); sum (x - zx) w = sum x w - zx sum w, whose second part is in bias32 and may wrap on the way.
 * Every set gives the same bits. fp32: within (taps + 4) * 2^-24 * 2 * sum |w x|, Winograd in the bound of docs/numerics.md; a
 * result does not depend on where the row is cut. */
enum {
    VD_LANES = 16,
    VD_ROW_SLACK = 16, /* pixels of output */
};

enum vd_row_conv_kind {
    VD_ROW_DENSE,     /* blocked to blocked, one group */
    VD_ROW_FIRST,     /* thin to blocked: one input channel */
    VD_ROW_LAST,      /* blocked to thin: one output channel */
    VD_ROW_DEPTHWISE, /* blocked to blocked, a group for each channel, as many outputs as inputs */
    VD_ROW_KINDS
};

/* A convolution as a row kernel sees it: of one row of output, with strides and dilations along x (those along y are the
 * caller's choice of rows). */
struct vd_row_shape {
    enum vd_row_conv_kind kind;
    bool integer;
    int ic, oc;       /* channels, not lanes */
    int kh, kw;
    int stride, dilation;
};

/* What follows an integer sum s (with bias32 added) or an fp32 sum s. Pointers are per output channel, padded with 0 to whole
 * blocks. Steps are rounded one by one, in this order:
 *   to bytes (integer only): v = rint((float)s * scale), half to even; clamp v + zp to lo..hi. NaN does not occur.
 *   to fp32: v = s * scale (integer only); + bias; clamp; + residual; clamp2; then lowest and highest of all v of the row's width
 *            and C channels (not of the lanes past C) go into range, NaN as in range_f32. Lanes past C become 0.
 * Clamps as in struct vd_conv_tail. NULL or flag off: the step is left out. */
struct vd_row_tail {
    bool to_bytes;
    const int32_t *bias32;  /* integer: never NULL */
    const float *scale;     /* integer: never NULL */
    int zp, lo, hi;         /* to_bytes */
    const float *bias;
    bool clamp, clamp2;
    float lo_f, hi_f, lo2_f, hi2_f;
    float *range;           /* [2] lowest, highest; in and out */
};

struct vd_row_conv {
    struct vd_row_shape shape;
    const void *weight;         /* as pack made it */
    struct vd_row_tail tail;
};

/* One row: dst[0..width) from kh rows. src[ky]: where tap (ky, 0) of output pixel 0 lies (block 0), so padding is behind it.
 * residual: a row like dst, fp32; may be dst itself, or NULL. dst and residual are 64-byte aligned when blocked, at their element
 * when thin; src[ky] has no alignment but its element's. Block distances are multiples of 64. width is 1 or more. */
typedef void vd_row_conv_fn(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                            const float *residual, size_t residual_block, int width);

/* Weights [oc][ic][kh][kw] (depthwise [oc][1][kh][kw]), fp32 or s8, into the set's own order, 64-byte aligned. Gives the bytes needed,
 * a multiple of 64; pack NULL: only that. */
typedef size_t vd_row_pack_fn(const struct vd_row_shape *s, const void *weight, void *pack);

/* The residual Add of the static form, as ONNX Runtime's QLinearAdd forms it (docs/numerics.md): with ra = scale_a / scale,
 * rb = scale_b / scale and the three zero points in fixed,
 *     clamp(rint(fma(a - off, ra, fma(b - off, rb, fixed))), lo, hi) + off
 * half to even; NaN becomes lo. off is 0, or 128 where the tensors are int8; lo + off and hi + off are in 0..255. */
struct vd_row_add {
    float ra, rb, fixed;
    int off, lo, hi;
};

/* Windows of a pool that lie in the picture as a whole, or are cut alike. */
struct vd_row_pool {
    int rows, taps;        /* of the window, inside the picture; 0: nothing is */
    int lanes;             /* VD_LANES: one block of a blocked row; 1: a thin row */
    ptrdiff_t at;          /* elements from src[r] to tap 0 of output pixel 0 */
    ptrdiff_t step, pixel; /* elements between taps, and between the windows of neighbouring outputs */
    double count;          /* average: what a sum is divided by */
};

struct vd_row_kernels {
    /* By kind; every set has all, for any kernel, stride and dilation. */
    vd_row_pack_fn *pack_u8[VD_ROW_KINDS], *pack_f32[VD_ROW_KINDS];
    vd_row_conv_fn *conv_u8[VD_ROW_KINDS], *conv_f32[VD_ROW_KINDS];

    /* Winograd along the row, for fp32 DENSE with kw 3, stride 1, dilation 1 (any kh): NULL where the set has none.
     * wino_row turns one padded input row of an output row `width` wide (src: the pixel of tap 0 of output pixel 0) into its
     * transform, wino_bytes() long and 64-byte aligned; conv_wino takes kh transformed rows in place of rows (src_block is not used).
     * Tiles begin at output pixel 0 of the picture's row. Not-finite inputs: docs/numerics.md. */
    size_t (*wino_bytes)(int ic, int width);
    void (*wino_row)(void *dst, const float *src, size_t src_block, int ic, int width);
    vd_row_pack_fn *pack_wino;
    vd_row_conv_fn *conv_wino;

    /* Element by element over n bytes or floats of a row (all lanes; exactly n are read and written). dst may be a source. */
    void (*add_u8)(uint8_t *dst, const uint8_t *a, const uint8_t *b, size_t n, const struct vd_row_add *p);
    void (*add_f32)(float *dst, const float *a, const float *b, size_t n);
    void (*clamp_f32)(float *dst, const float *a, size_t n, float lo, float hi);
    /* QuantizeLinear to bytes: clamp(rint(x / scale) + zp, lo, hi), a division, half to even; NaN becomes lo. */
    void (*quantize_u8)(uint8_t *dst, const float *x, size_t n, float scale, int zp, int lo, int hi);
    /* DequantizeLinear: (float)(x - zp) * scale. */
    void (*dequantize_f32)(float *dst, const uint8_t *x, size_t n, float scale, int zp);
    /* Any function of a byte: dst[i] = table[x[i]]. */
    void (*lookup_f32)(float *dst, const uint8_t *x, size_t n, const float table[256]);
    void (*lookup_u8)(uint8_t *dst, const uint8_t *x, size_t n, const uint8_t table[256]);
    /* MaxPool and AveragePool of `width` windows, taps in the order (row, tap) (ONNX MaxPool 12, AveragePool 11): of floats the largest, where NaN
     * is larger than all and the last NaN stays; means are summed in double. Nothing inside: 0, the lowest float, 0. */
    void (*max_u8)(uint8_t *dst, const uint8_t *const *src, const struct vd_row_pool *p, int width);
    void (*max_f32)(float *dst, const float *const *src, const struct vd_row_pool *p, int width);
    void (*average_f32)(float *dst, const float *const *src, const struct vd_row_pool *p, int width);
    /* Between planes (channel c at plane[c * step], elements) and a blocked row, fp32: lanes past C are 0. */
    void (*block_f32)(float *dst, size_t dst_block, const float *plane, size_t step, int channels, int width);
    void (*plane_f32)(float *plane, size_t step, const float *src, size_t src_block, int channels, int width);
};

#endif
