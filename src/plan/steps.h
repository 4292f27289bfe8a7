/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STEPS_H
#define VD_STEPS_H

#include "plan/conv.h"
#include "plan/lower.h"
#include "plan/plan.h"
#include "plan/row_pack.h"
#include "plan/sample_plane.h"
#include "plan/row_stream.h"

/* One step of a run: an operator's own function, a convolution with what was fused to it, or a stream of such steps. */
struct vd_step {
    const struct vd_node *node;
    const struct vd_fusion *fusion; /* NULL: op->run */
    struct vd_op_call call;         /* in and out as the step computes: float16 widened */
    struct vd_conv conv;            /* fusion only; conv.w is set */
    struct vd_packed *repack;       /* weights that are not constant: packed in each run */
    struct vd_pair { struct vd_tensor *to; const struct vd_tensor *from; } *widen, *narrow;
    int n_widen, n_narrow;
    int *reads, *writes;            /* values; a stream's: those from outside, and all that its members write */
    int n_reads, n_writes;
    struct vd_step *member;         /* stream only: in order */
    int n_member;
    struct vd_stream *stream;
    double seconds;                 /* of a profiled plan: all runs, streams apart */
};

struct vd_plan {
    const struct vd_graph *g;
    const struct vd_kernels *kernels;
    struct vd_workers *workers;
    struct vd_arena arena;     /* as long as the plan: packed weights */
    struct vd_packed **packed; /* by node; NULL where the weights are not constant; weight NULL until it is needed */
    struct vd_row_weights **rows; /* by node; NULL where the row kernels cannot do it */
    size_t packed_bytes;
    vd_plan_saw *saw;          /* NULL: nobody observes */
    void *saw_arg;
    bool profile;

    struct vd_arena shape;     /* as long as one shape: the rest */
    bool shaped;
    struct vd_tensor *shape_in;
    bool planes;               /* shaped for vd_plan_run_plane() */
    int band_rows;             /* of streams; 0: chosen */
    struct vd_tensor *t;       /* by value */
    struct vd_cross *cross;    /* by value */
    int *made;                 /* room for vd_stream_build() */
    void *plane_copy;          /* room for a plane, for filters that work in place */
    struct vd_plane saved;     /* rows in it */
    bool in_place;             /* this run does, and streams with halos read those from it */
    const struct vd_plane *plane; /* of this run */
    struct vd_step *step;
    int n_step;
    unsigned char *memory;     /* tensors, then scratch */
    size_t memory_bytes, scratch_bytes, scratch_step;
    unsigned char *scratch;
};

/* Where a convolution's inputs are: -1 for those that its operator does not have. */
struct vd_conv_inputs { int w, x_zp, w_zp; enum vd_conv_source source; };
struct vd_conv_inputs vd_conv_inputs(const struct vd_node *n);
/* profile.c */
double vd_profile_now(void);
int vd_step_timed(struct vd_plan *p, struct vd_step *s);
/* Multiplications of one run of it. */
int64_t vd_step_macs(const struct vd_plan *p, const struct vd_step *s);
static inline const struct vd_tensor *vd_conv_input(const struct vd_op_call *c, int i) { return i >= 0 && i < c->n_in ? c->in[i] : NULL; }

/* With types, shapes and steps chosen: views, places of convolutions, lifetimes, memory. */
int vd_steps_place(struct vd_plan *p);
/* Check the weights of convolution i, as far as they are constant, and see whether the row kernels can have them. They are packed when a
 * shape first wants them. */
int vd_plan_weights(struct vd_plan *p, int i);
/* Weights of node i in the planar kernels' order, as far as they are constant: checked, and with fill also packed. */
int vd_plan_pack(struct vd_plan *p, int i, bool fill);
int vd_step_run(struct vd_plan *p, const struct vd_step *s);

#endif
