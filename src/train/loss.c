/* SPDX-License-Identifier: BSD-2-Clause */
#include "train/loss.h"

#include <math.h>

double vd_loss_sample(const struct vd_loss *l, const float *y, const float *target, size_t count, int batch, float *grad)
{
    const double eps = l->eps > 0 ? l->eps : 1e-3, share = 1 / (double)count, step = share / batch;
    double l1 = 0, l2 = 0, ch = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)y[i] - (double)target[i], root = l->charbonnier != 0 ? sqrt(d * d + eps * eps) : 1;
        l1 += fabs(d);
        l2 += d * d;
        ch += root;
        if (grad)
            grad[i] = (float)(step * (l->l1 * ((d > 0) - (d < 0)) + 2 * l->l2 * d + l->charbonnier * d / root));
    }
    return share * (l->l1 * l1 + l->l2 * l2 + (l->charbonnier != 0 ? l->charbonnier * ch : 0));
}

double vd_loss_rank(const struct vd_loss *l, const float *y, const float *target, int n, float *grad)
{
    const double scale = l->scale > 0 ? l->scale : 1;
    double sum = 0;
    int pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            pairs += fabs((double)target[i] - (double)target[j]) > l->margin;
    if (!pairs)
        return 0;
    const double share = l->rank / pairs;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) {
            const double t = (double)target[i] - (double)target[j];
            if (fabs(t) <= l->margin)
                continue;
            const double s = t > 0 ? 1 : -1, z = s * ((double)y[i] - (double)y[j]) / scale;
            sum += z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z; /* the same, without overflow */
            if (grad) {
                const double g = -share * s / scale / (1 + exp(z));
                grad[i] += (float)g;
                grad[j] -= (float)g;
            }
        }
    return share * sum;
}
