/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_PLAN_H
#define VD_PLAN_H

#include "common/workers.h"
#include "graph/graph.h"
#include "kernels/kernels.h"
#include "plan/sample_plane.h"

/* From a graph to something that runs. Made once (lowering, packed weights), shaped
 * for each size of input (shapes, lifetimes, arena), run any number of times. */
struct vd_plan;

struct vd_plan_info {
    int convs, convs_int8;     /* convolutions (and matrix products), and those that run in integers */
    int64_t macs;              /* multiplications of one run at the shaped size */
    size_t arena_bytes, packed_bytes, scratch_bytes;
    int steps;
};

/* The graph is lowered in place and must outlive the plan; so must kernels and
 * workers (which may be NULL). */
int vd_plan_create(struct vd_plan **out, struct vd_graph *g, const struct vd_kernels *k, struct vd_workers *w);
void vd_plan_free(struct vd_plan *p);

/* Give each graph input its shape (type, rank, dims; one per input, in order).
 * Allocates; a shape equal to the last one returns at once. After a failure the plan has no
 * shape. -ENOTSUP or -ERANGE: the model cannot take that shape, which operator says so is in the reason. */
int vd_plan_shape(struct vd_plan *p, const struct vd_tensor *in);

/* The same for a filter that takes its one input from a plane and gives its one output to one: neither has to be a tensor then. Only
 * vd_plan_run_plane() may follow; vd_plan_output()'s data is not there. */
int vd_plan_shape_plane(struct vd_plan *p, const struct vd_tensor *in);

/* Where the caller writes input i and reads output i; valid until the next vd_plan_shape(). */
struct vd_tensor *vd_plan_input(struct vd_plan *p, int i);
const struct vd_tensor *vd_plan_output(const struct vd_plan *p, int i);

/* Let the next vd_plan_run() read input i at data, which holds as many elements of its type as vd_plan_input(). false: it wants a copy there. */
bool vd_plan_lend(struct vd_plan *p, int i, const void *data);

/* Before the first vd_plan_shape(): from now on nothing is fused, each node is a step of its own, and saw is called with the graph's value
 * and its tensor for each input when a run begins and for each value when it was written. What saw returns other than 0 ends the run. */
typedef int vd_plan_saw(void *arg, int value, const struct vd_tensor *t);
void vd_plan_observe(struct vd_plan *p, vd_plan_saw *saw, void *arg);

/* Allocates nothing. -ERANGE: an activation that is to be quantised is not finite. */
int vd_plan_run(struct vd_plan *p);
/* plane is of the shape's size; in and out may be the same. */
int vd_plan_run_plane(struct vd_plan *p, const struct vd_plane *plane);

/* For tests: rows that a worker makes at a time in a row stream, of its highest output; 0: chosen (results do not depend on it); VD_NO_STREAMS:
 * every step on whole tensors. Takes effect with the next vd_plan_shape(). */
enum { VD_NO_STREAMS = -1 };
void vd_plan_set_band_rows(struct vd_plan *p, int rows);

void vd_plan_info(const struct vd_plan *p, struct vd_plan_info *info);

/* --- profile.c: what the time of runs goes to --- */

/* A step, or an operation on the rows of a stream. */
struct vd_plan_part {
    const char *node, *what; /* the node's name in the file, or its output's; its operator, or what a stream does beside it: load, quantize, ... */
    int64_t macs, bytes;     /* of one run: multiplications; every element that it reads and writes once, weights left out */
    int64_t tail_macs;       /* multiplications of second products (two bytes, tails), which are left out where they add nothing: of all runs, as seconds */
    double seconds;          /* of all runs since the shape was given, added over the workers */
};
/* From the next vd_plan_shape() on, which shapes anew, each part of a run is timed, by two looks at the clock for each row. */
void vd_plan_profile(struct vd_plan *p);
/* Part i of a shaped plan that is profiled, in the order in which they begin; false past the end. */
bool vd_plan_part(const struct vd_plan *p, int i, struct vd_plan_part *part);

#endif
