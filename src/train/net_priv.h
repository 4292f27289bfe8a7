/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_NET_PRIV_H
#define VD_NET_PRIV_H

#include "kernels/grads.h"
#include "kernels/kernels.h"
#include "train/net.h"
#include "train/map.h"

/* What net_build.c makes and net_run.c runs, net_quant.c where it is quantised; layer_*.c are the operators. */

enum vd_layer_kind {
    VD_LAYER_CONV,  /* with a clamp behind it, perhaps; Gemm is one of 1x1 on a picture of 1x1 */
    VD_LAYER_CLAMP, /* Relu, Clip */
    VD_LAYER_ADD,
    VD_LAYER_MEAN,  /* over height and width */
    VD_LAYER_NORM,  /* BatchNormalization */
    VD_LAYER_ROUND, /* a float value to bytes, for those who read bytes */
};

enum { VD_NONE_AT = -1, VD_TRAIN_MAX_KERNEL = 64 };

struct vd_layer {
    enum vd_layer_kind kind;
    const struct vd_node *node;
    int in[2], out; /* values; in[1] of Add and of a convolution of two inputs */
    bool two;       /* there is in[1] */
    int64_t param[2]; /* offset of weight and bias (Conv), of scale and shift (Norm); VD_NONE_AT */
    size_t slot[2], slot_end; /* where their gradients are in a sample's slot, in the layout of the kernels */
    bool clamp;
    float lo, hi;

    /* Quantised: in[] are bytes. The result is bytes where its value has a range, else float. */
    bool quant;
    size_t slot_range;               /* gradient of its range: of the scale's logarithm, of the zero point's share */
    struct vd_row_shape shape_u8;
    int8_t *q;                       /* weights of this step, and what they stand for */
    float *w_scale, *w_dq, *tail_scale[2]; /* by input */
    int32_t *bias_q, *bias32[2];

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
    /* Quantised: data is what the bytes stand for. */
    int range;              /* VD_NONE_AT: float */
    size_t steps_at;        /* before it was rounded, in steps of the scale; laid out as data */
    struct vd_map bytes;
    size_t bytes_at;
    bool clamped;           /* before it is rounded */
    float clamp_lo, clamp_hi;
    int lo, hi;             /* bytes of this step that it is clipped to */
};

/* A range of activations. */
struct vd_net_range {
    const struct vd_static_spot *spot;
    int64_t param;          /* VD_NONE_AT: not learned */
    bool from_zero;         /* the zero point stays 0 */
    double *seen;           /* moving averages of least and greatest, in the net's state; NULL */
    float scale;            /* of this step */
    int zp;
};

/* Memory of one sample under way, 64-byte aligned. */
struct vd_work {
    float *data;     /* values and gradients */
    float *scratch;  /* of one layer */
    float *x, *target, *y, *grad; /* planes of the sample: input, target, output, loss gradient */
    bool *has_grad;  /* by value: its gradient holds something */
    uint8_t *bytes;
    int *border;     /* by value: the zero point that the border of its bytes holds; -1 */
};

static inline float *vd_value_data(const struct vd_net_value *v, const struct vd_work *w) { return w->data + v->data_at; }
static inline float *vd_value_steps(const struct vd_net_value *v, const struct vd_work *w) { return w->data + v->steps_at; }
static inline uint8_t *vd_value_bytes(const struct vd_net_value *v, const struct vd_work *w) { return w->bytes + v->bytes_at; }
static inline float *vd_value_grad(const struct vd_net_value *v, const struct vd_work *w) { return w->data + v->grad_at; }

struct vd_layer_call {
    const struct vd_layer *l;
    const struct vd_net_value *value;
    const struct vd_kernels *k;
    const struct vd_grad_kernels *g;
    const struct vd_work *w;
    const struct vd_net_range *range;
    float *slot; /* the sample's gradients; backwards only */
    float *seen; /* [ranges][2]: least and greatest of the sample; NULL */
    int sample;  /* in the batch */
};

/* Backwards: the gradient of the output is there; those of the inputs are set or, when they hold something, added to. */
void vd_conv_forward(const struct vd_layer_call *c);
void vd_conv_backward(const struct vd_layer_call *c);
size_t vd_conv_scratch(const struct vd_layer *l, const struct vd_net_value *value, const struct vd_kernels *k); /* floats */
/* w: the weights. */
void vd_conv_pack(struct vd_layer *l, const struct vd_kernels *k, const float *w, const float *bias, float *turned);

/* The gradient of value `to` becomes that of value `from`, of the same shape, or grows by it. */
void vd_give_gradient(const struct vd_layer_call *c, int to, int from);
void vd_clamp_forward(const struct vd_layer_call *c);
void vd_clamp_backward(const struct vd_layer_call *c);
void vd_clamp_mask(const struct vd_layer_call *c); /* the output's gradient is zero where the clamp acted */
void vd_add_forward(const struct vd_layer_call *c);
void vd_add_backward(const struct vd_layer_call *c);
void vd_mean_forward(const struct vd_layer_call *c);
void vd_mean_backward(const struct vd_layer_call *c);

/* layer_quant.c. Where the output has a range: forwards rounds it, backwards gives the range's gradient and clips the output's, before the
 * layer's own backwards. */
void vd_quant_conv_forward(const struct vd_layer_call *c);
void vd_quant_add_forward(const struct vd_layer_call *c);
void vd_quant_mean_forward(const struct vd_layer_call *c);
void vd_round_forward(const struct vd_layer_call *c);
void vd_quant_mask(const struct vd_layer_call *c);
void vd_round_backward(const struct vd_layer_call *c);

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
    struct vd_net_value *value; /* by graph value, then what VD_LAYER_ROUND makes; those without a map have map.c 0 */
    int n_value;
    struct vd_net_range *range;
    int n_range;
    size_t work_bytes;          /* bytes of a sample's values */
    float *seen;                /* [batch][ranges][2] */
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
int vd_net_refuse(const struct vd_node *n, const char *why);
static inline void *vd_net_take(struct vd_net *n, size_t count, size_t size) { return vd_arena_array(&n->arena, count ? count : 1, size); }
/* The value that holds v's data. */
static inline int vd_net_root(const struct vd_net *n, int v)
{
    while (n->same[v] != v)
        v = n->same[v];
    return v;
}

/* net_quant.c: the layout's bytes. Layers and ranges, after the graph's layers are known; t are shapes by value, with room for the new ones. */
int vd_net_quantise(struct vd_net *n, struct vd_tensor *t);
int vd_net_place_bytes(struct vd_net *n);                    /* after the maps are made */
int vd_net_place_quant(struct vd_net *n, struct vd_layer *l); /* a layer's own memory */
void vd_net_begin_ranges(struct vd_net *n, size_t *state);   /* as the layout has them */
void vd_net_set_ranges(struct vd_net *n);                    /* of this step */
void vd_conv_round_weights(struct vd_net *n, struct vd_layer *l); /* of this step */
void vd_net_see_ranges(struct vd_net *n);                    /* a batch's extremes into the averages */
/* The layer whose weights are stored output_scale times as large; NULL: none. */
const struct vd_layer *vd_net_scaled(const struct vd_net *n);

#endif
