/* SPDX-License-Identifier: BSD-2-Clause */
#include "npy.h"
#include "stream.h" /* the check of the byte order */

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "common/checked.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "onnx/onnx.h"

#define MAGIC "\x93NUMPY"
enum { MAGIC_SIZE = 6, ALIGN = 64, GROWTH_DIGITS = 21 };

static const struct type {
    int type;
    const char *descr;
} types[] = {
    {VMAF_DNN_F32, "<f4"}, {VMAF_DNN_F16, "<f2"}, {VMAF_DNN_U8, "|u1"},   {VMAF_DNN_S8, "|i1"},
    {VMAF_DNN_S32, "<i4"}, {VMAF_DNN_S64, "<i8"}, {VMAF_DNN_BOOL, "|b1"},
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

const char *vd_npy_descr(int type)
{
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].type == type)
            return types[i].descr;
    return NULL;
}

char *vd_shape_text(char dst[VD_SHAPE_TEXT], int rank, const int64_t *shape)
{
    size_t n = 0; /* at most 1 + 8 * 21 + 1 characters */

    if (rank < 0 || rank > VMAF_DNN_MAX_RANK) {
        snprintf(dst, VD_SHAPE_TEXT, "[any]");
        return dst;
    }
    n += (size_t)snprintf(dst + n, VD_SHAPE_TEXT - n, "[");
    for (int i = 0; i < rank; i++) {
        if (i)
            n += (size_t)snprintf(dst + n, VD_SHAPE_TEXT - n, ",");
        if (shape[i] < 0)
            n += (size_t)snprintf(dst + n, VD_SHAPE_TEXT - n, "?");
        else
            n += (size_t)snprintf(dst + n, VD_SHAPE_TEXT - n, "%" PRId64, shape[i]);
    }
    snprintf(dst + n, VD_SHAPE_TEXT - n, "]");
    return dst;
}

/* The dictionary. */
struct text {
    const char *p, *end, *begin;
    const char *name; /* of the file */
};

static int bad(const struct text *t, const char *what)
{
    return vd_fail(EBADMSG, "%s: .npy header: %s at character %td; write the array with numpy.save()", t->name, what, t->p - t->begin);
}

static void spaces(struct text *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t'))
        t->p++;
}

static bool take(struct text *t, char ch)
{
    spaces(t);
    if (t->p == t->end || *t->p != ch)
        return false;
    t->p++;
    return true;
}

/* A Python string without escapes; not terminated. */
static bool take_string(struct text *t, const char **s, size_t *n)
{
    spaces(t);
    if (t->p == t->end || (*t->p != '\'' && *t->p != '"'))
        return false;
    char quote = *t->p++;
    *s = t->p;
    while (t->p < t->end && *t->p != quote && *t->p != '\\' && *t->p != '\n')
        t->p++;
    *n = (size_t)(t->p - *s);
    if (t->p == t->end || *t->p != quote)
        return false;
    t->p++;
    return true;
}

static bool take_word(struct text *t, const char *word)
{
    size_t n = strlen(word);

    spaces(t);
    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n))
        return false;
    t->p += n;
    return true;
}

