/* SPDX-License-Identifier: BSD-2-Clause */
#include "y4m.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"

#define MAGIC "YUV4MPEG2"
#define CHROMA_LIST "420 420jpeg 420mpeg2 420paldv 422 444 mono, and 420pN 422pN 444pN monoN with N of 9 10 12 14 16"

static const struct format {
    const char *tag;
    int planes, shift_x, shift_y, depth;
} formats[] = {
    {"420jpeg", 3, 1, 1, 8}, /* first: what a header without C means */
    {"420", 3, 1, 1, 8},     {"420mpeg2", 3, 1, 1, 8}, {"420paldv", 3, 1, 1, 8},
    {"422", 3, 1, 0, 8},     {"444", 3, 0, 0, 8},      {"mono", 1, 0, 0, 8},
    {"420p9", 3, 1, 1, 9},   {"420p10", 3, 1, 1, 10},  {"420p12", 3, 1, 1, 12},
    {"420p14", 3, 1, 1, 14}, {"420p16", 3, 1, 1, 16},  {"422p9", 3, 1, 0, 9},
    {"422p10", 3, 1, 0, 10}, {"422p12", 3, 1, 0, 12},  {"422p14", 3, 1, 0, 14},
    {"422p16", 3, 1, 0, 16}, {"444p9", 3, 0, 0, 9},    {"444p10", 3, 0, 0, 10},
    {"444p12", 3, 0, 0, 12}, {"444p14", 3, 0, 0, 14},  {"444p16", 3, 0, 0, 16},
    {"mono9", 1, 0, 0, 9},   {"mono10", 1, 0, 0, 10},  {"mono12", 1, 0, 0, 12},
    {"mono14", 1, 0, 0, 14}, {"mono16", 1, 0, 0, 16},
};

/* A tag inside a line; not terminated. */
struct token {
    const char *p;
    size_t n;
};

/* As much as the buffer takes. 1: something came, 0: the end. */
static int fill(struct vd_y4m *y)
{
    if (y->used == y->have)
        y->used = y->have = 0;
    assert(y->have < VD_Y4M_BUFFER);
    ptrdiff_t got = y->read(y->ctx, y->buffer + y->have, VD_Y4M_BUFFER - y->have);
    if (got < 0)
        return vd_fail(EIO, "%s: cannot read at byte %" PRIu64 ": %s", y->name, y->offset, strerror((int)-got));
    y->have += (size_t)got;
    return got > 0;
}

/* One line with its line end to dst. What comes must begin with magic and go on with a space or the line end:
 * `*same` is how much of that was there. 1: a line, 0: the input ended (*n bytes of it were there),
 * -ERANGE: no line end in VD_Y4M_MAX_LINE bytes, -EBADMSG: not magic. */
static int get_line(struct vd_y4m *y, const char *magic, char *dst, size_t *n)
{
    size_t len = strlen(magic);

    for (*n = 0; *n < VD_Y4M_MAX_LINE; ) {
        if (y->used == y->have) {
            int rc = fill(y);
            if (rc <= 0)
                return rc;
        }
        char ch = (char)y->buffer[y->used];
        dst[*n] = ch;
        if (*n < len ? ch != magic[*n] : *n == len && ch != ' ' && ch != '\n')
            return -EBADMSG;
        y->used++;
        y->offset++;
        ++*n;
        if (ch == '\n')
            return 1;
    }
    return -ERANGE;
}

/* The next tag of a line that ends with '\n'; false at the end. */
static bool next_token(const char **p, struct token *t)
{
    while (**p == ' ')
        ++*p;
    t->p = *p;
    while (**p != ' ' && **p != '\n')
        ++*p;
    t->n = (size_t)(*p - t->p);
    return t->n > 0;
}

static int check_bytes(const struct vd_y4m *y, const char *line, size_t n, const char *what)
{
    for (size_t i = 0; i + 1 < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            return vd_fail(EBADMSG, "%s: %s has the control byte 0x%02x%s", y->name, what, (unsigned char)line[i],
                           line[i] == '\r' ? " (was the clip converted as if it were text?)" : "");
    return 0;
}

/* Pixels of a W or H tag. */
static int get_side(const struct vd_y4m *y, struct token t, int *out)
{
    int v = 0;

    if (*out)
        return vd_fail(EBADMSG, "%s: header has two %c tags", y->name, t.p[0]);
    for (size_t i = 1; i < t.n; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return vd_fail(EBADMSG, "%s: header tag '%.*s' is not a number of pixels", y->name, (int)t.n, t.p);
        v = v * 10 + (t.p[i] - '0'); /* at most 10 * 65536 + 9 */
        if (v > VD_Y4M_MAX_SIDE)
            return vd_fail(ENOTSUP, "%s: header tag '%.*s': at most %d pixels a side", y->name, (int)t.n, t.p, VD_Y4M_MAX_SIDE);
    }
    if (v == 0)
        return vd_fail(EBADMSG, "%s: header tag '%.*s' is not a number of pixels from 1", y->name, (int)t.n, t.p);
    *out = v;
    return 0;
}

static int get_chroma(const struct vd_y4m *y, struct token t, const struct format **out)
{
    if (*out)
        return vd_fail(EBADMSG, "%s: header has two C tags", y->name);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strlen(formats[i].tag) == t.n - 1 && !memcmp(formats[i].tag, t.p + 1, t.n - 1)) {
            *out = &formats[i];
            return 0;
        }
    return vd_fail(ENOTSUP, "%s: chroma tag '%.*s' is not one of C: %s; convert the clip, for example with ffmpeg -pix_fmt "
                   "yuv420p", y->name, t.n > 40 ? 40 : (int)t.n, t.p, CHROMA_LIST);
}

