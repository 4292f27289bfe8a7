/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STREAM_MAKE_H
#define VD_STREAM_MAKE_H

#include "plan/steps.h"
#include "plan/row_stream.h"

/* A stream in the making (stream_build.c). Functions that give a value give a negative errno instead where something is wrong. */
struct vd_make {
    struct vd_plan *p;
    struct vd_stream *s;
    const struct vd_node *node; /* whose operations are being made */
    int *of;       /* by value of the graph: the stream's value, without padding; -1 */
    int *bytes_of; /* by value of the graph: quantised by its own range; -1 */
    int *ring_of;  /* by value of the stream: its copy in a ring; -1 */
    int *wino_of;  /* by value of the stream: a transform of it; -1 */
};

int vd_make_value(struct vd_make *b, const struct vd_stream_value *like); /* size and kind as like; no place yet */
struct vd_stream_op *vd_make_op(struct vd_make *b, enum vd_stream_kind kind, int n_in, int out); /* NULL: no memory */
void vd_make_reads(struct vd_make *b, struct vd_stream_op *o, int i, int value);
int vd_make_map(struct vd_make *b, enum vd_stream_kind kind, int from, const struct vd_stream_value *like, struct vd_stream_op **op);
int vd_make_source(struct vd_make *b, int v);
/* The same rows: thin or blocked as asked; in a ring, where there is room for padding. */
int vd_make_layout(struct vd_make *b, int value, bool thin);
int vd_make_ring(struct vd_make *b, int value);
/* A slot for the range of graph value v, which the stream finds as it makes it. */
int vd_make_range(struct vd_make *b, int v);

/* stream_second.c: the bytes that f->second reads where they are what rounding left; the second product of convolution o, of w (packed) and an
 * input whose zero point is zp, as o's last input. scale: one a channel; NULL: no memory. */
int vd_make_rest(struct vd_make *b, const struct vd_fusion *f);
int vd_make_second(struct vd_make *b, struct vd_stream_op *o, int value, const struct vd_row_weights *w, int zp, const float *scale);

/* One step: a fusion (stream_conv.c), a node (stream_each.c). */
int vd_make_conv(struct vd_make *b, const struct vd_step *step);
int vd_make_each(struct vd_make *b, const struct vd_step *step);

#endif
