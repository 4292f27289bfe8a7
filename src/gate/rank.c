/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/measure.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/status.h"

struct ranked { float v; uint32_t at; };

static int ascending(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->v != y->v)
        return x->v < y->v ? -1 : 1;
    return x->at < y->at ? -1 : 1; /* so that every sort gives one order */
}

/* Average ranks from 1; r is scratch. */
static void ranks(double *dst, const float *v, size_t n, struct ranked *r)
{
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){v[i], (uint32_t)i};
    qsort(r, n, sizeof *r, ascending);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && r[j].v == r[i].v; j++)
            ;
        for (size_t k = i; k < j; k++)
            dst[r[k].at] = (double)(i + j + 1) / 2;
    }
}

int vd_srocc(const float *a, const float *b, size_t n, double *out)
{
    *out = NAN;
    if (n < 2)
        return 0;
    struct ranked *r = vd_calloc(n, sizeof *r);
    double *x = vd_calloc(n, sizeof *x), *y = vd_calloc(n, sizeof *y);
    if (r && x && y) {
        ranks(x, a, n, r);
        ranks(y, b, n, r);
        double xx = 0, yy = 0, xy = 0;
        const double mean = (double)(n + 1) / 2;
        for (size_t i = 0; i < n; i++) {
            xx += (x[i] - mean) * (x[i] - mean);
            yy += (y[i] - mean) * (y[i] - mean);
            xy += (x[i] - mean) * (y[i] - mean);
        }
        if (xx > 0 && yy > 0)
            *out = fmax(-1, fmin(1, xy / sqrt(xx * yy)));
    }
    const int rc = r && x && y ? 0 : vd_nomem((unsigned long long)n * sizeof *r);
    vd_free(r);
    vd_free(x);
    vd_free(y);
    return rc;
}
