/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_BUDGET_H
#define VD_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

/* The fewest layers that must stay in fp32 for a drop of at most budget.
 *
 * Nothing in fp32 is measured first, then each layer alone. Up to VD_BUDGET_EXHAUSTIVE layers: every set of 1, of 2, ... layers, until one of
 * a size is inside the budget; of that size the one with the least drop. More layers: greedily the layer that lowers the drop most is added
 * until the budget is met, then each that turns out not to be needed is taken back, the least helpful first. At least one layer
 * stays quantised. Ties go to the earlier layers. */
enum { VD_BUDGET_EXHAUSTIVE = 12 };

/* *drop of the model in which the layers with fp32[i] are left as they are. A negative errno ends the search. */
typedef int vd_budget_fn(void *arg, const bool *fp32, double *drop);

struct vd_budget {
    bool met;
    bool *fp32;       /* [layers] the best that was found: meets the budget, or has the least drop */
    double drop;      /* its */
    double without;   /* with nothing in fp32 */
    double *alone;    /* [layers] with this layer alone in fp32 */
    int measurements;
};
int vd_budget_search(int layers, double budget, vd_budget_fn *measure, void *arg, struct vd_budget *b);
void vd_budget_free(struct vd_budget *b);

#endif
