/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_SOURCES_H
#define VD_GATE_SOURCES_H

#include "gate/gate.h"

/* Samples for the gate from files: frames of clips, and stacks of arrays. Which are taken is drawn without replacement
 * (Vitter's algorithm R on vd_rng, seed), so that a clip is read once, and may come through a pipe; they are given in the file's order. */

struct vd_sources {
    struct vd_gate_source *list;
    size_t n;
    struct vd_source_body *body; /* of each */
};

struct vd_clip_opts {
    long frames; /* 0: all of them, which holds them all in memory */
    uint64_t seed;
    bool degrade;
    int w, h;            /* of raw samples; 0 */
    const char *pix_fmt; /* of raw samples, as in frames.h; NULL: gray */
};
/* y4m, what frames.h reads besides it, or an .npy stack for a model with one input. path - is y4m on standard input. Errors of
 * vd_y4m_open(), vd_frames_read() and vd_npy_load(). */
int vd_sources_add_clip(struct vd_sources *s, const char *path, const struct vd_clip_opts *c);
/* One .npy stack a named input ("NAME=FILE"), or FILE for the only input: [N,...] of the input's shape, with or without its batch of 1,
 * and [N,H,W] for [1,1,H,W]. float32, float16, or uint8, which is divided by 255. All arrays that are named make one source. */
int vd_sources_add_array(struct vd_sources *s, const char *arg, long frames, uint64_t seed);
void vd_sources_rewind(struct vd_sources *s); /* for the next model */
void vd_sources_free(struct vd_sources *s);

#endif