static int get_interlace(const struct vd_y4m *y, struct token t, bool allow, bool *seen)
{
    if (*seen)
        return vd_fail(EBADMSG, "%s: header has two I tags", y->name);
    *seen = true;
    if (t.n != 2 || !strchr("p?tbm", t.p[1]))
        return vd_fail(EBADMSG, "%s: header tag '%.*s' is not one of Ip I? It Ib Im", y->name, t.n > 40 ? 40 : (int)t.n, t.p);
    if (!allow && strchr("tbm", t.p[1]))
        return vd_fail(ENOTSUP,
                       "%s: the clip is interlaced (header tag '%.*s'), and a filter would mix its fields: deinterlace it ('vmaf-dnn filter "
                       "--allow-interlaced' filters both fields as one picture)", y->name, (int)t.n, t.p);
    return 0;
}

static int parse_header(struct vd_y4m *y, bool allow_interlaced)
{
    const char *p = y->header + strlen(MAGIC);
    const struct format *f = NULL;
    struct token t;
    bool interlace = false;
    int rc = check_bytes(y, y->header, y->header_size, "header");

    while (!rc && next_token(&p, &t))
        switch (t.p[0]) {
        case 'W': rc = get_side(y, t, &y->width); break;
        case 'H': rc = get_side(y, t, &y->height); break;
        case 'C': rc = get_chroma(y, t, &f); break;
        case 'I': rc = get_interlace(y, t, allow_interlaced, &interlace); break;
        default: break; /* F, A, X and what is still to be invented */
        }
    if (rc)
        return rc;
    if (!y->width || !y->height)
        return vd_fail(EBADMSG, "%s: header has no %c tag", y->name, y->width ? 'H' : 'W');
    if ((int64_t)y->width * y->height > VD_Y4M_MAX_PIXELS)
        return vd_fail(ENOTSUP, "%s: %dx%d is more than %d pixels", y->name, y->width, y->height, VD_Y4M_MAX_PIXELS);
    if (!f)
        f = &formats[0];
    y->chroma = f->tag;
    y->planes = f->planes;
    y->depth = f->depth;
    y->bytes = f->depth > 8 ? 2 : 1;
    for (int i = 0; i < f->planes; i++) {
        y->plane_w[i] = i ? (y->width + f->shift_x) >> f->shift_x : y->width;
        y->plane_h[i] = i ? (y->height + f->shift_y) >> f->shift_y : y->height;
        if (!vd_mul((size_t)y->plane_w[i], (size_t)y->plane_h[i], &y->plane_size[i]) ||
            !vd_mul(y->plane_size[i], (size_t)y->bytes, &y->plane_size[i]) ||
            !vd_add(y->frame_size, y->plane_size[i], &y->frame_size))
            return vd_fail(ENOTSUP, "%s: %dx%d does not fit this machine's memory", y->name, y->width, y->height);
    }
    return 0;
}

static int read_header(struct vd_y4m *y)
{
    int rc = get_line(y, MAGIC, y->header, &y->header_size);

    if (rc == 1)
        return 0;
    if (rc == 0 && y->header_size)
        return vd_fail(EBADMSG, "%s: ends inside the header (at byte %" PRIu64 ")", y->name, y->offset);
    if (rc == 0)
        return vd_fail(EBADMSG, "%s: is empty; a y4m clip was expected", y->name);
    if (rc == -ERANGE)
        return vd_fail(EBADMSG, "%s: header is longer than %d bytes", y->name, VD_Y4M_MAX_LINE);
    if (rc == -EBADMSG)
        return vd_fail(EBADMSG, "%s: is not a y4m clip; decode it first: ffmpeg -i CLIP -f yuv4mpegpipe -strict -1 - | "
                       "vmaf-dnn ... -", y->name);
    return rc;
}

