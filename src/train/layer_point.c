/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "train/net_priv.h"

/* Calls body with n floats of a row of every block: r is the row, b the block. */
#define EACH_ROW(m, b, r) \
    for (int b = 0; b < (m)->blocks; b++) \
        for (int r = 0; r < (m)->h; r++)

static size_t row_floats(const struct vd_map *m) { return (size_t)m->w * m->lanes; }

void vd_give_gradient(const struct vd_layer_call *c, int to, int from)
{
    const struct vd_net_value *t = &c->value[to], *f = &c->value[from];
    const size_t n = row_floats(&t->map);

    if (!t->grad)
        return;
    EACH_ROW(&t->map, b, r) {
        float *dst = vd_map_row(&t->map, vd_value_grad(t, c->w), b, r);
        const float *src = vd_map_row(&f->map, vd_value_grad(f, c->w), b, r);
        if (c->w->has_grad[to])
            c->k->row.add_f32(dst, dst, src, n);
        else
            memcpy(dst, src, n * sizeof(float));
    }
    c->w->has_grad[to] = true;
}

void vd_clamp_forward(const struct vd_layer_call *c)
{
    const struct vd_net_value *x = &c->value[c->l->in[0]], *y = &c->value[c->l->out];

    EACH_ROW(&y->map, b, r)
        c->k->row.clamp_f32(vd_map_row(&y->map, vd_value_data(y, c->w), b, r), vd_map_row(&x->map, vd_value_data(x, c->w), b, r),
                            row_floats(&y->map), c->l->lo, c->l->hi);
}

void vd_clamp_mask(const struct vd_layer_call *c)
{
    const struct vd_net_value *y = &c->value[c->l->out];
    const struct vd_map *m = &y->map;
    const float lo = c->l->lo, hi = c->l->hi;
    const size_t n = row_floats(m);

    EACH_ROW(m, b, r) {
        float *g = vd_map_row(m, vd_value_grad(y, c->w), b, r);
        const float *v = vd_map_row(m, vd_value_data(y, c->w), b, r);
        for (size_t i = 0; i < n; i++)
            g[i] = v[i] > lo && v[i] < hi ? g[i] : 0.0f;
    }
}

void vd_clamp_backward(const struct vd_layer_call *c)
{
    vd_clamp_mask(c);
    vd_give_gradient(c, c->l->in[0], c->l->out);
}

void vd_add_forward(const struct vd_layer_call *c)
{
    const struct vd_net_value *a = &c->value[c->l->in[0]], *b = &c->value[c->l->in[1]], *y = &c->value[c->l->out];

    EACH_ROW(&y->map, k, r)
        c->k->row.add_f32(vd_map_row(&y->map, vd_value_data(y, c->w), k, r), vd_map_row(&a->map, vd_value_data(a, c->w), k, r),
                          vd_map_row(&b->map, vd_value_data(b, c->w), k, r), row_floats(&y->map));
}

void vd_add_backward(const struct vd_layer_call *c)
{
    vd_give_gradient(c, c->l->in[0], c->l->out);
    vd_give_gradient(c, c->l->in[1], c->l->out);
}

void vd_mean_forward(const struct vd_layer_call *c)
{
    const struct vd_net_value *x = &c->value[c->l->in[0]], *y = &c->value[c->l->out];
    const struct vd_map *m = &x->map;
    const double share = 1.0 / ((double)m->h * m->w);

    for (int b = 0; b < m->blocks; b++) {
        double sum[VD_LANES] = {0};
        for (int r = 0; r < m->h; r++) {
            const float *v = vd_map_row(m, vd_value_data(x, c->w), b, r);
            for (int i = 0; i < m->w; i++)
                for (size_t k = 0; k < m->lanes; k++)
                    sum[k] += (double)v[(size_t)i * m->lanes + k];
        }
        float *out = vd_map_row(&y->map, vd_value_data(y, c->w), b, 0);
        for (size_t k = 0; k < m->lanes; k++)
            out[k] = (float)(sum[k] * share);
    }
}

void vd_mean_backward(const struct vd_layer_call *c)
{
    const struct vd_net_value *x = &c->value[c->l->in[0]], *y = &c->value[c->l->out];
    const struct vd_map *m = &x->map;
    const float share = (float)(1.0 / ((double)m->h * m->w));
    const bool add = c->w->has_grad[c->l->in[0]];

    if (!x->grad)
        return;
    EACH_ROW(m, b, r) {
        float *g = vd_map_row(m, vd_value_grad(x, c->w), b, r);
        const float *from = vd_map_row(&y->map, vd_value_grad(y, c->w), b, 0);
        for (int i = 0; i < m->w; i++)
            for (size_t k = 0; k < m->lanes; k++) {
                float *to = g + (size_t)i * m->lanes + k;
                *to = (add ? *to : 0) + from[k] * share;
            }
    }
    c->w->has_grad[c->l->in[0]] = true;
}
