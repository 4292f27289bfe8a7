/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/resize.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

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

struct vd_windows vd_windows_of(int dw, int dh, int w, int h)
{
    struct vd_windows g = {w / dw, h / dh};
    if (!g.cols || !g.rows)
        return (struct vd_windows){0};
    g.cols = g.cols < VD_WINDOW_COLS ? g.cols : VD_WINDOW_COLS;
    g.rows = g.rows < VD_WINDOW_ROWS ? g.rows : VD_WINDOW_ROWS;
    return g;
}

static int begin_of(int i, int n, int room) { return n > 1 ? (int)((int64_t)room * i / (n - 1)) : room / 2; }

void vd_window_at(struct vd_windows g, int i, int dw, int dh, int w, int h, int *x, int *y)
{
    *x = begin_of(i % g.cols, g.cols, w - dw);
    *y = begin_of(i / g.cols, g.rows, h - dh);
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
