/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_H
#define VD_CONV_H

#include "kernels/kernels.h"
#include "ops/op.h"

/* Weights of one convolution in the order that the kernels read:
 * [group][block of VD_OC_BLOCK output channels][tap][channel in block], fp32, or
 * int16 pairs of input channels less the zero point. A tap is (channel or pair, ky, kx). */
struct vd_packed {
    bool integer;
    int groups, oc, ic; /* output and input channels of a group */
    int kh, kw;
    int blocks, taps;   /* of a group */
    size_t bytes;
    void *weight;
};

/* Geometry and size from the weights' shape; weight is left NULL. w_zp may be NULL; its element count is 1 or M.
 * -ERANGE: a sum that might not fit 32 bits (for constant weights the exact bound, else the worst case). */
int vd_packed_init(struct vd_packed *p, const struct vd_tensor *w, const struct vd_tensor *w_zp, int64_t groups);
/* Fill p->weight, which has p->bytes, from the data of w and w_zp. */
void vd_packed_fill(struct vd_packed *p, const struct vd_tensor *w, const struct vd_tensor *w_zp);

enum vd_conv_source {
    VD_FROM_F32,      /* fp32 convolution */
    VD_FROM_DYNAMIC,  /* fp32 quantised by its own range: the whole dynamic-int8 pattern */
    VD_FROM_8BIT,     /* ConvInteger alone: int32 out */
    VD_FROM_QLINEAR,  /* QLinearConv: 8 bits in, 8 bits out */
};

/* A convolution placed: shapes, bands, taps, and the tensors it works on. */
struct vd_conv {
    const struct vd_packed *w;
    enum vd_conv_source source;
    int64_t batch, ih, iw, oh, ow;
    int sy, sx, dy, dx, top, left;
    int band_rows, bands;      /* output rows a band, bands a picture */
    int band_in;               /* input rows that a whole band needs */
    size_t row;                /* scratch elements or pairs of one phase of one row */
    uint32_t *tap;             /* [taps] */
    size_t scratch;            /* bytes that one worker needs */

    const struct vd_tensor *x, *x_zp, *residual; /* x_zp: of 8-bit sources, NULL is zero */
    struct vd_tensor *out;
    const float *bias;         /* [groups * oc] or NULL */
    const float *w_scale;      /* VD_FROM_DYNAMIC: [groups * oc] */
    float *scale;              /* VD_FROM_DYNAMIC, VD_FROM_QLINEAR: room for [groups * oc] */
    const struct vd_tensor *q[4]; /* VD_FROM_QLINEAR: x_scale, w_scale, y_scale, y_zero_point */
    const struct vd_tensor *bias32; /* VD_FROM_QLINEAR: [groups * oc] or NULL */
    size_t sums;               /* VD_FROM_QLINEAR: offset in scratch of one block's int32 sums */
    struct vd_conv_tail tail;  /* clamps only; pointers are set for each call */
};

/* From the window and the tensors' shapes; threads for the size of bands; taps from a. */
int vd_conv_place(struct vd_conv *c, const struct vd_window *win, int threads, struct vd_arena *a);

/* scratch: one area of scratch_step bytes for each worker, 64-byte aligned.
 * -ERANGE when the activations that are to be quantised are not finite. */
int vd_conv_run(const struct vd_conv *c, const struct vd_kernels *k, struct vd_workers *w, unsigned char *scratch, size_t scratch_step);

#endif