/* A decimal without sign and leading zeros that fits int64_t. */
static bool take_number(struct text *t, int64_t *out)
{
    int64_t v = 0;
    const char *first;

    spaces(t);
    for (first = t->p; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
        if (!vd_mul64(v, 10, &v) || !vd_add64(v, *t->p - '0', &v))
            return false;
    *out = v;
    return t->p > first && (*first != '0' || t->p == first + 1);
}

static int take_descr(struct text *t, int *type)
{
    const char *s;
    size_t n;

    if (take(t, '['))
        return vd_fail(ENOTSUP, "%s: is an array of records; save one field of it", t->name);
    if (!take_string(t, &s, &n))
        return bad(t, "the type is not a string");
    for (int i = 0; i < N_TYPES; i++)
        if (n == 3 && !memcmp(s, types[i].descr, 3)) {
            *type = types[i].type;
            return 0;
        }
    return vd_fail(ENOTSUP, "%s: elements of type '%.*s'; taken are <f4 <f2 |u1 |i1 <i4 <i8 |b1: convert with "
                   "array.astype('<f4')", t->name, n > 40 ? 40 : (int)n, s);
}

static int take_order(struct text *t)
{
    if (take_word(t, "False"))
        return 0;
    if (take_word(t, "True"))
        return vd_fail(ENOTSUP, "%s: is in Fortran order; save numpy.ascontiguousarray(array)", t->name);
    return bad(t, "fortran_order is neither True nor False");
}

static int take_shape(struct text *t, struct vd_npy *a)
{
    bool comma = true;

    if (!take(t, '('))
        return bad(t, "the shape is not a tuple");
    for (a->rank = 0; !take(t, ')'); a->rank++) {
        if (!comma)
            return bad(t, "a comma is missing in the shape");
        if (a->rank == VMAF_DNN_MAX_RANK)
            return vd_fail(ENOTSUP, "%s: has more than %d dimensions", t->name, VMAF_DNN_MAX_RANK);
        if (!take_number(t, &a->shape[a->rank]))
            return bad(t, "no number for a dimension");
        comma = take(t, ',');
    }
    return a->rank == 1 && !comma ? bad(t, "a shape of one dimension wants a comma, as in (3,)") : 0;
}

static int take_dictionary(struct text *t, struct vd_npy *a)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    bool seen[3] = {false, false, false}, comma = true;
    const char *s;
    size_t n;

    if (!take(t, '{'))
        return bad(t, "no dictionary");
    while (!take(t, '}')) {
        int key, rc;
        if (!comma)
            return bad(t, "a comma is missing");
        if (!take_string(t, &s, &n))
            return bad(t, "no key");
        for (key = 0; key < 3 && (strlen(keys[key]) != n || memcmp(keys[key], s, n)); key++)
            ;
        if (key == 3)
            return bad(t, "an unknown key");
        if (seen[key])
            return bad(t, "a key that was there before");
        seen[key] = true;
        if (!take(t, ':'))
            return bad(t, "a colon is missing");
        rc = key == 0 ? take_descr(t, &a->type) : key == 1 ? take_order(t) : take_shape(t, a);
        if (rc)
            return rc;
        comma = take(t, ',');
    }
    for (int i = 0; i < 3; i++)
        if (!seen[i])
            return vd_fail(EBADMSG, "%s: .npy header has no %s; write the array with numpy.save()", t->name, keys[i]);
    spaces(t);
    return t->p == t->end ? 0 : bad(t, "something after the dictionary");
}

static int check_bools(const struct vd_npy *a, const char *name)
{
    const uint8_t *p = a->data;

    if (a->type == VMAF_DNN_BOOL)
        for (size_t i = 0; i < a->count; i++)
            if (p[i] > 1)
                return vd_fail(EBADMSG, "%s: bool number %zu is %d, neither 0 nor 1", name, i, p[i]);
    return 0;
}

int vd_npy_head(const uint8_t *bytes, size_t size, const char *name, struct vd_npy *a, size_t *header)
{
    struct vd_reader r = {bytes, bytes + size, false};
    size_t length, want;
    char text[VD_SHAPE_TEXT];
    int rc;

    memset(a, 0, sizeof(*a));
    const uint8_t *magic = vd_get_bytes(&r, MAGIC_SIZE);
    if (!magic || memcmp(magic, MAGIC, MAGIC_SIZE))
        return vd_fail(EBADMSG, "%s: is not a .npy file; write it with numpy.save()", name);
    int major = vd_get_u8(&r), minor = vd_get_u8(&r);
    if (!r.bad && (major < 1 || major > 3 || minor))
        return vd_fail(ENOTSUP, "%s: .npy version %d.%d; taken are 1.0, 2.0 and 3.0", name, major, minor);
    length = vd_get_u8(&r);
    length |= (size_t)vd_get_u8(&r) << 8;
    if (major > 1) {
        length |= (size_t)vd_get_u8(&r) << 16;
        length |= (size_t)vd_get_u8(&r) << 24;
    }
    if (!r.bad && length > VD_NPY_MAX_HEADER)
        return vd_fail(EBADMSG, "%s: .npy header of %zu bytes; at most %d are taken", name, length, VD_NPY_MAX_HEADER);
    const uint8_t *dictionary = vd_get_bytes(&r, length);
    if (r.bad)
        return vd_fail(EBADMSG, "%s: ends inside the .npy header (%zu byte%s)", name, size, vd_s((long long)size));
    struct text t = {(const char *)dictionary, (const char *)dictionary + length, (const char *)dictionary, name};
    rc = take_dictionary(&t, a);
    if (rc)
        goto fail;
    if (!vd_count(a->shape, a->rank, &a->count) || !vd_mul(a->count, vd_type_size(a->type), &want)) {
        rc = vd_fail(EBADMSG, "%s: shape %s is larger than any memory", name, vd_shape_text(text, a->rank, a->shape));
        goto fail;
    }
    *header = size - vd_left(&r);
fail:
    if (rc)
        memset(a, 0, sizeof(*a));
    return rc;
}

