/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"
#include "plan/conv.h"

static int byte_at(const struct vd_tensor *t, size_t i)
{
    return t->type == VD_U8 ? ((const uint8_t *)t->data)[i] : ((const int8_t *)t->data)[i];
}

static int zero_point(const struct vd_tensor *zp, size_t oc)
{
    return !zp ? 0 : byte_at(zp, vd_tensor_count(zp) == 1 ? 0 : oc);
}

/* Activations less their zero point are within +-255, and so are weights less
 * theirs. The sum of one output is at most 255 * sum|w|. */
static int prove_int32(const struct vd_tensor *w, const struct vd_tensor *w_zp)
{
    size_t len = 1;
    for (int i = 1; i < w->rank; i++)
        len *= (size_t)w->dim[i]; /* part of the element count, which was checked */
    if (!w->data || (w_zp && !w_zp->data))
        return len <= INT32_MAX / (255 * 255) ? 0 : vd_fail(ERANGE, "a sum of %zu products of bytes might not fit 32 bits", len);
    for (size_t oc = 0; oc < (size_t)w->dim[0]; oc++) {
        int64_t sum = 0;
        for (size_t i = 0; i < len; i++)
            sum += abs(byte_at(w, oc * len + i) - zero_point(w_zp, oc));
        if (sum > INT32_MAX / 255)
            return vd_fail(ERANGE, "the sum of output channel %zu might not fit 32 bits", oc);
    }
    return 0;
}

int vd_packed_init(struct vd_packed *p, const struct vd_tensor *w, const struct vd_tensor *w_zp, int64_t groups)
{
    if (w->rank < 3 || w->rank > 4)
        return vd_fail(EPERM, "a convolution over %d spatial dimensions is not supported (1 or 2 are)", w->rank - 2);
    const int64_t kh = w->rank == 4 ? w->dim[2] : 1, kw = w->dim[w->rank - 1];
    *p = (struct vd_packed){.integer = w->type != VD_F32};
    int64_t ic = w->dim[1], taps = p->integer ? (ic + 1) / 2 : ic, blocks = (w->dim[0] / groups + VD_OC_BLOCK - 1) / VD_OC_BLOCK, bytes;
    if (!vd_mul64(taps, kh, &taps) || !vd_mul64(taps, kw, &taps) || taps > INT32_MAX || w->dim[0] > INT32_MAX || ic > INT32_MAX)
        return vd_fail(ERANGE, "a convolution with %lld channels and a %lldx%lld kernel is too large", (long long)ic, (long long)kw, (long long)kh);
    /* float and int16 pairs are both 4 bytes */
    if (!vd_mul64(taps, 4 * VD_OC_BLOCK, &bytes) || !vd_mul64(bytes, blocks, &bytes) || !vd_mul64(bytes, groups, &bytes))
        return vd_nomem(SIZE_MAX);
    p->groups = (int)groups;
    p->oc = (int)(w->dim[0] / groups);
    p->ic = (int)ic;
    p->kh = (int)kh;
    p->kw = (int)kw;
    p->blocks = (int)blocks;
    p->taps = (int)taps;
    p->bytes = (size_t)bytes;
    return p->integer ? prove_int32(w, w_zp) : 0;
}

void vd_packed_fill(struct vd_packed *p, const struct vd_tensor *w, const struct vd_tensor *w_zp)
{
    const size_t window = (size_t)p->kh * (size_t)p->kw, len = (size_t)p->ic * window;
    memset(p->weight, 0, p->bytes);
    for (size_t m = 0; m < (size_t)p->groups * (size_t)p->oc; m++) {
        const size_t g = m / (size_t)p->oc, o = m % (size_t)p->oc;
        const size_t base = (g * (size_t)p->blocks + o / VD_OC_BLOCK) * (size_t)p->taps;
        for (size_t i = 0; i < len; i++) {
            const size_t c = i / window, k = i % window;
            if (!p->integer) {
                ((float *)p->weight)[(base + i) * VD_OC_BLOCK + o % VD_OC_BLOCK] = ((const float *)w->data)[m * len + i];
            } else {
                const size_t tap = base + c / 2 * window + k;
                ((int16_t *)p->weight)[(tap * VD_OC_BLOCK + o % VD_OC_BLOCK) * 2 + c % 2] =
                    (int16_t)(byte_at(w, m * len + i) - zero_point(w_zp, m));
            }
        }
    }
}
