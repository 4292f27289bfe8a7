/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/kept.h"

#include <string.h>

#include "common/mem.h"
#include "common/status.h"

static float *copy(const float *v, size_t n)
{
    float *c = vd_malloc((n + 1) * sizeof(*c));
    if (c && n)
        memcpy(c, v, n * sizeof(*c));
    return c;
}

void vd_kept_free(struct vd_kept *k, size_t n_in)
{
    for (size_t i = 0; k->in && i < n_in; i++)
        vd_free((void *)(uintptr_t)k->in[i].data);
    vd_free(k->in);
    vd_free(k->result[0]);
    vd_free(k->result[1]);
    vd_free(k->clean);
    *k = (struct vd_kept){0};
}

int vd_keep(struct vd_gate_result *r, int slot, int set, const struct vd_pair *p, const float *clean)
{
    const struct vd_set *s = &r->set[set];
    struct vd_kept *k = &r->kept[slot];
    vd_kept_free(k, r->n_in);
    k->set = set;
    k->w = s->w;
    k->h = s->h;
    k->n_result = p->n_result;
    vd_frame_name(k->name, s, s->n - 1);
    k->in = vd_calloc(r->n_in + 1, sizeof(*k->in));
    bool ok = k->in != NULL;
    for (size_t i = 0; ok && i < r->n_in; i++) {
        k->in[i] = p->in[i];
        k->in[i].name = NULL;
        k->in[i].data = NULL;
        ok = (k->in[i].data = copy(p->sample[i], p->in[i].count));
    }
    for (int side = 0; ok && side < 2; side++)
        ok = (k->result[side] = copy(p->result[side], k->n_result));
    if (ok && clean)
        ok = (k->clean = copy(clean, (size_t)s->w * (size_t)s->h));
    if (slot >= r->n_kept)
        r->n_kept = slot + 1;
    return ok ? 0 : vd_nomem((unsigned long long)k->n_result * sizeof(float));
}