int vd_npy_parse(uint8_t *bytes, size_t size, const char *name, struct vd_npy *a)
{
    size_t header;
    char text[VD_SHAPE_TEXT];
    int rc = vd_npy_head(bytes, size, name, a, &header);
    if (rc)
        return rc;
    const size_t want = a->count * vd_type_size(a->type), left = size - header;
    if (want != left) {
        rc = vd_fail(EBADMSG, "%s: %s of shape %s is %zu byte%s, and %zu follow the header", name, vd_type_name(a->type),
                     vd_shape_text(text, a->rank, a->shape), want, vd_s((long long)want), left);
        goto fail;
    }
    a->data = bytes + (size - want);
    if ((uintptr_t)a->data % vd_type_size(a->type))
        a->data = memmove(bytes, a->data, want);
    rc = check_bools(a, name);
fail:
    if (rc)
        memset(a, 0, sizeof(*a));
    return rc;
}

int vd_npy_load(const char *path, struct vd_npy *a)
{
    uint8_t *bytes;
    size_t size;

    memset(a, 0, sizeof(*a));
    int rc = vd_file_read(path, VD_NPY_MAX_FILE, &bytes, &size);
    if (rc)
        return rc;
    rc = vd_npy_parse(bytes, size, path, a);
    if (rc)
        vd_free(bytes);
    else
        a->memory = bytes;
    return rc;
}

void vd_npy_free(struct vd_npy *a)
{
    vd_free(a->memory);
    memset(a, 0, sizeof(*a));
}

/* As numpy/lib/format.py documents it: keys sorted, a comma after each value, room for the first dimension to
 * grow to GROWTH_DIGITS digits, spaces and a line end up to a multiple of ALIGN, of which one space at least when the
 * text alone would end there. */
size_t vd_npy_header(char dst[VD_NPY_HEADER_ROOM], int type, int rank, const int64_t *shape)
{
    const char *descr = vd_npy_descr(type);
    enum { FIXED = MAGIC_SIZE + 4 };
    size_t n = FIXED;

    /* The longest: 10 + 50 + 8 * 21 + 6 + 21 and the padding, 320 in all. */
    assert(descr && rank >= 0 && rank <= VMAF_DNN_MAX_RANK);
    n += (size_t)snprintf(dst + n, VD_NPY_HEADER_ROOM - n, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < rank; i++)
        n += (size_t)snprintf(dst + n, VD_NPY_HEADER_ROOM - n, "%s%" PRId64, i ? ", " : "", shape[i]);
    n += (size_t)snprintf(dst + n, VD_NPY_HEADER_ROOM - n, "%s), }", rank == 1 ? "," : "");
    if (rank > 0) {
        int digits = snprintf(NULL, 0, "%" PRId64, shape[0]);
        for (int i = digits; i < GROWTH_DIGITS; i++)
            dst[n++] = ' ';
    }
    size_t total = n + 1 + ALIGN - (n + 1) % ALIGN;
    memset(dst + n, ' ', total - n - 1);
    dst[total - 1] = '\n';
    memcpy(dst, MAGIC "\x01", MAGIC_SIZE + 2); /* and the minor version 0, the literal's end */
    dst[FIXED - 2] = (char)((total - FIXED) & 0xff);
    dst[FIXED - 1] = (char)((total - FIXED) >> 8);
    return total;
}
