/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_resize.h"

#include <math.h>

#include "ops/op_loops.h"

static const char *const mode_name[VD_RESIZE_MODES] = {"nearest", "linear", "cubic"};
static const char *const coord_name[VD_RESIZE_COORDS] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
                                                         "tf_crop_and_resize", "tf_half_pixel_for_nn", "half_pixel_symmetric"};
static const char *const nearest_name[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
static const char *const policy_name[] = {"stretch", "not_larger", "not_smaller"};
enum { STRETCH, NOT_LARGER, NOT_SMALLER };
enum { UPSAMPLE_LAST = 9, OLD = 10 }; /* Upsample is there until opset 9; Resize as Upsample at 10 */

/* The number of the attribute's value among n names. */
static int choose(const struct vd_op_call *c, const char *attr, const char *const *names, int n, int *out)
{
    const char *given = vd_op_str(c, attr, names[0]);
    for (*out = 0; *out < n; ++*out)
        if (!strcmp(given, names[*out]))
            return 0;
    return vd_op_fail(c, EBADMSG, "attribute %s is '%.40s', which is not one that ONNX has at opset %d", attr, given, c->opset);
}

static int modes_of(const struct vd_op_call *c, struct vd_resize *r, int *policy)
{
    const struct vd_tensor *x = c->in[0];
    int mode, coord = VD_ASYMMETRIC, nearest = VD_SIMPLE, rc;
    /* Upsample has "bilinear" of opsets that are not supported, and no cubic before Resize-11. */
    if ((rc = choose(c, "mode", mode_name, c->opset > OLD ? VD_RESIZE_MODES : VD_CUBIC, &mode)) < 0)
        return rc;
    *policy = STRETCH;
    if (c->opset > OLD && ((rc = choose(c, "coordinate_transformation_mode", coord_name, VD_RESIZE_COORDS, &coord)) < 0 ||
                           (rc = choose(c, "nearest_mode", nearest_name, 4, &nearest)) < 0 ||
                           (rc = choose(c, "keep_aspect_ratio_policy", policy_name, 3, policy)) < 0))
        return rc;
    if ((coord == VD_TF_HALF_PIXEL && c->opset > 12) || (coord == VD_HALF_PIXEL_SYMMETRIC && c->opset < 19))
        return vd_op_fail(c, EBADMSG, "attribute coordinate_transformation_mode is '%s', which is not one that ONNX has at opset %d",
                          coord_name[coord], c->opset);
    *r = (struct vd_resize){.mode = (enum vd_resize_mode)mode, .coord = (enum vd_resize_coord)coord, .rank = x->rank,
                            .exclude_outside = vd_op_int(c, "exclude_outside", 0) != 0, .antialias = vd_op_int(c, "antialias", 0) != 0,
                            .a = (double)vd_op_float(c, "cubic_coeff_a", -0.75f), .outside = vd_op_float(c, "extrapolation_value", 0)};
    r->nearest = nearest;
    const uint32_t numbers = VD_INT_T | VD_T(VD_F32) | VD_T(VD_F64);
    if (mode != VD_NEAREST && !(numbers & VD_T(x->type)))
        return vd_op_fail(c, EPERM, "attribute mode is %s, which is not supported for %s", mode_name[mode], vd_type_name(x->type));
    if (mode == VD_NEAREST && r->antialias)
        return vd_op_fail(c, EBADMSG, "attribute antialias is set with mode nearest; it goes with linear and cubic");
    return 0;
}

/* The dims that scales, sizes and roi speak of, all by default. */
static int axes_of(const struct vd_op_call *c, int rank, int axes[VD_MAX_RANK], int *n)
{
    const int64_t *given;
    bool seen[VD_MAX_RANK] = {false};
    *n = vd_op_ints(c, "axes", &given);
    if (!given) {
        *n = rank;
        for (int i = 0; i < rank; i++)
            axes[i] = i;
        return 0;
    }
    if (*n > rank)
        return vd_op_fail(c, EBADMSG, "attribute axes has %d values for an input of rank %d", *n, rank);
    for (int i = 0; i < *n; i++) {
        const int rc = vd_op_axis(c, given[i], rank, &axes[i]);
        if (rc < 0)
            return rc;
        if (seen[axes[i]])
            return vd_op_fail(c, EBADMSG, "axis %lld is given twice", (long long)given[i]);
        seen[axes[i]] = true;
    }
    return 0;
}

static int set_scale(const struct vd_op_call *c, struct vd_resize_axis *a, int d, float scale, int64_t out)
{
    const int64_t most = (int64_t)1 << 40;
    if (!(scale > 0) || !isfinite(scale))
        return vd_op_fail(c, EBADMSG, "the scale of axis %d is %g; it must be positive", d, (double)scale);
    if (out < 0 || out > most)
        return vd_op_fail(c, ERANGE, "axis %d would become %lld long; it must be in 0..2^40", d, (long long)out);
    if (out && !a->in)
        return vd_op_fail(c, ERANGE, "axis %d is empty; it cannot become %lld long", d, (long long)out);
    a->scale = scale;
    a->out = out;
    a->length = (float)out;
    return 0;
}

/* Input i, a list of one value for each axis. */
static int need_list(const struct vd_op_call *c, int i, const char *what, int n)
{
    const struct vd_tensor *t = c->in[i];
    const int rc = vd_op_need_known(c, i, what);
    if (rc < 0)
        return rc;
    if (t->rank != 1 || t->dim[0] != n)
        return vd_op_fail(c, EBADMSG, "input %d (%s) has %zu values for %d axes", i, what, vd_tensor_count(t), n);
    return 0;
}

/* floor(dim * scale), formed in float32 as in ONNX's own inference of shapes. */
static int64_t scaled(int64_t dim, float scale)
{
    const float v = floorf((float)dim * scale);
    return v < 0x1p62f ? (int64_t)(v > 0 ? v : 0) : INT64_MAX;
}

static int from_scales(const struct vd_op_call *c, struct vd_resize *r, int i, const int *axes, int n)
{
    const float *given = NULL;
    const struct vd_onnx_attr *attr = vd_onnx_attr(c->node, "scales");
    if (attr) {
        if (attr->n != n)
            return vd_op_fail(c, EBADMSG, "attribute scales has %d values for %d axes", (int)attr->n, n);
        given = attr->v.floats;
    } else {
        const int rc = need_list(c, i, "scales", n);
        if (rc < 0)
            return rc;
        given = c->in[i]->data;
    }
    for (int k = 0; k < n; k++) {
        struct vd_resize_axis *a = &r->axis[axes[k]];
        const int rc = set_scale(c, a, axes[k], given[k], scaled(a->in, given[k]));
        if (rc < 0)
            return rc;
        a->length = (float)a->in * given[k];
    }
    return 0;
}

static int from_sizes(const struct vd_op_call *c, struct vd_resize *r, const int *axes, int n, int policy)
{
    int rc = need_list(c, 3, "sizes", n);
    float one = 0;
    if (rc < 0)
        return rc;
    for (int k = 0; k < n; k++) {
        struct vd_resize_axis *a = &r->axis[axes[k]];
        const int64_t size = vd_tensor_int(c->in[3], (size_t)k);
        const float scale = a->in ? (float)size / (float)a->in : 1;
        if (size < 1 || !a->in)
            return vd_op_fail(c, ERANGE, "input 3 (sizes) has %lld for axis %d, which is %lld long", (long long)size, axes[k], (long long)a->in);
        if ((rc = set_scale(c, a, axes[k], scale, size)) < 0)
            return rc;
        if (!k || (policy == NOT_LARGER ? scale < one : scale > one))
            one = scale;
    }
    for (int k = 0; policy != STRETCH && k < n; k++) {
        struct vd_resize_axis *a = &r->axis[axes[k]];
        if ((rc = set_scale(c, a, axes[k], one, scaled(1, roundf(one * (float)a->in)))) < 0)
            return rc;
    }
    return 0;
}

static int resize_of(const struct vd_op_call *c, struct vd_resize *r)
{
    const struct vd_tensor *x = c->in[0], *roi = c->opset > OLD ? vd_op_in(c, 1) : NULL;
    const int at = c->opset > OLD ? 2 : 1; /* input scales */
    const struct vd_tensor *scales = vd_op_in(c, at), *sizes = vd_op_in(c, 3);
    int axes[VD_MAX_RANK], n, policy, rc;
    if ((rc = modes_of(c, r, &policy)) < 0 || (rc = axes_of(c, x->rank, axes, &n)) < 0)
        return rc;
    for (int d = 0; d < x->rank; d++)
        r->axis[d] = (struct vd_resize_axis){.in = x->dim[d], .out = x->dim[d], .scale = 1, .roi = {0, 1}};
    /* An empty list stands for one that is not there. */
    const bool by_scale = vd_onnx_attr(c->node, "scales") || (scales && vd_tensor_count(scales)), by_size = sizes && vd_tensor_count(sizes);
    if (by_scale == by_size && (n || by_scale))
        return vd_op_fail(c, EBADMSG, by_scale ? "scales and sizes are both given" : "neither scales nor sizes are given");
    if (by_scale)
        rc = from_scales(c, r, at, axes, n);
    else if (by_size)
        rc = from_sizes(c, r, axes, n, policy);
    if (rc < 0 || r->coord != VD_TF_CROP)
        return rc;
    if (!roi || roi->rank != 1 || roi->dim[0] != 2 * n)
        return vd_op_fail(c, EBADMSG, "coordinate_transformation_mode tf_crop_and_resize needs input 1 (roi), %d starts and %d ends", n, n);
    for (int k = 0; roi->data && k < 2 * n; k++) {
        double v;
        vd_load_f64(&v, (const char *)roi->data + (size_t)k * vd_type_size(roi->type), roi->type, 1, 1);
        r->axis[axes[k % n]].roi[k / n] = (float)v;
    }
    return 0;
}

float vd_resize_at(const struct vd_resize *r, const struct vd_resize_axis *a, int64_t o)
{
    const float x = (float)o, in = (float)a->in, out = (float)a->out, s = a->scale;
    if (r->coord == VD_TF_CROP)
        return out > 1 ? a->roi[0] * (in - 1) + (x * (a->roi[1] - a->roi[0]) * (in - 1)) / (out - 1)
                       : (float)(0.5 * (double)(a->roi[0] + a->roi[1]) * (double)(in - 1));
    if (s == 1)
        return x;
    switch (r->coord) {
    case VD_ASYMMETRIC: return x / s;
    case VD_ALIGN_CORNERS: return a->length == 1 ? 0 : x * (in - 1) / (a->length - 1);
    case VD_PYTORCH_HALF_PIXEL: return out > 1 ? (x + 0.5f) / s - 0.5f : 0;
    case VD_TF_HALF_PIXEL: return (x + 0.5f) / s;
    case VD_HALF_PIXEL_SYMMETRIC: return (float)((double)(in / 2 * (1 - out / (s * in))) + ((double)x + 0.5) / (double)s - 0.5);
    default: return (x + 0.5f) / s - 0.5f;
    }
}

/* The element that output o shows, or -1: it is outside. */
static int64_t nearest_to(const struct vd_resize *r, const struct vd_resize_axis *a, int64_t o)
{
    const float x = vd_resize_at(r, a, o);
    /* As ONNX Runtime: what is nearer to the middle than 1e-6 lies in the middle. */
    const bool tie = fabsf(x - floorf(x) - 0.5f) < 1e-6f;
    float at;
    if (vd_resize_beyond(r, a, x))
        return -1;
    switch (r->nearest) {
    case VD_PREFER_CEIL: at = tie ? ceilf(x) : roundf(x); break;
    case VD_FLOOR: at = floorf(x); break;
    case VD_CEIL: at = ceilf(x); break;
    case VD_SIMPLE: at = a->scale < 1 ? ceilf(x) : truncf(x); break;
    default: at = tie ? floorf(x) : roundf(x);
    }
    return at > 0 ? at < (float)(a->in - 1) ? (int64_t)at : a->in - 1 : 0; /* NaN is 0 */
}

/* Neighbouring dims that are left as they are become one. */
static void merge(struct vd_resize *r)
{
    int n = 0;
    for (int d = 0; d < r->rank; d++) {
        const struct vd_resize_axis *a = &r->axis[d];
        if (n && vd_resize_untouched(a) && vd_resize_untouched(&r->axis[n - 1])) {
            r->axis[n - 1].in *= a->in;
            r->axis[n - 1].out *= a->out;
        } else
            r->axis[n++] = *a;
    }
    r->rank = n;
}

enum { TILE = 512 };

struct nearest {
    const struct vd_resize *r;
    const char *src;
    char *dst;
    size_t block;    /* bytes that move together */
    size_t rows;
    size_t unit;     /* of a value that is outside */
    char value[8];
};

static void fill(char *dst, const char *value, size_t unit, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += unit)
        memcpy(dst + i, value, unit);
}

