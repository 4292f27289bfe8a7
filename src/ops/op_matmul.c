/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <limits.h>

#include "common/checked.h"
#include "ops/op_util.h"

/* y[m][n] = sum over k of a[m][k] * b[k][n], with any element steps, so that transposes are steps. Work is cut into tiles of
 * ROWS x COLS; a tile of b is packed on the stack, KB deep. Each sum runs through k in order and is rounded at every step, whatever
 * the tiles and threads: the result is that of the plain triple loop. */
enum { ROWS = 64, COLS = 64, KB = 64, MR = 4, NR = 8 };

struct mm {
    int type;
    size_t m, n, k;
    int64_t am, ak, bk, bn; /* steps in elements */
    const void *a, *b;
    void *y;
    const struct vd_tensor *out; /* with the batch dims */
    int64_t a_step[VD_MAX_RANK], b_step[VD_MAX_RANK]; /* along each batch dim */
    /* Gemm: y = alpha * y + beta * c */
    bool gemm;
    float alpha, beta;
    const float *c;
    int64_t cm, cn;
    /* MatMulInteger: zero points, NULL: 0. Steps 0 where one value holds for all. */
    const void *a_zp, *b_zp;
    int64_t a_zp_step, b_zp_step;
    int a_type, b_type;
};

struct tile {
    size_t row0, row1, col0, col1;
    int64_t a_off, b_off, y_off; /* of this batch */
};

