/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_wire.h"

#include <assert.h>
#include <string.h>

#include "common/status.h"

static size_t offset(const struct vd_msg *m, const uint8_t *p)
{
    return (size_t)(p - m->file);
}

void vd_msg_open(struct vd_msg *m, const uint8_t *data, size_t size)
{
    *m = (struct vd_msg){.r = {.p = data, .end = data + size}, .file = data, .depth = 1};
}

int vd_msg_sub(const struct vd_msg *m, const struct vd_field *f, struct vd_msg *sub)
{
    assert(f->wire == VD_WIRE_LEN);
    if (m->depth >= VD_WIRE_MAX_DEPTH)
        return vd_fail(EBADMSG, "byte %zu: messages nested more than %d deep", f->at, VD_WIRE_MAX_DEPTH);
    *sub = (struct vd_msg){.r = f->body, .file = m->file, .depth = m->depth + 1};
    return 0;
}

static int varint(struct vd_msg *m, uint64_t *v)
{
    const uint8_t *start = m->r.p;
    const size_t left = vd_left(&m->r);
    *v = vd_get_varint(&m->r);
    if (!m->r.bad)
        return 0;
    for (size_t i = 0; i < left && i < 10; i++)
        if (i == 9 || start[i] < 0x80)
            return vd_fail(EBADMSG, "byte %zu: a number of more than 64 bits", offset(m, start));
    return vd_fail(EBADMSG, "byte %zu: the file ends inside a number", offset(m, start));
}

int vd_msg_next(struct vd_msg *m, struct vd_field *f)
{
    *f = (struct vd_field){.at = offset(m, m->r.p)};
    if (!vd_left(&m->r))
        return 0;
    uint64_t tag, len;
    int rc = varint(m, &tag);
    if (rc < 0)
        return rc;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return vd_fail(EBADMSG, "byte %zu: %llu is no field number of protobuf", f->at, (unsigned long long)(tag >> 3));
    f->number = (unsigned)(tag >> 3);
    f->wire = (int)(tag & 7);
    f->body.p = m->r.p;
    switch (f->wire) {
    case VD_WIRE_VARINT:
        if ((rc = varint(m, &f->v)) < 0)
            return rc;
        break;
    case VD_WIRE_I64: f->v = vd_get_le64(&m->r); break;
    case VD_WIRE_I32: f->v = vd_get_le32(&m->r); break;
    case VD_WIRE_LEN:
        if ((rc = varint(m, &len)) < 0)
            return rc;
        f->body.p = m->r.p;
        if (len > vd_left(&m->r))
            return vd_fail(EBADMSG, "byte %zu: field %u says %llu bytes and %zu are left", f->at, f->number,
                           (unsigned long long)len, vd_left(&m->r));
        vd_get_bytes(&m->r, (size_t)len);
        break;
    default:
        return vd_fail(EBADMSG, "byte %zu: field %u has wire type %d%s", f->at, f->number, f->wire,
                       f->wire == 3 || f->wire == 4 ? " (a group), which ONNX does not use" : ", which does not exist");
    }
    if (m->r.bad)
        return vd_fail(EBADMSG, "byte %zu: the file ends inside field %u", f->at, f->number);
    f->body.end = m->r.p;
    return 1;
}

uint64_t vd_get_scalar(struct vd_reader *body, int wire)
{
    switch (wire) {
    case VD_WIRE_I64: return vd_get_le64(body);
    case VD_WIRE_I32: return vd_get_le32(body);
    default: assert(wire == VD_WIRE_VARINT); return vd_get_varint(body);
    }
}

int vd_msg_scan(const struct vd_msg *m, const struct vd_desc *desc, unsigned n, struct vd_got *got)
{
    memset(got, 0, n * sizeof *got);
    struct vd_msg pass = *m;
    struct vd_field f;
    int rc;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        const struct vd_desc *d = f.number < n ? &desc[f.number] : NULL;
        if (!d || !d->name)
            continue;
        struct vd_got *g = &got[f.number];
        const bool packed = d->many && d->wire != VD_WIRE_LEN && f.wire == VD_WIRE_LEN;
        if (f.wire != d->wire && !packed)
            return vd_fail(EBADMSG, "byte %zu: %s has wire type %d instead of %d", f.at, d->name, f.wire, d->wire);
        if (g->n && !d->many)
            return vd_fail(EBADMSG, "byte %zu: %s is there twice", f.at, d->name);
        if (!packed) {
            g->n++;
        } else {
            struct vd_reader body = f.body;
            for (; vd_left(&body); g->n++)
                vd_get_scalar(&body, d->wire);
            if (body.bad)
                return vd_fail(EBADMSG, "byte %zu: %s ends inside a number or has one of more than 64 bits", f.at, d->name);
        }
        g->f = f;
    }
    return rc;
}

int vd_field_int32(const struct vd_field *f, const char *name, int *out)
{
    const int64_t v = (int64_t)f->v;
    if (v < INT32_MIN || v > INT32_MAX)
        return vd_fail(EBADMSG, "byte %zu: %s is %lld, which does not fit 32 bits", f->at, name, (long long)v);
    *out = (int)v;
    return 0;
}
