/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_EXPLAIN_H
#define VD_EXPLAIN_H

#include "gate/gate.h"
#include "gate/layers.h"

/* What each quantised layer costs, measured on the samples that the gate kept. Pictures over the model's own size are cut to it, about the
 * largest difference: every value of the graph is observed at once. */

struct vd_cost {
    const struct vd_layer *layer;
    size_t elements;                  /* of its output, in one sample */
    /* fp32's output a, int8's output b: of the layer alone on what the fp32 graph gives it; of the int8 graph as it runs; and of the
     * model's outputs when this layer alone is int8 and everything else fp32. */
    struct vd_compare alone, cumulative, effect;
    bool has_alone, has_cumulative, has_effect; /* false: it would not run, why says what it said */
    const char *why;
};
/* 1 - PLCC of the model's outputs when the layer alone is int8; INFINITY: they are constant or not finite then; NaN without figures. */
double vd_cost_drop(const struct vd_cost *c);
/* 10 log10 of signal over error; INFINITY without an error, NaN without figures. */
double vd_sqnr(const struct vd_compare *c);

enum { VD_BINS = 64, VD_EXPLAIN_NOISE = 4 };
struct vd_range { /* an activation that is rounded, in the fp32 graph */
    const struct vd_rounded *rounded;
    double lo, hi;            /* of the values */
    double bin_lo, bin_hi;    /* of the histogram: values and range together */
    uint64_t bin[VD_BINS];
    uint64_t n, outside;      /* values; those that the static range cannot hold */
    uint64_t noise_n, noise_outside; /* the same on VD_EXPLAIN_NOISE samples of noise, which no calibration on pictures has seen */
};

struct vd_explain {
    struct vd_arena arena;
    struct vd_layers layers;
    uint8_t *data[2];         /* the two files */
    struct vd_onnx_model model[2];
    struct vd_cost *cost; int n_cost;     /* quantised layers, in the graph's order */
    struct vd_range *range; int n_range;
    int *order;                           /* cost, dearest first: by effect, else by alone */
    int n_sample;
};

/* r: of vd_gate() with keep, not skipped. -EKEYREJECTED: a file is another by now. On failure e is empty. */
int vd_explain(const struct vd_gate_result *r, const struct vd_gate_opts *o, struct vd_explain *e);
void vd_explain_free(struct vd_explain *e);

/* trace.c: one run of the int8 file as it runs, and then layer by layer, each between the values that both graphs have. Microseconds. */
struct vd_trace_event {
    const char *name, *op;   /* the int8 node's */
    int index;               /* in the file */
    double start, duration;
    const struct vd_layer *layer;
    size_t in_bytes, out_bytes, weight_bytes;
    struct { int type, rank; int64_t dim[VD_MAX_RANK]; } in[8], out;
    int n_in;
};
struct vd_trace {
    struct vd_arena arena;
    double run_start, run_duration; /* of the session */
    struct vd_trace_event *event;
    int n_event;
};
int vd_trace(const struct vd_gate_result *r, const struct vd_gate_opts *o, const struct vd_explain *e, struct vd_trace *t);
void vd_trace_free(struct vd_trace *t);

/* Inside: one kept sample as tensors, at most w x h where it is a picture. Data is in the arena. */
int vd_explain_sample(const struct vd_gate_result *r, int kept, struct vd_arena *a, struct vd_tensor **in);

#endif
