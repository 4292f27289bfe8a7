/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_RESIZE_H
#define VD_RESIZE_H

/* A plane to another size by area: each output sample is the mean of the input under it, parts of samples counted by their part;
 * where the output is larger, the input's samples are as wide as they are there (a box). Sums in double, in order: the same
 * bits everywhere. This is the kernel "area" of a sidecar's input contract: models that take one size see clips through it, in training
 * and in score alike. src: w x h with rows without gaps; dst: dw x dh. All sizes at least 1. */
void vd_resize_area(float *dst, int dw, int dh, const float *src, int w, int h);

#endif
