/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/resize.h"

#include <math.h>
#include <stddef.h>

/* Output sample i of n covers from..to of the m input samples. */
struct span { int first, last; double head, tail; }; /* head, tail: parts of the first and the last sample */

static struct span span_of(int i, int n, int m)
{
    const double from = (double)i * m / n, to = (double)(i + 1) * m / n;
    struct span s = {.first = (int)floor(from), .last = (int)ceil(to) - 1};
    if (s.last > m - 1)
        s.last = m - 1;
    if (s.last < s.first)
        s.last = s.first;
    s.head = (s.last == s.first ? to : s.first + 1) - from;
    s.tail = to - s.last;
    return s;
}

static double part(const struct span *s, int k) { return k == s->first ? s->head : k == s->last ? s->tail : 1; }

void vd_resize_area(float *dst, int dw, int dh, const float *src, int w, int h)
{
    const double area = ((double)w / dw) * ((double)h / dh);
    for (int y = 0; y < dh; y++) {
        const struct span v = span_of(y, dh, h);
        for (int x = 0; x < dw; x++) {
            const struct span u = span_of(x, dw, w);
            double sum = 0;
            for (int r = v.first; r <= v.last; r++) {
                const float *row = src + (size_t)r * (size_t)w;
                double line = 0;
                for (int c = u.first; c <= u.last; c++)
                    line += part(&u, c) * (double)row[c];
                sum += part(&v, r) * line;
            }
            dst[(size_t)y * (size_t)dw + (size_t)x] = (float)(sum / area);
        }
    }
}
