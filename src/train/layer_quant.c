/* SPDX-License-Identifier: BSD-2-Clause */
/* Layers whose activations are bytes: forwards they are the row kernels of inference, and what was lost is kept for the way back. */
#include <math.h>
#include <string.h>

#include "train/net_priv.h"

static size_t row_floats(const struct vd_map *m) { return (size_t)m->w * m->lanes; }

/* Nearest whole number, half to even, for |v| < 2^22. */
static float nearest(float v) { return v + 12582912.0f - 12582912.0f; }

/* The border of v's bytes is the zero point of this step. */
static void set_border(const struct vd_layer_call *c, int v)
{
    const struct vd_net_value *x = &c->value[v];
    const int zp = c->range[x->range].zp;
    if (c->w->border[v] == zp)
        return;
    memset(vd_value_bytes(x, c->w), zp, x->bytes.size);
    c->w->border[v] = zp;
}

/* v[0..n) times scale, of C channels. Lanes past C are 0, which is in every range. */
static void see(const struct vd_layer_call *c, const struct vd_net_value *y, const float *v, size_t n, float scale)
{
    float lo = c->seen[2 * y->range], hi = c->seen[2 * y->range + 1];
    for (size_t i = 0; i < n; i++) {
        lo = v[i] * scale < lo ? v[i] * scale : lo;
        hi = v[i] * scale > hi ? v[i] * scale : hi;
    }
    if (y->clamped) {
        lo = fmaxf(lo, y->clamp_lo);
        hi = fminf(hi, y->clamp_hi);
    }
    c->seen[2 * y->range] = lo;
    c->seen[2 * y->range + 1] = hi;
}

/* Row r of the output, from steps to bytes, and what these stand for. */
static void round_row(const struct vd_layer_call *c, int r)
{
    const struct vd_net_value *y = &c->value[c->l->out];
    const struct vd_net_range *q = &c->range[y->range];
    const size_t n = row_floats(&y->map);
    for (int b = 0; b < y->map.blocks; b++) {
        const float *steps = vd_map_row(&y->map, vd_value_steps(y, c->w), b, r);
        uint8_t *bytes = vd_map_bytes(&y->bytes, vd_value_bytes(y, c->w), b, r);
        c->k->row.quantize_u8(bytes, steps, n, 1, q->zp, y->lo, y->hi);
        c->k->row.dequantize_f32(vd_map_row(&y->map, vd_value_data(y, c->w), b, r), bytes, n, q->scale, q->zp);
        if (c->seen && q->seen)
            see(c, y, steps, n, q->scale);
    }
}

/* --- forwards */

static void conv_row(const struct vd_layer_call *c, int in, int r, float *dst)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *x = &c->value[l->in[in]], *y = &c->value[l->out];
    const bool bias = l->bias && !in && y->range == VD_NONE_AT; /* of two sums, the first has it */
    const struct vd_row_conv conv = {.shape = l->shape_u8, .weight = l->pack,
                                     .tail = {.bias32 = l->bias32[in], .scale = l->tail_scale[in], .bias = bias ? l->bias : NULL}};
    const void *src[VD_TRAIN_MAX_KERNEL];
    for (int ky = 0; ky < l->shape.kh; ky++)
        src[ky] = vd_map_bytes(&x->bytes, vd_value_bytes(x, c->w), 0, r * l->stride_y + ky * l->dilation_y - l->top) -
                  (ptrdiff_t)l->left * (ptrdiff_t)x->bytes.lanes;
    c->k->row.conv_u8[l->shape.kind](&conv, dst, y->map.block * sizeof(float), src, x->bytes.block, in ? dst : NULL, y->map.block * sizeof(float), y->map.w);
}

void vd_quant_conv_forward(const struct vd_layer_call *c)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *y = &c->value[l->out];
    const bool bytes = y->range != VD_NONE_AT;
    if (bytes)
        set_border(c, l->out);
    for (int r = 0; r < y->map.h; r++) {
        float *dst = vd_map_row(&y->map, bytes ? vd_value_steps(y, c->w) : vd_value_data(y, c->w), 0, r);
        for (int in = 0; in < (l->two ? 2 : 1); in++)
            conv_row(c, in, r, dst);
        if (bytes)
            round_row(c, r);
        else
            vd_map_mend(&y->map, vd_value_data(y, c->w), r);
    }
}

/* The bytes are the kernel's; what they were before rounding is formed again for the way back. */
void vd_quant_add_forward(const struct vd_layer_call *c)
{
    const struct vd_net_value *a = &c->value[c->l->in[0]], *b = &c->value[c->l->in[1]], *y = &c->value[c->l->out];
    const struct vd_net_range *qa = &c->range[a->range], *qb = &c->range[b->range], *q = &c->range[y->range];
    struct vd_row_add p = {.ra = qa->scale / q->scale, .rb = qb->scale / q->scale, .lo = y->lo, .hi = y->hi};
    const size_t n = row_floats(&y->map);
    const float to_steps = 1 / q->scale;
    p.fixed = (float)q->zp - fmaf(p.ra, (float)qa->zp, p.rb * (float)qb->zp);
    set_border(c, c->l->out);
    for (int k = 0; k < y->map.blocks; k++)
        for (int r = 0; r < y->map.h; r++) {
            uint8_t *bytes = vd_map_bytes(&y->bytes, vd_value_bytes(y, c->w), k, r);
            const float *va = vd_map_row(&a->map, vd_value_data(a, c->w), k, r), *vb = vd_map_row(&b->map, vd_value_data(b, c->w), k, r);
            float *steps = vd_map_row(&y->map, vd_value_steps(y, c->w), k, r);
            c->k->row.add_u8(bytes, vd_map_bytes(&a->bytes, vd_value_bytes(a, c->w), k, r), vd_map_bytes(&b->bytes, vd_value_bytes(b, c->w), k, r), n, &p);
            c->k->row.dequantize_f32(vd_map_row(&y->map, vd_value_data(y, c->w), k, r), bytes, n, q->scale, q->zp);
            for (size_t i = 0; i < n; i++)
                steps[i] = (va[i] + vb[i]) * to_steps;
            if (c->seen && q->seen)
                see(c, y, steps, n, q->scale);
        }
}

