/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_RESIZE_H
#define VD_RESIZE_H

/* A plane to another size by area: each output sample is the mean of the input under it, parts of samples counted by their part;
 * where the output is larger, the input's samples are as wide as they are there (a box). Sums in double, in order: the same
 * bits everywhere. This is the kernel "area" of a sidecar's input contract: models that take one size see clips through it, in training
 * and in score alike. src: w x h with rows without gaps; dst: dw x dh. All sizes at least 1. */
void vd_resize_area(float *dst, int dw, int dh, const float *src, int w, int h);

/* The kernel "windows": parts of a w x h plane as they are, dw x dh each, cols x rows of them spread evenly from edge to edge (one alone: the
 * middle); they overlap where there are more than fit. For what a smaller picture would not show any more. */
struct vd_windows { int cols, rows; };
enum { VD_WINDOW_COLS = 4, VD_WINDOW_ROWS = 3 };

/* As many as lie side by side, at most 4 x 3. 0 x 0: the plane is smaller than a window. */
struct vd_windows vd_windows_of(int dw, int dh, int w, int h);

/* Where window i of cols * rows begins, row by row. The plane is no smaller than a window. */
void vd_window_at(struct vd_windows g, int i, int dw, int dh, int w, int h, int *x, int *y);

#endif