int vd_y4m_open(struct vd_y4m *y, vd_read_fn *read, void *ctx, const char *name, bool allow_interlaced)
{
    size_t size;
    int rc;

    memset(y, 0, sizeof(*y));
    y->name = name;
    y->read = read;
    y->ctx = ctx;
    y->buffer = vd_malloc(VD_Y4M_BUFFER);
    if (!y->buffer)
        return vd_nomem(VD_Y4M_BUFFER);
    rc = read_header(y);
    if (!rc)
        rc = parse_header(y, allow_interlaced);
    if (rc)
        goto fail;
    if (!vd_add(y->frame_size, VD_Y4M_MAX_LINE, &size) || !(y->frame = vd_aligned(size))) {
        rc = vd_nomem(y->frame_size);
        goto fail;
    }
    y->plane[0] = y->frame + VD_Y4M_MAX_LINE;
    for (int i = 1; i < y->planes; i++)
        y->plane[i] = y->plane[i - 1] + y->plane_size[i - 1];
    return 0;
fail:
    vd_y4m_close(y);
    return rc;
}

/* First what the buffer has, then straight into the frame. 1: all of it, 0: the input ended, *got says where. */
static int read_samples(struct vd_y4m *y, size_t *got)
{
    uint8_t *dst = y->plane[0];
    size_t n = y->have - y->used;

    if (n > y->frame_size)
        n = y->frame_size;
    memcpy(dst, y->buffer + y->used, n);
    y->used += n;
    y->offset += n;
    while (n < y->frame_size) {
        ptrdiff_t r = y->read(y->ctx, dst + n, y->frame_size - n);
        if (r < 0)
            return vd_fail(EIO, "%s: cannot read at byte %" PRIu64 ": %s", y->name, y->offset, strerror((int)-r));
        if (r == 0)
            break;
        n += (size_t)r;
        y->offset += (uint64_t)r;
    }
    *got = n;
    return n == y->frame_size;
}

/* FFmpeg 5.1, for one, writes such chroma one byte a row short, and cannot read it again. */
#define ODD_ROWS "; some FFmpeg versions write clips of odd width and over 8 bits wrongly: crop or pad the width to an even one"
static bool odd_rows(const struct vd_y4m *y)
{
    return y->bytes == 2 && y->width % 2 && y->planes == 3 && y->plane_w[1] < y->width;
}

int vd_y4m_next(struct vd_y4m *y)
{
    char line[VD_Y4M_MAX_LINE];
    size_t n = 0, got = 0;
    int rc = get_line(y, "FRAME", line, &n);

    if (rc == 0 && n == 0)
        return 0;
    if (rc == 0)
        return vd_fail(EBADMSG, "%s: ends inside the header of frame %" PRId64 " (at byte %" PRIu64 "; the first frame is 0)",
                       y->name, y->frames, y->offset);
    if (rc == -EBADMSG)
        return vd_fail(EBADMSG, "%s: frame %" PRId64 " does not begin with FRAME (at byte %" PRIu64 "; the first frame is 0)%s",
                       y->name, y->frames, y->offset - n, odd_rows(y) ? ODD_ROWS : "");
    if (rc == -ERANGE)
        return vd_fail(EBADMSG, "%s: header of frame %" PRId64 " is longer than %d bytes (at byte %" PRIu64 "; the first frame "
                       "is 0)", y->name, y->frames, VD_Y4M_MAX_LINE, y->offset - n);
    if (rc < 0)
        return rc;
    rc = check_bytes(y, line, n, "a FRAME line");
    if (rc)
        return vd_context(rc, "frame %" PRId64 " at byte %" PRIu64, y->frames, y->offset - n);
    y->line_size = n;
    memcpy(y->plane[0] - n, line, n);
    rc = read_samples(y, &got);
    if (rc == 0)
        return vd_fail(EBADMSG, "%s: ends inside frame %" PRId64 " (at byte %" PRIu64 ": %zu of its %zu bytes are there; the "
                       "first frame is 0)", y->name, y->frames, y->offset, got, y->frame_size);
    if (rc == 1)
        y->frames++;
    return rc;
}

void vd_y4m_close(struct vd_y4m *y)
{
    vd_free(y->buffer);
    vd_free(y->frame);
    y->buffer = y->frame = NULL;
}

int vd_y4m_put_header(const struct vd_y4m *y, struct vd_sink *s)
{
    return vd_sink_write(s, y->header, y->header_size);
}

int vd_y4m_put_frame(const struct vd_y4m *y, struct vd_sink *s)
{
    return vd_sink_write(s, y->plane[0] - y->line_size, y->line_size + y->frame_size);
}

int64_t vd_y4m_guess_frames(const struct vd_y4m *y, uint64_t size)
{
    return size < y->header_size ? 0 : (int64_t)((size - y->header_size) / (y->frame_size + strlen("FRAME\n")));
}
