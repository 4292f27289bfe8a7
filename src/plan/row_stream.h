/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROW_STREAM_H
#define VD_ROW_STREAM_H

#include "kernels/kernels.h"
#include "ops/op.h"
#include "plan/plan.h"

/* A row stream (docs/adr/0009): a chain or net of layers that each need some rows of what comes before, run as one step. Each value is a
 * ring of rows; a layer makes its next row as soon as the rows that it needs are there.
 *
 *     stream_choose.c    which steps become one stream, and in which order
 *     stream_take.c      what a step is by rows, if it can be
 *     stream_build.c     steps to row operations and values; stream_conv.c: convolutions; stream_each.c: operators
 *     stream_schedule.c  who makes which row when; heights of rings, bands, memory
 *     stream_rows.c      one row of each operation; stream_pool.c: of pools
 *     stream_second.c    convolutions whose input is two bytes an element
 *     stream_halo.c      what a filter saves to work in place
 *     stream_run.c       a whole run: ranges, bands, workers
 *
 * Everything here is made when shapes are known and holds until the next shape; what a run sets is marked. */
struct vd_plan;
struct vd_step;

/* Rows of one value of one picture: layout as in kernels/rows.h. Where it lies:
 * whole != NULL: a blocked tensor [N][H][block] in the plan's memory, all rows at once; else a ring in each worker's area. */
struct vd_stream_value {
    int64_t h;
    int channels, width;
    bool bytes, thin, wino;
    bool segments;            /* behind the blocks of a row: a byte for each segment, not 0 where it is not all zero point */
    int blocks;
    int left, right;          /* pixels of padding that readers reach */
    int slack;                /* pixels behind those that may be touched */
    bool padded;              /* a window reads it: zp holds */
    int zp;                   /* bytes: what padding holds; set by a run where the scale is dynamic */
    size_t pixel;             /* bytes of a pixel of one block */
    size_t head, block, row;  /* bytes before pixel 0; from block to block; from row to row */
    int64_t height;           /* rows of the ring */
    size_t at;                /* of the ring in an area */
    unsigned char *pad;       /* pixel 0 of the row that stands for those outside the picture; NULL: nobody reads there */
    int producer;             /* operation; -1: the whole tensor was there before */
    int source;               /* then, the graph's value; else -1 */
    int readers;
    struct vd_tensor *whole;
};

enum vd_stream_kind {
    VD_ROW_LOAD,        /* from an NCHW tensor */
    VD_ROW_LOAD_PLANE,  /* from the caller's plane of samples: v / max */
    VD_ROW_COPY,        /* from a blocked tensor to a ring (with padding) */
    VD_ROW_STORE,       /* to an NCHW tensor */
    VD_ROW_STORE_PLANE, /* to the caller's plane */
    VD_ROW_STORE_BLOCKED,
    VD_ROW_CONV,        /* in[1], if any: the residual */
    VD_ROW_WINO,        /* Winograd's transform of a row */
    VD_ROW_QUANTIZE,
    VD_ROW_REST,        /* QuantizeLinear of what rounding to bytes left of a float row */
    VD_ROW_LOOKUP_F32,  /* a function of a byte */
    VD_ROW_LOOKUP_U8,
    VD_ROW_ADD_F32,
    VD_ROW_ADD_U8,
    VD_ROW_CLAMP,
    VD_ROW_POOL,        /* MaxPool, AveragePool */
    VD_ROW_EACH,        /* an operator of src/ops, element by element */
    VD_ROW_CONCAT,      /* along the channels */
    VD_ROW_RELAYOUT,    /* thin to blocked, or back */
};

/* A REST row says of each segment of these pixels whether all of its bytes are the zero point. */
enum { VD_STREAM_SEGMENT = 32 };

/* Row y of the result needs rows y * sy - top + k * dy (k 0..kh-1) of inputs 0 and `second` that lie in the picture, and row y of the others. */
struct vd_stream_op {
    enum vd_stream_kind kind;
    const struct vd_node *node; /* for whom it was made */
    int *in, n_in, out;        /* values; out -1: a store */
    int64_t rows;              /* of the result */
    int64_t sy, dy, top;
    int kh, left;              /* left: pixels of padding before tap 0 */
    bool sink;                 /* its rows are asked for from outside */
    int range;                 /* slot that its values' lowest and highest go to; -1 */

    struct vd_row_conv conv;
    vd_row_conv_fn *fn;
    const float *w_scale;      /* dynamic: one a channel */
    const int32_t *w_sum;      /* dynamic: sum of the weights of each channel */
    float *scale;              /* dynamic: set by a run, as bias32 is */
    int32_t *bias32;
    int quantize;              /* dynamic: the operation that quantises its input */
    int second;                /* CONV: the input of a second product, which is added behind the bias; 0: none */
    struct vd_row_conv conv2;
    vd_row_conv_fn *fn2;
    int temp;                  /* then, a value with room for a row of sums */
    bool skips;                /* and it adds nothing where its input's segments are their zero point */

    const struct vd_tensor *from;
    struct vd_tensor *to;
    size_t to_block, to_row;   /* STORE_BLOCKED */
    uint8_t flip;              /* 0x80 where a tensor is int8 */
    int dynamic;               /* QUANTIZE: the graph's value whose range decides; -1 */
    float q_scale;             /* set by a run where dynamic, as zp is */
    int zp, lo, hi;
    float rest_scale;          /* REST: of what is left, with zp; q_scale and q_zp are those of the rounding before */
    int q_zp;
    float inside[2];           /* REST: values from the first to the second leave the zero point; none where it is the greater */
    const void *table;
    struct vd_row_add add;
    float lo_f, hi_f;
    const struct vd_window *win; /* POOL */
    bool average, count_pad;
    const struct vd_each *each;
};

