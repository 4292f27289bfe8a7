/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate_sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "frames.h"
#include "io/npy.h"
#include "io/stream.h"
#include "io/y4m.h"
#include "ops/op.h"

enum { MAX_ARRAYS = 64 };

struct luma { int64_t number; void *data; };

struct vd_source_body {
    /* A clip. */
    struct luma *luma;
    size_t n_luma, room;
    int depth, bytes; /* bytes 4: float32, 0..1 */
    /* Arrays. */
    struct { char *input; struct vd_npy a; } array[MAX_ARRAYS];
    size_t n_array;
    bool named;
    size_t order[MAX_ARRAYS]; /* array of each input */
    int64_t *pick;
    int64_t n_pick;
    size_t at;
};

/* --- which samples */

/* Sample i of a stream: the slot that it goes to, or -1. */
static int64_t slot_of(struct vd_rng *rng, int64_t i, int64_t slots)
{
    if (i < slots)
        return i;
    const int64_t j = i < UINT32_MAX ? vd_rng_below(rng, (uint32_t)i + 1) : (int64_t)(vd_rng_u64(rng) % ((uint64_t)i + 1));
    return j < slots ? j : -1;
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b; /* of struct luma too: its first member */
    return (x > y) - (x < y);
}

static int add(struct vd_sources *s, struct vd_source_body **body, struct vd_gate_source **source)
{
    struct vd_gate_source *list = vd_realloc(s->list, s->n + 1, sizeof(*list));
    if (list)
        s->list = list;
    struct vd_source_body *bodies = list ? vd_realloc(s->body, s->n + 1, sizeof(*bodies)) : NULL;
    if (!bodies)
        return vd_nomem((s->n + 1) * sizeof(*bodies));
    s->body = bodies;
    *source = &list[s->n];
    *body = &bodies[s->n];
    **source = (struct vd_gate_source){0};
    **body = (struct vd_source_body){0};
    s->n++;
    for (size_t i = 0; i < s->n; i++)
        list[i].ctx = &bodies[i]; /* they may have moved */
    return 0;
}

/* --- clips */

/* The slot of frame i, with room for size bytes; NULL and *rc 0: it is not taken. */
static struct luma *take(struct vd_source_body *b, struct vd_rng *rng, int64_t i, long frames, size_t size, int *rc)
{
    const int64_t slot = frames ? slot_of(rng, i, frames) : i;
    *rc = 0;
    if (slot < 0)
        return NULL;
    if ((size_t)slot == b->room) {
        const size_t room = b->room ? b->room * 2 : 16;
        struct luma *more = vd_realloc(b->luma, room, sizeof(*more));
        if (!more) {
            *rc = vd_nomem(room * sizeof(*more));
            return NULL;
        }
        b->luma = more;
        b->room = room;
    }
    struct luma *l = &b->luma[slot];
    if ((size_t)slot == b->n_luma) {
        if (!(l->data = vd_malloc(size))) {
            *rc = vd_nomem(size);
            return NULL;
        }
        b->n_luma++;
    }
    l->number = i;
    return l;
}

static int next_frame(void *ctx, float *const *sample, int64_t *number)
{
    struct vd_source_body *b = ctx;
    if (b->at == b->n_luma)
        return 0;
    const struct luma *l = &b->luma[b->at++];
    const size_t n = (size_t)b->n_pick; /* elements of a plane */
    const float top = (float)((1 << b->depth) - 1);
    for (size_t i = 0; i < n; i++)
        sample[0][i] = b->bytes == 4 ? ((const float *)l->data)[i] : (float)(b->bytes == 1 ? ((const uint8_t *)l->data)[i] : ((const uint16_t *)l->data)[i]) / top;
    *number = l->number;
    return 1;
}

static int read_y4m(struct vd_source_body *b, struct vd_y4m *y, long frames, uint64_t seed)
{
    struct vd_rng rng;
    int rc;
    vd_rng_seed(&rng, seed);
    while ((rc = vd_y4m_next(y)) > 0) {
        int failed;
        struct luma *l = take(b, &rng, y->frames - 1, frames, y->plane_size[0], &failed);
        if (failed)
            return failed;
        if (!l)
            continue;
        memcpy(l->data, y->plane[0], y->plane_size[0]);
        for (size_t k = 0; y->bytes == 2 && k < y->plane_size[0] / 2; k++)
            if (((const uint16_t *)l->data)[k] >> y->depth)
                return vd_fail(EBADMSG, "frame %lld: a sample is over %d bits", (long long)(y->frames - 1), y->depth);
    }
    return rc;
}

/* What frames.h reads besides: raw samples, and what libav decodes. It gives the inputs of a model, and the one here takes pictures of any size. */
struct other { struct vd_source_body *b; struct vd_gate_source *src; struct vd_rng rng; long frames; int64_t seen; };

