/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_NET_H
#define VD_NET_H

#include "common/workers.h"
#include "graph/graph.h"
#include "kernels/kernels.h"
#include "quant/static.h"
#include "train/loss.h"

/* A graph that can be trained: its float initialisers that feed Conv, Gemm and BatchNormalization are the parameters, and a step runs
 * a batch forwards and backwards to their gradients.
 *
 * Operators: Conv (2-D; one group, or one group a channel; strides, dilations, pads, any kernel), Relu, Clip with
 * constant bounds, Add of equal shapes, GlobalAveragePool (and ReduceMean over height and width), Gemm (transB 1, alpha and beta 1),
 * BatchNormalization with the statistics of the batch, Flatten, Squeeze, Reshape to [N,C], Identity. One float input [N,C,H,W], one
 * output. A Clip or Relu that makes the output is left out: its gradient is zero where it acts, and a model that is
 * trained without it learns to stay inside.
 *
 * Samples are independent but for BatchNormalization and losses over a batch. Gradients are summed in the order of the samples,
 * so that a result does not depend on the number of threads. It does depend on the kernel set (fused
 * multiply-adds, Winograd).
 *
 * Quantisation-aware, with opts.layout: what the static form has in bytes is in bytes here too, by the arithmetic of the file that
 * vd_quantize_static() makes of vd_net_store() with the ranges of vd_net_ranges() and no bias correction (docs/numerics.md): the same bits, but
 * for means that stay float. Weights are rounded with the scales that they have at each step. Gradients go straight through a rounding, and are zero
 * where it clips (Bengio et al., 2013). Ranges are, as opts.ranges says,
 *   learned   their scale's gradient is (rint(v) - v) inside, v in steps, and the end of the range outside (Esser et al., Learned Step Size
 *             Quantization, ICLR 2020), their zero point's is -scale outside (Bhalgat et al., LSQ+, CVPR workshops 2020); what is learned is the
 *             scale's logarithm (Jain et al., TQT, MLSys 2020) and the zero point's share of 255. A zero point of 0 stays, and so does the range of
 *             a contract.
 *   average   moving averages of the least and the greatest value of each batch (Jacob et al., CVPR 2018)
 *   fixed     what the layout says */
struct vd_net;

/* A parameter: one initialiser. */
struct vd_net_param {
    const char *name;
    size_t offset, count; /* in vd_net_params() */
    bool decay;           /* weights; biases, scales and shifts are not decayed */
    bool range;           /* of an activation: logarithm of the scale, zero point / 255; name is the tensor's */
};

enum vd_net_range_mode { VD_RANGES_LEARNED, VD_RANGES_AVERAGE, VD_RANGES_FIXED };

struct vd_net_opts {
    int height, width;  /* of a training input */
    int batch;          /* samples a step, at least 1 */
    struct vd_loss loss;
    double output_scale; /* not 0: what the net makes in training is its output divided by this, so that scores of 0 to 100 are learned as 0
                          * to 1. The last layer must be a Conv or Gemm without a clamp; its weights are divided at the start and multiplied
                          * when they are stored. */
    const struct vd_static_layout *layout; /* quantisation-aware; of g's model, must outlive the net; NULL: in float32 */
    enum vd_net_range_mode ranges;
    double range_momentum; /* share of a batch in a moving average of ranges */
    double norm_momentum; /* BatchNormalization: share of the batch in the running mean and variance; 0.1 in most trainers */
};

/* g, its model, kernels and workers (may be NULL) must outlive the net. -EPERM: an operator or a form that cannot be
 * trained, by name; -ERANGE: a size that the graph cannot take. */
int vd_net_create(struct vd_net **out, const struct vd_graph *g, const struct vd_net_opts *o, const struct vd_kernels *k, struct vd_workers *w);
void vd_net_free(struct vd_net *n);

size_t vd_net_count(const struct vd_net *n);    /* parameters, in floats */
float *vd_net_params(struct vd_net *n);         /* to be read and changed between steps */
const float *vd_net_grads(const struct vd_net *n);
const struct vd_net_param *vd_net_table(const struct vd_net *n, int *count);
/* Running means and variances of the BatchNormalizations, moving averages of ranges: state beside the parameters. NULL and 0 when there are none. */
double *vd_net_state(struct vd_net *n, size_t *count);

size_t vd_net_input_count(const struct vd_net *n);  /* floats of one sample: C * H * W */
size_t vd_net_target_count(const struct vd_net *n); /* floats of one target: the output's */

/* Sample number `sample` of the run into x (planes) and its target; called from several threads at once. */
typedef void vd_net_draw(void *arg, uint64_t sample, float *x, float *target);

/* Forwards over samples first..first + batch - 1, the loss (mean over the batch), and, when backward, the gradients.
 * -EDOM: the loss is not finite. */
int vd_net_step(struct vd_net *n, vd_net_draw *draw, void *arg, uint64_t first, bool backward, double *loss);

/* The running means and variances of the BatchNormalizations as the means over so many batches of samples first and on, with the parameters as they
 * are ("precise", Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021): moving averages lag behind parameters that change, and belong to no
 * average of them. Nothing else changes. -EDOM as above; the statistics are of no use then. */
int vd_net_norm_state(struct vd_net *n, vd_net_draw *draw, void *arg, uint64_t first, int batches);

/* One sample forwards: y has vd_net_target_count() floats. Not where samples wait for each other (BatchNormalization, rank loss): -EINVAL. */
int vd_net_forward(struct vd_net *n, const float *x, float *y);

/* Ranges of the activations as overrides of the static form, one for each range; returns their number. params and state as below. out: NULL, or room
 * for so many. */
int vd_net_ranges(const struct vd_net *n, const float *params, const double *state, struct vd_static_override *out);

/* The model with the parameters as they are now; BatchNormalization behind a convolution is folded into it, with the running
 * statistics. out shares the source's strings, owns its data, and is freed with vd_onnx_free(). The source must
 * outlive it. params and state may be others than the net's own (the best so far). */
int vd_net_store(const struct vd_net *n, const float *params, const double *state, struct vd_onnx_model *out);

#endif
