/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/conv.h"

#include <math.h>
#include <string.h>

#include "common/checked.h"
#include "ops/dynamic_range.h"

/* What one worker's share of the input should fit: most of a second-level cache. */
enum { SCRATCH_TARGET = 384 << 10, MAX_BAND = 32 };

static int max_int(int a, int b) { return a > b ? a : b; }

int vd_conv_place(struct vd_conv *c, const struct vd_window *win, int threads, struct vd_arena *a)
{
    const struct vd_packed *w = c->w;
    const int last = win->n - 1;
    const struct vd_tensor *x = c->x;
    c->batch = x->dim[0];
    c->ih = win->n == 2 ? x->dim[2] : 1;
    c->iw = x->dim[x->rank - 1];
    c->oh = win->n == 2 ? win->out[0] : 1;
    c->ow = win->out[last];
    const int64_t sy = win->n == 2 ? win->stride[0] : 1, sx = win->stride[last];
    const int64_t dy = win->n == 2 ? win->dilation[0] : 1, dx = win->dilation[last];
    const int64_t top = win->n == 2 ? win->pad_begin[0] : 0, left = win->pad_begin[last];
    const int64_t limit = INT32_MAX / 4;
    if (c->ih > limit || c->iw > limit || c->oh > limit || c->ow > limit || sy > limit || sx > limit || dy > limit || dx > limit ||
        top > limit || left > limit)
        return vd_fail(ERANGE, "a convolution of a %lldx%lld picture is too large", (long long)c->iw, (long long)c->ih);
    c->sy = (int)sy;
    c->sx = (int)sx;
    c->dy = (int)dy;
    c->dx = (int)dx;
    c->top = (int)top;
    c->left = (int)left;

    /* One padded row, split into sx phases, each with the slack that kernels may read. */
    int64_t columns, per_row, per_in;
    if (!vd_mul64(c->ow - 1, sx, &columns) || !vd_mul64(w->kw - 1, dx, &per_row) || !vd_add64(columns, per_row + 1, &columns))
        return vd_fail(ERANGE, "a convolution of %lld columns is too large", (long long)c->ow);
    c->row = ((size_t)((columns + sx - 1) / sx) + VD_BAND_SLACK + 15) & ~(size_t)15;
    const int64_t planes = w->integer ? (w->ic + 1) / 2 : w->ic;
    if (!vd_mul64((int64_t)c->row * sx, planes, &per_row) || !vd_mul64(w->kh - 1, dy, &per_in) || per_row > UINT32_MAX || per_in > limit)
        return vd_fail(ERANGE, "a convolution of %lld columns is too large", (long long)c->ow);

    int rows = MAX_BAND;
    while (rows > 1 && (((int64_t)(rows - 1) * sy + per_in + 1) * per_row * 4 > SCRATCH_TARGET || (int64_t)rows * threads * 2 > c->oh + rows))
        rows--;
    rows = max_int(rows, 1);
    const int64_t band_in = (int64_t)(rows - 1) * sy + per_in + 1;
    int64_t scratch;
    if (!vd_mul64(band_in, per_row, &scratch) || scratch > UINT32_MAX)
        return vd_fail(ERANGE, "a convolution of %lld columns and a kernel of %d rows is too large", (long long)c->ow, w->kh);
    c->band_rows = rows;
    c->bands = (int)((c->oh + rows - 1) / rows);
    c->band_in = (int)band_in;
    /* behind the band: one row of pairs that is quantised before it is split into phases */
    c->sums = (((size_t)scratch + (size_t)c->iw + VD_BAND_SLACK) * 4 + 127) & ~(size_t)63;
    c->scratch = c->sums + (c->source == VD_FROM_QLINEAR ? (size_t)rows * (size_t)c->ow * VD_OC_BLOCK * sizeof(int32_t) : 0);

    c->tap = vd_arena_array(a, (size_t)w->taps, sizeof(*c->tap));
    if (!c->tap)
        return vd_nomem((size_t)w->taps * sizeof(*c->tap));
    size_t t = 0;
    for (int p = 0; p < planes; p++)
        for (int ky = 0; ky < w->kh; ky++)
            for (int kx = 0; kx < w->kw; kx++) {
                const size_t line = (size_t)p * (size_t)band_in + (size_t)ky * (size_t)dy;
                const size_t col = (size_t)kx * (size_t)dx;
                c->tap[t++] = (uint32_t)((line * (size_t)sx + col % (size_t)sx) * c->row + col / (size_t)sx);
            }
    return 0;
}

struct job {
    const struct vd_conv *c;
    const struct vd_kernels *k;
    unsigned char *scratch;
    size_t scratch_step;
    float scale; /* of the activations */
    int zp;
    float lo[VD_MAX_THREADS], hi[VD_MAX_THREADS];
};

enum { RANGE_CHUNK = 1 << 16 };

static void range_task(void *arg, size_t task, int worker)
{
    struct job *j = arg;
    const size_t n = vd_tensor_count(j->c->x), at = task * RANGE_CHUNK;
    j->k->range_f32((const float *)j->c->x->data + at, n - at < RANGE_CHUNK ? n - at : RANGE_CHUNK, &j->lo[worker], &j->hi[worker]);
}