/* Pieces are tile * rows + row: neighbours have the same columns. */
static void nearest_rows(void *arg, size_t begin, size_t end)
{
    const struct nearest *s = arg;
    const struct vd_resize *r = s->r;
    const struct vd_resize_axis *last = &r->axis[r->rank - 1];
    int64_t column[TILE];
    size_t tile = SIZE_MAX, cols = 0;
    bool whole = true; /* no column is outside */
    for (size_t p = begin; p < end; p++) {
        const size_t row = p % s->rows;
        if (p / s->rows != tile) {
            tile = p / s->rows;
            cols = (size_t)last->out - tile * TILE < TILE ? (size_t)last->out - tile * TILE : TILE;
            whole = true;
            for (size_t i = 0; i < cols; i++) {
                column[i] = nearest_to(r, last, (int64_t)(tile * TILE + i));
                whole = whole && column[i] >= 0;
            }
        }
        int64_t at = 0, step = last->in;
        size_t rest = row;
        for (int d = r->rank - 2; d >= 0; step *= r->axis[d].in, d--) {
            const int64_t v = nearest_to(r, &r->axis[d], (int64_t)(rest % (size_t)r->axis[d].out));
            at = v < 0 || at < 0 ? -1 : at + v * step;
            rest /= (size_t)r->axis[d].out;
        }
        char *dst = s->dst + (row * (size_t)last->out + tile * TILE) * s->block;
        if (at < 0) {
            fill(dst, s->value, s->unit, cols * s->block);
            continue;
        }
        const char *src = s->src + (size_t)at * s->block;
#define COLUMNS(T) for (size_t i = 0; i < cols; i++) ((T *)(void *)dst)[i] = ((const T *)(const void *)src)[column[i]]
        if (whole && s->block == 1)
            COLUMNS(uint8_t);
        else if (whole && s->block == 4)
            COLUMNS(uint32_t);
        else
            for (size_t i = 0; i < cols; i++)
                if (column[i] >= 0)
                    memcpy(dst + i * s->block, src + (size_t)column[i] * s->block, s->block);
                else
                    fill(dst + i * s->block, s->value, s->unit, s->block);
    }
}

