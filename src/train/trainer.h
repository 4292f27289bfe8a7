/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAINER_H
#define VD_TRAINER_H

#include "train/net.h"

/* AdamW (Loshchilov and Hutter, ICLR 2019: decay apart from the gradient) with a linear warm-up and a cosine from lr to lr_end, the
 * gradient's norm clipped; and what must survive a kill: step, moments, parameters, the best so far. */
struct vd_train_opts {
    uint64_t steps, warmup;
    double lr, lr_end, weight_decay, beta1, beta2, epsilon;
    double clip_norm; /* of the whole gradient but that of ranges; 0: not clipped */
    double range_rate; /* of ranges: this times the rate */
    double average;    /* not 0: an exponential moving average of parameters and state is what is judged and kept, this much of it staying at each
                        * step; the mean of all of them while they are few, min(average, 1 - 1 / (step + 1)) (Tarvainen and Valpola, Mean teachers,
                        * NeurIPS 2017) */
    int norm_batches;  /* not 0: what is judged and kept has statistics of BatchNormalization that vd_net_norm_state() makes of so many batches */
};

struct vd_trainer {
    struct vd_net *net; /* not owned */
    struct vd_train_opts o;
    uint64_t step;      /* steps done */
    float *m, *v;       /* moments */
    float *mean;        /* moving average of the parameters; NULL without o.average */
    double *mean_state;
    float *put_by;      /* the net's parameters and state while vd_trainer_settle() runs; NULL without o.norm_batches */
    double *put_by_state;
    double *settled;    /* what it made; not in a checkpoint */
    float *best;        /* parameters at the best validation; those at the start before there was one */
    double *best_state;
    uint64_t best_step;
    double best_score;  /* -INFINITY before there was one */
};

int vd_trainer_init(struct vd_trainer *t, struct vd_net *net, const struct vd_train_opts *o);
void vd_trainer_free(struct vd_trainer *t);

double vd_trainer_rate(const struct vd_trainer *t); /* of the next step */

/* One step on samples step * batch and on. The net's parameters are changed. -EDOM: not finite; nothing is changed then. */
int vd_trainer_step(struct vd_trainer *t, vd_net_draw *draw, void *arg, int batch, double *loss, double *grad_norm);

/* Before what is judged or stored is asked for: the statistics of o.norm_batches batches of the run's first samples. The net is as it was afterwards.
 * -EDOM as vd_net_step(). */
int vd_trainer_settle(struct vd_trainer *t, vd_net_draw *draw, void *arg);

/* What is judged, and stored: the averages, or without them the net's parameters and state (vd_net_params(), vd_net_state()) as they are; of the
 * state what vd_trainer_settle() made of it. */
const float *vd_trainer_params(const struct vd_trainer *t);
const double *vd_trainer_state(const struct vd_trainer *t);

/* These are the best when score is higher than the best one's. */
bool vd_trainer_judge(struct vd_trainer *t, double score);

/* Everything to a file, atomically, and back. identity: 32 bytes that say what is trained on what (a digest of configuration and
 * data). -EBADMSG: not such a file, or damaged (it ends in a digest); -EINVAL: of another identity or net; -ENOENT. */
int vd_trainer_save(const struct vd_trainer *t, const char *path, const uint8_t identity[32]);
int vd_trainer_load(struct vd_trainer *t, const char *path, const uint8_t identity[32]);

#endif
