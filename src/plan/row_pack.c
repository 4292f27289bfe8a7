/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/row_pack.h"

#include <limits.h>

#include "common/checked.h"

static int byte_at(const struct vd_tensor *t, size_t i)
{
    return t->type == VD_U8 ? ((const uint8_t *)t->data)[i] : ((const int8_t *)t->data)[i];
}

static int less_zero(const struct vd_row_weights *r, size_t i, size_t oc)
{
    return byte_at(r->w, i) - (r->w_zp ? byte_at(r->w_zp, vd_tensor_count(r->w_zp) == 1 ? 0 : oc) : 0);
}

bool vd_row_weights_init(struct vd_row_weights *r, const struct vd_tensor *w, const struct vd_tensor *w_zp, int64_t groups)
{
    if (!w || w->rank != 4 || (w->type != VD_F32 && w->type != VD_U8 && w->type != VD_S8) || groups < 1)
        return false;
    for (int i = 0; i < 4; i++)
        if (w->dim[i] < 1 || w->dim[i] > 1 << 24)
            return false;
    const bool depthwise = groups > 1;
    if (depthwise && (groups != w->dim[0] || w->dim[1] != 1))
        return false;
    *r = (struct vd_row_weights){.w = w, .w_zp = w_zp};
    r->shape = (struct vd_row_shape){.integer = w->type != VD_F32, .ic = depthwise ? (int)groups : (int)w->dim[1], .oc = (int)w->dim[0],
                                     .kh = (int)w->dim[2], .kw = (int)w->dim[3]};
    r->shape.kind = depthwise ? VD_ROW_DEPTHWISE : r->shape.ic == 1 ? VD_ROW_FIRST : r->shape.oc == 1 ? VD_ROW_LAST : VD_ROW_DENSE;
    if (!r->shape.integer)
        return true;
    const size_t n = vd_tensor_count(w), each = n / (size_t)w->dim[0];
    for (size_t i = 0; i < n; i++) {
        const int v = less_zero(r, i, i / each);
        if (v < INT8_MIN || v > INT8_MAX)
            return false;
    }
    return true;
}

int vd_row_weights_pack(struct vd_row_weights *r, const struct vd_kernels *k, int stride, int dilation, struct vd_arena *a)
{
    if (r->bytes)
        return 0;
    const struct vd_row_kernels *row = &k->row;
    r->shape.stride = stride;
    r->shape.dilation = dilation;
    r->wino = row->conv_wino && !r->shape.integer && r->shape.kind == VD_ROW_DENSE && r->shape.kw == 3 && stride == 1 && dilation == 1;
    vd_row_pack_fn *pack = r->wino ? row->pack_wino : r->shape.integer ? row->pack_u8[r->shape.kind] : row->pack_f32[r->shape.kind];
    const void *weight = r->w->data;
    struct vd_arena temp = {0};
    int rc = -ENOMEM;
    const size_t n = vd_tensor_count(r->w), oc = (size_t)r->shape.oc, each = n / oc;
    if (r->shape.integer) {
        int8_t *s8 = vd_arena_array(&temp, n, 1);
        r->sum = vd_arena_array(a, (oc + VD_LANES - 1) / VD_LANES * VD_LANES, sizeof(*r->sum));
        if (!s8 || !r->sum)
            goto done;
        for (size_t i = 0; i < n; i++) {
            s8[i] = (int8_t)less_zero(r, i, i / each);
            r->sum[i / each] += s8[i]; /* at most 2^31 / 255, as proved when the plan was made */
        }
        weight = s8;
    }
    const size_t bytes = pack(&r->shape, weight, NULL);
    if ((r->pack = vd_arena_array(a, bytes ? bytes : 64, 1))) {
        pack(&r->shape, weight, r->pack);
        r->bytes = bytes;
        rc = 0;
    }
done:
    vd_arena_free(&temp);
    return rc ? vd_nomem(n) : 0;
}
