/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_DATA_H
#define VD_TRAIN_DATA_H

#include "common/workers.h"
#include "train_config.h"

/* Pictures in memory. For a filter: clean and degraded luma. For a score: the picture, at the net's size unless windows of it are
 * what the net sees, and its score. */
struct vd_train_picture {
    char *name;
    int w, h;
    uint8_t *clean, *degraded; /* score: clean is NULL */
    float score;
    uint64_t places; /* where a sample can begin, of this picture and those before it */
};

struct vd_train_data {
    const struct vd_train_config *config;
    struct vd_train_picture *picture;
    int n, room;
    int side;            /* of a sample */
    int too_small;       /* pictures that were left out, smaller than a crop */
    uint8_t digest[32];  /* of all of it, in order */
};

/* All sources. side: crops of this size (a filter), or pictures brought to it (a score). 8-bit y4m; others are refused (-ENOTSUP).
 * -ENOENT: nothing there, -EBADMSG: a file that is broken, or a pair of different sizes. label: of the progress. */
int vd_train_data_load(struct vd_train_data *d, const struct vd_train_config *c, const struct vd_train_source *s, int n, int side,
                       struct vd_workers *w, const char *label);
void vd_train_data_free(struct vd_train_data *d);

/* A vd_net_draw whose arg is a struct vd_train_data: sample number n of a run is always the same. A filter's: a place in a picture, each
 * of all pictures' places as likely as any other, and flips. A score's: a picture, or a window of one,
 * perhaps mirrored or upside down, or as `augment` says; the target is score / score_scale. */
void vd_train_data_draw(void *arg, uint64_t sample, float *x, float *target);

/* What a model does to the validation pictures. */
struct vd_train_verdict {
    double score;                              /* what is compared: more is better */
    double degraded, filtered, gain, gain_min, gain_max; /* dB of PSNR, means over pictures; filter */
    double plcc, srocc, rmse;                  /* score */
    double drop;                               /* 1 - PLCC of the outputs against another model's; -1: there is none */
    int n;
};
/* Outputs of one model that those of others are held to: the first that is judged with it fills it. */
struct vd_train_outputs { float *v; size_t n; bool filled; };
/* The model in bytes (an ONNX file) on every picture; crop: the middle of it at most this large, 0: whole. round: results are rounded to 8
 * bits, as the filter command does. against: of the same crop; may be NULL. */
int vd_train_judge(const struct vd_train_data *d, const uint8_t *bytes, size_t size, int crop, bool round, struct vd_workers *w,
                   struct vd_train_outputs *against, struct vd_train_verdict *v);
/* VD_TRAIN_HARMS: a filter's gain, or a score's PLCC or SROCC, is not above 0; VD_TRAIN_UNJUDGED: they are no numbers. Then dst says why. */
enum vd_train_worth { VD_TRAIN_HELPS, VD_TRAIN_HARMS, VD_TRAIN_UNJUDGED };
enum vd_train_worth vd_train_worth(const struct vd_train_verdict *v, bool filter, char *dst, size_t size);

#endif
