/* SPDX-License-Identifier: BSD-2-Clause */
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
#include "io/stream.h"
#include "io/y4m.h"

enum { SYNTHETIC_SIZE = 224, JPEG_QUALITY = 35 };

/* --- a file that is hashed as it is read */

struct hashed { int fd; crypto_hash_sha256_state state; };

static ptrdiff_t read_hashed(void *ctx, void *dst, size_t n)
{
    struct hashed *h = ctx;
    const ptrdiff_t got = vd_read_fd(&h->fd, dst, n);
    if (got > 0)
        crypto_hash_sha256_update(&h->state, dst, (unsigned long long)got);
    return got;
}

static int finish_hash(struct hashed *h, const char *name, char sha256[65])
{
    unsigned char rest[1 << 14], digest[crypto_hash_sha256_BYTES];
    ptrdiff_t got;
    while ((got = read_hashed(h, rest, sizeof(rest))) > 0)
        ;
    if (got < 0)
        return vd_fail(EIO, "%s: cannot read: %s", name, strerror((int)-got));
    crypto_hash_sha256_final(&h->state, digest);
    sodium_bin2hex(sha256, 65, digest, sizeof(digest));
    return 0;
}

static int open_file(const char *path, int *fd)
{
    do
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? vd_fail(errno, "%s: %s", path, strerror(errno)) : 0;
}

int vd_frames_hash(const char *path, char sha256[65])
{
    struct hashed h;
    int rc = open_file(path, &h.fd);
    if (rc)
        return rc;
    crypto_hash_sha256_init(&h.state);
    rc = finish_hash(&h, path, sha256);
    close(h.fd);
    return rc;
}

/* --- which frames: selection sampling, Knuth's algorithm S */

void vd_draw_begin(struct vd_draw *d, const struct vd_frames_opts *o, uint64_t total)
{
    *d = (struct vd_draw){.total = total, .left = o->frames > 0 && (uint64_t)o->frames < total ? (uint64_t)o->frames : total};
    vd_rng_seed(&d->rng, o->seed);
}

bool vd_draw_next(struct vd_draw *d)
{
    const double ahead = (double)(d->total - d->seen++);
    if (!d->left || (double)d->left <= vd_rng_f64(&d->rng) * ahead)
        return false;
    d->left--;
    return true;
}

/* --- pictures */

int vd_frames_want_picture(struct vd_frames_job *j)
{
    const struct vd_onnx_value *v = j->m->in;
    if (j->m->n_in != 1 || v->type != VD_F32 || (v->rank >= 0 && v->rank != 4) || (v->rank == 4 && ((v->dim[0] >= 0 && v->dim[0] != 1) || (v->dim[1] >= 0 && v->dim[1] != 1))))
        return vd_fail(ENOTSUP, "%s: a clip gives luma, one float picture [N,1,H,W], and the model takes something else: calibrate with .npy or .npz arrays", j->path);
    j->crop_h = v->rank == 4 && v->dim[2] > 0 && v->dim[2] <= 65536 ? (int)v->dim[2] : 0;
    j->crop_w = v->rank == 4 && v->dim[3] > 0 && v->dim[3] <= 65536 ? (int)v->dim[3] : 0;
    return 0;
}

static int give(struct vd_frames_job *j, int w, int h)
{
    const struct vd_tensor in = {.type = VD_F32, .rank = 4, .dim = {1, 1, h, w}, .data = j->plane};
    const int rc = j->fn(j->arg, &in, true);
    if (!rc)
        j->done->frames++;
    return rc;
}

static int room(struct vd_frames_job *j, size_t n)
{
    if (n <= j->plane_size)
        return 0;
    vd_free(j->plane);
    j->plane_size = 0;
    if (!(j->plane = vd_aligned(n * sizeof(*j->plane))))
        return vd_nomem(n * sizeof(*j->plane));
    j->plane_size = n;
    return 0;
}

int vd_frames_give_picture(struct vd_frames_job *j, const uint8_t *p, ptrdiff_t stride, int w, int h, int depth)
{
    const int cw = j->crop_w ? j->crop_w : w, ch = j->crop_h ? j->crop_h : h;
    const float top = (float)((1 << depth) - 1);
    if (cw > w || ch > h)
        return vd_fail(ENOTSUP, "%s: a picture of %dx%d, and the model takes %dx%d", j->path, w, h, cw, ch);
    const int rc = room(j, (size_t)cw * (size_t)ch);
    if (rc)
        return rc;
    for (int y = 0; y < ch; y++) { /* the middle */
        const uint8_t *row = p + (y + (h - ch) / 2) * stride + (w - cw) / 2 * (depth > 8 ? 2 : 1);
        float *d = j->plane + (size_t)y * (size_t)cw;
        for (int x = 0; x < cw; x++) {
            const float v = depth > 8 ? (float)((const uint16_t *)(const void *)row)[x] : (float)row[x];
            d[x] = v > top ? 1 : v / top;
        }
    }
    return give(j, cw, ch);
}

