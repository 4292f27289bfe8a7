/* SPDX-License-Identifier: BSD-2-Clause */
#include "luma_clip.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"
#include "frames.h"

int vd_luma_open(struct vd_luma_clip *c, const char *path)
{
    *c = (struct vd_luma_clip){.path = path, .name = strcmp(path, "-") ? path : "standard input"};
    c->fd = vd_clip_open(path);
    return c->fd < 0 ? c->fd : 0;
}

void vd_luma_close(struct vd_luma_clip *c)
{
    vd_y4m_close(&c->y4m);
    vd_npy_free(&c->npy);
    vd_libav_close(c->libav);
    vd_free(c->raw);
    vd_free(c->plane);
    if (c->path && c->fd > STDERR_FILENO)
        close(c->fd);
    *c = (struct vd_luma_clip){.fd = -1};
}

uint64_t vd_luma_offset(const struct vd_luma_clip *c)
{
    switch (c->kind) {
    case VD_LUMA_Y4M: return c->y4m.offset;
    case VD_LUMA_LIBAV: return vd_libav_offset(c->libav);
    default: return c->offset;
    }
}

/* --- beginnings */

static int begin_raw(struct vd_luma_clip *c, const struct vd_luma_opts *o, const struct stat *st)
{
    struct vd_raw raw;
    const int rc = vd_raw_format(o->pix_fmt, o->w, o->h, &raw);
    if (rc)
        return rc;
    if (!(c->raw = vd_aligned(raw.frame)))
        return vd_nomem(raw.frame);
    c->kind = VD_LUMA_RAW;
    c->w = o->w;
    c->h = o->h;
    c->raw_row = raw.row;
    c->raw_frame = raw.frame;
    c->raw_depth = raw.depth;
    if (S_ISREG(st->st_mode))
        c->expected = (int64_t)((uint64_t)st->st_size / raw.frame);
    return 0;
}

static int begin_npy(struct vd_luma_clip *c)
{
    char have[VD_SHAPE_TEXT];
    const int rc = vd_npy_load(c->path, &c->npy);
    const struct vd_npy *a = &c->npy;
    if (rc)
        return rc;
    const int r = a->rank;
    if ((a->type != VMAF_DNN_F32 && a->type != VMAF_DNN_U8) || r < 2 || r > 4 || (r == 4 && a->shape[1] != 1) || !a->count ||
        a->shape[r - 1] > VD_Y4M_MAX_SIDE || a->shape[r - 2] > VD_Y4M_MAX_SIDE)
        return vd_fail(ENOTSUP, "%s: an array %s: pictures are [N,H,W], [N,1,H,W] or [H,W], of float32 (0 to 1) or uint8", c->path,
                       vd_shape_text(have, r, a->shape));
    c->kind = VD_LUMA_NPY;
    c->w = (int)a->shape[r - 1];
    c->h = (int)a->shape[r - 2];
    c->expected = r == 2 ? 1 : a->shape[0];
    return 0;
}

int vd_luma_begin(struct vd_luma_clip *c, const struct vd_luma_opts *o)
{
    unsigned char magic[16] = {0};
    struct stat st;
    if (fstat(c->fd, &st))
        return vd_fail(EIO, "%s: %s", c->name, strerror(errno));
    if (o->w)
        return begin_raw(c, o, &st);
    const bool file = S_ISREG(st.st_mode) && strcmp(c->path, "-");
    const ptrdiff_t n = file ? pread(c->fd, magic, sizeof(magic), 0) : 0;
    if (n >= 6 && !memcmp(magic, "\x93NUMPY", 6))
        return begin_npy(c);
    if (file && n > 0 && (n < 9 || memcmp(magic, "YUV4MPEG2", 9))) {
        const int rc = vd_libav_open(&c->libav, c->path, true);
        if (!rc)
            c->kind = VD_LUMA_LIBAV;
        return rc;
    }
    const int rc = vd_y4m_open(&c->y4m, vd_read_fd, &c->fd, c->name, true);
    if (rc)
        return rc;
    c->kind = VD_LUMA_Y4M;
    c->w = c->y4m.width;
    c->h = c->y4m.height;
    if (file)
        c->expected = vd_y4m_guess_frames(&c->y4m, (uint64_t)st.st_size);
    return 0;
}

