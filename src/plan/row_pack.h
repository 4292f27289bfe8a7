/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROW_PACK_H
#define VD_ROW_PACK_H

#include "graph/graph.h"
#include "kernels/kernels.h"

/* The weights of one convolution for the row kernels. */
struct vd_row_weights {
    struct vd_row_shape shape; /* stride and dilation along x are set when packed */
    const struct vd_tensor *w, *w_zp;
    void *pack;
    bool wino;                 /* pack is Winograd's */
    int32_t *sum;              /* integer: of each output channel's weights, padded with 0 to whole blocks */
    size_t bytes;              /* of pack; 0 until packed */
};

/* Can the row kernels do this convolution? w and w_zp: its constant weights and their zero point, or NULL. Two spatial dims, one
 * group or one a channel, bytes that fit a signed byte less their zero point. false: it stays on the int16 or planar kernels. */
bool vd_row_weights_init(struct vd_row_weights *r, const struct vd_tensor *w, const struct vd_tensor *w_zp, int64_t groups);
/* Pack, once. -ENOMEM. */
int vd_row_weights_pack(struct vd_row_weights *r, const struct vd_kernels *k, int stride, int dilation, struct vd_arena *a);

#endif
