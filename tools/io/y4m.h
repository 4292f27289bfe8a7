/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_Y4M_H
#define VD_Y4M_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

/* YUV4MPEG2, strictly, one frame in memory.
 *
 *     "YUV4MPEG2" { " " tag } "\n"      W H once each; F I A C X; unknown letters are kept
 *     { "FRAME" { " " tag } "\n" samples }
 *
 * Chroma tags: 420 420jpeg 420mpeg2 420paldv 422 444 mono, 8 bit (none: 420jpeg), and 420pN 422pN 444pN monoN with
 * N of 9 10 12 14 16, two bytes a sample. Chroma of odd sizes rounds up. Lines are kept as they are and
 * written again as they were, so every tag goes through. */
enum {
    VD_Y4M_MAX_LINE = 4096,      /* bytes of a header line with its line end */
    VD_Y4M_MAX_SIDE = 1 << 16,   /* pixels */
    VD_Y4M_MAX_PIXELS = 1 << 28, /* 16384 x 16384 */
    VD_Y4M_BUFFER = 1 << 16,
};

struct vd_y4m {
    int width, height;
    int depth;           /* 8 to 16 */
    int bytes;           /* of a sample: 1 or 2 */
    int planes;          /* 1 or 3 */
    const char *chroma;  /* the tag's value, as in the list above */
    int plane_w[3], plane_h[3];
    uint8_t *plane[3];   /* of the frame that is in memory; rows without gaps; 2-byte samples are aligned */
    size_t plane_size[3], frame_size;
    int64_t frames;      /* complete frames that were read */
    uint64_t offset;     /* bytes used up so far */

    /* Inside. */
    const char *name;
    vd_read_fn *read;
    void *ctx;
    char header[VD_Y4M_MAX_LINE];
    size_t header_size, line_size;
    uint8_t *frame;      /* VD_Y4M_MAX_LINE bytes, in whose end the FRAME line lies, then the samples */
    uint8_t *buffer;
    size_t have, used;   /* bytes in buffer */
};

/* Read the header. name is for messages and must live as long as y.
 * -EBADMSG: not y4m, or a broken or truncated header; -ENOTSUP: well formed and not for us (the tag is named);
 * -ENOMEM, -EIO. On failure y may be closed, and need not. */
int vd_y4m_open(struct vd_y4m *y, vd_read_fn *read, void *ctx, const char *name, bool allow_interlaced);
/* 1: the next frame is in plane[]; 0: the clip ended after a whole frame; -EBADMSG: it ends or breaks inside one
 * (the reason has frame, counted from 0, and byte offset), -EIO. */
int vd_y4m_next(struct vd_y4m *y);
void vd_y4m_close(struct vd_y4m *y);

/* The header and the frame in memory, byte for byte as read but for what the caller did to plane[]. */
int vd_y4m_put_header(const struct vd_y4m *y, struct vd_sink *s);
int vd_y4m_put_frame(const struct vd_y4m *y, struct vd_sink *s);

/* Frames that a regular file of size bytes holds when FRAME lines have no tags; for progress. */
int64_t vd_y4m_guess_frames(const struct vd_y4m *y, uint64_t size);

#endif
