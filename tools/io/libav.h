/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LIBAV_H
#define VD_LIBAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The pictures of whatever libavformat and libavcodec read, in the order they are shown. In builds without them opening fails
 * (-ENOTSUP, with the pipe through ffmpeg that does the same). */
struct vd_libav;

struct vd_libav_picture {
    const uint8_t *data; /* luma; 8 bits, or more in the low bits of two bytes; until the next call */
    ptrdiff_t stride;    /* bytes */
    int w, h, depth;
};

/* strict: damaged packets and pictures, and a file with fewer packets than its index names, are -EBADMSG with picture and byte offset, not
 * passed over; pictures whose luma is no plane of its own are -ENOTSUP, not made grey by swscale. */
int vd_libav_open(struct vd_libav **out, const char *path, bool strict);
/* 1: the next picture (p NULL: it is passed over, and not looked at); 0: the end; a negative errno. */
int vd_libav_next(struct vd_libav *c, struct vd_libav_picture *p);
void vd_libav_close(struct vd_libav *c);
uint64_t vd_libav_offset(const struct vd_libav *c); /* bytes of the file that are behind */

#endif
