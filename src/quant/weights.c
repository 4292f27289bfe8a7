/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/weights.h"

#include <assert.h>
#include <float.h>
#include <math.h>

bool vd_weights_finite(const struct vd_onnx_tensor *t) { return vd_weights_exact(t, 1); }

bool vd_weights_exact(const struct vd_onnx_tensor *t, float factor)
{
    for (size_t i = 0; i < t->count; i++) {
        /* exact in float64: 24 + 24 bits of significand, and exponents well inside */
        const double p = (double)factor * (double)vd_onnx_f32(t, i);
        if (!(fabs(p) <= (double)FLT_MAX) || (double)(float)p != p)
            return false;
    }
    return true;
}

void vd_weights_load(const struct vd_onnx_tensor *t, bool transposed, float factor, float *dst)
{
    if (!transposed) {
        for (size_t i = 0; i < t->count; i++)
            dst[i] = factor * vd_onnx_f32(t, i);
        return;
    }
    assert(t->rank == 2);
    const size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1];
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            dst[c * rows + r] = factor * vd_onnx_f32(t, r * cols + c);
}

void vd_weights_quantize(const float *w, size_t count, size_t m, bool outer, int type, uint8_t *q, float *scale, double *sqnr_db)
{
    assert(m && count && count % m == 0);
    const size_t k = count / m, step = outer ? 1 : m;
    for (size_t c = 0; c < m; c++) {
        const size_t at = outer ? c * k : c;
        float absmax = 0;
        for (size_t i = 0; i < k; i++)
            absmax = fmaxf(absmax, fabsf(w[at + i * step]));
        scale[c] = (float)((double)absmax / 127);
        if (scale[c] < FLT_MIN)
            scale[c] = 1;
    }
    vd_weights_round(w, count, m, outer, type, scale, q, sqnr_db);
}

void vd_weights_round(const float *w, size_t count, size_t m, bool outer, int type, const float *scale, uint8_t *q, double *sqnr_db)
{
    assert(m && count && count % m == 0 && (type == VD_U8 || type == VD_S8));
    const size_t k = count / m, step = outer ? 1 : m;
    double signal = 0, noise = 0;
    for (size_t c = 0; c < m; c++) {
        const size_t at = outer ? c * k : c;
        for (size_t i = 0; i < k; i++) {
            const float v = w[at + i * step];
            const float r = fmaxf(-127, fminf(127, rintf(v / scale[c])));
            const double e = (double)v - (double)r * (double)scale[c];
            q[at + i * step] = (uint8_t)((int)r + (type == VD_U8 ? 128 : 0));
            signal += (double)v * (double)v;
            noise += e * e;
        }
    }
    *sqnr_db = noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

void vd_weights_scales(const float *w, size_t m, size_t k, const float *bias, float sx, bool per_tensor, float *scale)
{
    for (size_t c = 0; c < m; c++) {
        float absmax = 0;
        for (size_t i = 0; i < k; i++)
            absmax = fmaxf(absmax, fabsf(w[c * k + i]));
        const double b = bias ? fabs((double)bias[c]) : 0;
        scale[c] = (float)((double)absmax / 127);
        if (scale[c] < FLT_MIN)
            scale[c] = b > 0 ? (float)fmax((double)FLT_MIN, b / (double)sx / (1 << 20)) : 1;
        while (b > (double)sx * (double)scale[c] * (1 << 30))
            scale[c] = (float)(b / (double)sx / (1 << 30) * (1 + 1e-6));
        if (per_tensor)
            scale[0] = fmaxf(scale[0], scale[c]);
    }
    for (size_t c = 1; per_tensor && c < m; c++)
        scale[c] = scale[0];
}

void vd_weights_bias(const float *bias, size_t m, float sx, const float *scale, float *step, int32_t *q)
{
    for (size_t c = 0; c < m; c++) {
        step[c] = sx * scale[c];
        q[c] = (int32_t)rint((double)bias[c] / (double)step[c]); /* at most 2^30 and a little: see vd_weights_scales() */
    }
}

size_t vd_weights_pairs(const int8_t *q, size_t m, size_t k, int *worst)
{
    size_t n = 0;
    *worst = 0;
    for (size_t c = 0; c < m; c++)
        for (size_t i = 0; i + 1 < k; i += 2) {
            const int a = q[c * k + i], b = q[c * k + i + 1];
            const int up = (a > 0 ? a : 0) + (b > 0 ? b : 0), down = (a < 0 ? a : 0) + (b < 0 ? b : 0);
            n += up > 128 || down < -128;
            const int most = up >= -down ? up : down;
            if ((most < 0 ? -most : most) > (*worst < 0 ? -*worst : *worst))
                *worst = most;
        }
    return n;
}