static int take_picture(void *arg, const struct vd_tensor *in, bool pictures)
{
    struct other *o = arg;
    const int w = (int)in->dim[3], h = (int)in->dim[2];
    int rc;
    (void)pictures;
    if (!o->seen) {
        o->src->w = w;
        o->src->h = h;
        o->b->n_pick = (int64_t)w * h;
    } else if (w != o->src->w || h != o->src->h) {
        return vd_fail(ENOTSUP, "frame %lld is %dx%d, and those before it are %dx%d", (long long)o->seen, w, h, o->src->w, o->src->h);
    }
    struct luma *l = take(o->b, &o->rng, o->seen++, o->frames, vd_tensor_bytes(in), &rc);
    if (l)
        memcpy(l->data, in->data, vd_tensor_bytes(in));
    return rc;
}

static int read_other(struct vd_source_body *b, struct vd_gate_source *src, const char *path, const struct vd_clip_opts *c)
{
    struct vd_onnx_value in = {.name = "picture", .type = VD_F32, .rank = 4, .dim = {1, 1, -1, -1}};
    const struct vd_onnx_model m = {.in = &in, .n_in = 1};
    const struct vd_frames_opts opts = {.w = c->w, .h = c->h, .pix_fmt = c->pix_fmt};
    struct other o = {.b = b, .src = src, .frames = c->frames};
    struct vd_frames_done done;
    vd_rng_seed(&o.rng, c->seed);
    b->bytes = 4;
    return vd_frames_read(path, &m, &opts, take_picture, &o, &done);
}

/* A file that does not begin as y4m does. What cannot be looked into (a pipe) can be nothing else. */
static bool is_other(int fd)
{
    char head[9];
    const ssize_t n = pread(fd, head, sizeof head, 0);
    return n > 0 && (n < (ssize_t)sizeof head || memcmp(head, "YUV4MPEG2", sizeof head));
}

static bool is_npy(const char *path)
{
    const size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".npy");
}

int vd_sources_add_clip(struct vd_sources *s, const char *path, const struct vd_clip_opts *c)
{
    if (is_npy(path))
        return vd_sources_add_array(s, path, c->frames, c->seed);
    struct vd_source_body *b;
    struct vd_gate_source *src;
    struct vd_y4m y;
    const bool standard = !strcmp(path, "-");
    int rc = add(s, &b, &src), fd;
    if (rc)
        return rc;
    src->name = standard ? "standard input" : path;
    src->degrade = c->degrade;
    src->next = next_frame;
    if ((fd = vd_clip_open(path)) < 0)
        return fd;
    if (!standard && is_other(fd)) {
        close(fd);
        rc = read_other(b, src, path, c);
    } else {
        rc = vd_y4m_open(&y, vd_read_fd, &fd, src->name, true);
        if (!rc) {
            src->w = y.width;
            src->h = y.height;
            b->depth = y.depth;
            b->bytes = y.bytes;
            b->n_pick = (int64_t)y.width * y.height;
            rc = read_y4m(b, &y, c->frames, c->seed);
            vd_y4m_close(&y);
        }
        if (!standard)
            close(fd);
    }
    if (b->n_luma)
        qsort(b->luma, b->n_luma, sizeof(*b->luma), by_number);
    src->n = (int64_t)b->n_luma;
    return rc ? rc : src->n ? 0 : vd_fail(EBADMSG, "%s: no frames in it", src->name);
}

/* --- arrays */

static int fit(struct vd_source_body *b, size_t k, vmaf_dnn_input *in)
{
    const struct vd_npy *a = &b->array[k].a;
    char have[VD_SHAPE_TEXT], want[VD_SHAPE_TEXT];
    int64_t shape[VMAF_DNN_MAX_RANK] = {1, 1};
    bool ok = true;
    if (a->rank == in->rank && in->rank > 0 && in->shape[0] == 1)
        memcpy(shape + 1, a->shape + 1, (size_t)(in->rank - 1) * sizeof(*shape));
    else if (a->rank == in->rank + 1)
        memcpy(shape, a->shape + 1, (size_t)in->rank * sizeof(*shape));
    else if (a->rank == 3 && in->rank == 4 && in->shape[0] == 1 && in->shape[1] == 1)
        memcpy(shape + 2, a->shape + 1, 2 * sizeof(*shape));
    else
        ok = false;
    if (!ok)
        return vd_fail(ENOTSUP, "input '%s': the array is %s, and [N,...] of %s is wanted", in->name, vd_shape_text(have, a->rank, a->shape),
                       vd_shape_text(want, in->rank, in->shape));
    memcpy(in->shape, shape, sizeof shape);
    return 0;
}