static void run_nearest(const struct vd_op_call *c, struct vd_resize *r)
{
    const int type = c->in[0]->type;
    struct nearest s = {.r = r, .src = c->in[0]->data, .dst = c->out[0]->data, .unit = vd_type_size(type)};
    const double outside = (double)r->outside;
    vd_store_f64(s.value, type, &outside, 1);
    s.block = s.unit;
    if (r->rank > 1 && vd_resize_untouched(&r->axis[r->rank - 1])) /* what lies innermost moves as one */
        s.block *= (size_t)r->axis[--r->rank].in;
    const size_t width = (size_t)r->axis[r->rank - 1].out, tiles = (width + TILE - 1) / TILE;
    s.rows = vd_tensor_count(c->out[0]) * s.unit / s.block / width;
    const size_t work = (width < TILE ? width : TILE) * (s.block / s.unit);
    vd_op_split(c->workers, tiles * s.rows, VD_ITER_GRAIN / work + 1, nearest_rows, &s);
}

int vd_infer_resize(const struct vd_op_call *c)
{
    struct vd_resize r;
    int64_t dim[VD_MAX_RANK];
    const int rc = resize_of(c, &r);
    if (rc < 0)
        return rc;
    for (int d = 0; d < r.rank; d++)
        dim[d] = r.axis[d].out;
    return vd_op_set(c, 0, c->in[0]->type, r.rank, dim);
}

void vd_run_resize(const struct vd_op_call *c)
{
    struct vd_resize r;
    if (!vd_tensor_count(c->out[0]) || resize_of(c, &r) < 0)
        return; /* infer has seen that it does not fail */
    int changed = 0; /* the first dim that is not left as it is */
    while (changed < r.rank && vd_resize_untouched(&r.axis[changed]))
        changed++;
    if (changed == r.rank) {
        vd_op_copy(c);
        return;
    }
    if (r.mode == VD_LINEAR && changed >= r.rank - 2 && vd_bilinear(c, &r))
        return;
    merge(&r);
    if (r.mode == VD_NEAREST)
        run_nearest(c, &r);
    else
        vd_resample(c, &r);
}
