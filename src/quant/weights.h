/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_WEIGHTS_H
#define VD_WEIGHTS_H

#include "onnx/onnx.h"

/* Arithmetic on constant float32 tensors, in IEEE operations that round the same on every machine. */

bool vd_weights_finite(const struct vd_onnx_tensor *t);
/* factor * element is a finite float32 for each element. */
bool vd_weights_exact(const struct vd_onnx_tensor *t, float factor);
/* dst = factor * t, in file order or, for rank 2, transposed. */
void vd_weights_load(const struct vd_onnx_tensor *t, bool transposed, float factor, float *dst);

/* Symmetric 8 bits: q count bytes (type VD_U8 or VD_S8), m scales. Channel of element i: i / (count / m) when outer, else i % m;
 * m divides count. sqnr_db: 10 log10 of signal over noise, INFINITY without noise. w finite. */
void vd_weights_quantize(const float *w, size_t count, size_t m, bool outer, int type, uint8_t *q, float *scale, double *sqnr_db);

/* The same with scales that are given, each normal and positive. */
void vd_weights_round(const float *w, size_t count, size_t m, bool outer, int type, const float *scale, uint8_t *q, double *sqnr_db);

/* Numbers of the static form. Scales of signed weights [m][k]: absmax / 127 for each of m rows, or one for all. With an int32 bias (m, NULL: none) for
 * an input of scale sx they are large enough for it to stay within 2^30; a row of zeros has one that its bias likes, else 1. */
void vd_weights_scales(const float *w, size_t m, size_t k, const float *bias, float sx, bool per_tensor, float *scale);
/* That bias: q = rint(bias / step), step = sx * scale. */
void vd_weights_bias(const float *bias, size_t m, float sx, const float *scale, float *step, int32_t *q);

/* Pairs of neighbours (elements 0 and 1, 2 and 3, ... of each of m rows of k signed weights) whose products with two bytes can leave 16 bits: the
 * positive weights of a pair sum to over 128 or the negative ones to under -128 (255 * 128 = 32640; 255 * 129 = 32895 > 32767). vpmaddubsw
 * saturates those. *worst: the sum of greatest magnitude. */
size_t vd_weights_pairs(const int8_t *q, size_t m, size_t k, int *worst);

#endif
