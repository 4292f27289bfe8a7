/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_matmul.h"

/* Products of bytes: MatMulInteger, QLinearMatMul and QGemm of ONNX Runtime's QOperator form. Both sides less their zero points fit
 * 9 bits and a sign, so they are packed as int16 with k innermost, where products of neighbours are summed in pairs by one
 * instruction. */
enum { KI = 256, CI = 32 };

static int16_t centred(const void *v, int type, int64_t i, int zp)
{
    return (int16_t)((type == VD_U8 ? (int)((const uint8_t *)v)[i] : (int)((const int8_t *)v)[i]) - zp);
}

static int zero_point(const void *zp, int type, int64_t i)
{
    return zp ? centred(zp, type, i, 0) : 0;
}

/* A row of sums to where it goes. As in ONNX Runtime: one float32 scale a column, the bias added before, which may wrap. */
static void put_row(const struct vd_mm *p, size_t r, size_t col0, size_t n, const int32_t *sum, size_t at)
{
    if (!p->a_scale) {
        memcpy((int32_t *)p->y + at, sum, n * sizeof(*sum));
        return;
    }
    const bool bytes = p->y_scale != NULL;
    const float lo = (float)((p->type == VD_S8 ? INT8_MIN : 0) - p->y_zp), hi = (float)((p->type == VD_S8 ? INT8_MAX : UINT8_MAX) - p->y_zp);
    for (size_t i = 0; i < n; i++) {
        const int64_t row = (int64_t)r, col = (int64_t)(col0 + i);
        float scale = p->alpha * p->a_scale[row * p->a_scale_step] * p->b_scale[col * p->b_scale_step];
        const uint32_t bias = p->bias ? (uint32_t)p->bias[row * p->cm + col * p->cn] : 0;
        if (bytes)
            scale /= *p->y_scale;
        float v = (float)(int32_t)((uint32_t)sum[i] + bias) * scale;
        if (!bytes) {
            ((float *)p->y)[at + i] = v;
            continue;
        }
        v = v > lo ? v : lo;
        v = v < hi ? v : hi;
        /* the same eight bits for both types: |v| <= 255 + 128, and adding 1.5 * 2^23 rounds half to even */
        ((uint8_t *)p->y)[at + i] = (uint8_t)((int)((v + 0x1.8p23f) - 0x1.8p23f) + p->y_zp);
    }
}

static void tile_integer(const struct vd_mm *p, const struct vd_mm_tile *t, size_t col0, size_t col1)
{
    int32_t acc[VD_MM_ROWS][CI] = {{0}};
    int16_t bt[CI][KI], at[KI];
    for (size_t k0 = 0; k0 < p->k; k0 += KI) {
        const size_t depth = p->k - k0 < KI ? p->k - k0 : KI;
        for (size_t j = col0; j < col1; j++) {
            const int zp = zero_point(p->b_zp, p->b_type, (int64_t)j * p->b_zp_step);
            const int64_t from = t->b_off + (int64_t)k0 * p->bk + (int64_t)j * p->bn;
            for (size_t k = 0; k < depth; k++)
                bt[j - col0][k] = centred(p->b, p->b_type, from + (int64_t)k * p->bk, zp);
        }
        for (size_t r = t->row0; r < t->row1; r++) {
            const int zp = zero_point(p->a_zp, p->a_type, (int64_t)r * p->a_zp_step);
            const int64_t from = t->a_off + (int64_t)r * p->am + (int64_t)k0 * p->ak;
            for (size_t k = 0; k < depth; k++)
                at[k] = centred(p->a, p->a_type, from + (int64_t)k * p->ak, zp);
            for (size_t j = col0; j < col1; j++) {
                const int16_t *b = bt[j - col0];
                int32_t sum = 0; /* |sum| <= 256 * 255 * 255 */
                for (size_t k = 0; k < depth; k++)
                    sum += (int32_t)at[k] * b[k];
                int32_t *d = &acc[r - t->row0][j - col0];
                *d = (int32_t)((uint32_t)*d + (uint32_t)sum);
            }
        }
    }
    for (size_t r = t->row0; r < t->row1; r++)
        put_row(p, r, col0, col1 - col0, acc[r - t->row0], (size_t)t->y_off + r * p->n + col0);
}

