/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QUANT_MEASURE_H
#define VD_QUANT_MEASURE_H

#include "common/random.h"
#include "plan/plan.h"

/* What quantising does to a model's outputs, on a few frames that are kept with what fp32 makes of them. Pictures are cut to their middle, so
 * that memory and time stay small. */
enum { VD_MEASURE_FRAMES = 16, VD_MEASURE_MOST_W = 480, VD_MEASURE_MOST_H = 360 };

struct vd_measure_frame { struct vd_tensor *in; float *out; size_t n_out; };

struct vd_quant_measure {
    const struct vd_onnx_model *fp32;
    const struct vd_kernels *kernels;
    struct vd_workers *workers;
    struct vd_measure_frame frame[VD_MEASURE_FRAMES];
    int n;
    uint64_t seen;
    struct vd_rng rng;
};

struct vd_quant_effect { double drop, sqnr_db; }; /* 1 - PLCC over all outputs; signal of fp32 over the difference */

void vd_quant_measure_init(struct vd_quant_measure *m, const struct vd_onnx_model *fp32, const struct vd_kernels *k, struct vd_workers *w);
void vd_quant_measure_free(struct vd_quant_measure *m);
/* A vd_frame_fn: keeps some of the frames, evenly drawn. */
int vd_quant_measure_frame(void *m, const struct vd_tensor *in, bool pictures);
/* After the last frame, before the first model. */
int vd_quant_measure_baseline(struct vd_quant_measure *m);
int vd_quant_measure_model(struct vd_quant_measure *m, const struct vd_onnx_model *q, struct vd_quant_effect *e);

#endif
