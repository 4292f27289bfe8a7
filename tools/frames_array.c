/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"
#include "frames.h"
#include "io/npy.h"
#include "io/zip.h"

/* One array, a frame at a time. */
struct stack {
    struct vd_npy head;
    struct vd_tensor frame; /* float32, or as the model has it */
    uint64_t at;            /* .npy: offset of the next element */
    struct vd_zip_stream *zip;
    uint8_t *raw;           /* one frame as stored */
    size_t count, bytes;    /* of a frame */
    int64_t frames;
};

static int read_stack(const struct vd_frames_job *j, int fd, struct stack *s, void *dst, size_t n)
{
    if (s->zip)
        return vd_zip_read(s->zip, dst, n);
    for (size_t have = 0; have < n;) {
        const ssize_t got = pread(fd, (uint8_t *)dst + have, n - have, (off_t)(s->at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got ? vd_fail(EIO, "%s: cannot read: %s", j->path, strerror(errno)) : vd_fail(EBADMSG, "%s: ends inside frame %" PRIu64, j->path,
                                                                                                 j->done->frames);
        have += (size_t)got;
    }
    s->at += n;
    return 0;
}

static int read_head(const struct vd_frames_job *j, int fd, struct stack *s, const char *name)
{
    uint8_t *bytes = vd_malloc(VD_NPY_MAX_HEADER + 16);
    size_t n = 12, header;
    if (!bytes)
        return vd_nomem(VD_NPY_MAX_HEADER);
    int rc = read_stack(j, fd, s, bytes, 10);
    const bool wide = !rc && bytes[6] > 1; /* four bytes of length */
    if (!rc && wide)
        rc = read_stack(j, fd, s, bytes + 10, 2);
    if (!rc) {
        size_t length = bytes[8] | (size_t)bytes[9] << 8;
        n = wide ? 12 : 10;
        if (wide)
            length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
        if (length > VD_NPY_MAX_HEADER)
            rc = vd_fail(EBADMSG, "%s: .npy header of %zu bytes; at most %d are taken", name, length, VD_NPY_MAX_HEADER);
        else if (!(rc = read_stack(j, fd, s, bytes + n, length)))
            rc = vd_npy_head(bytes, n + length, name, &s->head, &header);
    }
    vd_free(bytes);
    return rc;
}

/* A frame's shape: the array's, less the first dimension that counts frames. */
static int fit(const struct vd_frames_job *j, struct stack *s, const struct vd_onnx_value *v)
{
    const struct vd_npy *a = &s->head;
    char have[VD_SHAPE_TEXT], want[VD_SHAPE_TEXT];
    struct vd_tensor *t = &s->frame;
    bool ok = v->type == VD_F32 ? a->type == VD_F32 || a->type == VD_F16 || a->type == VD_U8 : a->type == v->type;
    if (!ok)
        return vd_fail(ENOTSUP, "%s: %s for input '%s', which is %s", j->path, vd_type_name(a->type), v->name, vd_type_name(v->type));
    *t = (struct vd_tensor){.type = v->type, .rank = v->rank < 0 ? a->rank : v->rank, .dim = {1, 1}};
    s->frames = a->rank > 0 ? a->shape[0] : 0;
    if (a->rank == t->rank && a->rank > 0 && (v->rank < 0 || v->dim[0] < 0 || v->dim[0] == 1)) {
        memcpy(t->dim + 1, a->shape + 1, (size_t)(a->rank - 1) * sizeof(*t->dim));
    } else if (a->rank == t->rank) { /* a batch that the model fixes: one frame */
        memcpy(t->dim, a->shape, (size_t)a->rank * sizeof(*t->dim));
        s->frames = 1;
    } else if (a->rank == t->rank + 1) {
        memcpy(t->dim, a->shape + 1, (size_t)t->rank * sizeof(*t->dim));
    } else if (a->rank == 3 && t->rank == 4) {
        memcpy(t->dim + 2, a->shape + 1, 2 * sizeof(*t->dim));
    } else {
        ok = false;
    }
    for (int d = 0; ok && d < t->rank; d++)
        ok = t->dim[d] > 0 && (v->rank < 0 || v->dim[d] < 0 || v->dim[d] == t->dim[d]);
    size_t bytes;
    if (!ok || s->frames < 1)
        return vd_fail(ENOTSUP, "%s: an array of %s for input '%s', which is %s: frames along a first dimension are wanted", j->path,
                       vd_shape_text(have, a->rank, a->shape), v->name, vd_shape_text(want, v->rank, v->dim));
    if (!vd_count(t->dim, t->rank, &s->count) || !vd_mul(s->count, 8, &bytes))
        return vd_fail(ERANGE, "%s: a frame of %s is too large", j->path, vd_shape_text(have, t->rank, t->dim));
    s->bytes = s->count * vd_type_size(a->type);
    s->raw = vd_aligned(s->bytes);
    t->data = a->type == t->type ? s->raw : vd_aligned(s->count * sizeof(float));
    return s->raw && t->data ? 0 : vd_nomem(bytes);
}

static void widen(struct stack *s)
{
    float *d = s->frame.data;
    if (s->head.type == s->frame.type)
        return;
    for (size_t i = 0; i < s->count; i++)
        d[i] = s->head.type == VD_U8 ? (float)s->raw[i] / 255 : vd_f32_from_f16(((const uint16_t *)(const void *)s->raw)[i]);
}

static int open_stacks(struct vd_frames_job *j, int fd, struct vd_zip *z, struct stack *stack)
{
    int rc = 0;
    if (z->member && j->m->n_in > 1 && z->n < j->m->n_in)
        return vd_fail(ENOTSUP, "%s: %d array%s, and the model has %d input%s", j->path, z->n, vd_s(z->n), j->m->n_in, vd_s(j->m->n_in));
    for (int i = 0; i < j->m->n_in && !rc; i++) {
        struct stack *s = &stack[i];
        const char *input = j->m->in[i].name;
        if (z->member) {
            const struct vd_zip_member *m = NULL;
            char want[VD_ZIP_MAX_NAME + 8];
            snprintf(want, sizeof(want), "%.*s.npy", VD_ZIP_MAX_NAME, input);
            for (int k = 0; k < z->n; k++)
                if (!strcmp(z->member[k].name, want))
                    m = &z->member[k];
            if (!m && j->m->n_in == 1 && z->n == 1)
                m = &z->member[0];
            if (!m)
                return vd_fail(ENOTSUP, "%s: no array for input '%s': numpy.savez(FILE, **{'%s': array})", j->path, input, input);
            rc = vd_zip_stream_open(&s->zip, z, m);
        }
        if (!rc)
            rc = read_head(j, fd, s, j->path);
        if (!rc)
            rc = fit(j, s, &j->m->in[i]);
        if (!rc && s->frames != stack[0].frames)
            rc = vd_fail(EBADMSG, "%s: %" PRId64 " frame%s of input '%s', and %" PRId64 " of '%s'", j->path, s->frames, vd_s(s->frames), input, stack[0].frames,
                         j->m->in[0].name);
    }
    return rc;
}

int vd_frames_arrays(struct vd_frames_job *j, bool zip)
{
    struct vd_zip z = {.fd = -1};
    struct vd_draw draw;
    if (!zip && j->m->n_in != 1)
        return vd_fail(ENOTSUP, "%s: one array, and the model has %d inputs: put an array for each into a .npz", j->path, j->m->n_in);
    const int fd = open(j->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vd_fail(errno, "%s: %s", j->path, strerror(errno));
    struct stack *stack = vd_calloc((size_t)j->m->n_in + 1, sizeof(*stack));
    struct vd_tensor *in = vd_calloc((size_t)j->m->n_in + 1, sizeof(*in));
    int rc = stack && in ? 0 : vd_nomem(sizeof(*stack));
    if (!rc && zip)
        rc = vd_zip_open(&z, fd, j->path);
    if (!rc)
        rc = open_stacks(j, fd, &z, stack);
    if (!rc)
        vd_draw_begin(&draw, j->o, (uint64_t)stack[0].frames);
    bool pictures = !rc;
    for (int i = 0; i < j->m->n_in && !rc; i++) {
        in[i] = stack[i].frame;
        pictures = pictures && stack[i].head.type == VD_U8 && stack[i].frame.type == VD_F32;
    }
    for (int64_t f = 0; !rc && f < stack[0].frames; f++) {
        for (int i = 0; i < j->m->n_in && !rc; i++)
            if (!(rc = read_stack(j, fd, &stack[i], stack[i].raw, stack[i].bytes)))
                widen(&stack[i]);
        if (!rc && vd_draw_next(&draw) && !(rc = j->fn(j->arg, in, pictures)))
            j->done->frames++;
    }
    for (int i = 0; stack && i < j->m->n_in; i++) {
        vd_zip_stream_close(stack[i].zip);
        if (stack[i].frame.data != stack[i].raw)
            vd_free(stack[i].frame.data);
        vd_free(stack[i].raw);
    }
    vd_zip_close(&z);
    vd_free(stack);
    vd_free(in);
    close(fd);
    return rc;
}