static struct tile tile_at(const struct mm *p, size_t task)
{
    const size_t across = (p->n + COLS - 1) / COLS, down = (p->m + ROWS - 1) / ROWS;
    size_t batch = task / across / down;
    struct tile t = {.row0 = task / across % down * ROWS, .col0 = task % across * COLS};
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
    static void name(const struct mm *p, const struct tile *t) \
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
                for (size_t j = cols; j < COLS; j++) \
                    pack[k][j] = 0; \
            } \
            for (size_t r = t->row0; r < t->row1; r += MR) { \
                const size_t rows = t->row1 - r < MR ? t->row1 - r : MR; \
                const T *ar[MR]; \
                for (size_t i = 0; i < MR; i++) /* rows that are not there repeat the last; their sums are dropped */ \
                    ar[i] = a + (int64_t)(r + (i < rows ? i : rows - 1)) * p->am + (int64_t)k0 * p->ak; \
                for (size_t j = 0; j < cols; j += NR) { \
                    const size_t width = cols - j < NR ? cols - j : NR; \
                    W acc[MR][NR] = {{0}}; \
                    for (size_t i = 0; i < rows; i++) \
                        for (size_t q = 0; q < width; q++) \
                            acc[i][q] = (W)y[(r + i) * p->n + t->col0 + j + q]; \
                    for (size_t k = 0; k < depth; k++) \
                        for (size_t i = 0; i < MR; i++) \
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

static void gemm_tail(const struct mm *p, const struct tile *t)
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
    const struct mm *p = arg;
    for (size_t i = begin; i < end; i++) {
        const struct tile t = tile_at(p, i);
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

static size_t tiles(const struct mm *p)
{
    const size_t mn = p->m * p->n, batches = mn ? vd_tensor_count(p->out) / mn : 0;
    return batches * ((p->n + COLS - 1) / COLS) * ((p->m + ROWS - 1) / ROWS);
}

/* Shapes of a product as NumPy's matmul has them: a vector on the left is a row and on the right a column, whose dim is then left
 * out; dims before the last two are broadcast. */
static int shape(const struct vd_op_call *c, int type)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1];
    struct vd_tensor t = {.rank = 0};
    if (a->rank < 1 || b->rank < 1)
        return vd_op_fail(c, EBADMSG, "input %d has no dims; a product needs at least a vector", a->rank < 1 ? 0 : 1);
    const int64_t ka = a->dim[a->rank - 1], kb = b->dim[b->rank > 1 ? b->rank - 2 : 0];
    if (ka != kb)
        return vd_op_fail(c, ERANGE, "input 0 has %lld columns and input 1 %lld rows; they must be as many", (long long)ka, (long long)kb);
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

static void setup(const struct vd_op_call *c, struct mm *p)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
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

int vd_infer_matmul(const struct vd_op_call *c)
{
    const int rc = vd_op_same_type(c, 0, 1);
    return rc < 0 ? rc : shape(c, c->in[0]->type);
}

void vd_run_matmul(const struct vd_op_call *c)
{
    struct mm p;
    if (!vd_tensor_count(c->out[0]))
        return;
    setup(c, &p);
    vd_op_split(c->workers, tiles(&p), 1, run_tiles, &p);
}

int vd_infer_gemm(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1], *bias = vd_op_in(c, 2);
    const bool ta = vd_op_int(c, "transA", 0) != 0, tb = vd_op_int(c, "transB", 0) != 0;
    int rc = vd_op_same_type(c, 0, 1);
    if (rc < 0 || (bias && (rc = vd_op_same_type(c, 0, 2)) < 0))
        return rc;
    if (a->rank != 2 || b->rank != 2)
        return vd_op_fail(c, ERANGE, "inputs 0 and 1 are of rank %d and %d; both must be matrices", a->rank, b->rank);
    const int64_t dim[2] = {a->dim[ta], b->dim[!tb]}, ka = a->dim[!ta], kb = b->dim[tb];
    if (ka != kb)
        return vd_op_fail(c, ERANGE, "inputs 0 and 1 are to be multiplied over %lld and %lld elements; there must be as many",
                          (long long)ka, (long long)kb);
    bool fits = !bias || bias->rank <= 2;
    for (int i = 1; bias && fits && i <= bias->rank; i++)
        fits = bias->dim[bias->rank - i] == 1 || bias->dim[bias->rank - i] == dim[2 - i];
    if (!fits)
        return vd_op_fail(c, ERANGE, "input 2 (C) cannot be broadcast to the product's %lld x %lld", (long long)dim[0],
                          (long long)dim[1]);
    return vd_op_set(c, 0, a->type, 2, dim);
}

void vd_run_gemm(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1], *bias = vd_op_in(c, 2);
    const bool ta = vd_op_int(c, "transA", 0) != 0, tb = vd_op_int(c, "transB", 0) != 0;
    struct mm p = {.type = VD_F32, .gemm = true, .a = a->data, .b = b->data, .y = c->out[0]->data, .out = c->out[0]};
    p.m = (size_t)a->dim[ta];
    p.k = (size_t)a->dim[!ta];
    p.n = (size_t)b->dim[!tb];
    p.am = ta ? 1 : a->dim[1];
    p.ak = ta ? a->dim[1] : 1;
    p.bk = tb ? 1 : b->dim[1];
    p.bn = tb ? b->dim[1] : 1;
    p.alpha = vd_op_float(c, "alpha", 1);
    p.beta = vd_op_float(c, "beta", 1);
    if (bias && p.beta != 0) {
        const int64_t last = bias->rank > 0 ? bias->dim[bias->rank - 1] : 1;
        p.c = bias->data;
        p.cn = last != 1;
        p.cm = bias->rank == 2 && bias->dim[0] != 1 ? last : 0;
    }
    vd_op_split(c->workers, tiles(&p), 1, run_tiles, &p);
}

/* MatMulInteger: both sides less their zero points fit 9 bits and a sign, so they are packed as int16 with k innermost, where
 * products of neighbours are summed in pairs by one instruction. */
enum { KI = 256, CI = 32 };

static int16_t centred(const void *v, int type, int64_t i, int zp)
{
    return (int16_t)((type == VD_U8 ? (int)((const uint8_t *)v)[i] : (int)((const int8_t *)v)[i]) - zp);
}

static int zero_point(const void *zp, int type, int64_t i)
{
    return zp ? centred(zp, type, i, 0) : 0;
}

