/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "plan/steps.h"

/* Constant weights of a convolution and their zero point; false: they are not constant, or infer has something to say about them. */
static bool constant_weights(const struct vd_plan *p, const struct vd_node *n, const struct vd_tensor **w, const struct vd_tensor **zp, int64_t *groups)
{
    const struct vd_conv_inputs at = vd_conv_inputs(n);
    const bool integer = at.source != VD_FROM_F32;
    *w = p->g->value[n->in[at.w]].constant;
    *zp = NULL;
    if (at.w_zp >= 0 && at.w_zp < n->n_in && n->in[at.w_zp] >= 0 && !(*zp = p->g->value[n->in[at.w_zp]].constant))
        return false;
    if (!*w || (*w)->rank < 3 || (*w)->rank > 4 || (*w)->dim[0] < 1)
        return false;
    const struct vd_onnx_attr *group = vd_onnx_attr(n->proto, "group");
    *groups = group ? group->v.i : 1;
    if (*groups < 1 || (*w)->dim[0] % *groups)
        return false;
    const size_t n_zp = *zp ? vd_tensor_count(*zp) : 1;
    return integer ? ((*w)->type == VD_U8 || (*w)->type == VD_S8) && (!*zp || ((*zp)->type == (*w)->type && (n_zp == 1 || n_zp == (size_t)(*w)->dim[0])))
                   : (*w)->type == VD_F32 || (*w)->type == VD_F16;
}

int vd_plan_pack(struct vd_plan *p, int i, bool fill)
{
    const struct vd_node *n = &p->g->node[i];
    const struct vd_tensor *w, *zp;
    int64_t groups;
    if (!constant_weights(p, n, &w, &zp, &groups))
        return 0; /* packed in each run */
    struct vd_tensor wide = *w;
    struct vd_arena temp = {0};
    struct vd_packed *k = p->packed[i];
    int rc = 0;
    if (w->type == VD_F16) {
        wide.type = VD_F32;
        if (fill) {
            if (!(wide.data = vd_arena_array(&temp, vd_tensor_count(w) + 1, sizeof(float))))
                return vd_nomem(vd_tensor_count(w) * sizeof(float));
            vd_widen_f16(&wide, w);
        }
    }
    if (!k && !(k = vd_arena_array(&p->arena, 1, sizeof(*k))))
        rc = vd_nomem(sizeof(*k));
    else if (!p->packed[i] && !(rc = vd_packed_init(k, &wide, zp, groups)))
        p->packed[i] = k;
    if (!rc && fill && !k->weight) {
        if ((k->weight = vd_arena_array(&p->arena, k->bytes, 1))) {
            vd_packed_fill(k, &wide, zp);
            p->packed_bytes += k->bytes;
        } else {
            rc = vd_nomem(k->bytes);
        }
    }
    vd_arena_free(&temp);
    return rc ? vd_context(rc, "node '%s' (%s)", n->proto->name, n->op->name) : 0;
}

int vd_plan_weights(struct vd_plan *p, int i)
{
    const struct vd_tensor *w, *zp;
    int64_t groups;
    const int rc = vd_plan_pack(p, i, false);
    if (rc || !constant_weights(p, &p->g->node[i], &w, &zp, &groups))
        return rc;
    struct vd_row_weights *r = vd_arena_array(&p->arena, 1, sizeof(*r));
    if (!r)
        return vd_nomem(sizeof(*r));
    if (vd_row_weights_init(r, w, zp, groups))
        p->rows[i] = r;
    return 0;
}
