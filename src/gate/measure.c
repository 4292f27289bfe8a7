/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/measure.h"

#include <math.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/bound.h"

static int grow(void **p, size_t have, size_t want, size_t size)
{
    void *more = want > have ? vd_realloc(*p, want, size) : *p;
    if (!more)
        return vd_nomem((unsigned long long)want * size);
    *p = more;
    return 0;
}

static int keep(struct vd_cell *c, const struct vd_cell_sample *s)
{
    const size_t take = s->n < VD_KEEP_EACH ? s->n : VD_KEEP_EACH;
    if (c->n_kept + take > c->kept_room) {
        size_t room;
        if (!vd_add(c->n_kept + take, c->kept_room, &room) || room > UINT32_MAX)
            return vd_fail(ERANGE, "output '%s': more elements in all samples than can be ranked", c->output);
        for (int side = 0; side < 2; side++) {
            const int rc = grow((void **)&c->kept[side], c->kept_room, room, sizeof(float));
            if (rc)
                return rc;
        }
        c->kept_room = room;
    }
    for (size_t k = 0; k < take; k++) {
        const size_t i = s->n <= VD_KEEP_EACH ? k : (size_t)((double)k * (double)s->n / VD_KEEP_EACH);
        if (!isfinite(s->a[i]) || !isfinite(s->b[i]))
            continue;
        c->kept[0][c->n_kept] = s->a[i];
        c->kept[1][c->n_kept++] = s->b[i];
    }
    return 0;
}

static int picture(struct vd_cell *c, struct vd_frame *f, const struct vd_cell_sample *s)
{
    f->psnr = vd_psnr(s->b, s->a, s->n);
    for (size_t i = 0; s->in && i < s->n; i++) {
        s->scratch[0][i] = s->a[i] - s->in[i];
        s->scratch[1][i] = s->b[i] - s->in[i];
    }
    if (s->in)
        vd_compare_add(&c->added, s->scratch[0], s->scratch[1], s->n);
    if (s->in && s->clean) {
        const double before = vd_psnr(s->in, s->clean, s->n);
        f->gain[0] = vd_psnr(s->a, s->clean, s->n) - before;
        f->gain[1] = vd_psnr(s->b, s->clean, s->n) - before;
        if (!isfinite(f->gain[0]) || !isfinite(f->gain[1])) /* nothing was damaged, so that there is nothing to gain */
            f->gain[0] = f->gain[1] = NAN;
    }
    return f->c.nonfinite_a || f->c.nonfinite_b ? 0 : vd_ssim(s->a, s->b, s->w, s->h, &f->ssim);
}

int vd_cell_add(struct vd_cell *c, const struct vd_cell_sample *s)
{
    if (c->n == c->room) {
        const int room = c->room ? 2 * c->room : 16;
        const int rc = grow((void **)&c->frame, (size_t)c->room, (size_t)room, sizeof(*c->frame));
        if (rc)
            return rc;
        c->room = room;
    }
    struct vd_frame *f = &c->frame[c->n];
    *f = (struct vd_frame){.psnr = NAN, .ssim = NAN, .gain = {NAN, NAN}};
    vd_compare_add(&f->c, s->a, s->b, s->n);
    int rc = keep(c, s);
    if (!rc && c->picture)
        rc = picture(c, f, s);
    if (!rc)
        c->n++;
    return rc;
}

/* Frame i as sums about the means of all. */
static struct vd_sums about(const struct vd_compare *f, const struct vd_compare *all)
{
    const double n = (double)f->n, da = f->mean_a - all->mean_a, db = f->mean_b - all->mean_b;
    return (struct vd_sums){n, n * da, n * db, f->m2_a + n * da * da, f->m2_b + n * db * db, f->cov + n * da * db};
}

static int bound(struct vd_cell *c, uint64_t seed)
{
    struct vd_sums *sums = vd_calloc((size_t)c->n + 1, sizeof(*sums));
    struct vd_bound b;
    if (!sums)
        return vd_nomem((unsigned long long)c->n * sizeof(*sums));
    for (int i = 0; i < c->n; i++)
        sums[i] = about(&c->frame[i].c, &c->all);
    const int rc = vd_drop_bound(sums, (size_t)c->n, seed, &b);
    vd_free(sums);
    if (!rc)
        c->upper = isnan(b.upper) ? NAN : fmax(c->drop, b.upper);
    return rc;
}

static void least(double v, int i, double *worst, int *frame)
{
    if (isnan(v) || v >= *worst)
        return;
    *worst = v;
    *frame = i;
}

static void worst_frames(struct vd_cell *c)
{
    double worst = -1, abs_worst = -1, psnr = 0, ssim = 0, loss_least = INFINITY;
    int n_ssim = 0;
    c->bad = -1;
    c->psnr_least = c->ssim_least = INFINITY;
    for (int i = 0; i < c->n; i++) {
        const struct vd_frame *f = &c->frame[i];
        const bool bad = f->c.nonfinite_a || f->c.nonfinite_b;
        const double error = bad ? INFINITY : f->c.sum_sq / (double)(f->c.n ? f->c.n : 1);
        if (bad && c->bad < 0)
            c->bad = i;
        if (error > worst)
            worst = error, c->worst = i;
        if (f->c.worst_abs > abs_worst)
            abs_worst = f->c.worst_abs, c->abs_frame = i;
        least(f->psnr, i, &c->psnr_least, &c->psnr_frame);
        least(f->ssim, i, &c->ssim_least, &c->ssim_frame);
        psnr += f->psnr;
        if (!isnan(f->ssim))
            ssim += f->ssim, n_ssim++;
        if (isnan(f->gain[0]))
            continue;
        c->gain[0] += f->gain[0];
        c->gain[1] += f->gain[1];
        c->n_gain++;
        least(f->gain[1] - f->gain[0], i, &loss_least, &c->gain_frame);
    }
    c->psnr = psnr / c->n;
    c->ssim = n_ssim ? ssim / n_ssim : NAN;
    if (!n_ssim)
        c->ssim_least = NAN;
    c->gain[0] = c->n_gain ? c->gain[0] / c->n_gain : NAN;
    c->gain[1] = c->n_gain ? c->gain[1] / c->n_gain : NAN;
    c->gain_loss = c->gain[0] - c->gain[1];
    c->gain_loss_worst = c->n_gain ? -loss_least : NAN;
}

int vd_cell_end(struct vd_cell *c, uint64_t seed)
{
    for (int i = 0; i < c->n; i++)
        vd_compare_join(&c->all, &c->frame[i].c);
    worst_frames(c);
    c->plcc = vd_compare_plcc(&c->all);
    c->drop = 1 - c->plcc;
    c->rmse = vd_compare_rmse(&c->all);
    c->mean_abs = isnan(c->rmse) ? NAN : c->all.sum_abs / (double)c->all.n;
    c->slope = isnan(c->plcc) ? NAN : c->all.cov / c->all.m2_a;
    c->offset = c->all.mean_b - c->all.mean_a;
    c->upper = NAN;
    int rc = vd_srocc(c->kept[0], c->kept[1], c->n_kept, &c->srocc);
    if (!rc && !isnan(c->plcc))
        rc = bound(c, seed);
    return rc;
}

void vd_cell_free(struct vd_cell *c)
{
    vd_free(c->frame);
    vd_free(c->kept[0]);
    vd_free(c->kept[1]);
    *c = (struct vd_cell){0};
}
