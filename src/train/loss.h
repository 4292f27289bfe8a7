/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LOSS_H
#define VD_LOSS_H

#include <stdbool.h>
#include <stddef.h>

/* A weighted sum of losses; those with weight 0 are left out. d is output minus target, means are over all elements of a sample.
 *   l1           mean |d|
 *   l2           mean d^2
 *   charbonnier  mean sqrt(d^2 + eps^2)
 *   rank         over the pairs of a batch whose targets differ by more than margin: mean log(1 + exp(-s (y_i - y_j) / scale)) with s the sign of
 *                their targets' difference (RankNet: Burges et al., ICML 2005). Scores only: one output element. */
struct vd_loss {
    double l1, l2, charbonnier, rank;
    double eps;           /* of charbonnier; 1e-3 when 0 */
    double margin, scale; /* of rank; scale 1 when 0 */
};

/* Of one sample of count elements, rank apart. grad (may be NULL) receives d loss / d y, times 1 / batch. */
double vd_loss_sample(const struct vd_loss *l, const float *y, const float *target, size_t count, int batch, float *grad);
/* The rank part of n scores; adds to grad. Order of the sums is fixed. */
double vd_loss_rank(const struct vd_loss *l, const float *y, const float *target, int n, float *grad);

#endif
