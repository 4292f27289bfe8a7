/* SPDX-License-Identifier: BSD-2-Clause */
/* BatchNormalization in training mode (Ioffe and Szegedy, 2015): y = scale * xhat + shift, xhat = (x - mean) * inv_std over batch,
 * height and width. Sums are float64, sample by sample, so that their order is fixed. */
#include <math.h>

#include "train/net_priv.h"

static int channel(const struct vd_map *m, int b, size_t lane) { return b * (m->thin ? 1 : VD_LANES) + (int)lane; }

void vd_norm_sum(const struct vd_layer_call *c)
{
    const struct vd_net_value *x = &c->value[c->l->in[0]];
    const struct vd_map *m = &x->map;
    double *sum = c->l->sum + (size_t)c->sample * 2 * (size_t)m->c;

    for (int b = 0; b < m->blocks; b++) {
        double s[VD_LANES] = {0}, q[VD_LANES] = {0};
        for (int r = 0; r < m->h; r++) {
            const float *v = vd_map_row(m, vd_value_data(x, c->w), b, r);
            for (int i = 0; i < m->w; i++)
                for (size_t k = 0; k < m->lanes; k++) {
                    const double e = (double)v[(size_t)i * m->lanes + k];
                    s[k] += e;
                    q[k] += e * e;
                }
        }
        for (size_t k = 0; k < m->lanes && channel(m, b, k) < m->c; k++) {
            sum[channel(m, b, k)] = s[k];
            sum[m->c + channel(m, b, k)] = q[k];
        }
    }
}

void vd_norm_join(struct vd_layer *l, const struct vd_map *m, int batch, double momentum)
{
    const double count = (double)batch * m->h * m->w;
    for (int ch = 0; ch < m->c; ch++) {
        double s = 0, q = 0;
        for (int i = 0; i < batch; i++) {
            s += l->sum[(size_t)i * 2 * (size_t)m->c + (size_t)ch];
            q += l->sum[(size_t)i * 2 * (size_t)m->c + (size_t)(m->c + ch)];
        }
        const double mean = s / count, var = fmax(0, q / count - mean * mean), unbiased = count > 1 ? var * count / (count - 1) : var;
        l->mean[ch] = mean;
        l->inv_std[ch] = 1 / sqrt(var + l->epsilon);
        l->running[ch] += momentum * (mean - l->running[ch]);
        l->running[m->c + ch] += momentum * (unbiased - l->running[m->c + ch]);
    }
}

void vd_norm_apply(const struct vd_layer_call *c, const float *params)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *x = &c->value[l->in[0]], *y = &c->value[l->out];
    const struct vd_map *m = &x->map;

    for (int b = 0; b < m->blocks; b++) {
        double a[VD_LANES] = {0}, d[VD_LANES] = {0};
        for (size_t k = 0; k < m->lanes && channel(m, b, k) < m->c; k++) {
            const int ch = channel(m, b, k);
            a[k] = (double)params[l->param[0] + ch] * l->inv_std[ch];
            d[k] = (double)params[l->param[1] + ch] - l->mean[ch] * a[k];
        }
        for (int r = 0; r < m->h; r++) {
            const float *v = vd_map_row(m, vd_value_data(x, c->w), b, r);
            float *to = vd_map_row(&y->map, vd_value_data(y, c->w), b, r);
            for (int i = 0; i < m->w; i++)
                for (size_t k = 0; k < m->lanes; k++)
                    to[(size_t)i * m->lanes + k] = (float)((double)v[(size_t)i * m->lanes + k] * a[k] + d[k]);
        }
    }
}

void vd_norm_back_sum(const struct vd_layer_call *c)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *x = &c->value[l->in[0]], *y = &c->value[l->out];
    const struct vd_map *m = &x->map;
    double *sum = l->sum + (size_t)c->sample * 2 * (size_t)m->c;

    for (int b = 0; b < m->blocks; b++) {
        double s[VD_LANES] = {0}, q[VD_LANES] = {0}, mean[VD_LANES] = {0}, inv[VD_LANES] = {0};
        for (size_t k = 0; k < m->lanes && channel(m, b, k) < m->c; k++) {
            mean[k] = l->mean[channel(m, b, k)];
            inv[k] = l->inv_std[channel(m, b, k)];
        }
        for (int r = 0; r < m->h; r++) {
            const float *v = vd_map_row(m, vd_value_data(x, c->w), b, r), *g = vd_map_row(&y->map, vd_value_grad(y, c->w), b, r);
            for (int i = 0; i < m->w; i++)
                for (size_t k = 0; k < m->lanes; k++) {
                    const double e = (double)g[(size_t)i * m->lanes + k];
                    s[k] += e;
                    q[k] += e * (((double)v[(size_t)i * m->lanes + k] - mean[k]) * inv[k]);
                }
        }
        for (size_t k = 0; k < m->lanes && channel(m, b, k) < m->c; k++) {
            const int ch = channel(m, b, k);
            sum[ch] = s[k];
            sum[m->c + ch] = q[k];
            c->slot[l->slot[0] + (size_t)ch] = (float)q[k];
            c->slot[l->slot[1] + (size_t)ch] = (float)s[k];
        }
    }
}

void vd_norm_back_join(struct vd_layer *l, const struct vd_map *m, int batch)
{
    const double count = (double)batch * m->h * m->w;
    for (int ch = 0; ch < 2 * m->c; ch++) {
        double s = 0;
        for (int i = 0; i < batch; i++)
            s += l->sum[(size_t)i * 2 * (size_t)m->c + (size_t)ch];
        l->back_mean[ch] = s / count;
    }
}

void vd_norm_back_apply(const struct vd_layer_call *c, const float *params)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *x = &c->value[l->in[0]], *y = &c->value[l->out];
    const struct vd_map *m = &x->map;
    const bool add = c->w->has_grad[l->in[0]];

    if (!x->grad)
        return;
    for (int b = 0; b < m->blocks; b++) {
        double a[VD_LANES] = {0}, mg[VD_LANES] = {0}, mx[VD_LANES] = {0}, mean[VD_LANES] = {0}, inv[VD_LANES] = {0};
        for (size_t k = 0; k < m->lanes && channel(m, b, k) < m->c; k++) {
            const int ch = channel(m, b, k);
            a[k] = (double)params[l->param[0] + ch] * l->inv_std[ch];
            mg[k] = l->back_mean[ch];
            mx[k] = l->back_mean[m->c + ch];
            mean[k] = l->mean[ch];
            inv[k] = l->inv_std[ch];
        }
        for (int r = 0; r < m->h; r++) {
            const float *v = vd_map_row(m, vd_value_data(x, c->w), b, r), *g = vd_map_row(&y->map, vd_value_grad(y, c->w), b, r);
            float *to = vd_map_row(m, vd_value_grad(x, c->w), b, r);
            for (int i = 0; i < m->w; i++)
                for (size_t k = 0; k < m->lanes; k++) {
                    const size_t at = (size_t)i * m->lanes + k;
                    const double xhat = ((double)v[at] - mean[k]) * inv[k];
                    const float d = (float)(a[k] * ((double)g[at] - mg[k] - xhat * mx[k]));
                    to[at] = add ? to[at] + d : d;
                }
        }
    }
    c->w->has_grad[l->in[0]] = true;
}