static void run_integer(void *arg, size_t begin, size_t end)
{
    const struct vd_mm *p = arg;
    for (size_t i = begin; i < end; i++) {
        const struct vd_mm_tile t = vd_mm_tile_at(p, i);
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
    if ((az && (rc = vd_op_same_type(c, 0, 2)) < 0) || (bz && (rc = vd_op_same_type(c, 1, 3)) < 0) || (rc = vd_mm_shape(c, 0, 1, VD_S32)) < 0)
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
    struct vd_mm p;
    if (!vd_tensor_count(c->out[0]))
        return;
    vd_mm_setup(&p, c->in[0], c->in[1], c->out[0]);
    p.a_type = c->in[0]->type;
    p.b_type = c->in[1]->type;
    p.a_zp = az ? az->data : NULL;
    p.b_zp = bz ? bz->data : NULL;
    p.a_zp_step = az && vd_tensor_count(az) > 1;
    p.b_zp_step = bz && vd_tensor_count(bz) > 1;
    vd_op_split(c->workers, vd_mm_tiles(&p), 1, run_integer, &p);
}

/* One value, or one for each of the n rows (axis from the end 2) or columns (1): a list, or all other dims 1. */
static int check_each(const struct vd_op_call *c, int i, int axis, int64_t n)
{
    const struct vd_tensor *t = c->in[i];
    bool fits = vd_tensor_count(t) == 1 || (t->rank == 1 && t->dim[0] == n);
    if (!fits && t->rank >= axis) {
        fits = true;
        for (int d = 0; d < t->rank; d++)
            fits = fits && t->dim[d] == (d == t->rank - axis ? n : 1);
    }
    return fits ? 0 : vd_op_fail(c, EBADMSG, "input %d must be one value, or one for each of the %lld %s", i, (long long)n, axis == 1 ? "columns" : "rows");
}

/* The output's scale at input i and its zero point behind it. */
static int check_sink(const struct vd_op_call *c, int i)
{
    const struct vd_tensor *scale = c->in[i];
    if (vd_tensor_count(scale) != 1 || vd_tensor_count(c->in[i + 1]) != 1)
        return vd_op_fail(c, EBADMSG, "inputs %d and %d (scale and zero point of the output) must be one value each", i, i + 1);
    if (scale->data && !(*(const float *)scale->data > 0 && isfinite(*(const float *)scale->data)))
        return vd_op_fail(c, EBADMSG, "input %d (scale of the output) is %g; it must be finite and positive", i, (double)*(const float *)scale->data);
    return 0;
}

/* A sum of k products must fit: nobody knows the weights' sums better here. */
static int check_depth(const struct vd_op_call *c, int64_t k)
{
    return k <= INT32_MAX / (255 * 255) ? 0 : vd_op_fail(c, ENOTSUP, "a sum over %lld products may not fit 32 bits", (long long)k);
}

/* Scales and zero points of inputs 0..2 and 3..5, and of the output. */
static void set_scales(const struct vd_op_call *c, struct vd_mm *p, const struct vd_tensor *y_scale, const struct vd_tensor *y_zp)
{
    p->a_type = c->in[0]->type;
    p->b_type = c->in[3]->type;
    p->a_scale = c->in[1]->data;
    p->b_scale = c->in[4]->data;
    p->a_zp = c->in[2]->data;
    p->b_zp = c->in[5]->data;
    p->a_scale_step = vd_tensor_count(c->in[1]) > 1;
    p->b_scale_step = vd_tensor_count(c->in[4]) > 1;
    p->a_zp_step = vd_tensor_count(c->in[2]) > 1;
    p->b_zp_step = vd_tensor_count(c->in[5]) > 1;
    p->y_scale = y_scale ? y_scale->data : NULL;
    p->y_zp = y_zp ? zero_point(y_zp->data, y_zp->type, 0) : 0;
}

/* a, its scale and zero point; b, its; the output's. */
int vd_infer_qlinear_matmul(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[3];
    int rc;
    if ((rc = vd_op_same_type(c, 0, 2)) < 0 || (rc = vd_op_same_type(c, 3, 5)) < 0 || (rc = vd_mm_shape(c, 0, 3, c->in[7]->type)) < 0 ||
        (rc = check_sink(c, 6)) < 0 || (rc = check_depth(c, a->dim[a->rank - 1])) < 0)
        return rc;
    const int64_t m = a->rank > 1 ? a->dim[a->rank - 2] : 1, n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    for (int i = 0; i < 2; i++)
        if ((rc = check_each(c, 1 + i, 2, m)) < 0 || (rc = check_each(c, 4 + i, 1, n)) < 0)
            return rc;
    return 0;
}

void vd_run_qlinear_matmul(const struct vd_op_call *c)
{
    struct vd_mm p;
    if (!vd_tensor_count(c->out[0]))
        return;
    vd_mm_setup(&p, c->in[0], c->in[3], c->out[0]);
    set_scales(c, &p, c->in[6], c->in[7]);
    p.alpha = 1;
    vd_op_split(c->workers, vd_mm_tiles(&p), 1, run_integer, &p);
}

/* A, its scale and zero point; B, its; C (int32, of scale a * b); the output's, or neither: then it is float32. */
int vd_infer_qgemm(const struct vd_op_call *c)
{
    const struct vd_tensor *scale = vd_op_in(c, 7), *zp = vd_op_in(c, 8);
    int64_t dim[2];
    int rc;
    if ((rc = vd_op_same_type(c, 0, 2)) < 0 || (rc = vd_op_same_type(c, 3, 5)) < 0 || (rc = vd_gemm_shape(c, 0, 3, 6, dim)) < 0)
        return rc;
    const bool ta = vd_op_int(c, "transA", 0) != 0;
    if ((rc = check_depth(c, c->in[0]->dim[!ta])) < 0)
        return rc;
    if (!scale != !zp)
        return vd_op_fail(c, EBADMSG, "inputs 7 and 8 (scale and zero point of the output) must be there both or not at all");
    if (scale && (rc = check_sink(c, 7)) < 0)
        return rc;
    for (int i = 1; i <= 2; i++)
        if (vd_tensor_count(c->in[i]) != 1)
            return vd_op_fail(c, EBADMSG, "input %d must be one value", i);
    if ((rc = check_each(c, 4, 1, dim[1])) < 0 || (rc = check_each(c, 5, 1, dim[1])) < 0)
        return rc;
    return vd_op_set(c, 0, zp ? zp->type : VD_F32, 2, dim);
}

void vd_run_qgemm(const struct vd_op_call *c)
{
    const struct vd_tensor *a = c->in[0], *b = c->in[3], *bias = vd_op_in(c, 6), *y = c->out[0];
    struct vd_mm p = {.type = y->type, .a = a->data, .b = b->data, .y = y->data, .out = y, .alpha = vd_op_float(c, "alpha", 1)};
    vd_mm_steps(&p, a, vd_op_int(c, "transA", 0) != 0, b, vd_op_int(c, "transB", 0) != 0);
    set_scales(c, &p, vd_op_in(c, 7), vd_op_in(c, 8));
    if (bias) {
        const int64_t last = bias->rank > 0 ? bias->dim[bias->rank - 1] : 1;
        p.bias = bias->data;
        p.cn = last != 1;
        p.cm = bias->rank == 2 && bias->dim[0] != 1 ? last : 0;
    }
    vd_op_split(c->workers, vd_mm_tiles(&p), 1, run_integer, &p);
}
