/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SAMPLE_PLANE_H
#define VD_SAMPLE_PLANE_H

#include "kernels/kernels.h"

/* The caller's planes of a filter: 8 bits a sample, or 9 to 16 in the low bits of 16. Strides in bytes, of either sign. */
struct vd_plane {
    const void *in;
    void *out;
    ptrdiff_t in_stride, out_stride;
    int w, h, bpc;
};

/* n samples of row y from x on: v / (2^bpc - 1), at most 1; and back, rint half to even, clamped. */
void vd_plane_load(const struct vd_plane *p, const struct vd_kernels *k, float *dst, size_t x, int y, size_t n);
void vd_plane_store(const struct vd_plane *p, const struct vd_kernels *k, const float *src, size_t x, int y, size_t n);
/* The lowest and highest of row y as floats. */
void vd_plane_range(const struct vd_plane *p, const struct vd_kernels *k, int y, float range[2]);

#endif
