/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STREAM_TAKE_H
#define VD_STREAM_TAKE_H

#include "plan/steps.h"

/* What a step is when it is done by rows. */
enum vd_take {
    VD_TAKE_NONE,     /* it needs whole tensors, or has no row kernel */
    VD_TAKE_CONV,     /* a fusion */
    VD_TAKE_ADD_F32,
    VD_TAKE_ADD_U8,   /* QLinearAdd */
    VD_TAKE_CLAMP,
    VD_TAKE_EACH,     /* any other elementwise operator */
    VD_TAKE_QUANTIZE,
    VD_TAKE_DEQUANTIZE,
    VD_TAKE_TABLE,    /* a byte to a byte */
    VD_TAKE_CONCAT,
    VD_TAKE_CONCAT_U8, /* QLinearConcat */
    VD_TAKE_POOL,
    VD_TAKE_ALIAS,    /* Identity */
};
/* ConvInteger node i, its input and its sums are what streams carry, its weights and zero points constants that row kernels can have. */
bool vd_stream_takes_product(const struct vd_plan *p, int i);
enum vd_take vd_stream_take(const struct vd_plan *p, const struct vd_step *s);
/* It is the operator that vd_stream_pool_all() does, should a stream write its input. */
bool vd_stream_pools_blocks(const struct vd_plan *p, const struct vd_step *s);
static inline bool vd_stream_takes(const struct vd_plan *p, const struct vd_step *s) { return vd_stream_take(p, s) != VD_TAKE_NONE; }

#endif
