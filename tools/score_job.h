/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SCORE_JOB_H
#define VD_SCORE_JOB_H

#include "cmd.h"
#include "io/resize.h"
#include "io/stream.h"
#include "luma_clip.h"
#include "score_text.h"

extern const struct vd_cmd vd_cmd_score;

enum { DIST, REF }; /* of clip[] */

/* A run of the command. */
struct vd_score_job {
    /* What was asked for. */
    const char *model, *path[2], *out; /* path[REF] NULL: no reference */
    const char *resize;                /* NULL: as the sidecar says */
    int format;                        /* enum vd_score_format; -1: by the file's ending */
    bool ndjson, force, quiet;
    long subsample, max_frames;
    struct vd_luma_opts raw;
    struct vd_run_opts run;
    /* What is open. */
    struct vd_luma_clip clip[2];
    vmaf_dnn_session *session;
    vmaf_dnn_info info;
    size_t slot_of[2];                 /* which input of the model a clip goes to */
    int model_w, model_h;              /* 0: any */
    bool cut;                          /* frames are not shrunk to that size: windows of it are cut out of them */
    struct vd_windows asked, windows;  /* as many: by --resize (0: as fit), and of the frame at hand */
    char resize_name[32];
    float *plane[2];                   /* clips brought to that size */
    vmaf_dnn_output *output;
    struct vd_sink sink;
    struct vd_progress progress;
    /* What happened. */
    const char **metric;
    int64_t *frame;
    double *value;
    size_t room;
    struct vd_scores made;
    double start;
};

/* score_args.c: what the command line asks for. 0, or the exit code after a message. */
int vd_score_args(int argc, char **argv, struct vd_score_job *s);

/* score_model.c: whether the open session is one of pictures to numbers, what it sees and is called. VD_EXIT_OK, or the exit code after a message. */
int vd_score_model(struct vd_score_job *s);

/* What it says of the frame that the clips are at, which becomes the next of s->made. A negative errno. */
int vd_score_picture(struct vd_score_job *s);

#endif
