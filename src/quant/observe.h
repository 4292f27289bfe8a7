/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OBSERVE_H
#define VD_OBSERVE_H

#include "plan/plan.h"
#include "quant/calibration.h"

/* A model run frame by frame, and what its activations were. */
struct vd_observer;

/* m is parsed again from its own bytes and may go; kernels and workers stay. c has its model's digest, and groups when m is an equalised
 * form; its tensors are set here: every float32 value that quantisation may ask for, in the order of the graph. c is filled by each run.
 * -ENOTSUP: the model has no float32 activation; and those of vd_graph_build(). */
int vd_observer_open(struct vd_observer **out, const struct vd_onnx_model *m, struct vd_calibration *c, const struct vd_kernels *k,
                     struct vd_workers *w);
void vd_observer_close(struct vd_observer *o);

/* One frame: a tensor for each input of the model, data given. pictures: the float inputs are samples of 0..1 by contract, which their
 * ranges then are. Memory does not grow with frames; the result depends neither on threads nor on the order of frames.
 * -ERANGE: a value is not finite or over 2^40 in magnitude, by name, and c is then not to be used; and those of vd_plan_shape() and
 * vd_plan_run(). */
int vd_observer_run(struct vd_observer *o, const struct vd_tensor *in, bool pictures);

/* Inputs and outputs of m, and the tensors of the last run; for measuring one model against another. */
int vd_observer_n_out(const struct vd_observer *o);
const struct vd_tensor *vd_observer_output(const struct vd_observer *o, int i);

#endif
