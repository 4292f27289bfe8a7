/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/calibration.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"

void vd_calibration_free(struct vd_calibration *c)
{
    vd_free(c->source);
    vd_arena_free(&c->arena);
    *c = (struct vd_calibration){0};
}

const struct vd_calib_tensor *vd_calib_find(const struct vd_calibration *c, const char *name)
{
    for (int i = 0; i < c->n_tensor; i++)
        if (!strcmp(c->tensor[i].name, name))
            return &c->tensor[i];
    return NULL;
}

static int by_name(const struct vd_calib_source *a, const struct vd_calib_source *b)
{
    int d = strcmp(a->name, b->name);
    if (!d)
        d = strcmp(a->sha256, b->sha256);
    return d ? d : (a->frames > b->frames) - (a->frames < b->frames);
}

int vd_calib_add_source(struct vd_calibration *c, const char *name, const char *sha256, uint64_t frames)
{
    struct vd_calib_source s = {.frames = frames};
    if (c->n_source >= VD_CALIB_SOURCES)
        return vd_fail(E2BIG, "more than %d sources of calibration", VD_CALIB_SOURCES);
    memcpy(s.sha256, sha256, sizeof(s.sha256));
    s.name = vd_arena_str(&c->arena, name, strlen(name));
    if (!s.name)
        return vd_nomem(strlen(name));
    if (!(c->n_source & (c->n_source - 1))) { /* a power of two is full */
        struct vd_calib_source *twice = vd_realloc(c->source, c->n_source ? 2 * (size_t)c->n_source : 1, sizeof(*twice));
        if (!twice)
            return vd_nomem(2 * (unsigned long long)c->n_source * sizeof(*twice));
        c->source = twice;
    }
    struct vd_calib_source *more = c->source;
    int at = c->n_source;
    for (; at > 0; at--) {
        const int d = by_name(&s, &more[at - 1]);
        if (!d)
            return vd_fail(EINVAL, "%s: the same clip was given twice", name);
        if (d > 0)
            break;
    }
    memmove(&more[at + 1], &more[at], (size_t)(c->n_source - at) * sizeof(*more));
    more[at] = s;
    c->n_source++;
    return 0;
}

static bool same_groups(const struct vd_calibration *a, const struct vd_calibration *b)
{
    bool same = a->n_group == b->n_group;
    for (int i = 0; same && i < a->n_group; i++) {
        const struct vd_calib_group *x = &a->group[i], *y = &b->group[i];
        same = x->channels == y->channels && x->n_tensor == y->n_tensor && !memcmp(x->scale, y->scale, (size_t)x->channels * sizeof(*x->scale));
        for (int k = 0; same && k < x->n_tensor; k++)
            same = !strcmp(x->tensor[k], y->tensor[k]);
    }
    return same;
}

static int check_same(const struct vd_calibration *c, const struct vd_calibration *from)
{
    if (strcmp(c->model_sha256, from->model_sha256))
        return vd_fail(EINVAL, "two calibrations of two models (sha256 %.12s... and %.12s...)", c->model_sha256, from->model_sha256);
    if (!same_groups(c, from))
        return vd_fail(EINVAL, "two calibrations with different equalisation: make all of them with --equalize, or none");
    bool same = c->n_tensor == from->n_tensor;
    for (int i = 0; same && i < c->n_tensor; i++)
        same = !strcmp(c->tensor[i].name, from->tensor[i].name) && c->tensor[i].channels == from->tensor[i].channels;
    return same ? 0 : vd_fail(EINVAL, "two calibrations of different tensors");
}

/* Files say sums of up to 124 bits, more than clips come to. */
static int add_exact(vd_exact *sum, vd_exact v)
{
    static const vd_exact most = (vd_exact)1 << 124;
    *sum += v;
    return *sum < most && *sum > -most ? 0 : vd_fail(ERANGE, "the sums of these calibrations are larger than those of clips can be");
}

int vd_calib_counts(struct vd_calibration *c, struct vd_calib_tensor *t)
{
    struct vd_hist *h = &t->hist;
    if (h->room == VD_HIST_BINS)
        return 0;
    uint64_t *count = vd_arena_array(&c->arena, VD_HIST_BINS, sizeof(*count));
    if (!count)
        return vd_nomem(VD_HIST_BINS * sizeof(*count));
    if (h->n_bins)
        memcpy(count, h->count, (size_t)h->n_bins * sizeof(*count));
    h->count = count;
    h->room = VD_HIST_BINS;
    return 0;
}

int vd_calib_merge(struct vd_calibration *c, const struct vd_calibration *from)
{
    int rc = check_same(c, from);
    for (int i = 0; !rc && i < from->n_source; i++)
        rc = vd_calib_add_source(c, from->source[i].name, from->source[i].sha256, from->source[i].frames);
    if (rc)
        return rc;
    c->frames += from->frames;
    for (int i = 0; !rc && i < c->n_tensor; i++) {
        struct vd_calib_tensor *t = &c->tensor[i];
        const struct vd_calib_tensor *f = &from->tensor[i];
        t->fixed |= f->fixed;
        rc = add_exact(&t->frame_min, f->frame_min);
        if (!rc)
            rc = add_exact(&t->frame_max, f->frame_max);
        for (int k = 0; !rc && k < t->channels; k++) {
            if (!t->hist.n || f->channel[k].min < t->channel[k].min)
                t->channel[k].min = f->channel[k].min;
            if (!t->hist.n || f->channel[k].max > t->channel[k].max)
                t->channel[k].max = f->channel[k].max;
            rc = add_exact(&t->channel[k].sum, f->channel[k].sum);
        }
        if (!rc)
            rc = vd_calib_counts(c, t);
        if (!rc)
            vd_hist_merge(&t->hist, &f->hist);
    }
    return rc;
}

void vd_calib_trim(struct vd_calibration *c)
{
    int kept = 0;
    for (int i = 0; i < c->n_tensor; i++)
        if (c->tensor[i].hist.n)
            c->tensor[kept++] = c->tensor[i];
    c->n_tensor = kept;
}
