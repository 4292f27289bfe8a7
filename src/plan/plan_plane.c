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

/* The stream that writes the plane, when no later step reads one. */
static const struct vd_stream *writer(const struct vd_plan *p)
{
    for (int i = p->n_step - 1; i >= 0; i--) {
        const struct vd_stream *s = p->step[i].stream;
        if (s && s->plane_out)
            return s;
        if (s && s->plane_in)
            return NULL;
    }
    return NULL;
}

static void save_rows(struct vd_plan *p, const struct vd_plane *pl, size_t at, int64_t first, int64_t end)
{
    const size_t row = (size_t)pl->w * (pl->bpc > 8 ? 2 : 1);
    for (int64_t y = first; y < end; y++, at++)
        memcpy((unsigned char *)p->plane_copy + at * row, (const unsigned char *)pl->in + y * pl->in_stride, row);
}

/* In place, rows would be written that another band, or a later step, still reads: save what that is, at worst the whole plane. */
static void prepare_in_place(struct vd_plan *p, struct vd_plane *pl)
{
    const struct vd_stream *s = writer(p);
    const ptrdiff_t row = (ptrdiff_t)pl->w * (pl->bpc > 8 ? 2 : 1);
    p->saved = *pl;
    p->saved.in = p->plane_copy;
    p->saved.in_stride = row;
    if (!s || !s->halo || pl->in != pl->out || pl->in_stride != pl->out_stride) {
        save_rows(p, pl, 0, 0, pl->h);
        pl->in = p->saved.in;
        pl->in_stride = row;
        return;
    }
    p->in_place = true;
    for (int b = 0; b < s->bands; b++) {
        const struct vd_halo *h = &s->halo[b];
        const int64_t above = h->first < h->begin ? h->begin - h->first : 0;
        save_rows(p, pl, h->at, h->first, h->first + above);
        save_rows(p, pl, h->at + (size_t)above, h->end, h->last + 1);
    }
}

int vd_plan_run_plane(struct vd_plan *p, const struct vd_plane *plane)
{
    struct vd_plane pl = *plane;
    const bool in = p->cross[0].plane, out = p->cross[p->g->out[0]].plane;
    p->in_place = false;
    if (in && out && overlap(&pl))
        prepare_in_place(p, &pl);
    if (!in)
        fill_input(p, &pl);
    p->plane = &pl;
    const int rc = vd_plan_run(p);
    p->plane = NULL;
    if (!rc && !out)
        take_output(p, &pl);
    return rc;
}
