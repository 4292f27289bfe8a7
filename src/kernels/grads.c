/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/grads.h"

#include <string.h>

#define VD_GRAD_PASSES 4
typedef struct { float v[VD_LANES]; } v16;
static inline v16 v16_zero(void) { return (v16){{0}}; }
static inline v16 v16_load(const float *p)
{
    v16 v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline void v16_store(float *p, v16 v) { memcpy(p, &v, sizeof(v)); }
static inline v16 v16_mul_add(v16 sum, v16 a, v16 b)
{
    for (int i = 0; i < VD_LANES; i++)
        sum.v[i] += a.v[i] * b.v[i];
    return sum;
}
static inline v16 v16_mul_add1(v16 sum, v16 a, float b)
{
    for (int i = 0; i < VD_LANES; i++)
        sum.v[i] += a.v[i] * b;
    return sum;
}
#include "kernels/grads_tmpl.h"

static int blocks(int channels) { return (channels + VD_LANES - 1) / VD_LANES; }

static const VD_GRAD_SET(c);
extern const struct vd_grad_kernels vd_grads_avx2, vd_grads_avx512vnni, vd_grads_neon;

const struct vd_grad_kernels *vd_grad_kernels(const char *set)
{
#if defined(__x86_64__)
    if (!strcmp(set, "avx2") || !strcmp(set, "avxvnni"))
        return &vd_grads_avx2;
    if (!strcmp(set, "avx512vnni"))
        return &vd_grads_avx512vnni;
#elif defined(VD_HAVE_NEON)
    if (!strcmp(set, "neon") || !strcmp(set, "dotprod") || !strcmp(set, "i8mm"))
        return &vd_grads_neon;
#else
    (void)set;
#endif
    return &vd_grads_c;
}

size_t vd_row_grad_size(const struct vd_row_shape *s)
{
    const size_t window = (size_t)s->kh * (size_t)s->kw * VD_LANES;
    const size_t ob = (size_t)blocks(s->oc), ib = (size_t)blocks(s->ic);
    switch (s->kind) {
    case VD_ROW_DENSE: return ob * ib * window * VD_LANES;
    case VD_ROW_LAST: return ib * window;
    default: return ob * window;
    }
}

void vd_row_grad_add(const struct vd_row_shape *s, float *w, const float *dw)
{
    const int window = s->kh * s->kw, ib = blocks(s->ic), ic = s->kind == VD_ROW_DEPTHWISE ? 1 : s->ic;
    for (int o = 0; o < s->oc; o++)
        for (int i = 0; i < ic; i++)
            for (int k = 0; k < window; k++, w++) {
                size_t at;
                switch (s->kind) {
                case VD_ROW_DENSE:
                    at = ((((size_t)(o / VD_LANES) * (size_t)ib + (size_t)(i / VD_LANES)) * (size_t)window + (size_t)k) * VD_LANES +
                          (size_t)(i % VD_LANES)) * VD_LANES + (size_t)(o % VD_LANES);
                    break;
                case VD_ROW_LAST:
                    at = ((size_t)(i / VD_LANES) * (size_t)window + (size_t)k) * VD_LANES + (size_t)(i % VD_LANES);
                    break;
                default:
                    at = ((size_t)(o / VD_LANES) * (size_t)window + (size_t)k) * VD_LANES + (size_t)(o % VD_LANES);
                }
                *w += dw[at];
            }
}
