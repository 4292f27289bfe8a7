/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LUMA_CLIP_H
#define VD_LUMA_CLIP_H

#include "io/libav.h"
#include "io/npy.h"
#include "io/y4m.h"

/* A clip that is asked for its pictures one by one, so that two run side by side: luma, v / (2^bits - 1), in memory for one. By its first
 * bytes a file is
 *
 *   YUV4MPEG2        8 to 16 bits, interlaced or not
 *   .npy             pictures [N,H,W] or [N,1,H,W], or one [H,W]: float32 of 0..1, or uint8 / 255
 *   anything else    raw samples when a size was given, else what libavformat reads, where the build has it
 *
 * - is standard input: y4m, or raw. */
struct vd_luma_opts {
    int w, h;            /* raw: of a picture; 0: not given */
    const char *pix_fmt; /* raw, as of vd_raw_format() */
};

struct vd_luma_clip {
    const char *name;    /* for messages */
    const float *luma;   /* of the picture in memory: w x h, rows without gaps */
    int w, h;            /* 0: not known before the first picture */
    int64_t frames;      /* whole pictures that were read */
    int64_t expected;    /* for progress; 0: not known */

    /* Inside. */
    enum { VD_LUMA_NONE, VD_LUMA_Y4M, VD_LUMA_RAW, VD_LUMA_NPY, VD_LUMA_LIBAV } kind;
    const char *path;
    int fd;
    struct vd_y4m y4m;
    struct vd_npy npy;
    struct vd_libav *libav;
    uint8_t *raw;
    size_t raw_row, raw_frame;
    int raw_depth;
    uint64_t offset;     /* raw: bytes that were read */
    float *plane;
    size_t room;         /* floats at plane */
};

/* The file is opened, and nothing of it read: -ENOENT, ... A zeroed struct may be closed. */
int vd_luma_open(struct vd_luma_clip *c, const char *path);
/* Its beginning is read. -EBADMSG: broken; -ENOTSUP: not for us; -EINVAL: not a raw format; -ENOMEM, -EIO. */
int vd_luma_begin(struct vd_luma_clip *c, const struct vd_luma_opts *o);
/* 1: the next picture is in luma (wanted false: it is passed over, luma is not set); 0: the clip ended after a whole one; -EBADMSG: it ends or breaks
 * inside one (the reason has frame and byte offset). */
int vd_luma_next(struct vd_luma_clip *c, bool wanted);
uint64_t vd_luma_offset(const struct vd_luma_clip *c); /* bytes of the file that are behind */
void vd_luma_close(struct vd_luma_clip *c);

#endif