/* DynamicQuantizeLinear-11 as ONNX Runtime computes it, in float32 throughout. */
static int dynamic_range(struct job *j, struct vd_workers *w)
{
    const size_t n = vd_tensor_count(j->c->x);
    vd_workers_run(w, range_task, j, (n + RANGE_CHUNK - 1) / RANGE_CHUNK);
    float lo = 0, hi = 0;
    for (int i = 0; i < vd_workers_count(w); i++) {
        if (!isfinite(j->lo[i]) || !isfinite(j->hi[i]))
            return vd_fail(ERANGE, "an activation that is to be quantised is not finite");
        lo = j->lo[i] < lo ? j->lo[i] : lo;
        hi = j->hi[i] > hi ? j->hi[i] : hi;
    }
    uint8_t zp;
    if (!vd_dynamic_range(lo, hi, &j->scale, &zp))
        return vd_fail(ERANGE, "activations from %g to %g are too far apart to be quantised", (double)lo, (double)hi);
    j->zp = zp;
    return 0;
}

/* Columns of a row into its phases, padding written out. dst holds sx phases of c->row elements of 4 bytes. */
static void spread(const struct vd_conv *c, uint32_t *dst, const uint32_t *src)
{
    const size_t sx = (size_t)c->sx, left = (size_t)c->left, iw = (size_t)c->iw;
    for (size_t p = 0; p < sx; p++) {
        uint32_t *d = dst + p * c->row;
        const size_t pad = p < left ? (left - p + sx - 1) / sx : 0; /* leading elements of this phase */
        const size_t head = pad < c->row ? pad : c->row;
        const size_t first = p + pad * sx - left;                   /* source column of element pad */
        size_t body = first < iw ? (iw - first + sx - 1) / sx : 0;
        if (body > c->row - head)
            body = c->row - head;
        memset(d, 0, head * sizeof(*d));
        if (sx == 1)
            memcpy(d + head, src + first, body * sizeof(*d));
        else
            for (size_t i = 0; i < body; i++)
                d[head + i] = src[first + i * sx];
        memset(d + head + body, 0, (c->row - head - body) * sizeof(*d));
    }
}

static int byte_value(const struct vd_tensor *t)
{
    return t->type == VD_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data;
}

static void pair_bytes(int16_t *dst, const uint8_t *a, const uint8_t *b, size_t n, bool is_signed, int zp)
{
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = (int16_t)((is_signed ? (int8_t)a[i] : a[i]) - zp);
        dst[2 * i + 1] = (int16_t)(b ? (is_signed ? (int8_t)b[i] : b[i]) - zp : 0);
    }
}

/* Input rows of one group for output rows from y on, into scratch. */
static void prepare(const struct job *j, unsigned char *scratch, size_t n, size_t g, int64_t y, int64_t rows_in)
{
    const struct vd_conv *c = j->c;
    const struct vd_packed *w = c->w;
    const size_t plane = (size_t)c->ih * (size_t)c->iw, iw = (size_t)c->iw, line = (size_t)c->sx * c->row;
    const size_t first = (n * (size_t)w->groups + g) * (size_t)w->ic;
    const int planes = w->integer ? (w->ic + 1) / 2 : w->ic;
    uint32_t *band = (uint32_t *)(void *)scratch;
    uint32_t *temp = band + (size_t)planes * (size_t)c->band_in * line;
    for (int p = 0; p < planes; p++)
        for (int64_t r = 0; r < rows_in; r++) {
            uint32_t *dst = band + ((size_t)p * (size_t)c->band_in + (size_t)r) * line;
            const int64_t iy = y * c->sy - c->top + r;
            if (iy < 0 || iy >= c->ih) {
                memset(dst, 0, line * sizeof(*dst));
                continue;
            }
            const size_t ch = first + (size_t)p * (w->integer ? 2 : 1), at = ch * plane + (size_t)iy * iw;
            const bool second = w->integer && 2 * p + 1 < w->ic;
            if (c->source == VD_FROM_F32) {
                spread(c, dst, (const uint32_t *)c->x->data + at);
                continue;
            }
            if (c->source == VD_FROM_DYNAMIC) {
                const float *a = (const float *)c->x->data + at;
                j->k->quantize_pair((int16_t *)(void *)temp, a, second ? a + plane : NULL, iw, j->scale, j->zp);
            } else {
                const uint8_t *a = (const uint8_t *)c->x->data + at;
                pair_bytes((int16_t *)(void *)temp, a, second ? a + plane : NULL, iw, c->x->type == VD_S8, j->zp);
            }
            spread(c, dst, temp);
        }
}

/* One channel's sums to bytes: saturate(rint((float)(sum + bias) * scale) + zp), bounded before it is rounded. The int32
 * bias may wrap, as in ONNX Runtime. */
