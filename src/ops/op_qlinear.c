/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_qlinear.h"

/* The 8-bit operators that ONNX Runtime's quantiser writes in its QOperator form (domain com.microsoft, version 1): their float
 * operator on dequantised values, requantised. Only ONNX Runtime defines them; every float32 rounding here stands where it has one, found
 * by trial, so that the bytes are the same (docs/numerics.md). */

/* The zero point inside the rounding: saturate(rint(v + zp)), v in steps of the scale. */
struct inner { float zp, lo, hi; };

static struct inner inner_of(const struct vd_tensor *zp, int type)
{
    return (struct inner){.zp = (float)vd_q_zero(zp), .lo = type == VD_S8 ? INT8_MIN : 0, .hi = type == VD_S8 ? INT8_MAX : UINT8_MAX};
}

static inline uint8_t stepped_inside(const struct inner *s, float v)
{
    v += s->zp;
    v = v > s->lo ? v : s->lo;
    v = v < s->hi ? v : s->hi;
    return (uint8_t)(int)vd_q_round(v);
}

int vd_q_triple(const struct vd_op_call *c, int first)
{
    const struct vd_tensor *zp = vd_op_in(c, first + 2);
    if (vd_tensor_count(c->in[first + 1]) != 1)
        return vd_op_fail(c, EBADMSG, "input %d (scale) must be one value", first + 1);
    if (!zp)
        return 0;
    if (vd_tensor_count(zp) != 1)
        return vd_op_fail(c, EBADMSG, "input %d (zero point) must be one value", first + 2);
    return vd_op_same_type(c, first, first + 2);
}

int vd_q_sink(const struct vd_op_call *c, int i, int type)
{
    const struct vd_tensor *scale = c->in[i], *zp = vd_op_in(c, i + 1);
    if (vd_tensor_count(scale) != 1 || (zp && vd_tensor_count(zp) != 1))
        return vd_op_fail(c, EBADMSG, "inputs %d and %d (scale and zero point of the output) must be one value each", i, i + 1);
    if (scale->data && !(*(const float *)scale->data > 0 && isfinite(*(const float *)scale->data)))
        return vd_op_fail(c, EBADMSG, "input %d (scale of the output) is %g; it must be finite and positive", i,
                          (double)*(const float *)scale->data);
    if (zp && zp->type != type)
        return vd_op_fail(c, EBADMSG, "input %d (zero point of the output) is %s, the output %s", i + 1, vd_type_name(zp->type),
                          vd_type_name(type));
    return 0;
}

/* --- a byte to a byte --- */

struct table { uint8_t to[256]; };

static void map_row(const struct vd_row *r)
{
    const struct table *t = r->arg;
    uint8_t *y = r->p[0];
    const uint8_t *x = r->p[1];
    for (size_t i = 0; i < r->n; i++)
        y[i] = t->to[x[(ptrdiff_t)i * r->step[1]]];
}

static void run_table(const struct vd_op_call *c, float (*f)(float, float), float arg)
{
    const struct vd_tensor *x = c->in[0];
    const struct vd_sink s = vd_q_to(c->in[3], vd_op_in(c, 4), x->type);
    const float scale = vd_q_scale(c->in[1]);
    const int zp = vd_q_zero(vd_op_in(c, 2));
    struct table t;
    struct vd_iter it;
    for (int i = 0; i < 256; i++)
        t.to[i] = vd_q_bits(&s, f(vd_q_real(x->type, (uint8_t)i, scale, zp), arg));
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, x);
    vd_iter_run(&it, c->workers, map_row, &t);
}

static int infer_map(const struct vd_op_call *c)
{
    int rc = vd_q_triple(c, 0);
    if (rc < 0 || (rc = vd_q_sink(c, 3, c->in[0]->type)) < 0)
        return rc;
    return vd_op_set_like(c, 0, c->in[0]->type, c->in[0]);
}

static float sigmoid(float x, float unused)
{
    (void)unused;
    return (float)(1 / (1 + exp(-(double)x)));
}
static float leaky(float x, float alpha) { return x < 0 ? alpha * x : x; }

