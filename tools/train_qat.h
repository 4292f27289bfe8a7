/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_QAT_H
#define VD_TRAIN_QAT_H

#include "quant/static.h"
#include "train_data.h"

/* Quantisation-aware training of a model: where its bytes are, the fp32 model as a teacher, and the files that come of it. */
struct vd_train_qat {
    const struct vd_train_config *config;
    struct vd_calibration c;
    struct vd_static_opts so;
    struct vd_static_layout layout;
    bool *fp32;               /* so.fp32 */
    char source_sha256[65];   /* of net.from */
    /* the teacher */
    const struct vd_train_data *train;
    struct vd_graph graph;
    struct vd_plan *plan;
    float *x, *target;        /* of a batch */
    size_t n_x, n_target, each; /* each: samples a run of the plan */
    uint64_t first;
};

/* begin: the bytes of net.from, which become those of its equalised form where the configuration says so. m: the same, read; it is read again then.
 * identity grows by what the ranges come from. -EPERM, -ENOTSUP: a model that cannot be quantised so. */
int vd_train_qat_begin(struct vd_train_qat *q, const struct vd_train_config *c, struct vd_buf *begin, struct vd_onnx_model *m,
                       const struct vd_train_data *train, const struct vd_kernels *k, struct vd_workers *w);
void vd_train_qat_free(struct vd_train_qat *q);

/* With a teacher or noise: the batch's samples and targets, and a vd_net_draw that hands them out (arg: q). targets: floats of one. */
bool vd_train_qat_teaches(const struct vd_train_qat *q);
int vd_train_qat_teach(struct vd_train_qat *q, size_t targets, uint64_t first);
void vd_train_qat_draw(void *arg, uint64_t sample, float *x, float *target);

/* The int8 file of the net with these parameters. */
int vd_train_qat_file(const struct vd_train_qat *q, const struct vd_net *net, const float *params, const double *state, struct vd_buf *b);
/* What `quantize static` makes of the model that training began with, by the same calibration. */
int vd_train_qat_static(const struct vd_train_qat *q, const struct vd_onnx_model *m, struct vd_buf *b);

#endif
