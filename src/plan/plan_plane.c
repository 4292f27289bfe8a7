/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "plan/steps.h"

/* A filter from plane to plane. Where streams have both ends, rows go straight; where another step wants a tensor, it is filled and read here. */

enum { CHUNK = 512 };

/* A tensor from the plane, where some step wants a tensor. */
static void fill_input(struct vd_plan *p, const struct vd_plane *pl)
{
    struct vd_tensor *x = &p->t[0];
    float temp[CHUNK]; /* only where the model stores float16 */
    const size_t w = (size_t)pl->w;
    for (int y = 0; y < pl->h; y++)
        for (size_t at = 0; at < w; at += x->type == VD_F32 ? w : CHUNK) {
            const size_t n = x->type == VD_F32 || w - at < CHUNK ? w - at : CHUNK, to = (size_t)y * w + at;
            vd_plane_load(pl, p->kernels, x->type == VD_F32 ? (float *)x->data + to : temp, at, y, n);
            for (size_t i = 0; x->type != VD_F32 && i < n; i++)
                ((uint16_t *)x->data)[to + i] = vd_f16_from_f32(temp[i]);
        }
}

static void take_output(struct vd_plan *p, const struct vd_plane *pl)
{
    const struct vd_tensor *t = vd_plan_output(p, 0);
    float temp[CHUNK];
    const size_t w = (size_t)pl->w;
    for (int y = 0; y < pl->h; y++)
        for (size_t at = 0; at < w; at += t->type == VD_F32 ? w : CHUNK) {
            const size_t n = t->type == VD_F32 || w - at < CHUNK ? w - at : CHUNK, from = (size_t)y * w + at;
            for (size_t i = 0; t->type != VD_F32 && i < n; i++)
                temp[i] = vd_f32_from_f16(((const uint16_t *)t->data)[from + i]);
            vd_plane_store(pl, p->kernels, t->type == VD_F32 ? (const float *)t->data + from : temp, at, y, n);
        }
}

/* Do the two planes share a byte? */
static bool overlap(const struct vd_plane *pl)
{
    const ptrdiff_t row = (ptrdiff_t)pl->w * (pl->bpc > 8 ? 2 : 1), down = pl->h - 1;
    const uintptr_t in = (uintptr_t)pl->in, out = (uintptr_t)pl->out;
    const uintptr_t in0 = pl->in_stride < 0 ? in + (uintptr_t)(down * pl->in_stride) : in, out0 = pl->out_stride < 0 ? out + (uintptr_t)(down * pl->out_stride) : out;
    const uintptr_t in1 = (pl->in_stride < 0 ? in : in + (uintptr_t)(down * pl->in_stride)) + (uintptr_t)row;
    const uintptr_t out1 = (pl->out_stride < 0 ? out : out + (uintptr_t)(down * pl->out_stride)) + (uintptr_t)row;
    return in0 < out1 && out0 < in1;
}

int vd_plan_run_plane(struct vd_plan *p, const struct vd_plane *plane)
{
    struct vd_plane pl = *plane;
    const bool in = p->cross[0].plane, out = p->cross[p->g->out[0]].plane;
    const size_t row = (size_t)pl.w * (pl.bpc > 8 ? 2 : 1);
    if (in && out && overlap(&pl)) { /* rows would be written that another band, or a later step, still reads */
        for (int y = 0; y < pl.h; y++)
            memcpy((unsigned char *)p->plane_copy + (size_t)y * row, (const unsigned char *)pl.in + y * pl.in_stride, row);
        pl.in = p->plane_copy;
        pl.in_stride = (ptrdiff_t)row;
    }
    if (!in)
        fill_input(p, &pl);
    p->plane = &pl;
    const int rc = vd_plan_run(p);
    p->plane = NULL;
    if (!rc && !out)
        take_output(p, &pl);
    return rc;
}