int vd_infer_qlinear_sigmoid(const struct vd_op_call *c) { return infer_map(c); }
void vd_run_qlinear_sigmoid(const struct vd_op_call *c) { run_table(c, sigmoid, 0); }
int vd_infer_qlinear_leaky_relu(const struct vd_op_call *c) { return infer_map(c); }
void vd_run_qlinear_leaky_relu(const struct vd_op_call *c) { run_table(c, leaky, vd_op_float(c, "alpha", 0.01f)); }

/* --- two bytes to a byte: A, its scale and zero point, B, its, the output's --- */

/* rint((a - zp_a)(b - zp_b) m + zp), m = scale_a scale_b / scale; the product of the bytes is exact. */
struct product { float a[256], b[256], m; struct inner y; };

static void mul_row(const struct vd_row *r)
{
    const struct product *p = r->arg;
    uint8_t *y = r->p[0];
    const uint8_t *a = r->p[1], *b = r->p[2];
    for (size_t i = 0; i < r->n; i++)
        y[i] = stepped_inside(&p->y, p->a[a[(ptrdiff_t)i * r->step[1]]] * p->b[b[(ptrdiff_t)i * r->step[2]]] * p->m);
}

/* The addition is the one that is met in every network, and must give the bits of the row kernels (kernels/rows.h, add_u8) and of
 * ONNX Runtime, which has the zero point inside the rounding:  rint(a ra + (b rb + fixed)), ra = scale_a / scale, rb = scale_b / scale,
 * fixed = zp - (ra zp_a + rb zp_b), with fused multiply-adds as written here. */
struct vd_qlinear_add vd_qlinear_add(const struct vd_op_call *c)
{
    const float scale = *(const float *)c->in[6]->data;
    struct vd_qlinear_add p = {.ra = *(const float *)c->in[1]->data / scale, .rb = *(const float *)c->in[4]->data / scale};
    p.fixed = (float)vd_q_zero(vd_op_in(c, 7)) - fmaf(p.ra, (float)vd_q_zero(vd_op_in(c, 2)), p.rb * (float)vd_q_zero(vd_op_in(c, 5)));
    p.off = c->in[0]->type == VD_S8 ? 128 : 0;
    return p;
}

static void add_row(const struct vd_row *r)
{
    const struct vd_qlinear_add *s = r->arg;
    uint8_t *y = r->p[0];
    const uint8_t *a = r->p[1], *b = r->p[2];
    const float lo = (float)-s->off, hi = (float)(UINT8_MAX - s->off);
    for (size_t i = 0; i < r->n; i++) {
        const int va = (a[(ptrdiff_t)i * r->step[1]] ^ s->off) - s->off, vb = (b[(ptrdiff_t)i * r->step[2]] ^ s->off) - s->off;
        float v = fmaf((float)va, s->ra, fmaf((float)vb, s->rb, s->fixed));
        v = v > lo ? v : lo;
        v = v < hi ? v : hi;
        y[i] = (uint8_t)(((int)vd_q_round(v) + s->off) ^ s->off);
    }
}

static int infer_pair(const struct vd_op_call *c)
{
    struct vd_tensor shape;
    int rc = vd_op_same_type(c, 0, 3);
    if (rc < 0 || (rc = vd_q_triple(c, 0)) < 0 || (rc = vd_q_triple(c, 3)) < 0 || (rc = vd_q_sink(c, 6, c->in[0]->type)) < 0 ||
        (rc = vd_op_broadcast(c, c->in[0], c->in[3], &shape)) < 0)
        return rc;
    return vd_op_set(c, 0, c->in[0]->type, shape.rank, shape.dim);
}

int vd_infer_qlinear_add(const struct vd_op_call *c) { return infer_pair(c); }

void vd_run_qlinear_add(const struct vd_op_call *c)
{
    struct vd_qlinear_add s = vd_qlinear_add(c);
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_input(&it, c->in[3]);
    vd_iter_run(&it, c->workers, add_row, &s);
}

int vd_infer_qlinear_mul(const struct vd_op_call *c) { return infer_pair(c); }

