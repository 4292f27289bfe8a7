/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_matmul.h"

enum { ROWS = VD_MM_ROWS, COLS = VD_MM_COLS, KB = 64, MR = 4, NR = 8 };

struct vd_mm_tile vd_mm_tile_at(const struct vd_mm *p, size_t task)
{
    const size_t across = (p->n + COLS - 1) / COLS, down = (p->m + ROWS - 1) / ROWS;
    size_t batch = task / across / down;
    struct vd_mm_tile t = {.row0 = task / across % down * ROWS, .col0 = task % across * COLS};
    t.row1 = t.row0 + ROWS < p->m ? t.row0 + ROWS : p->m;
    t.col1 = t.col0 + COLS < p->n ? t.col0 + COLS : p->n;
    t.y_off = (int64_t)(batch * p->m * p->n);
    for (int d = p->out->rank - 1; d >= 0; d--) {
        if (!p->a_step[d] && !p->b_step[d])
            continue;
        const int64_t at = (int64_t)(batch % (size_t)p->out->dim[d]);
        batch /= (size_t)p->out->dim[d];
        t.a_off += at * p->a_step[d];
        t.b_off += at * p->b_step[d];
    }
    return t;
}

/* W: the type in which sums are formed (unsigned for integers, so that they wrap). */
#define TILE(name, T, W) \
    static void name(const struct vd_mm *p, const struct vd_mm_tile *t) \
    { \
        const T *a = (const T *)p->a + t->a_off, *b = (const T *)p->b + t->b_off; \
        T *y = (T *)p->y + t->y_off; \
        const size_t cols = t->col1 - t->col0; \
        W pack[KB][COLS]; \
        for (size_t r = t->row0; r < t->row1; r++) \
            memset(y + r * p->n + t->col0, 0, cols * sizeof(T)); \
        for (size_t k0 = 0; k0 < p->k; k0 += KB) { \
            const size_t depth = p->k - k0 < KB ? p->k - k0 : KB; \
            for (size_t k = 0; k < depth; k++) { \
                const T *src = b + (int64_t)(k0 + k) * p->bk + (int64_t)t->col0 * p->bn; \
                for (size_t j = 0; j < cols; j++) \
                    pack[k][j] = (W)src[(int64_t)j * p->bn]; \
                for (size_t j = cols; j % NR; j++) \
                    pack[k][j] = 0; \
            } \
            for (size_t r = t->row0; r < t->row1; r += MR) { \
                const size_t rows = t->row1 - r < MR ? t->row1 - r : MR; \
                const T *ar[MR]; \
                for (size_t i = 0; i < rows; i++) \
                    ar[i] = a + (int64_t)(r + i) * p->am + (int64_t)k0 * p->ak; \
                for (size_t j = 0; j < cols; j += NR) { \
                    const size_t width = cols - j < NR ? cols - j : NR; \
                    W acc[MR][NR] = {{0}}; \
                    for (size_t i = 0; i < rows; i++) \
                        for (size_t q = 0; q < width; q++) \
                            acc[i][q] = (W)y[(r + i) * p->n + t->col0 + j + q]; \
                    for (size_t k = 0; k < depth; k++) \
                        for (size_t i = 0; i < rows; i++) \
                            for (size_t q = 0; q < NR; q++) \
                                acc[i][q] += (W)ar[i][(int64_t)k * p->ak] * pack[k][j + q]; \
                    for (size_t i = 0; i < rows; i++) \
                        for (size_t q = 0; q < width; q++) \
                            y[(r + i) * p->n + t->col0 + j + q] = (T)acc[i][q]; \
                } \
            } \
        } \
    }
TILE(tile_f32, float, float)
TILE(tile_s32, int32_t, uint32_t)
TILE(tile_s64, int64_t, uint64_t)

