/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SCORE_TEXT_H
#define VD_SCORE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "vmaf_dnn/vmaf_dnn.h"

/* Scores of a clip, and the texts that are made of them: the shapes of the vmaf tool's JSON, XML and CSV, and lines for people. */

enum { VD_PERCENTILES = 5, VD_PRECISION_MAX = -1 };
extern const int vd_percentile[VD_PERCENTILES]; /* 1 5 10 25 50 */

struct vd_scores {
    const char *const *metric; /* names, as the graph has them */
    size_t n_metric;
    const int64_t *frame;      /* n numbers of frames, the clip's first is 0 */
    const double *value;       /* n times n_metric */
    size_t n;
    int precision;             /* digits behind the point, or VD_PRECISION_MAX: as many as bring the same double back */
    bool complete;             /* no clip ended before it should */
    double fps;                /* frames that were scored a second */
    int w, h;                  /* of the distorted clip */
    /* What scored: */
    const vmaf_dnn_info *model;
    int in_w, in_h;            /* that it saw */
    const char *resize;        /* kernel from w x h to in_w x in_h; NULL: it saw the clip's own pictures */
};

/* NaN where any score is not finite. harmonic_mean is that of score + 1, less 1, as the vmaf tool has it, and NaN where a score is -1 or less;
 * percentiles lie on the line between the two nearest scores. */
struct vd_pooled { double min, max, mean, harmonic_mean, percentile[VD_PERCENTILES]; };
int vd_scores_pool(const struct vd_scores *s, size_t metric, struct vd_pooled *p); /* -ENOMEM */

enum vd_score_format { VD_SCORE_TEXT, VD_SCORE_JSON, VD_SCORE_CSV, VD_SCORE_XML };
/* 0 or -ENOMEM. */
int vd_scores_put(struct vd_buf *b, const struct vd_scores *s, enum vd_score_format f);
/* --ndjson: {"type": "model", ...} before the first frame, {"type": "frame", ...} for each, {"type": "pooled", ...} behind the last. */
void vd_scores_put_model(struct vd_buf *b, const struct vd_scores *s);
void vd_scores_put_frame(struct vd_buf *b, const struct vd_scores *s, size_t i);
int vd_scores_put_end(struct vd_buf *b, const struct vd_scores *s);

#endif