static int prepare(void *ctx, vmaf_dnn_input *in, size_t n_in)
{
    struct vd_source_body *b = ctx;
    if (!b->named && n_in != 1)
        return vd_fail(ENOTSUP, "the model has %zu inputs: name one array for each (--array INPUT=FILE)", n_in);
    if (n_in != b->n_array)
        return vd_fail(ENOTSUP, "the model has %zu input%s, and the number of arrays named is %zu", n_in, vd_s((long long)n_in), b->n_array);
    for (size_t i = 0; i < n_in; i++) {
        size_t k = 0;
        while (b->named && k < b->n_array && strcmp(b->array[k].input, in[i].name))
            k++;
        if (k == b->n_array)
            return vd_fail(ENOTSUP, "there is no array for input '%s'", in[i].name);
        const int rc = fit(b, k, &in[i]);
        if (rc)
            return rc;
        b->order[i] = k;
    }
    return 0;
}

static int next_rows(void *ctx, float *const *sample, int64_t *number)
{
    struct vd_source_body *b = ctx;
    if ((int64_t)b->at == b->n_pick)
        return 0;
    const int64_t row = b->pick[b->at++];
    for (size_t i = 0; i < b->n_array; i++) {
        const struct vd_npy *a = &b->array[b->order[i]].a;
        const size_t n = a->count / (size_t)a->shape[0], at = (size_t)row * n;
        for (size_t k = 0; k < n; k++)
            sample[i][k] = a->type == VMAF_DNN_F32   ? ((const float *)a->data)[at + k]
                           : a->type == VMAF_DNN_F16 ? vd_f32_from_f16(((const uint16_t *)a->data)[at + k])
                                                     : (float)((const uint8_t *)a->data)[at + k] / 255;
    }
    *number = row;
    return 1;
}

/* Rows of the stack, in order. */
static int pick_rows(struct vd_source_body *b, int64_t rows, long frames, uint64_t seed)
{
    const int64_t slots = frames && frames < rows ? frames : rows;
    struct vd_rng rng;
    vd_rng_seed(&rng, seed);
    vd_free(b->pick);
    b->pick = vd_calloc((size_t)slots + 1, sizeof(*b->pick));
    if (!b->pick)
        return vd_nomem((unsigned long long)slots * sizeof(*b->pick));
    for (int64_t i = 0; i < rows; i++) {
        const int64_t slot = slot_of(&rng, i, slots);
        if (slot >= 0)
            b->pick[slot] = i;
    }
    qsort(b->pick, (size_t)slots, sizeof(*b->pick), by_number);
    b->n_pick = slots;
    return 0;
}

int vd_sources_add_array(struct vd_sources *s, const char *arg, long frames, uint64_t seed)
{
    const char *equals = strchr(arg, '='), *path = equals ? equals + 1 : arg;
    struct vd_source_body *b = NULL;
    struct vd_gate_source *src = NULL;
    int rc = 0;
    for (size_t i = 0; equals && i < s->n; i++)
        if (s->body[i].named) {
            b = &s->body[i];
            src = &s->list[i];
        }
    if (!b && (rc = add(s, &b, &src)))
        return rc;
    if (b->n_array == MAX_ARRAYS)
        return vd_fail(E2BIG, "%s: more than %d arrays", path, MAX_ARRAYS);
    struct vd_npy *a = &b->array[b->n_array].a;
    if ((rc = vd_npy_load(path, a)))
        return rc;
    if (equals && !(b->array[b->n_array].input = vd_strdup(arg)))
        rc = vd_nomem(strlen(arg));
    b->n_array++;
    if (rc)
        return rc;
    if (equals)
        b->array[b->n_array - 1].input[equals - arg] = 0;
    if (a->type != VMAF_DNN_F32 && a->type != VMAF_DNN_F16 && a->type != VMAF_DNN_U8)
        return vd_fail(ENOTSUP, "%s: %s; samples are float32, float16 or uint8", path, vd_type_name(a->type));
    if (a->rank < 1 || a->shape[0] < 1 || a->count < 1)
        return vd_fail(EBADMSG, "%s: no samples in it: the first dimension counts them", path);
    if (b->n_array > 1 && a->shape[0] != b->array[0].a.shape[0])
        return vd_fail(EBADMSG, "%s: %lld sample%s, and the array before it has %lld", path, (long long)a->shape[0], vd_s(a->shape[0]),
                       (long long)b->array[0].a.shape[0]);
    b->named = equals != NULL;
    if (b->n_array == 1)
        src->name = equals ? "arrays" : path;
    if (!(rc = pick_rows(b, a->shape[0], frames, seed)))
        src->n = b->n_pick;
    src->prepare = prepare;
    src->next = next_rows;
    return rc;
}

/* --- */

void vd_sources_rewind(struct vd_sources *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->body[i].at = 0;
}

void vd_sources_free(struct vd_sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct vd_source_body *b = &s->body[i];
        for (size_t k = 0; k < b->n_luma; k++)
            vd_free(b->luma[k].data);
        for (size_t k = 0; k < b->n_array; k++) {
            vd_free(b->array[k].input);
            vd_npy_free(&b->array[k].a);
        }
        vd_free(b->luma);
        vd_free(b->pick);
    }
    vd_free(s->body);
    vd_free(s->list);
    *s = (struct vd_sources){0};
}