static void gemm_tail(const struct vd_mm *p, const struct vd_mm_tile *t)
{
    for (size_t r = t->row0; r < t->row1; r++) {
        float *y = (float *)p->y + r * p->n;
        const float *c = p->c ? p->c + (int64_t)r * p->cm : NULL;
        for (size_t j = t->col0; j < t->col1; j++) {
            y[j] *= p->alpha;
            if (c)
                y[j] += p->beta * c[(int64_t)j * p->cn];
        }
    }
}

static void run_tiles(void *arg, size_t begin, size_t end)
{
    const struct vd_mm *p = arg;
    for (size_t i = begin; i < end; i++) {
        const struct vd_mm_tile t = vd_mm_tile_at(p, i);
        if (p->type == VD_F32)
            tile_f32(p, &t);
        else if (p->type == VD_S32)
            tile_s32(p, &t);
        else
            tile_s64(p, &t);
        if (p->gemm)
            gemm_tail(p, &t);
    }
}

size_t vd_mm_tiles(const struct vd_mm *p)
{
    const size_t mn = p->m * p->n, batches = mn ? vd_tensor_count(p->out) / mn : 0;
    return batches * ((p->n + COLS - 1) / COLS) * ((p->m + ROWS - 1) / ROWS);
}

int vd_mm_shape(const struct vd_op_call *c, int ia, int ib, int type)
{
    const struct vd_tensor *a = c->in[ia], *b = c->in[ib];
    struct vd_tensor t = {.rank = 0};
    if (a->rank < 1 || b->rank < 1)
        return vd_op_fail(c, EBADMSG, "input %d has no dims; a product needs at least a vector", a->rank < 1 ? ia : ib);
    const int64_t ka = a->dim[a->rank - 1], kb = b->dim[b->rank > 1 ? b->rank - 2 : 0];
    if (ka != kb)
        return vd_op_fail(c, ERANGE, "input %d has %lld columns and input %d %lld rows; they must be as many", ia, (long long)ka, ib,
                          (long long)kb);
    struct vd_tensor ba = *a, bb = *b;
    ba.rank = a->rank > 2 ? a->rank - 2 : 0;
    bb.rank = b->rank > 2 ? b->rank - 2 : 0;
    const int rc = vd_op_broadcast(c, &ba, &bb, &t);
    if (rc < 0)
        return rc;
    if (a->rank > 1)
        t.dim[t.rank++] = a->dim[a->rank - 2];
    if (b->rank > 1)
        t.dim[t.rank++] = b->dim[b->rank - 1];
    return vd_op_set(c, 0, type, t.rank, t.dim);
}

void vd_mm_setup(struct vd_mm *p, const struct vd_tensor *a, const struct vd_tensor *b, const struct vd_tensor *y)
{
    memset(p, 0, sizeof(*p));
    p->type = y->type;
    p->a = a->data;
    p->b = b->data;
    p->y = y->data;
    p->out = y;
    p->m = a->rank > 1 ? (size_t)a->dim[a->rank - 2] : 1;
    p->k = (size_t)a->dim[a->rank - 1];
    p->n = b->rank > 1 ? (size_t)b->dim[b->rank - 1] : 1;
    p->ak = p->bn = 1;
    p->am = (int64_t)p->k;
    p->bk = (int64_t)p->n;
    const int matrix = (a->rank > 1) + (b->rank > 1), batch = y->rank - matrix;
    int64_t sa = (int64_t)(p->m * p->k), sb = (int64_t)(p->k * p->n);
    for (int d = batch - 1, ia = a->rank - 3, ib = b->rank - 3; d >= 0; d--, ia--, ib--) {
        if (ia >= 0) {
            p->a_step[d] = a->dim[ia] == 1 ? 0 : sa;
            sa *= a->dim[ia];
        }
        if (ib >= 0) {
            p->b_step[d] = b->dim[ib] == 1 ? 0 : sb;
            sb *= b->dim[ib];
        }
    }
}

