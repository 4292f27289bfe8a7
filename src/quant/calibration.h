/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CALIBRATION_H
#define VD_CALIBRATION_H

#include "common/arena.h"
#include "common/bytes.h"
#include "common/histogram.h"
#include "onnx/onnx.h"

/* What was seen of a model's activations: a few kilobytes that stand for the clips they were taken from. Everything in it is an exact
 * count, an extreme or an exact sum, so that parts merge to what one run gives, in any order. docs/formats.md has the file. */

struct vd_calib_channel { float min, max; vd_exact sum; }; /* sum of all elements of the channel (axis 1) */

struct vd_calib_tensor {
    const char *name;
    bool fixed;                     /* the range is a matter of contract (pictures are 0..1), not of what came */
    struct vd_hist hist;            /* its counts in the arena; of a file no more than there are */
    vd_exact frame_min, frame_max;  /* sums of each frame's extremes */
    int channels;                   /* 0: rank under 2, or more than VD_CALIB_CHANNELS */
    struct vd_calib_channel *channel;
};
enum { VD_CALIB_CHANNELS = 4096, VD_CALIB_TENSORS = 4096, VD_CALIB_SOURCES = 32768, VD_CALIB_MAX_FILE = 16 << 20 };

struct vd_calib_source { const char *name; char sha256[65]; uint64_t frames; };

/* A scale of each channel of some tensors, by equalisation: the tensors hold scale times what the model's do. */
struct vd_calib_group { const char **tensor; int n_tensor; float *scale; int channels; };

struct vd_calibration {
    struct vd_arena arena;
    char model_sha256[65]; /* of the fp32 file */
    uint64_t frames;
    struct vd_calib_source *source; int n_source; /* by name, then digest */
    struct vd_calib_group *group;   int n_group;  /* none: the model as it is */
    struct vd_calib_tensor *tensor; int n_tensor; /* in the order of the graph */
};

void vd_calibration_free(struct vd_calibration *c);
/* NULL when it is not there. */
const struct vd_calib_tensor *vd_calib_find(const struct vd_calibration *c, const char *name);
/* A source that one run has read. -EINVAL: the same name, digest and frames are there already; -E2BIG, -ENOMEM. */
int vd_calib_add_source(struct vd_calibration *c, const char *name, const char *sha256, uint64_t frames);
/* from into c. -EINVAL: another model, equalisation or list of tensors, or a source that both have;
 * -ERANGE: sums of over 124 bits. After a failure c is good for vd_calibration_free() alone. */
int vd_calib_merge(struct vd_calibration *c, const struct vd_calibration *from);

/* Room for all the counts that there can be. -ENOMEM. */
int vd_calib_counts(struct vd_calibration *c, struct vd_calib_tensor *t);

/* Leave out tensors of which nothing was seen: those that are not float32. After the last run. */
void vd_calib_trim(struct vd_calibration *c);

/* calibration_text.c writes, calibration_json.c reads. The same calibration is always the same bytes. name is for messages.
 * Reading takes less than 8 MiB and four times the file, with the file.
 * -EBADMSG: not JSON, an unknown version, a missing or unknown key, a value of the wrong type or range, bins that do not follow from min and
 * max, counts that do not add up. -E2BIG: over VD_CALIB_MAX_FILE, or half a million values. */
#define VD_CALIB_FORMAT "vmaf_dnn.calibration"
enum { VD_CALIB_VERSION = 1 };
int vd_calib_write(const struct vd_calibration *c, struct vd_buf *b);
int vd_calib_read(struct vd_calibration *c, const uint8_t *data, size_t size, const char *name);

/* ranges.c: from what was seen to what is quantised. All of them hold 0, and follow from the calibration alone. */
enum vd_range_method {
    VD_RANGE_PERCENTILE, /* all but a share of the values at either end */
    VD_RANGE_MINMAX,     /* all values */
    VD_RANGE_MSE,        /* the least mean squared error of 8 bits, rounding and clipping together */
    VD_RANGE_ENTROPY,    /* the least Kullback-Leibler divergence of 128 levels from what was seen, both ends cut alike */
    VD_RANGE_AVERAGE,    /* the mean of the frames' least and greatest values, which ONNX Runtime calls its moving average */
};
const char *vd_range_method_name(enum vd_range_method m);
bool vd_range_method_parse(const char *s, enum vd_range_method *m);
/* percentile: 50 < p <= 100, of VD_RANGE_PERCENTILE. A tensor whose range is fixed has that. */
void vd_range(const struct vd_calib_tensor *t, uint64_t frames, enum vd_range_method m, double percentile, float *lo, float *hi);
/* Share of the values outside lo..hi, to a bin. */
double vd_range_clipped(const struct vd_calib_tensor *t, float lo, float hi);

#endif
