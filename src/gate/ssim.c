/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/measure.h"

#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"

/* Wang, Bovik, Sheikh and Simoncelli 2004. */
enum { RADIUS = 5, TAPS = 2 * RADIUS + 1, PLANES = 5 };
static const double sigma = 1.5, c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;

/* One row of the five planes, filtered along the row: w - 10 sums of each. */
static void along(double *dst, const float *a, const float *b, int n, const double *tap)
{
    for (int x = 0; x < n; x++) {
        double s[PLANES] = {0};
        for (int k = 0; k < TAPS; k++) {
            const double p = (double)a[x + k], q = (double)b[x + k], t = tap[k];
            s[0] += t * p;
            s[1] += t * q;
            s[2] += t * p * p;
            s[3] += t * q * q;
            s[4] += t * p * q;
        }
        for (int i = 0; i < PLANES; i++)
            dst[(size_t)i * (size_t)n + (size_t)x] = s[i];
    }
}

int vd_ssim(const float *a, const float *b, int w, int h, double *out)
{
    *out = NAN;
    if (w < TAPS || h < TAPS)
        return 0;
    double tap[TAPS], sum = 0;
    vd_gauss_taps(tap, RADIUS, sigma);
    const int n = w - 2 * RADIUS;
    const size_t row = (size_t)n * PLANES;
    double *ring = vd_calloc(row * TAPS, sizeof *ring); /* the last eleven rows */
    if (!ring)
        return vd_nomem((unsigned long long)row * TAPS * sizeof *ring);
    for (int y = 0; y < h; y++) {
        along(ring + row * (size_t)(y % TAPS), a + (size_t)y * (size_t)w, b + (size_t)y * (size_t)w, n, tap);
        for (int x = 0; x < n && y >= TAPS - 1; x++) {
            double s[PLANES] = {0};
            for (int k = 0; k < TAPS; k++) {
                const double *r = ring + row * (size_t)((y + 1 + k) % TAPS) + x; /* oldest first */
                for (int i = 0; i < PLANES; i++)
                    s[i] += tap[k] * r[(size_t)i * (size_t)n];
            }
            const double va = s[2] - s[0] * s[0], vb = s[3] - s[1] * s[1], cov = s[4] - s[0] * s[1];
            sum += (2 * s[0] * s[1] + c1) * (2 * cov + c2) / ((s[0] * s[0] + s[1] * s[1] + c1) * (va + vb + c2));
        }
    }
    vd_free(ring);
    *out = sum / ((double)n * (h - 2 * RADIUS));
    return 0;
}