/* --- pictures */

static int room(struct vd_luma_clip *c, int w, int h)
{
    const size_t n = (size_t)w * (size_t)h;
    size_t bytes;
    c->w = w;
    c->h = h;
    c->luma = c->plane;
    if (n <= c->room)
        return 0;
    vd_free(c->plane);
    c->room = 0;
    c->luma = NULL;
    c->plane = vd_mul(n, sizeof(*c->plane), &bytes) ? vd_aligned(bytes) : NULL;
    if (!c->plane)
        return vd_nomem((unsigned long long)n * sizeof(*c->plane));
    c->luma = c->plane;
    c->room = n;
    return 0;
}

/* Samples over the depth are the largest of the depth. */
static int take(struct vd_luma_clip *c, const uint8_t *p, ptrdiff_t stride, int w, int h, int depth)
{
    const float top = (float)((1 << depth) - 1);
    const int rc = room(c, w, h);
    if (rc)
        return rc;
    for (int y = 0; y < h; y++) {
        const uint8_t *row = p + y * stride;
        float *d = c->plane + (size_t)y * (size_t)w;
        for (int x = 0; x < w; x++) {
            const float v = depth > 8 ? (float)((const uint16_t *)(const void *)row)[x] : (float)row[x];
            d[x] = v > top ? 1 : v / top;
        }
    }
    return 1;
}

static int next_raw(struct vd_luma_clip *c, bool wanted)
{
    size_t at = 0;
    ptrdiff_t got = 0;
    while (at < c->raw_frame && (got = vd_read_fd(&c->fd, c->raw + at, c->raw_frame - at)) > 0)
        at += (size_t)got;
    c->offset += at;
    if (got < 0)
        return vd_fail(EIO, "%s: frame %" PRId64 ", byte offset %" PRIu64 ": cannot read: %s", c->name, c->frames, c->offset, strerror((int)-got));
    if (!at)
        return 0;
    if (at < c->raw_frame)
        return vd_fail(EBADMSG, "%s: frame %" PRId64 ", byte offset %" PRIu64 ": ends inside the frame: %zu of %zu bytes are there", c->name, c->frames,
                       c->offset, at, c->raw_frame);
    return wanted ? take(c, c->raw, (ptrdiff_t)c->raw_row, c->w, c->h, c->raw_depth) : 1;
}

static int next_npy(struct vd_luma_clip *c, bool wanted)
{
    const size_t n = (size_t)c->w * (size_t)c->h, at = (size_t)c->frames * n;
    if (c->frames == c->expected)
        return 0;
    if (c->npy.type == VMAF_DNN_F32)
        c->luma = (const float *)c->npy.data + at;
    else if (wanted)
        return take(c, (const uint8_t *)c->npy.data + at, c->w, c->w, c->h, 8);
    return 1;
}

static int next_libav(struct vd_luma_clip *c, bool wanted)
{
    struct vd_libav_picture p;
    const int rc = vd_libav_next(c->libav, wanted ? &p : NULL);
    return rc == 1 && wanted ? take(c, p.data, p.stride, p.w, p.h, p.depth) : rc;
}

int vd_luma_next(struct vd_luma_clip *c, bool wanted)
{
    int rc;
    switch (c->kind) {
    case VD_LUMA_RAW: rc = next_raw(c, wanted); break;
    case VD_LUMA_NPY: rc = next_npy(c, wanted); break;
    case VD_LUMA_LIBAV: rc = next_libav(c, wanted); break;
    default:
        rc = vd_y4m_next(&c->y4m);
        if (rc == 1 && wanted)
            rc = take(c, c->y4m.plane[0], (ptrdiff_t)c->y4m.width * c->y4m.bytes, c->y4m.width, c->y4m.height, c->y4m.depth);
    }
    c->frames += rc == 1;
    return rc;
}