static void tile_integer(const struct mm *p, const struct tile *t, size_t col0, size_t col1)
{
    int32_t *y = (int32_t *)p->y + t->y_off;
    int16_t bt[CI][KI], at[KI];
    for (size_t r = t->row0; r < t->row1; r++)
        memset(y + r * p->n + col0, 0, (col1 - col0) * sizeof(*y));
    for (size_t k0 = 0; k0 < p->k; k0 += KI) {
        const size_t depth = p->k - k0 < KI ? p->k - k0 : KI;
        for (size_t j = col0; j < col1; j++) {
            const int zp = zero_point(p->b_zp, p->b_type, (int64_t)j * p->b_zp_step);
            for (size_t k = 0; k < depth; k++)
                bt[j - col0][k] = centred(p->b, p->b_type, t->b_off + (int64_t)((k0 + k) * p->n + j), zp);
        }
        for (size_t r = t->row0; r < t->row1; r++) {
            const int zp = zero_point(p->a_zp, p->a_type, (int64_t)r * p->a_zp_step);
            for (size_t k = 0; k < depth; k++)
                at[k] = centred(p->a, p->a_type, t->a_off + (int64_t)(r * p->k + k0 + k), zp);
            for (size_t j = col0; j < col1; j++) {
                const int16_t *b = bt[j - col0];
                int32_t sum = 0; /* |sum| <= 256 * 255 * 255 */
                for (size_t k = 0; k < depth; k++)
                    sum += (int32_t)at[k] * b[k];
                int32_t *d = &y[r * p->n + j];
                *d = (int32_t)((uint32_t)*d + (uint32_t)sum);
            }
        }
    }
}

static void run_integer(void *arg, size_t begin, size_t end)
{
    const struct mm *p = arg;
    for (size_t i = begin; i < end; i++) {
        const struct tile t = tile_at(p, i);
        for (size_t col = t.col0; col < t.col1; col += CI)
            tile_integer(p, &t, col, col + CI < t.col1 ? col + CI : t.col1);
    }
}

/* The largest |b - zp| summed over one column of known weights, times the largest |a - zp|, must stay in 32 bits. */
static int prove_sum(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1], *zp = vd_op_in(c, 3);
    const int64_t k = a->dim[a->rank - 1], n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    if (k <= INT32_MAX / (255 * 255))
        return 0;
    if (b->data && (!zp || zp->data)) {
        const int64_t batches = (int64_t)vd_tensor_count(b) / (k * n);
        const bool many = zp && vd_tensor_count(zp) > 1;
        int64_t worst = 0;
        for (int64_t i = 0; i < batches; i++)
            for (int64_t j = 0; j < n; j++) {
                const int z = zero_point(zp ? zp->data : NULL, b->type, many ? j : 0);
                int64_t sum = 0;
                for (int64_t q = 0; q < k; q++) {
                    const int v = centred(b->data, b->type, (i * k + q) * n + j, z);
                    sum += v < 0 ? -v : v;
                }
                worst = sum > worst ? sum : worst;
            }
        if (worst <= INT32_MAX / 255)
            return 0;
    }
    return vd_op_fail(c, ENOTSUP, "a sum over %lld products may not fit 32 bits", (long long)k);
}

int vd_infer_matmul_integer(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[1], *az = vd_op_in(c, 2), *bz = vd_op_in(c, 3);
    int rc;
    if ((az && (rc = vd_op_same_type(c, 0, 2)) < 0) || (bz && (rc = vd_op_same_type(c, 1, 3)) < 0) || (rc = shape(c, VD_S32)) < 0)
        return rc;
    const int64_t m = a->rank > 1 ? a->dim[a->rank - 2] : 1, n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    if (az && vd_tensor_count(az) != 1 && (az->rank != 1 || az->dim[0] != m))
        return vd_op_fail(c, EBADMSG, "input 2 (a_zero_point) must be one value, or one for each of the %lld rows", (long long)m);
    if (bz && vd_tensor_count(bz) != 1 && (bz->rank != 1 || bz->dim[0] != n))
        return vd_op_fail(c, EBADMSG, "input 3 (b_zero_point) must be one value, or one for each of the %lld columns", (long long)n);
    return vd_tensor_count(b) ? prove_sum(c) : 0;
}

void vd_run_matmul_integer(const struct vd_op_call *c)
{
    const struct vd_tensor *az = vd_op_in(c, 2), *bz = vd_op_in(c, 3);
    struct mm p;
    if (!vd_tensor_count(c->out[0]))
        return;
    setup(c, &p);
    p.a_type = c->in[0]->type;
    p.b_type = c->in[1]->type;
    p.a_zp = az ? az->data : NULL;
    p.b_zp = bz ? bz->data : NULL;
    p.a_zp_step = az && vd_tensor_count(az) > 1;
    p.b_zp_step = bz && vd_tensor_count(bz) > 1;
    vd_op_split(c->workers, tiles(&p), 1, run_integer, &p);
}