static int synthetic(struct vd_frames_job *j)
{
    int rc = vd_frames_want_picture(j);
    if (rc)
        return rc;
    const int w = j->crop_w ? j->crop_w : j->o->synthetic_w ? j->o->synthetic_w : SYNTHETIC_SIZE;
    const int h = j->crop_h ? j->crop_h : j->o->synthetic_h ? j->o->synthetic_h : SYNTHETIC_SIZE;
    const size_t n = (size_t)w * (size_t)h;
    if (w < 16 || h < 16)
        return vd_fail(ENOTSUP, "synthetic pictures are at least 16x16, and the model takes %dx%d", w, h);
    float *clean = vd_aligned(n * sizeof(*clean)), *scratch = vd_aligned(n * sizeof(*scratch));
    rc = clean && scratch ? room(j, n) : vd_nomem(n * sizeof(*clean));
    for (int i = 0; i < 2 * VD_PICTURES && !rc; i++) {
        vd_picture(clean, w, h, i / 2);
        if (i % 2) {
            vd_blur(j->plane, clean, w, h, 1.2, scratch);
            memcpy(scratch, j->plane, n * sizeof(*scratch));
            vd_jpeg_loss(j->plane, scratch, w, h, JPEG_QUALITY);
        } else {
            memcpy(j->plane, clean, n * sizeof(*clean));
        }
        rc = give(j, w, h);
    }
    vd_free(clean);
    vd_free(scratch);
    memset(j->done->sha256, (int)'0', 64); /* of no file */
    return rc;
}

/* --- y4m */

static int count_y4m(const char *path, const struct vd_frames_opts *o, uint64_t *total)
{
    struct vd_y4m y;
    int fd, rc = open_file(path, &fd);
    *total = 0;
    if (rc)
        return rc;
    if (!(rc = vd_y4m_open(&y, vd_read_fd, &fd, path, true))) {
        while ((rc = vd_y4m_next(&y)) > 0)
            ++*total;
        vd_y4m_close(&y);
    }
    close(fd);
    (void)o;
    return rc;
}

static int read_y4m(struct vd_frames_job *j, struct hashed *h)
{
    struct vd_y4m y;
    struct vd_draw draw = {0};
    uint64_t total;
    int rc = vd_frames_want_picture(j);
    if (!rc && j->o->frames) {
        rc = count_y4m(j->path, j->o, &total);
        if (!rc)
            vd_draw_begin(&draw, j->o, total);
    }
    if (rc || (rc = vd_y4m_open(&y, read_hashed, h, j->path, true)))
        return rc;
    while ((rc = vd_y4m_next(&y)) > 0) {
        if (!j->o->frames || vd_draw_next(&draw))
            rc = vd_frames_give_picture(j, y.plane[0], (ptrdiff_t)y.width * y.bytes, y.width, y.height, y.depth);
        else
            rc = 0;
        if (rc)
            break;
    }
    vd_y4m_close(&y);
    return rc;
}

/* --- raw */

static const struct format { const char *name; int depth, chroma; } formats[] = { /* chroma: samples of both planes in quarters of luma's */
    {"gray", 8, 0}, {"gray8", 8, 0}, {"gray10le", 10, 0}, {"gray12le", 12, 0}, {"gray14le", 14, 0}, {"gray16le", 16, 0},
    {"yuv420p", 8, 2}, {"yuvj420p", 8, 2}, {"nv12", 8, 2}, {"yuv422p", 8, 4}, {"yuvj422p", 8, 4}, {"yuv444p", 8, 8}, {"yuvj444p", 8, 8},
    {"yuv420p10le", 10, 2}, {"yuv420p12le", 12, 2}, {"yuv420p16le", 16, 2}, {"yuv422p10le", 10, 4}, {"yuv422p12le", 12, 4},
    {"yuv444p10le", 10, 8}, {"yuv444p12le", 12, 8},
};

int vd_raw_format(const char *name, int w, int h, struct vd_raw *out)
{
    const size_t n = sizeof(formats) / sizeof(*formats);
    size_t k = 0;
    *out = (struct vd_raw){.name = name ? name : "gray"};
    while (k < n && strcmp(formats[k].name, out->name))
        k++;
    if (k == n)
        return vd_fail(EINVAL, "pixel format %s: known are gray, gray10le to gray16le, yuv420p, yuv422p, yuv444p, nv12 and those with 10le and 12le", name);
    const struct format *f = &formats[k];
    const size_t bytes = f->depth > 8 ? 2 : 1, cols = (size_t)w, rows = (size_t)h;
    const size_t cw = f->chroma == 8 ? cols : (cols + 1) / 2, ch = f->chroma == 2 ? (rows + 1) / 2 : rows;
    out->depth = f->depth;
    out->row = cols * bytes;
    out->frame = rows * out->row + (f->chroma ? 2 * cw * ch * bytes : 0);
    return 0;
}