void vd_run_qlinear_mul(const struct vd_op_call *c)
{
    const int type = c->in[0]->type;
    struct product p = {.m = vd_q_scale(c->in[1]) * vd_q_scale(c->in[4]) / vd_q_scale(c->in[6]), .y = inner_of(vd_op_in(c, 7), type)};
    struct vd_iter it;
    for (int i = 0; i < 256; i++) {
        p.a[i] = vd_q_real(type, (uint8_t)i, 1, vd_q_zero(vd_op_in(c, 2)));
        p.b[i] = vd_q_real(type, (uint8_t)i, 1, vd_q_zero(vd_op_in(c, 5)));
    }
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_input(&it, c->in[3]);
    vd_iter_run(&it, c->workers, mul_row, &p);
}

/* --- QLinearConcat: the output's scale and zero point, then tensor, scale, zero point of each input --- */

int vd_infer_qlinear_concat(const struct vd_op_call *c)
{
    int64_t dim[VD_MAX_RANK];
    int axis, rc;
    if (c->n_in < 5 || (c->n_in - 2) % 3)
        return vd_op_fail(c, EBADMSG, "%d inputs: two for the output and three for each tensor belong there", c->n_in);
    for (int i = 0; i < c->n_in; i++) /* the table cannot say which is which */
        if ((c->in[i]->type == VD_F32) != (i == 0 || (i >= 2 && i % 3 == 0)))
            return vd_op_fail(c, EBADMSG, "input %d is %s", i, vd_type_name(c->in[i]->type));
    const struct vd_tensor *x = c->in[2];
    if ((rc = vd_q_sink(c, 0, x->type)) < 0 || (rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis)) < 0)
        return rc;
    memcpy(dim, x->dim, sizeof(dim));
    dim[axis] = 0;
    for (int i = 2; i < c->n_in; i += 3) {
        const struct vd_tensor *t = c->in[i];
        if ((rc = vd_op_same_type(c, 2, i)) < 0 || (rc = vd_q_triple(c, i)) < 0)
            return rc;
        for (int d = 0; d < x->rank; d++)
            if (t->rank != x->rank || (d != axis && t->dim[d] != x->dim[d]))
                return vd_op_fail(c, ERANGE, "input %d does not have input 2's shape beside axis %d", i, axis);
        dim[axis] += t->dim[axis]; /* each at most 2^40, at most 65535 of them */
    }
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