/* GlobalAveragePool, as ops/op_qlinear.c has it. */
void vd_quant_mean_forward(const struct vd_layer_call *c)
{
    const struct vd_net_value *x = &c->value[c->l->in[0]], *y = &c->value[c->l->out];
    const struct vd_net_range *qx = &c->range[x->range], *q = &c->range[y->range];
    const struct vd_map *m = &x->bytes;
    const int64_t area = (int64_t)m->h * m->w;
    const float factor = qx->scale / (q->scale * (float)area);
    set_border(c, c->l->out);
    for (int b = 0; b < m->blocks; b++) {
        int64_t sum[VD_LANES] = {0};
        for (int r = 0; r < m->h; r++) {
            const uint8_t *v = vd_map_bytes(m, vd_value_bytes(x, c->w), b, r);
            for (int i = 0; i < m->w; i++)
                for (size_t k = 0; k < m->lanes; k++)
                    sum[k] += v[(size_t)i * m->lanes + k];
        }
        float *steps = vd_map_row(&y->map, vd_value_steps(y, c->w), b, 0);
        for (size_t k = 0; k < m->lanes; k++)
            steps[k] = (size_t)b * VD_LANES + k < (size_t)m->c ? (float)(sum[k] - area * qx->zp) * factor : 0;
    }
    round_row(c, 0);
}

void vd_round_forward(const struct vd_layer_call *c)
{
    const struct vd_net_value *x = &c->value[c->l->in[0]], *y = &c->value[c->l->out];
    const struct vd_net_range *q = &c->range[y->range];
    const size_t n = row_floats(&y->map);
    set_border(c, c->l->out);
    for (int b = 0; b < y->map.blocks; b++)
        for (int r = 0; r < y->map.h; r++) {
            const float *v = vd_map_row(&x->map, vd_value_data(x, c->w), b, r);
            float *steps = vd_map_row(&y->map, vd_value_steps(y, c->w), b, r);
            uint8_t *bytes = vd_map_bytes(&y->bytes, vd_value_bytes(y, c->w), b, r);
            c->k->row.quantize_u8(bytes, v, n, q->scale, q->zp, y->lo, y->hi);
            c->k->row.dequantize_f32(vd_map_row(&y->map, vd_value_data(y, c->w), b, r), bytes, n, q->scale, q->zp);
            for (size_t i = 0; i < n && y->grad; i++)
                steps[i] = v[i] / q->scale;
            if (c->seen && q->seen)
                see(c, y, v, n, 1);
        }
}

/* --- backwards */

/* One end: what a value beyond it is, in steps, and what that adds to the gradients of scale and zero point. */
struct end { float steps, by_scale, by_zp; };

static struct end end_of(const struct vd_net_value *y, const struct vd_net_range *q, bool high)
{
    const int byte = high ? y->hi : y->lo;
    struct end e = {.steps = (float)(byte - q->zp)};
    if (byte != (high ? 255 : 0)) { /* the clamp's: it stays where it is but for rounding */
        e.by_scale = e.steps - (high ? y->clamp_hi : y->clamp_lo) / q->scale;
        return e;
    }
    e.by_scale = e.steps;
    e.by_zp = -q->scale;
    return e;
}

void vd_quant_mask(const struct vd_layer_call *c)
{
    const struct vd_net_value *y = &c->value[c->l->out];
    const struct vd_net_range *q = &c->range[y->range];
    const struct end lo = end_of(y, q, false), hi = end_of(y, q, true);
    const size_t n = row_floats(&y->map);
    double by_scale = 0, by_zp = 0;

    for (int b = 0; b < y->map.blocks; b++)
        for (int r = 0; r < y->map.h; r++) {
            float *g = vd_map_row(&y->map, vd_value_grad(y, c->w), b, r);
            const float *v = vd_map_row(&y->map, vd_value_steps(y, c->w), b, r);
            float scale[VD_LANES] = {0}, zp[VD_LANES] = {0};
            for (size_t i = 0; i < n; i += y->map.lanes)
                for (size_t k = 0; k < y->map.lanes; k++) {
                    const float s = v[i + k], e = g[i + k];
                    const bool below = s <= lo.steps, above = s >= hi.steps;
                    scale[k] += e * (below ? lo.by_scale : above ? hi.by_scale : nearest(s) - s);
                    zp[k] += e * (below ? lo.by_zp : above ? hi.by_zp : 0);
                    g[i + k] = below || above ? 0 : e;
                }
            for (size_t k = 0; k < y->map.lanes; k++) {
                by_scale += (double)scale[k];
                by_zp += (double)zp[k];
            }
        }
    c->slot[c->l->slot_range] = (float)(by_scale * (double)q->scale);
    c->slot[c->l->slot_range + 1] = q->from_zero ? 0 : (float)(by_zp * 255);
}

void vd_round_backward(const struct vd_layer_call *c)
{
    vd_give_gradient(c, c->l->in[0], c->l->out);
}
