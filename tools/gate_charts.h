/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_CHARTS_H
#define VD_GATE_CHARTS_H

#include "common/bytes.h"
#include "gate/explain.h"

/* Parts of the page: inline SVG, 420 units wide so that they can be read on a phone, in colours that the page's style sheet gives by class.
 * What a colour says is said by shape, hatching or words too. */

void vd_html(struct vd_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vd_html_text(struct vd_buf *b, const char *s); /* escaped */

/* SQNR of each layer, alone (solid) and as it runs (hatched), in the graph's order. */
void vd_chart_sqnr(struct vd_buf *b, const struct vd_explain *e);
/* int8 against fp32 of one output, and what int8 has more; with the lines where they are one, and of least squares. id: unlike the others. */
void vd_chart_scatter(struct vd_buf *b, const struct vd_cell *c, int id);
void vd_chart_difference(struct vd_buf *b, const struct vd_cell *c, int id);
/* One activation, what lies outside its range hatched. */
void vd_chart_histogram(struct vd_buf *b, const struct vd_range *r, int id);

/* png_uri.c: grey samples 0..1 as <img>; alt is escaped. -ENOMEM. */
int vd_html_picture(struct vd_buf *b, const float *v, int w, int h, const char *alt);

#endif