static void requantize(const struct vd_conv *c, void *dst, const int32_t *sum, size_t n, size_t oc)
{
    const bool is_signed = c->out->type == VD_S8;
    const int zp = byte_value(c->q[3]);
    const uint32_t bias = c->bias32 ? ((const uint32_t *)c->bias32->data)[oc] : 0;
    const float scale = c->scale[oc], lo = (c->tail.clamp ? c->tail.lo : is_signed ? INT8_MIN : 0) - (float)zp;
    const float hi = (c->tail.clamp ? c->tail.hi : is_signed ? INT8_MAX : UINT8_MAX) - (float)zp;
    for (size_t i = 0; i < n; i++) {
        float v = (float)(int32_t)((uint32_t)sum[i] + bias) * scale;
        v = v > lo ? v : lo;
        v = v < hi ? v : hi;
        /* the same eight bits for both types: |v| <= 255 + 128, and adding 1.5 * 2^23 rounds half to even */
        ((uint8_t *)dst)[i] = (uint8_t)((int)((v + 0x1.8p23f) - 0x1.8p23f) + zp);
    }
}

static void band_task(void *arg, size_t task, int worker)
{
    const struct job *j = arg;
    const struct vd_conv *c = j->c;
    const struct vd_packed *w = c->w;
    const size_t band = task % (size_t)c->bands, g = task / (size_t)c->bands % (size_t)w->groups;
    const size_t n = task / (size_t)c->bands / (size_t)w->groups;
    const int64_t y = (int64_t)band * c->band_rows;
    const int64_t rows = c->oh - y < c->band_rows ? c->oh - y : c->band_rows;
    unsigned char *scratch = j->scratch + (size_t)worker * j->scratch_step;
    prepare(j, scratch, n, g, y, (rows - 1) * c->sy + (int64_t)(w->kh - 1) * c->dy + 1);

    const size_t plane = (size_t)c->oh * (size_t)c->ow;
    for (int b = 0; b < w->blocks; b++) {
        const size_t oc = g * (size_t)w->oc + (size_t)b * VD_OC_BLOCK;
        const size_t at = (n * (size_t)w->groups * (size_t)w->oc + oc) * plane + (size_t)y * (size_t)c->ow;
        const int left = w->oc - b * VD_OC_BLOCK;
        struct vd_conv_args a = {
            .dst = c->source == VD_FROM_QLINEAR ? NULL : (float *)c->out->data + at,
            .dst_plane = (ptrdiff_t)plane,
            .dst_row = (ptrdiff_t)c->ow,
            .rows = (int)rows,
            .width = (int)c->ow,
            .n_oc = left < VD_OC_BLOCK ? left : VD_OC_BLOCK,
            .src = scratch,
            .src_step = (ptrdiff_t)((size_t)c->sy * (size_t)c->sx * c->row),
            .tap = c->tap,
            .taps = w->taps,
            .weight = (const unsigned char *)w->weight + (g * (size_t)w->blocks + (size_t)b) * (size_t)w->taps * 4 * VD_OC_BLOCK,
            .tail = c->tail,
            .raw = c->source == VD_FROM_8BIT || c->source == VD_FROM_QLINEAR,
        };
        if (c->source == VD_FROM_QLINEAR) {
            const size_t area = (size_t)rows * (size_t)c->ow;
            int32_t *sums = (int32_t *)(void *)(scratch + c->sums);
            a.dst = sums;
            a.dst_plane = (ptrdiff_t)area;
            j->k->conv_s16(&a);
            for (int i = 0; i < a.n_oc; i++)
                requantize(c, (uint8_t *)c->out->data + at + (size_t)i * plane, sums + (size_t)i * area, area, oc + (size_t)i);
            continue;
        }
        a.tail.scale = c->source == VD_FROM_DYNAMIC ? c->scale + oc : NULL;
        a.tail.bias = c->bias ? c->bias + oc : NULL;
        a.tail.residual = c->residual ? (const float *)c->residual->data + at : NULL;
        (w->integer ? j->k->conv_s16 : j->k->conv_f32)(&a);
    }
}

int vd_conv_run(const struct vd_conv *c, const struct vd_kernels *k, struct vd_workers *w, unsigned char *scratch, size_t scratch_step)
{
    struct job j = {.c = c, .k = k, .scratch = scratch, .scratch_step = scratch_step};
    if (c->source == VD_FROM_DYNAMIC) {
        const int rc = dynamic_range(&j, w);
        if (rc)
            return rc;
        for (size_t i = 0; i < (size_t)c->w->groups * (size_t)c->w->oc; i++)
            c->scale[i] = j.scale * c->w_scale[i];
    } else if (c->x_zp) {
        j.zp = byte_value(c->x_zp);
    }
    if (c->source == VD_FROM_QLINEAR) {
        const float x = *(const float *)c->q[0]->data, y = *(const float *)c->q[2]->data, *ws = c->q[1]->data;
        const bool one = vd_tensor_count(c->q[1]) == 1;
        for (size_t i = 0; i < (size_t)c->w->groups * (size_t)c->w->oc; i++)
            c->scale[i] = x * ws[one ? 0 : i] / y;
    }
    vd_workers_run(w, band_task, &j, (size_t)c->batch * (size_t)c->w->groups * (size_t)c->bands);
    return 0;
}
