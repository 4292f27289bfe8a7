/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_RESIZE_H
#define VD_OP_RESIZE_H

#include "ops/op_util.h"

/* Resize and Upsample, once understood: what infer found out and run works with. Inside src/ops only. */
enum vd_resize_mode { VD_NEAREST, VD_LINEAR, VD_CUBIC, VD_RESIZE_MODES };
enum vd_resize_coord { VD_HALF_PIXEL, VD_PYTORCH_HALF_PIXEL, VD_ALIGN_CORNERS, VD_ASYMMETRIC, VD_TF_CROP, VD_TF_HALF_PIXEL,
                       VD_HALF_PIXEL_SYMMETRIC, VD_RESIZE_COORDS };

struct vd_resize_axis {
    int64_t in, out;
    float scale, length;  /* length: of the output before it was cut to a whole number */
    float roi[2];         /* VD_TF_CROP */
};

struct vd_resize {
    enum vd_resize_mode mode;
    enum vd_resize_coord coord;
    enum { VD_PREFER_FLOOR, VD_PREFER_CEIL, VD_FLOOR, VD_CEIL, VD_SIMPLE } nearest; /* VD_SIMPLE: before opset 11, ONNX Runtime's */
    bool exclude_outside, antialias;
    double a;             /* of the cubic */
    float outside;        /* the value beyond the picture, VD_TF_CROP */
    int rank;
    struct vd_resize_axis axis[VD_MAX_RANK];
};

/* Where output o lies in the input, as ONNX Runtime has it: formed in float32, step by step. */
float vd_resize_at(const struct vd_resize *r, const struct vd_resize_axis *a, int64_t o);
/* That place is outside, so that the result is r->outside. */
static inline bool vd_resize_beyond(const struct vd_resize *r, const struct vd_resize_axis *a, float x)
{
    return r->coord == VD_TF_CROP && !(x >= 0 && x <= (float)(a->in - 1));
}

/* The dim is left as it is. */
static inline bool vd_resize_untouched(const struct vd_resize_axis *a)
{
    return a->scale == 1 && a->in == a->out && a->roi[0] == 0 && a->roi[1] == 1;
}

/* Mode linear where no dim but the last two changes; false: not for this type or with antialias, nothing was done. */
bool vd_bilinear(const struct vd_op_call *c, const struct vd_resize *r);
/* Runs of modes linear and cubic (op_resample.c). r's axes are merged, and there is at least one element. */
void vd_resample(const struct vd_op_call *c, const struct vd_resize *r);

#endif
