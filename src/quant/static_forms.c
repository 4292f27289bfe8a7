/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/static_forms.h"

#include <float.h>

#include "common/status.h"

const char *vd_static_scalar(struct vd_static *s, const char *name, int type, const void *value, size_t size)
{
    void *p = arena(s, 1, size);
    if (p)
        memcpy(p, value, size);
    return initialiser(s, fresh(s, name), type, 0, NULL, p);
}

void vd_static_set_attr(struct vd_static *s, struct vd_onnx_node *n, const char *name, int64_t v)
{
    struct vd_onnx_attr *a = arena(s, 1, sizeof(*a));
    if (a) {
        *a = (struct vd_onnx_attr){.name = name, .type = VD_ATTR_INT, .v.i = v};
        n->attr = a;
        n->n_attr = 1;
    }
}

/* --- activations */

/* Scale and zero point of v, written once for all that share them. */
struct vd_static_value *vd_static_params(struct vd_static *s, int v)
{
    struct vd_static_value *r = vd_static_root(s, v);
    if (!r->scale_name) {
        const uint8_t zp = (uint8_t)r->zp;
        r->scale_name = vd_static_scalar(s, text(s, "%s_scale", r->name), VD_F32, &r->scale, sizeof(r->scale));
        r->zp_name = vd_static_scalar(s, text(s, "%s_zp", r->name), VD_U8, &zp, 1);
    }
    return r;
}

const char *vd_static_quantize(struct vd_static *s, int v)
{
    struct vd_static_value *x = &s->value[v];
    if (!x->q) {
        const struct vd_static_value *r = vd_static_params(s, v);
        x->q = fresh(s, text(s, "%s_q", x->name));
        node(s, "QuantizeLinear", "", VD_NAMES(x->raw, r->scale_name, r->zp_name), VD_NAMES(x->q));
    }
    return x->q;
}

const char *vd_static_dequantize(struct vd_static *s, int v)
{
    struct vd_static_value *x = &s->value[v];
    if (!x->dq) {
        const char *q = vd_static_quantize(s, v);
        const struct vd_static_value *r = vd_static_params(s, v);
        x->dq = x->is_out && x->bytes_first ? x->name : fresh(s, text(s, "%s_dq", x->name));
        node(s, "DequantizeLinear", "", VD_NAMES(q, r->scale_name, r->zp_name), VD_NAMES(x->dq));
    }
    return x->dq;
}

/* The float that an operator in fp32 reads of v. */
const char *vd_static_plain(struct vd_static *s, int v)
{
    const struct vd_static_value *x = &s->value[v];
    return x->bytes_first ? vd_static_dequantize(s, v) : x->raw;
}

/* What writes v's float or bytes: their name. A graph output's own name is for what comes out of DequantizeLinear. */
const char *vd_static_raw(struct vd_static *s, int v)
{
    struct vd_static_value *x = &s->value[v];
    if (x->is_out && x->bytes_first)
        x->raw = fresh(s, text(s, "%s_raw", x->name));
    return vd_static_must_clamp(s, v) ? x->free = fresh(s, text(s, "%s_free", x->name)) : x->raw;
}

const char *vd_static_bytes(struct vd_static *s, int v)
{
    struct vd_static_value *x = &s->value[v];
    x->q = fresh(s, text(s, "%s_q", x->name));
    return vd_static_must_clamp(s, v) ? x->free = fresh(s, text(s, "%s_free", x->name)) : x->q;
}

static const char *bound(struct vd_static *s, int v, bool high)
{
    const struct vd_static_value *x = &s->value[v];
    const float f = high ? x->clamp_hi : x->clamp_lo;
    const struct vd_static_value *r = vd_static_root(s, v);
    const uint8_t b = (uint8_t)vd_static_byte(r->scale, r->zp, f);
    const char *name = text(s, "%s_%s", x->name, high ? "max" : "min");
    return x->q ? vd_static_scalar(s, name, VD_U8, &b, 1) : vd_static_scalar(s, name, VD_F32, &f, sizeof(f));
}

/* The clamp whose work the range of v does not do: where the range is shared, longer than what was seen, or given. */
static void clamp(struct vd_static *s, int v)
{
    const struct vd_static_value *x = &s->value[v];
    const char *out = x->q ? x->q : x->raw;
    if (!x->q && x->clamp_lo == 0 && x->clamp_hi == FLT_MAX) {
        node(s, "Relu", "", VD_NAMES(x->free), VD_NAMES(out));
    } else if (s->in->opset >= (x->q ? 12 : 11)) {
        node(s, "Clip", "", VD_NAMES(x->free, bound(s, v, false), bound(s, v, true)), VD_NAMES(out));
    } else if (!x->q) {
        struct vd_onnx_attr *a = arena(s, 2, sizeof(*a));
        struct vd_onnx_node *made = node(s, "Clip", "", VD_NAMES(x->free), VD_NAMES(out));
        if (a) {
            a[0] = (struct vd_onnx_attr){.name = "min", .type = VD_ATTR_FLOAT, .v.f = x->clamp_lo};
            a[1] = (struct vd_onnx_attr){.name = "max", .type = VD_ATTR_FLOAT, .v.f = x->clamp_hi};
            made->attr = a;
            made->n_attr = 2;
        }
    } else if (!s->r.rc) {
        s->r.rc = vd_fail(ENOTSUP, "%s is a clamp of bytes, which came with opset 12, and the model's is %d: leave out --format qoperator, or export it again",
                          x->name, s->in->opset);
    }
}

/* v was written as floats, or as bytes: its other forms. */
void vd_static_wrote(struct vd_static *s, int v)
{
    if (s->value[v].free)
        clamp(s, v);
    if (s->value[v].bytes_first)
        vd_static_quantize(s, v);
    if (s->value[v].bytes_first && s->value[v].is_out)
        vd_static_dequantize(s, v);
}
