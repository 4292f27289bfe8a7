/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_QLINEAR_H
#define VD_OP_QLINEAR_H

#include "ops/op_util.h"

/* Bytes with a scale and a zero point. Bytes are indexed by their bits, so that u8 and s8 are one code. Inside src/ops only. */

static inline float vd_q_real(int type, uint8_t bits, float scale, int zp)
{
    return (float)((type == VD_S8 ? (int8_t)bits : bits) - zp) * scale;
}

static inline int vd_q_zero(const struct vd_tensor *t)
{
    return !t ? 0 : t->type == VD_S8 ? *(const int8_t *)t->data : *(const uint8_t *)t->data;
}

static inline float vd_q_scale(const struct vd_tensor *t) { return *(const float *)t->data; }

/* Half to even, |v| <= 2^22. */
static inline float vd_q_round(float v) { return (v + 0x1.8p23f) - 0x1.8p23f; }

/* saturate(rint(v / scale) + zp), half to even; NaN gives the least. */
struct vd_sink { int type, zp; float scale, lo, hi; };

static inline struct vd_sink vd_q_to(const struct vd_tensor *scale, const struct vd_tensor *zp, int type)
{
    struct vd_sink s = {.type = type, .zp = vd_q_zero(zp), .scale = vd_q_scale(scale)};
    s.lo = (float)((type == VD_S8 ? INT8_MIN : 0) - s.zp);
    s.hi = (float)((type == VD_S8 ? INT8_MAX : UINT8_MAX) - s.zp);
    return s;
}

/* v is in steps of the scale, from the zero point. */
static inline uint8_t vd_q_stepped(const struct vd_sink *s, float v)
{
    v = v > s->lo ? v : s->lo;
    v = v < s->hi ? v : s->hi;
    return (uint8_t)((int)vd_q_round(v) + s->zp);
}

static inline uint8_t vd_q_bits(const struct vd_sink *s, float v) { return vd_q_stepped(s, v / s->scale); }

/* Inputs first..first+2 are a tensor, its scale and its zero point (one value each; the zero point may be left out). */
int vd_q_triple(const struct vd_op_call *c, int first);
/* Scale at input i and zero point behind it, of an output of type. */
int vd_q_sink(const struct vd_op_call *c, int i, int type);

#endif