/* A band of a filter that works in place: rows of the input plane that it reads outside the rows that it writes, which its
 * neighbours may write before it reads them. They are saved before the bands begin. */
struct vd_halo {
    int64_t first, begin, end, last; /* reads first..last, writes begin..end - 1 */
    size_t at;                       /* rows saved for the bands before this one; first those above, then those below */
};

struct vd_stream {
    struct vd_stream_op *op;    /* each after what it reads */
    struct vd_stream_value *value;
    int n_op, n_value, n_range;
    int *range_of;              /* graph value of each slot */
    int64_t batch;
    int bands;
    int max_kh;
    size_t area;                /* bytes of a worker */
    size_t next_at, stack_at, src_at, range_at, marks_at; /* in it */
    int64_t macs;               /* of one run */
    double *seconds;            /* [workers][n_op] of all runs; NULL: not profiled */
    int64_t *tails;             /* the same: pixels of a second product that is left out where it adds nothing */
    const struct vd_node *node; /* the first one, for messages */
    bool plane_in, plane_out;
    uint16_t *order;            /* of a small picture: the operations of all rows of all bands, in the order of vd_stream_walk(); else NULL */
    size_t *order_at;           /* [bands + 1] where a band's begin */
    struct vd_halo *halo;       /* [bands]; NULL: it cannot work in place, whatever is saved */
};

/* An elementwise operator on rows: inputs are rows of values or constants. */
struct vd_each {
    const struct vd_node *node;
    const struct vd_op *op;
    int opset, n_in;
    const float *const *constant; /* [n_in] NULL: a row; else 16 for each block, or one (thin) */
};

/* Between streams, and between them and other steps: by value of the graph. */
struct vd_cross {
    bool outside;      /* another step than the one that writes it reads it, or it is an output */
    bool blocked;      /* a blocked tensor */
    bool thin;         /* set by the stream that writes it */
    bool want_range;   /* a dynamic convolution reads it */
    bool ranged;       /* the stream that writes it finds the range */
    bool plane;        /* never a tensor: read from, or written to, the caller's plane */
    bool lends;        /* an input that streams alone read, row by row: it may lie where the caller has it */
    void *own;         /* its own memory, while it does */
    int alias;         /* takes the memory of this value, which is read there for the last time; -1 */
    size_t block, row; /* blocked */
    float range[2];    /* set by a run */
};

/* Group steps into streams (p->step is replaced), decide what crosses in blocks. */
int vd_streams_choose(struct vd_plan *p);
/* Row operations of one stream step; all streams are built in order. */
int vd_stream_build(struct vd_plan *p, struct vd_step *s);
/* Rings, bands, area: after build. */
int vd_stream_schedule(struct vd_plan *p, struct vd_stream *s);
/* What bands of a filter must save to work in place. */
int vd_stream_halos(struct vd_plan *p, struct vd_stream *s);
/* -ERANGE: an activation that is to be quantised is not finite. */
int vd_stream_run(struct vd_plan *p, struct vd_stream *s);

/* --- stream_schedule.c --- */

/* The rows of the sinks that a band has. */
static inline int64_t vd_band_begin(int64_t rows, int band, int bands) { return rows * band / bands; }

/* Call fn(arg, op, row) for each row that the band needs of each operation, in an order in which inputs come first. next and
 * stack have n_op elements; next[op] is the row that op makes next, also while fn is called. */
typedef void vd_stream_fn(void *arg, int op, int64_t row);
/* Distances of a blocked tensor of t's shape (c->thin), with room for what kernels touch behind a row: false: too large. */
bool vd_stream_blocked_row(const struct vd_tensor *t, struct vd_cross *c);
/* First and last row of each operation that a band makes; first is INT64_MAX where it makes none. last may be NULL. */
void vd_stream_band(const struct vd_stream *s, int band, int64_t *first, int64_t *last);
void vd_stream_walk(const struct vd_stream *s, int band, int64_t *next, int *stack, vd_stream_fn *fn, void *arg);

/* Multiplications of one run, of a convolution: both products, but for a second one that may be left out. */
int64_t vd_stream_macs(const struct vd_stream *s, const struct vd_stream_op *o); /* profile.c */

/* --- stream_rows.c --- */

struct vd_stream_job {
    const struct vd_plan *p;
    const struct vd_stream *s;
    int64_t n;             /* picture */
    int band;
    unsigned char *area;
    double *seconds;       /* of this worker, by operation; NULL */
    int64_t *tails;        /* likewise */
};
void vd_stream_row(const struct vd_stream_job *j, int op, int64_t row);
void vd_stream_pool(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y); /* stream_pool.c */
void vd_stream_rest(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y); /* stream_second.c */
void vd_stream_two(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y);
/* GlobalAveragePool of a blocked tensor, as op_reduce.c sums it. */
void vd_stream_pool_all(const struct vd_plan *p, const struct vd_step *s); /* stream_pool.c */
/* Where tap (k, 0) of pixel 0 of row y's window lies in x, for each k. */
void vd_stream_window(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *x, int64_t y, const void **src);
unsigned char *vd_stream_row_at(const struct vd_stream_value *v, unsigned char *area, int64_t n, int64_t y);

#endif
