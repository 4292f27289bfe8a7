/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_resize.h"

/* Resize by weighted neighbours. Along a dim, output o is a sum over the elements within `reach` of where it lies:
 *
 *     sum over i of f((i - x) * shrink) * in[clamp(i)] / norm
 *
 * f is the triangle (linear) or Keys' cubic; shrink is the scale where it is below 1 and antialias is set, so that the filter
 * widens, and 1 elsewhere. Elements beyond the border are the border's, or with exclude_outside are left out and the others
 * weighted up. */
struct taps {
    int64_t lo, n; /* elements lo..lo + n - 1, clamped to the dim */
    double x, shrink, by;
};

static double clamp01(double v) { return v > 0 ? v : 0; }

static double filter(const struct vd_resize *r, double d)
{
    const double a = r->a, x = fabs(d);
    if (r->mode == VD_LINEAR)
        return clamp01(1 - x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double weight(const struct vd_resize *r, const struct vd_resize_axis *a, const struct taps *t, int64_t k)
{
    const int64_t i = t->lo + k;
    return r->exclude_outside && (i < 0 || i >= a->in) ? 0 : filter(r, ((double)i - t->x) * t->shrink) * t->by;
}

static int64_t element(const struct vd_resize_axis *a, const struct taps *t, int64_t k)
{
    const int64_t i = t->lo + k;
    return i < 0 ? 0 : i < a->in ? i : a->in - 1;
}

/* false: output o is outside. */
static bool taps_of(const struct vd_resize *r, const struct vd_resize_axis *a, int64_t o, struct taps *t)
{
    const float x = vd_resize_at(r, a, o);
    if (vd_resize_beyond(r, a, x))
        return false;
    /* Anything further out than this shows the border alone; so a cast is always possible. */
    const double far = 4 * (double)a->in + 8, at = (double)x > -far ? (double)x < far ? (double)x : far : -far;
    t->x = r->mode == VD_LINEAR && !r->antialias ? (at > 0 ? at < (double)(a->in - 1) ? at : (double)(a->in - 1) : 0) : at;
    t->shrink = r->antialias && a->scale < 1 ? (double)a->scale : 1;
    t->by = 1;
    const double reach = (r->mode == VD_LINEAR ? 1 : 2) / t->shrink;
    t->lo = (int64_t)floor(t->x - reach) + 1;
    t->n = (int64_t)ceil(t->x + reach) - t->lo;
    if (!r->antialias && !r->exclude_outside)
        return true;
    double sum = 0;
    for (int64_t k = 0; k < t->n; k++)
        sum += weight(r, a, t, k);
    t->by = sum != 0 ? 1 / sum : 1;
    return true;
}

/* --- two dims, linear: as ONNX Runtime, in float32 and in its order, so that integers are cut at the same places --- */

enum { TILE = 256 };

struct side { int64_t lo, hi; float to_lo, to_hi; bool beyond; }; /* weights of hi and lo: the distance to the other */

static struct side side_of(const struct vd_resize *r, const struct vd_resize_axis *a, int64_t o)
{
    const float x = vd_resize_at(r, a, o), top = (float)(a->in - 1), at = x > 0 ? x < top ? x : top : 0;
    struct side s = {.lo = (int64_t)at < a->in - 1 ? (int64_t)at : a->in - 1, .beyond = vd_resize_beyond(r, a, x)};
    s.hi = s.lo < a->in - 1 ? s.lo + 1 : s.lo;
    s.to_lo = fabsf(at - (float)s.lo);
    s.to_hi = fabsf(at - (float)s.hi);
    if (s.lo == s.hi)
        s.to_lo = s.to_hi = 0.5f;
    return s;
}

struct bilinear {
    const struct vd_resize *r;
    const struct vd_resize_axis *ver, *hor;
    const void *src;
    void *dst;
    size_t rows;
};

#define LOW(T, v, lo, hi) ((v) > (lo) ? (v) < (hi) ? (T)(v) : (T)(hi) : (T)(lo))
#define TO_f32(v) (v)
#define TO_u8(v) LOW(uint8_t, v, 0, 255)
#define TO_s8(v) LOW(int8_t, v, -128, 127)
#define TO_s32(v) ((v) < 0x1p31f ? (v) > -0x1p31f ? (int32_t)(v) : INT32_MIN : INT32_MAX)

#define BILINEAR(name, T) \
    static void bilinear_##name(void *arg, size_t begin, size_t end) \
    { \
        const struct bilinear *s = arg; \
        struct side col[TILE]; \
        size_t tile = SIZE_MAX, cols = 0; \
        for (size_t p = begin; p < end; p++) { \
            const size_t row = p % s->rows, width = (size_t)s->hor->out; \
            if (p / s->rows != tile) { \
                tile = p / s->rows; \
                cols = width - tile * TILE < TILE ? width - tile * TILE : TILE; \
                for (size_t i = 0; i < cols; i++) \
                    col[i] = side_of(s->r, s->hor, (int64_t)(tile * TILE + i)); \
            } \
            const struct side v = side_of(s->r, s->ver, (int64_t)(row % (size_t)s->ver->out)); \
            const T *plane = (const T *)s->src + row / (size_t)s->ver->out * (size_t)(s->ver->in * s->hor->in); \
            const T *lo = plane + v.lo * s->hor->in, *hi = plane + v.hi * s->hor->in; \
            T *y = (T *)s->dst + row * width + tile * TILE; \
            for (size_t i = 0; i < cols; i++) { \
                const struct side h = col[i]; \
                const float sum = h.to_hi * v.to_hi * (float)lo[h.lo] + h.to_lo * v.to_hi * (float)lo[h.hi] + \
                                  h.to_hi * v.to_lo * (float)hi[h.lo] + h.to_lo * v.to_lo * (float)hi[h.hi]; \
                y[i] = TO_##name(sum); \
            } \
            if (s->r->coord == VD_TF_CROP) \
                for (size_t i = 0; i < cols; i++) \
                    y[i] = v.beyond || col[i].beyond ? TO_##name(s->r->outside) : y[i]; \
        } \
    }
BILINEAR(f32, float)
BILINEAR(u8, uint8_t)
BILINEAR(s8, int8_t)
BILINEAR(s32, int32_t)

/* --- any number of dims: the outer ones first, for the piece of the innermost dim that a tile of columns needs --- */

enum { SPAN = 1024, WEIGHTS = 4096 };

struct resample {
    const struct vd_resize *r;
    const void *src;
    void *dst;
    int type;
    size_t rows, tiles, cols; /* columns of a tile */
};

/* A line of the innermost dim: where it begins, and its weight. */
struct lines {
    struct taps t[VD_MAX_RANK];
    int64_t k[VD_MAX_RANK];
};

static void load(double *v, const struct resample *s, int64_t at, size_t n)
{
    vd_load_f64(v, (const char *)s->src + (size_t)at * vd_type_size(s->type), s->type, 1, n);
}

/* v[0..n) = elements from..from + n of the innermost dim, summed over the outer dims. */
static void gather(const struct resample *s, struct lines *l, int64_t from, size_t n, double *v)
{
    const struct vd_resize *r = s->r;
    const int outer = r->rank - 1;
    double part[VD_CHUNK];
    for (size_t i = 0; i < n; i++)
        v[i] = 0;
    memset(l->k, 0, sizeof(l->k));
    for (;;) {
        double w = 1;
        int64_t at = from, step = r->axis[outer].in;
        int d = outer - 1;
        for (; d >= 0; step *= r->axis[d].in, d--) {
            w *= weight(r, &r->axis[d], &l->t[d], l->k[d]);
            at += element(&r->axis[d], &l->t[d], l->k[d]) * step;
        }
        for (size_t i = 0; w != 0 && i < n; i += VD_CHUNK) {
            const size_t m = n - i < VD_CHUNK ? n - i : VD_CHUNK;
            load(part, s, at + (int64_t)i, m);
            for (size_t q = 0; q < m; q++)
                v[i + q] += w * part[q];
        }
        for (d = outer - 1; d >= 0; d--) {
            if (++l->k[d] < l->t[d].n)
                break;
            l->k[d] = 0;
        }
        if (d < 0)
            return;
    }
}

/* Results to their type: rounded to float32 first; integers are then cut, or rounded where a filter was widened, as in ONNX Runtime. */
static void put(const struct resample *s, size_t at, const double *v, size_t n)
{
    char *dst = (char *)s->dst + at * vd_type_size(s->type);
    double out[VD_CHUNK];
    for (size_t i = 0; i < n; i += VD_CHUNK) {
        const size_t m = n - i < VD_CHUNK ? n - i : VD_CHUNK;
        const double lo = s->type == VD_U8 ? 0 : s->type == VD_S8 ? INT8_MIN : s->type == VD_S32 ? INT32_MIN : -0x1p63;
        const double hi = s->type == VD_U8 ? UINT8_MAX : s->type == VD_S8 ? INT8_MAX : s->type == VD_S32 ? INT32_MAX : 0x1p63 - 1024;
        for (size_t q = 0; q < m; q++) {
            out[q] = v[i + q];
            if (vd_type_is_float(s->type))
                continue;
            out[q] = s->r->antialias ? floor(out[q] + 0.5) : (double)(float)out[q];
            out[q] = out[q] > lo ? out[q] < hi ? out[q] : hi : lo;
        }
        vd_store_f64(dst + i * vd_type_size(s->type), s->type, out, m);
    }
}

/* Columns of a tile: their taps and, where they all fit, the weights. */
struct columns {
    struct taps t[TILE];
    bool inside[TILE];
    double w[WEIGHTS];
    int64_t from, to; /* what they reach of the innermost dim */
    size_t stride;    /* weights a column; 0: they do not fit, and there is one column */
};

static void columns_of(const struct resample *s, struct columns *c, size_t first, size_t n)
{
    const struct vd_resize_axis *a = &s->r->axis[s->r->rank - 1];
    c->from = a->in;
    c->to = 0;
    c->stride = 1;
    for (size_t i = 0; i < n; i++) {
        struct taps *t = &c->t[i];
        c->inside[i] = taps_of(s->r, a, (int64_t)(first + i), t);
        if (!c->inside[i])
            continue;
        const int64_t lo = element(a, t, 0), hi = element(a, t, t->n - 1) + 1;
        c->from = lo < c->from ? lo : c->from;
        c->to = hi > c->to ? hi : c->to;
        c->stride = (size_t)t->n > c->stride ? (size_t)t->n : c->stride;
    }
    if (c->stride * n > WEIGHTS)
        c->stride = 0;
    for (size_t i = 0; c->stride && i < n; i++)
        for (size_t k = 0; c->inside[i] && k < (size_t)c->t[i].n; k++)
            c->w[i * c->stride + k] = weight(s->r, a, &c->t[i], (int64_t)k);
}

static void tile_row(const struct resample *s, const struct columns *c, struct lines *l, size_t n, double *y)
{
    const struct vd_resize_axis *a = &s->r->axis[s->r->rank - 1];
    double v[SPAN];
    if (c->stride && c->to - c->from <= SPAN) {
        if (c->to > c->from)
            gather(s, l, c->from, (size_t)(c->to - c->from), v);
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t k = 0; c->inside[i] && k < (size_t)c->t[i].n; k++) {
                const double w = c->w[i * c->stride + k];
                sum += w != 0 ? w * v[element(a, &c->t[i], (int64_t)k) - c->from] : 0;
            }
            y[i] = sum;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) { /* columns that reach further: piece by piece */
        const struct taps *t = &c->t[i];
        double sum = 0;
        for (int64_t k = 0, next; c->inside[i] && k < t->n; k = next) {
            const int64_t from = element(a, t, k);
            for (next = k; next < t->n && element(a, t, next) - from < SPAN; next++)
                ;
            gather(s, l, from, (size_t)(element(a, t, next - 1) - from + 1), v);
            for (int64_t q = k; q < next; q++) {
                const double w = weight(s->r, a, t, q);
                sum += w != 0 ? w * v[element(a, t, q) - from] : 0;
            }
        }
        y[i] = sum;
    }
}

static void resample_rows(void *arg, size_t begin, size_t end)
{
    const struct resample *s = arg;
    const struct vd_resize *r = s->r;
    const size_t width = (size_t)r->axis[r->rank - 1].out;
    struct columns c;
    struct lines l;
    double y[TILE];
    size_t tile = SIZE_MAX, cols = 0;
    for (size_t p = begin; p < end; p++) {
        const size_t row = p % s->rows;
        if (p / s->rows != tile) {
            tile = p / s->rows;
            cols = width - tile * s->cols < s->cols ? width - tile * s->cols : s->cols;
            columns_of(s, &c, tile * s->cols, cols);
        }
        bool inside = true;
        size_t rest = row;
        for (int d = r->rank - 2; d >= 0; d--) {
            inside = taps_of(r, &r->axis[d], (int64_t)(rest % (size_t)r->axis[d].out), &l.t[d]) && inside;
            rest /= (size_t)r->axis[d].out;
        }
        if (inside)
            tile_row(s, &c, &l, cols, y);
        for (size_t i = 0; i < cols; i++)
            y[i] = inside && c.inside[i] ? y[i] : (double)r->outside;
        put(s, row * width + tile * s->cols, y, cols);
    }
}

bool vd_bilinear(const struct vd_op_call *c, const struct vd_resize *r)
{
    static vd_range_fn *const flat[] = {[VD_F32] = bilinear_f32, [VD_U8] = bilinear_u8, [VD_S8] = bilinear_s8, [VD_S32] = bilinear_s32};
    const unsigned type = (unsigned)c->in[0]->type;
    if (r->antialias || r->rank < 2 || type >= sizeof(flat) / sizeof(*flat) || !flat[type])
        return false;
    struct bilinear s = {.r = r, .ver = &r->axis[r->rank - 2], .hor = &r->axis[r->rank - 1], .src = c->in[0]->data, .dst = c->out[0]->data};
    const size_t width = (size_t)s.hor->out;
    s.rows = vd_tensor_count(c->out[0]) / width;
    vd_op_split(c->workers, (width + TILE - 1) / TILE * s.rows, VD_ITER_GRAIN / (width < TILE ? width : TILE) / 4 + 1, flat[type], &s);
    return true;
}

void vd_resample(const struct vd_op_call *c, const struct vd_resize *r)
{
    const struct vd_resize_axis *last = &r->axis[r->rank - 1];
    const size_t width = (size_t)last->out;
    struct resample s = {.r = r, .src = c->in[0]->data, .dst = c->out[0]->data, .type = c->in[0]->type,
                         .rows = vd_tensor_count(c->out[0]) / width};
    /* As many columns as SPAN elements of input and WEIGHTS weights are enough for. */
    const double grow = (double)last->out / (double)last->in, most = SPAN / 2 * grow;
    s.cols = most > TILE ? TILE : most > 1 ? (size_t)most : 1;
    s.tiles = (width + s.cols - 1) / s.cols;
    vd_op_split(c->workers, s.tiles * s.rows, VD_ITER_GRAIN / s.cols / 16 + 1, resample_rows, &s);
}
