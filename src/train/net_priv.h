/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_NET_PRIV_H
#define VD_NET_PRIV_H

#include "kernels/grads.h"
#include "kernels/kernels.h"
#include "train/net.h"
#include "train/map.h"

/* What net_build.c makes and net_run.c runs; layer_*.c are the operators. */

enum vd_layer_kind {
    VD_LAYER_CONV,  /* with a clamp behind it, perhaps; Gemm is one of 1x1 on a picture of 1x1 */
    VD_LAYER_CLAMP, /* Relu, Clip */
    VD_LAYER_ADD,
    VD_LAYER_MEAN,  /* over height and width */
    VD_LAYER_NORM,  /* BatchNormalization */
};

enum { VD_NONE_AT = -1, VD_TRAIN_MAX_KERNEL = 64 };

struct vd_layer {
    enum vd_layer_kind kind;
    const struct vd_node *node;
    int in[2], out; /* values; in[1] of Add only */
    int64_t param[2]; /* offset of weight and bias (Conv), of scale and shift (Norm); VD_NONE_AT */
    size_t slot[2], slot_end; /* where their gradients are in a sample's slot, in the layout of the kernels */
    bool clamp;
    float lo, hi;

    /* Conv */
    struct vd_row_shape shape, back; /* back: from the gradient of the output to that of the input */
    int stride_y, dilation_y, top, left;
    struct vd_map spread;            /* stride > 1: the output's gradient with zeros between, in scratch */
    bool wino, wino_back;
    unsigned char *pack, *pack_back; /* of the weights as they are; made by vd_net_pack() */
    float *bias;                     /* padded to whole blocks; NULL without */

    /* Norm: statistics of this batch, and running ones, per channel */
    double *mean, *inv_std, *running; /* running: means, then variances, in the net's state */
    double *sum;                      /* [batch][2 * channels]: what a sample adds, forwards and then backwards */
    double *back_mean;                /* [2 * channels]: mean of g, mean of g * xhat over the batch */
    double epsilon;
};

struct vd_net_value {
    struct vd_map map;
    bool grad;              /* something behind it has parameters */
    size_t data_at, grad_at; /* offsets in a workspace, floats */

};

/* Memory of one sample under way, 64-byte aligned. */
struct vd_work {
    float *data;     /* values and gradients */
    float *scratch;  /* of one layer */
    float *x, *target, *y, *grad; /* planes of the sample: input, target, output, loss gradient */
    bool *has_grad;  /* by value: its gradient holds something */
};

static inline float *vd_value_data(const struct vd_net_value *v, const struct vd_work *w) { return w->data + v->data_at; }
static inline float *vd_value_grad(const struct vd_net_value *v, const struct vd_work *w) { return w->data + v->grad_at; }

struct vd_layer_call {
    const struct vd_layer *l;
    const struct vd_net_value *value;
    const struct vd_kernels *k;
    const struct vd_grad_kernels *g;
    const struct vd_work *w;
    float *slot; /* the sample's gradients; backwards only */
    int sample;  /* in the batch */
};

/* Backwards: the gradient of the output is there; those of the inputs are set or, when they hold something, added to. */
void vd_conv_forward(const struct vd_layer_call *c);
void vd_conv_backward(const struct vd_layer_call *c);
size_t vd_conv_scratch(const struct vd_layer *l, const struct vd_net_value *value, const struct vd_kernels *k); /* floats */
void vd_conv_pack(struct vd_layer *l, const struct vd_kernels *k, const float *params, float *turned);

void vd_clamp_forward(const struct vd_layer_call *c);
void vd_clamp_backward(const struct vd_layer_call *c);
void vd_clamp_mask(const struct vd_layer_call *c); /* the output's gradient is zero where the clamp acted */
void vd_add_forward(const struct vd_layer_call *c);
void vd_add_backward(const struct vd_layer_call *c);
void vd_mean_forward(const struct vd_layer_call *c);
void vd_mean_backward(const struct vd_layer_call *c);

/* BatchNormalization in two parts, with all samples between them. */
void vd_norm_sum(const struct vd_layer_call *c);                      /* forwards, one sample */
void vd_norm_join(struct vd_layer *l, const struct vd_map *m, int batch, double momentum);
void vd_norm_apply(const struct vd_layer_call *c, const float *params);
void vd_norm_back_sum(const struct vd_layer_call *c);                 /* backwards, one sample; its share of the parameters' gradients */
void vd_norm_back_join(struct vd_layer *l, const struct vd_map *m, int batch);
void vd_norm_back_apply(const struct vd_layer_call *c, const float *params);

/* What a step does, in order. Between those of one sample all samples meet at those of the batch. */
enum vd_net_op {
    VD_DO_BEGIN,          /* draw the sample */
    VD_DO_FORWARD,
    VD_DO_NORM_SUM,
    VD_MEET_NORM,
    VD_DO_NORM_APPLY,
    VD_DO_LOSS,
    VD_MEET_LOSS,         /* losses over the batch */
    VD_DO_LOSS_BACK,      /* the loss's gradient to the output's map */
    VD_DO_BACKWARD,
    VD_DO_NORM_BACK_SUM,
    VD_MEET_NORM_BACK,
    VD_DO_NORM_BACK_APPLY,
};

struct vd_net_todo {
    enum vd_net_op op;
    int layer;
};

struct vd_net {
    const struct vd_graph *g;
    const struct vd_kernels *k;
    const struct vd_grad_kernels *gk;
    struct vd_workers *workers;
    struct vd_net_opts o;
    struct vd_arena arena;

    struct vd_layer *layer;
    int n_layer;
    struct vd_net_value *value; /* by graph value; those without a map have map.c 0 */
    int *same;                  /* by graph value: the value that holds its data (views, and what a clamp was joined to) */
    int input, output;

    struct vd_net_param *param;
    int n_param;
    float *params, *grads, *turned;
    size_t count;
    double *state;
    size_t n_state;

    struct vd_net_todo *todo;
    int n_todo, n_forward;   /* n_forward: those up to the loss */
    int works;               /* one a worker, or one a sample where samples wait for each other */
    struct vd_work *work;
    float *slots;            /* [batch][slot]: gradients of one sample each */
    size_t slot, work_floats, scratch_floats;
    float *memory;           /* all works */
    double *losses;          /* by sample */
    float *scores, *score_targets, *score_grads; /* rank loss */
    bool batch_loss;
    int norms;
};

/* net_build.c: layers, parameters, maps, places. */
int vd_net_build(struct vd_net *n);
/* The layer whose weights are stored output_scale times as large; NULL: none. */
const struct vd_layer *vd_net_scaled(const struct vd_net *n);

#endif
