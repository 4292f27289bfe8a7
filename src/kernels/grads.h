/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GRADS_H
#define VD_GRADS_H

#include "kernels/rows.h"

/* What training needs besides the row kernels of rows.h (a gradient with respect to the input of a convolution is a convolution
 * with turned weights): the gradient with respect to the weights, from rows in the layout of rows.h. fp32, sums along x in order.
 *
 * vd_row_grad: for one row of output gradients g and the kh rows of input under it (src as for vd_row_conv_fn),
 *     dw[oc][ic][ky][kx] += sum over x of g[oc][x] * src[ky][ic][x * stride + kx * dilation]
 * dw is in blocks, so that a vector of channels is contiguous:
 *     dense      [oc block][ic block][ky][kx][ic in block][oc in block]
 *     first      [oc block][ky][kx][oc in block]
 *     last       [ic block][ky][kx][ic in block]
 *     depthwise  [block][ky][kx][channel in block]
 * Nothing past width is read. Lanes past C of g and src are 0 or finite, and what they add to dw means nothing. */
typedef void vd_row_grad_fn(const struct vd_row_shape *s, float *dw, const float *g, size_t g_block, const void *const *src, size_t src_block,
                            int width);

/* Floats of dw. */
size_t vd_row_grad_size(const struct vd_row_shape *s);
/* dw in blocks to [oc][ic][kh][kw] (depthwise [oc][1][kh][kw]): w += dw. */
void vd_row_grad_add(const struct vd_row_shape *s, float *w, const float *dw);

struct vd_grad_kernels {
    vd_row_grad_fn *weight[VD_ROW_KINDS];
};

/* By the name of a kernel set. */
const struct vd_grad_kernels *vd_grad_kernels(const char *set);

#endif
