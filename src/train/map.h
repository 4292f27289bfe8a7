/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_MAP_H
#define VD_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/rows.h"

/* One picture of one tensor in training: the rows of kernels/rows.h with a border of zeros all round, as wide as any
 * convolution over it reaches, so that a tap never needs a test. The border stays zero: who writes a row
 * writes its right border again, since kernels may write past the width. */
struct vd_map {
    int c, h, w;
    bool thin;     /* one element a pixel, else blocks of VD_LANES channels */
    int border;    /* pixels and rows on each side */
    size_t lanes;  /* floats a pixel: 1 or VD_LANES */
    size_t row;    /* floats from row to row */
    size_t block;  /* floats from block to block */
    int blocks;
    size_t size;   /* floats in all, a multiple of VD_LANES */
    size_t origin; /* floats before pixel (0,0) of block 0 */
};

/* slack: pixels past the right border that are read or written, never used. -ERANGE when it would be too large. */
int vd_map_init(struct vd_map *m, int c, int h, int w, bool thin, int border, int slack);

/* The same for bytes: distances and size are multiples of 64. Its border is the zero point, and is the user's to write. */
int vd_map_init_bytes(struct vd_map *m, int c, int h, int w, bool thin, int border, int slack);

static inline uint8_t *vd_map_bytes(const struct vd_map *m, uint8_t *data, int b, int y)
{
    return data + m->origin + (size_t)b * m->block + (ptrdiff_t)y * (ptrdiff_t)m->row;
}

/* Row y of block b at pixel 0; y may be in the border. */
static inline float *vd_map_row(const struct vd_map *m, float *data, int b, int y)
{
    return data + m->origin + (size_t)b * m->block + (ptrdiff_t)y * (ptrdiff_t)m->row;
}

void vd_map_mend(const struct vd_map *m, float *data, int y); /* the right border of row y is zero again */
/* Channels as planes [c][h][w], and back (border and lanes past c are left alone, and were zero). */
void vd_map_load(const struct vd_map *m, float *data, const float *planes);
void vd_map_store(const struct vd_map *m, const float *data, float *planes);

#endif