void vd_mm_steps(struct vd_mm *p, const struct vd_tensor *a, bool ta, const struct vd_tensor *b, bool tb)
{
    p->m = (size_t)a->dim[ta];
    p->k = (size_t)a->dim[!ta];
    p->n = (size_t)b->dim[!tb];
    p->am = ta ? 1 : a->dim[1];
    p->ak = ta ? a->dim[1] : 1;
    p->bk = tb ? 1 : b->dim[1];
    p->bn = tb ? b->dim[1] : 1;
}

int vd_infer_matmul(const struct vd_op_call *c)
{
    const int rc = vd_op_same_type(c, 0, 1);
    return rc < 0 ? rc : vd_mm_shape(c, 0, 1, c->in[0]->type);
}

void vd_run_matmul(const struct vd_op_call *c)
{
    struct vd_mm p;
    if (!vd_tensor_count(c->out[0]))
        return;
    vd_mm_setup(&p, c->in[0], c->in[1], c->out[0]);
    vd_op_split(c->workers, vd_mm_tiles(&p), 1, run_tiles, &p);
}

int vd_gemm_shape(const struct vd_op_call *c, int ia, int ib, int ic, int64_t dim[2])
{
    const struct vd_tensor *a = c->in[ia], *b = c->in[ib], *bias = vd_op_in(c, ic);
    const bool ta = vd_op_int(c, "transA", 0) != 0, tb = vd_op_int(c, "transB", 0) != 0;
    if (a->rank != 2 || b->rank != 2)
        return vd_op_fail(c, ERANGE, "inputs %d and %d are of rank %d and %d; both must be matrices", ia, ib, a->rank, b->rank);
    const int64_t ka = a->dim[!ta], kb = b->dim[tb];
    dim[0] = a->dim[ta];
    dim[1] = b->dim[!tb];
    if (ka != kb)
        return vd_op_fail(c, ERANGE, "inputs %d and %d are to be multiplied over %lld and %lld elements; there must be as many", ia, ib,
                          (long long)ka, (long long)kb);
    bool fits = !bias || bias->rank <= 2;
    for (int i = 1; bias && fits && i <= bias->rank; i++)
        fits = bias->dim[bias->rank - i] == 1 || bias->dim[bias->rank - i] == dim[2 - i];
    if (!fits)
        return vd_op_fail(c, ERANGE, "input %d (C) cannot be broadcast to the product's %lld x %lld", ic, (long long)dim[0],
                          (long long)dim[1]);
    return 0;
}

int vd_infer_gemm(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *bias = vd_op_in(c, 2);
    int64_t dim[2];
    int rc = vd_op_same_type(c, 0, 1);
    if (rc < 0 || (bias && (rc = vd_op_same_type(c, 0, 2)) < 0))
        return rc;
    if ((rc = vd_gemm_shape(c, 0, 1, 2, dim)) < 0)
        return rc;
    return vd_op_set(c, 0, a->type, 2, dim);
}

void vd_run_gemm(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1], *bias = vd_op_in(c, 2);
    const bool ta = vd_op_int(c, "transA", 0) != 0, tb = vd_op_int(c, "transB", 0) != 0;
    struct vd_mm p = {.type = VD_F32, .gemm = true, .a = a->data, .b = b->data, .y = c->out[0]->data, .out = c->out[0]};
    vd_mm_steps(&p, a, ta, b, tb);
    p.alpha = vd_op_float(c, "alpha", 1);
    p.beta = vd_op_float(c, "beta", 1);
    if (bias && p.beta != 0) {
        const int64_t last = bias->rank > 0 ? bias->dim[bias->rank - 1] : 1;
        p.c = bias->data;
        p.cn = last != 1;
        p.cm = bias->rank == 2 && bias->dim[0] != 1 ? last : 0;
    }
    vd_op_split(c->workers, vd_mm_tiles(&p), 1, run_tiles, &p);
}