void vd_run_qlinear_concat(const struct vd_op_call *c)
{
    const struct vd_tensor *y = c->out[0];
    const struct vd_sink s = vd_q_to(c->in[0], vd_op_in(c, 1), y->type);
    int axis = (int)vd_op_int(c, "axis", 0);
    size_t outer = 1, inner = 1, at = 0;
    axis += axis < 0 ? y->rank : 0;
    for (int d = 0; d < y->rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : (size_t)y->dim[d];
    for (int i = 2; i < c->n_in; i += 3) {
        const struct vd_tensor *x = c->in[i];
        const size_t run = (size_t)x->dim[axis] * inner;
        struct table t;
        for (int k = 0; k < 256; k++)
            t.to[k] = vd_q_bits(&s, vd_q_real(x->type, (uint8_t)k, vd_q_scale(c->in[i + 1]), vd_q_zero(vd_op_in(c, i + 2))));
        for (size_t o = 0; o < outer; o++)
            for (size_t k = 0; k < run; k++)
                ((uint8_t *)y->data)[o * (size_t)y->dim[axis] * inner + at + k] = t.to[((const uint8_t *)x->data)[o * run + k]];
        at += run;
    }
}

/* --- pools: X, its scale and zero point, the output's --- */

int vd_infer_qlinear_global_average_pool(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t dim[VD_MAX_RANK];
    int rc = vd_q_triple(c, 0);
    if (rc < 0 || (rc = vd_q_sink(c, 3, x->type)) < 0)
        return rc;
    if (vd_op_int(c, "channels_last", 0) != 0)
        return vd_op_fail(c, EPERM, "attribute channels_last is %lld; only 0 is supported", (long long)vd_op_int(c, "channels_last", 0));
    if (x->rank < 3)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; batch, channels and at least one more dim belong there", x->rank);
    for (int d = 0; d < x->rank; d++) {
        dim[d] = d < 2 ? x->dim[d] : 1;
        if (x->dim[d] < 1)
            return vd_op_fail(c, ERANGE, "dim %d of the input is 0", d);
    }
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

void vd_run_qlinear_global_average_pool(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const struct vd_sink s = vd_q_to(c->in[3], vd_op_in(c, 4), x->type);
    const size_t planes = (size_t)x->dim[0] * (size_t)x->dim[1], area = vd_tensor_count(x) / planes;
    const float m = vd_q_scale(c->in[1]) / (s.scale * (float)area);
    const int zp = vd_q_zero(vd_op_in(c, 2));
    for (size_t p = 0; p < planes; p++) {
        const uint8_t *v = (const uint8_t *)x->data + p * area;
        int64_t sum = 0;
        for (size_t i = 0; i < area; i++)
            sum += x->type == VD_S8 ? (int8_t)v[i] : v[i];
        ((uint8_t *)c->out[0]->data)[p] = vd_q_stepped(&s, (float)(sum - (int64_t)area * zp) * m);
    }
}

int vd_infer_qlinear_average_pool(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct vd_window win;
    int64_t dim[VD_MAX_RANK];
    int rc = vd_q_triple(c, 0);
    if (rc < 0 || (rc = vd_q_sink(c, 3, x->type)) < 0 || (rc = vd_window_infer(c, x, NULL, &win)) < 0)
        return rc;
    if (vd_op_int(c, "channels_last", 0) != 0)
        return vd_op_fail(c, EPERM, "attribute channels_last is %lld; only 0 is supported", (long long)vd_op_int(c, "channels_last", 0));
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    for (int i = 0; i < win.n; i++)
        dim[i + 2] = win.out[i];
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

/* Missing leading dims are of size 1. */
static void three(const struct vd_window *w, const int64_t *v, int64_t fill, int64_t out[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = i < 3 - w->n ? fill : v[i - (3 - w->n)];
}

void vd_run_qlinear_average_pool(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const struct inner s = inner_of(vd_op_in(c, 4), x->type);
    const float scale = vd_q_scale(c->in[3]);
    float real[256];
    const bool with_pad = vd_op_int(c, "count_include_pad", 0) != 0;
    struct vd_window w;
    if (vd_window_infer(c, x, NULL, &w) < 0)
        return; /* infer has accepted it */
    int64_t in[3], out[3], kernel[3], stride[3], begin[3], end[3];
    three(&w, x->dim + 2, 1, in);
    three(&w, w.out, 1, out);
    three(&w, w.kernel, 1, kernel);
    three(&w, w.stride, 1, stride);
    three(&w, w.pad_begin, 0, begin);
    three(&w, w.pad_end, 0, end);
    for (int i = 0; i < 256; i++)
        real[i] = vd_q_real(x->type, (uint8_t)i, vd_q_scale(c->in[1]), vd_q_zero(vd_op_in(c, 2)));
    uint8_t *y = c->out[0]->data;
    const uint8_t *plane = x->data;
    for (int64_t p = 0; p < x->dim[0] * x->dim[1]; p++, plane += in[0] * in[1] * in[2])
        for (int64_t o = 0; o < out[0] * out[1] * out[2]; o++) {
            const int64_t at[3] = {o / out[2] / out[1], o / out[2] % out[1], o % out[2]};
            int64_t lo[3], hi[3], inside = 1, padded = 1;
            float sum = 0;
            for (int d = 0; d < 3; d++) {
                const int64_t a = at[d] * stride[d] - begin[d], b = a + kernel[d];
                lo[d] = a < 0 ? 0 : a;
                hi[d] = b > in[d] ? in[d] : b;
                inside *= hi[d] > lo[d] ? hi[d] - lo[d] : 0;
                padded *= (b > in[d] + end[d] ? in[d] + end[d] : b) - a;
            }
            for (int64_t z = lo[0]; z < hi[0]; z++)
                for (int64_t r = lo[1]; r < hi[1]; r++)
                    for (int64_t k = lo[2]; k < hi[2]; k++)
                        sum += real[plane[(z * in[1] + r) * in[2] + k]];
            const int64_t n = with_pad ? padded : inside;
            *y++ = stepped_inside(&s, n > 0 ? sum / (float)n / scale : 0);
        }
}
