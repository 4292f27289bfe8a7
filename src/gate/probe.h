/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_PROBE_H
#define VD_PROBE_H

#include "common/workers.h"
#include "graph/graph.h"
#include "kernels/kernels.h"
#include "plan/plan.h"

/* A part of a model that runs alone: given values of the file go in, and given values come out. It is a copy of the model whose inputs and
 * outputs are those, run as any model is; what is observed is an output, and so is never fused away. */

/* A value of the file. A quantised one is given and taken in float, through the scale and zero point of these names; else both NULL. */
struct vd_probe_value {
    const char *name, *scale, *zero_point;
    int type; /* of an input, as it is given: 0 is float32 */
};

struct vd_probe {
    struct vd_arena arena;
    struct vd_onnx_model model; /* shares the source's everything but what is in arena */
    struct vd_graph graph;
    struct vd_plan *plan;
    struct vd_tensor *shape;
};

/* The model must outlive the probe. -EBADMSG where a value is not there; others as vd_graph_build(). On failure p is empty. */
int vd_probe_open(struct vd_probe *p, const struct vd_onnx_model *m, const struct vd_probe_value *in, int n_in, const struct vd_probe_value *out,
                  int n_out, const struct vd_kernels *k, struct vd_workers *w);
/* in: by input; dims are taken from it. Outputs hold until the next run. */
int vd_probe_run(struct vd_probe *p, const struct vd_tensor *const *in);
const struct vd_tensor *vd_probe_output(const struct vd_probe *p, int i);
void vd_probe_close(struct vd_probe *p);

#endif
