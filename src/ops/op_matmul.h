/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_MATMUL_H
#define VD_OP_MATMUL_H

#include "ops/op_util.h"

/* y[m][n] = sum over k of a[m][k] * b[k][n], with any element steps, so that transposes are steps. Work is cut into tiles of
 * VD_MM_ROWS x VD_MM_COLS. Each float sum runs through k in order and is rounded at every step, whatever the tiles and threads: the
 * result is that of the plain triple loop. Inside src/ops only. */
enum { VD_MM_ROWS = 64, VD_MM_COLS = 64 };

struct vd_mm {
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
    /* Products of bytes: zero points, NULL: 0. Steps 0 where one value holds for all. */
    const void *a_zp, *b_zp;
    int64_t a_zp_step, b_zp_step;
    int a_type, b_type;
    /* Their sums as bytes (or, without y_scale, floats): scales of a and b with the steps of the zero points, of y, its zero point */
    const float *a_scale, *b_scale, *y_scale;
    int64_t a_scale_step, b_scale_step;
    int y_zp;
    const int32_t *bias; /* NULL, or with steps cm, cn */
};

struct vd_mm_tile {
    size_t row0, row1, col0, col1;
    int64_t a_off, b_off, y_off; /* of this batch */
};

size_t vd_mm_tiles(const struct vd_mm *p);
struct vd_mm_tile vd_mm_tile_at(const struct vd_mm *p, size_t task);

/* Output 0 of that type from inputs ia and ib, as NumPy's matmul has it: a vector on the left is a row and on the right a column, whose
 * dim is then left out; dims before the last two are broadcast. */
int vd_mm_shape(const struct vd_op_call *c, int ia, int ib, int type);
/* Gemm's matrices ia and ib by attributes transA and transB, and C (ic) that is broadcast: checks, and the product's dims. */
int vd_gemm_shape(const struct vd_op_call *c, int ia, int ib, int ic, int64_t dim[2]);
/* p of a product that vd_mm_shape() has accepted; of matrices that are transposed or not. */
void vd_mm_setup(struct vd_mm *p, const struct vd_tensor *a, const struct vd_tensor *b, const struct vd_tensor *y);
void vd_mm_steps(struct vd_mm *p, const struct vd_tensor *a, bool ta, const struct vd_tensor *b, bool tb);

#endif
