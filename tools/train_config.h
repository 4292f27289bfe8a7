/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_CONFIG_H
#define VD_TRAIN_CONFIG_H

#include <jansson.h>

#include "common/arena.h"
#include "quant/calibration.h"
#include "train/arch.h"
#include "train/trainer.h"

/* What `vmaf-dnn train` is asked for: a JSON file, described in docs/training.md. Strings and lists live as long as the configuration.
 * Paths in it are relative to the folder of the file itself, so that it means the same wherever the command is given. */

enum { VD_TRAIN_MAX_SOURCES = 64 };

/* Pictures, as y4m: a file, or every .y4m of a folder. */
struct vd_train_source {
    const char *clean;    /* file or folder; for scores the CSV */
    const char *degraded; /* the same names; NULL: made from clean, as `degrade` says */
    const char *said[2];  /* these two as the configuration has them */
    long every;           /* of a clip's frames; 1: all */
};

struct vd_train_qat_config { /* quantisation-aware training of net.from */
    bool on;
    enum vd_net_range_mode ranges;
    double range_rate, range_momentum;
    const char *calibration; /* a file of `vmaf-dnn calibrate`; NULL: samples of the training data */
    long samples;
    enum vd_range_method method; /* of the ranges to begin with */
    double percentile, margin;
    bool equalize, per_tensor;
    double teacher;          /* share of the fp32 model's output in a target */
    double noise;            /* share of samples that are noise, with the fp32 model's output as the target */
    const char *exclude[VD_TRAIN_MAX_SOURCES]; int n_exclude; /* nodes that stay in fp32 */
};

struct vd_train_augment { /* of a score's samples, beside flips */
    bool transpose;
    double contrast, brightness; /* most that a sample's differences from 1/2 are multiplied by more or less, and that is added or taken, of 1 */
};

struct vd_train_config {
    json_t *json;
    struct vd_arena arena; /* paths */
    uint8_t identity[32];  /* of the file's content without what may change between runs (steps of saving and so on) */
    const char *id, *kind; /* kind: filter or nr */
    const char *license, *description;

    const char *from;      /* an ONNX file to begin with; NULL: a new net */
    int channels, blocks;  /* of a residual filter */
    int stem, n_block, side; /* of a separable score net */
    struct vd_arch_block block[VD_ARCH_MAX_BLOCKS];

    struct vd_train_source train[VD_TRAIN_MAX_SOURCES], validation[VD_TRAIN_MAX_SOURCES];
    int n_train, n_validation;
    double blur, noise;    /* sigma in pixels, and in 8-bit steps; 0: none */
    double shrink;         /* down and up again by this factor; 1: not */
    int jpeg;              /* quality; 0: none */

    struct vd_train_augment augment;
    struct vd_train_qat_config qat;
    int crop, batch;
    uint64_t seed;
    struct vd_train_opts opts;
    struct vd_loss loss;
    double norm_momentum, score_scale;
    bool windows;          /* how pictures come to the size of a score net: windows of them, or shrunk by area (io/resize.h) */
    long validate_every, save_every, log_every, validation_crop;
};

/* -EBADMSG with line and column, or the key that is wrong, unknown or missing; -ENOENT. */
int vd_train_config_load(const char *path, struct vd_train_config *c);
void vd_train_config_free(struct vd_train_config *c);

#endif
