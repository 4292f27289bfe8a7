/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_FRAMES_H
#define VD_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/random.h"
#include "onnx/onnx.h"
#include "ops/op.h"

/* Frames of files as a model's inputs, one after the other: memory for one, however many there are. By its first bytes a file is
 *
 *   YUV4MPEG2        luma, v / (2^bits - 1)
 *   .npy, .npz       arrays of the input's shape: [N,...] with or without its batch of 1, [N,H,W] for [1,1,H,W]; float32, float16, or
 *                    uint8 / 255. .npz: an array for each input of the model, by name (the only array of one input by any name)
 *   anything else    raw samples when a size was given, else what libavformat decodes, where the build has it: luma, or grey
 *
 * "-" is standard input (y4m or raw), "synthetic" the gate's pictures, each also blurred and through the loss of a JPEG. */

struct vd_frames_opts {
    int w, h;             /* raw: of a picture; 0: not given */
    const char *pix_fmt;  /* raw: gray, gray10le, gray12le, gray16le, yuv420p, yuv422p, yuv444p, yuv420p10le, ...; NULL: gray */
    long frames;          /* of each file, drawn with seed; 0: all */
    uint64_t seed;
    int synthetic_w, synthetic_h; /* where the model's size is symbolic */
};

/* pictures: the inputs are samples of 0..1. What it returns other than 0 ends the file. */
typedef int vd_frame_fn(void *arg, const struct vd_tensor *in, bool pictures);

struct vd_frames_done { char sha256[65]; uint64_t frames; }; /* of the whole file; of the frames that were given */

/* -EBADMSG: a broken file; -ENOTSUP: one that does not suit the model; -EINVAL: raw without a size, a draw from standard input; and those of
 * opening and reading. */
int vd_frames_read(const char *path, const struct vd_onnx_model *m, const struct vd_frames_opts *o, vd_frame_fn *fn, void *arg,
                   struct vd_frames_done *done);

/* Raw pictures of w x h, luma first: NULL is gray. -EINVAL: not a format of the list. */
struct vd_raw { const char *name; int depth; size_t row, frame; }; /* row: bytes of one of luma; frame: of all planes */
int vd_raw_format(const char *name, int w, int h, struct vd_raw *out);

/* For frames_array.c and io/libav.c. */
struct vd_frames_job {
    const char *path;
    const struct vd_onnx_model *m;
    const struct vd_frames_opts *o;
    vd_frame_fn *fn;
    void *arg;
    struct vd_frames_done *done;
    float *plane;
    size_t plane_size;
    int crop_w, crop_h; /* of the model; 0: any */
};
/* The model takes pictures [N,1,H,W]: -ENOTSUP otherwise. */
int vd_frames_want_picture(struct vd_frames_job *j);
/* A picture of 8-bit or 16-bit samples, stride in bytes. */
int vd_frames_give_picture(struct vd_frames_job *j, const uint8_t *p, ptrdiff_t stride, int w, int h, int depth);
/* left of total, in order: is the next one of them? */
struct vd_draw { uint64_t total, seen, left; struct vd_rng rng; };
void vd_draw_begin(struct vd_draw *d, const struct vd_frames_opts *o, uint64_t total);
bool vd_draw_next(struct vd_draw *d);
/* The sha256 of a file, read from its beginning. */
int vd_frames_hash(const char *path, char sha256[65]);

int vd_frames_arrays(struct vd_frames_job *j, bool zip);
int vd_frames_libav(struct vd_frames_job *j);

#endif