static int read_raw(struct vd_frames_job *j, struct hashed *h)
{
    struct vd_raw raw;
    int rc = vd_raw_format(j->o->pix_fmt, j->o->w, j->o->h, &raw);
    if (!rc)
        rc = vd_frames_want_picture(j);
    if (rc)
        return rc;
    const size_t frame = raw.frame;
    struct stat st;
    struct vd_draw draw = {0};
    if (j->o->frames) {
        if (fstat(h->fd, &st) || !S_ISREG(st.st_mode))
            return vd_fail(EINVAL, "%s: --frames draws from files, whose length is known", j->path);
        vd_draw_begin(&draw, j->o, (uint64_t)st.st_size / frame);
    }
    uint8_t *p = vd_aligned(frame);
    if (!p)
        return vd_nomem(frame);
    for (;;) {
        size_t at = 0;
        ptrdiff_t got = 0;
        while (at < frame && (got = read_hashed(h, p + at, frame - at)) > 0)
            at += (size_t)got;
        if (got < 0)
            rc = vd_fail(EIO, "%s: cannot read: %s", j->path, strerror((int)-got));
        else if (at && at < frame)
            rc = vd_fail(EBADMSG, "%s: ends inside a frame: %zu of %zu bytes are there; is it %s of %dx%d?", j->path, at, frame, raw.name, j->o->w, j->o->h);
        if (rc || at < frame)
            break;
        if ((!j->o->frames || vd_draw_next(&draw)) && (rc = vd_frames_give_picture(j, p, (ptrdiff_t)raw.row, j->o->w, j->o->h, raw.depth)))
            break;
    }
    vd_free(p);
    return rc;
}

/* --- */

static int read_stream(struct vd_frames_job *j, struct hashed *h, const unsigned char *magic, size_t n)
{
    const bool standard = h->fd == STDIN_FILENO;
    if (j->o->w)
        return read_raw(j, h);
    if (standard || (n >= 9 && !memcmp(magic, "YUV4MPEG2", 9))) {
        if (standard && j->o->frames)
            return vd_fail(EINVAL, "standard input: --frames draws from files, whose length is known");
        return read_y4m(j, h);
    }
    return 1;
}

int vd_frames_read(const char *path, const struct vd_onnx_model *m, const struct vd_frames_opts *o, vd_frame_fn *fn, void *arg,
                   struct vd_frames_done *done)
{
    const bool standard = !strcmp(path, "-");
    struct vd_frames_job j = {.path = standard ? "standard input" : path, .m = m, .o = o, .fn = fn, .arg = arg, .done = done};
    struct hashed h = {.fd = STDIN_FILENO};
    unsigned char magic[16] = {0};
    int rc = 0;
    *done = (struct vd_frames_done){0};
    crypto_hash_sha256_init(&h.state);
    if (!strcmp(path, "synthetic")) {
        rc = synthetic(&j);
    } else if (standard || !(rc = open_file(path, &h.fd))) {
        struct stat st;
        const ptrdiff_t n = standard ? 0 : pread(h.fd, magic, sizeof(magic), 0);
        const size_t have = n > 0 ? (size_t)n : 0;
        if (!standard && !fstat(h.fd, &st) && S_ISDIR(st.st_mode))
            rc = vd_fail(EISDIR, "%s: is a folder: name the files in it", path);
        else if (!standard && !n)
            rc = vd_fail(EBADMSG, "%s: is empty; a clip, arrays or raw samples were expected", path);
        else
            rc = read_stream(&j, &h, magic, have);
        if (rc == 1) {
            const bool zip = have >= 4 && !memcmp(magic, "PK\3\4", 4);
            rc = zip || (have >= 6 && !memcmp(magic, "\x93NUMPY", 6)) ? vd_frames_arrays(&j, zip) : vd_frames_libav(&j);
            if (!rc)
                rc = vd_frames_hash(path, done->sha256);
        } else if (!rc) {
            rc = finish_hash(&h, j.path, done->sha256);
        }
        if (!standard)
            close(h.fd);
    }
    if (!rc && !done->frames)
        rc = vd_fail(EBADMSG, "%s: no frames in it", j.path);
    vd_free(j.plane);
    return rc;
}
