/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SESSION_H
#define VD_SESSION_H

#include "graph/graph.h"
#include "plan/plan.h"
#include "trust/trust.h"
#include "vmaf_dnn/vmaf_dnn.h"

/* session.c opens and tells, session_run.c runs. */
struct vmaf_dnn_session {
    struct vd_resolved file;
    struct vd_onnx_model model; /* points into file.data */
    struct vd_graph graph;      /* points into model */
    struct vd_plan *plan;
    struct vd_workers *workers;
    const struct vd_kernels *kernels;
    bool baseline;
    bool any_size;              /* height and width of the file do not bind: convolution-only */
    struct vd_tensor *shape;    /* one per input: the request that is being made */
};

/* Would these bytes open, once found? side: what knows the size to try where the model's is symbolic; NULL: nothing. */
int vd_session_try(const uint8_t *data, size_t size, const struct vd_sidecar *side);

#endif
