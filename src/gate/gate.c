/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/gate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "gate/kept.h"
#include "gate/pair.h"

/* Where neither registry nor sidecar say it; the schema's default, and the size that the record's models have. */
static const double default_budget = 0.01;
enum { DEFAULT_SIZE = 224, SMALLEST_PICTURE = 16 };
enum { JPEG_QUALITY = 35 };
static const double blur_sigma = 1.2;

/* One model on its way through the sets. */
struct run {
    const struct vd_gate_opts *o;
    struct vd_gate_result *r;
    struct vd_pair p;
    const char *kind;         /* of registry or sidecar, or NULL */
    double sigma;             /* damage; 0: none */
    int quality;
    struct vd_compare record;
    double worst;             /* of what is kept so far; < 0: nothing */
    bool worst_realistic;
    float *clean, *scratch, *added[2]; /* room for one picture each */
    size_t room;
    struct vd_rng windows;
};

/* --- sets */

static int begin_set(struct run *g, enum vd_set_kind kind, const char *name, int64_t n, struct vd_set **out)
{
    struct vd_gate_result *r = g->r;
    struct vd_set *s = &r->set[r->n_set];
    if (n < 0 || n > INT32_MAX)
        return vd_fail(E2BIG, "%s: %lld samples are too many", name, (long long)n);
    *s = (struct vd_set){.kind = kind, .name = name};
    s->number = vd_arena_array(&r->arena, (size_t)n + 1, sizeof(*s->number));
    if (!g->o->compat)
        s->cell = vd_arena_array(&r->arena, g->p.n_out + 1, sizeof(*s->cell));
    if (!s->number || (!g->o->compat && !s->cell))
        return vd_nomem((unsigned long long)n * sizeof(*s->number));
    for (size_t i = 0; s->cell && i < g->p.n_out; i++) {
        const char *output = g->p.out[VD_FP32][i].name;
        s->cell[i].output = vd_arena_str(&r->arena, output, strlen(output));
        s->cell[i].picture = kind != VD_SET_NOISE && vd_pair_gives_picture(&g->p, i);
        if (!s->cell[i].output)
            return vd_nomem(strlen(output));
    }
    r->n_set++;
    *out = s;
    return 0;
}

/* The worst sample, and four others that are evenly spread over the set. Realistic sets take the place of noise, later ones of earlier ones. */
static int maybe_keep(struct run *g, struct vd_set *s, int64_t expected, const float *clean)
{
    const int set = (int)(s - g->r->set);
    double error = 0;
    int rc = 0;
    for (size_t i = 0; i < g->p.n_out; i++) {
        const struct vd_compare *c = &s->cell[i].frame[s->cell[i].n - 1].c;
        error += c->nonfinite_a || c->nonfinite_b ? INFINITY : c->sum_sq / (double)(c->n ? c->n : 1);
    }
    if (error > g->worst || (s->realistic && !g->worst_realistic)) {
        g->worst = error;
        g->worst_realistic = s->realistic;
        rc = vd_keep(g->r, 0, set, &g->p, clean);
    }
    for (int k = 0; !rc && k < VD_MAX_KEPT - 1; k++)
        if (s->n - 1 == (int64_t)k * expected / (VD_MAX_KEPT - 1))
            rc = vd_keep(g->r, 1 + k, set, &g->p, clean);
    return rc;
}

/* What is in p->sample. clean: of the same picture, or NULL. 1: done; 0: the int8 file did not run, which is a verdict. */
static int measure(struct run *g, struct vd_set *s, int64_t number, int64_t expected, const float *clean)
{
    struct vd_pair *p = &g->p;
    int side, rc = vd_pair_run(p, &side);
    s->number[s->n++] = number;
    if (rc == -ERANGE && side == VD_INT8) {
        char why[600], name[VD_FRAME_NAME];
        snprintf(why, sizeof why, "the int8 file does not run on %s, %s: %s", s->name, vd_frame_name(name, s, s->n - 1), vd_reason());
        rc = vd_gate_note(g->r, "runs", (int)(s - g->r->set), s->n - 1, why);
        s->n--;
        return rc;
    }
    if (rc)
        return rc;
    if (s->kind == VD_SET_NOISE && s->n <= VD_RECORD_SAMPLES)
        vd_compare_add(&g->record, p->result[VD_FP32], p->result[VD_INT8], p->n_result);
    for (size_t i = 0; s->cell && i < p->n_out; i++) {
        struct vd_cell_sample v = {.w = s->w, .h = s->h, .clean = clean, .scratch = {g->added[0], g->added[1]}};
        v.a = vd_pair_result(p, VD_FP32, i, &v.n);
        v.b = vd_pair_result(p, VD_INT8, i, &v.n);
        v.in = s->cell[i].picture ? p->sample[0] : NULL;
        if ((rc = vd_cell_add(&s->cell[i], &v)))
            return rc;
    }
    rc = g->o->keep && s->cell ? maybe_keep(g, s, expected, clean) : 0;
    return rc ? rc : 1;
}

/* --- noise: numpy.random.default_rng(0).random(shape, dtype=float32), one after the other */

static int noise(struct run *g)
{
    const int n = g->o->compat || g->o->samples < VD_RECORD_SAMPLES ? VD_RECORD_SAMPLES : g->o->samples;
    struct vd_pair *p = &g->p;
    struct vd_rng rng;
    struct vd_set *s;
    int rc = begin_set(g, VD_SET_NOISE, n == VD_RECORD_SAMPLES ? "the record's samples" : "noise", n, &s);
    vd_rng_seed(&rng, 0);
    for (int k = 0; !rc && k < n; k++) {
        for (size_t i = 0; i < p->n_in; i++)
            for (size_t j = 0; j < p->in[i].count; j++)
                p->sample[i][j] = vd_rng_f32(&rng);
        rc = measure(g, s, k, n, NULL);
        if (rc == 0)
            break;
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}

/* --- pictures */

static int picture_room(struct run *g, int w, int h)
{
    const size_t n = (size_t)w * (size_t)h;
    float **const room[] = {&g->clean, &g->scratch, &g->added[0], &g->added[1]};
    if (n <= g->room)
        return 0;
    g->room = 0;
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) {
        vd_free(*room[i]);
        if (!(*room[i] = vd_calloc(n, sizeof(float))))
            return vd_nomem((unsigned long long)n * sizeof(float));
    }
    g->room = n;
    return 0;
}

static void damage(struct run *g, float *dst, const float *clean, int w, int h)
{
    const size_t bytes = (size_t)w * (size_t)h * sizeof(*dst);
    memcpy(dst, clean, bytes);
    if (g->sigma > 0)
        vd_blur(dst, clean, w, h, g->sigma, g->scratch);
    if (g->quality) {
        memcpy(g->scratch, dst, bytes);
        vd_jpeg_loss(dst, g->scratch, w, h, g->quality);
    }
}

/* The picture in g->clean to the inputs. A score with a reference sees the clean picture, and what became of it. */
static void feed(struct run *g, bool damaged, int w, int h)
{
    const size_t bytes = (size_t)w * (size_t)h * sizeof(float);
    if (g->p.n_in == 2)
        memcpy(g->p.sample[0], g->clean, bytes);
    if (damaged || g->p.n_in == 2)
        damage(g, g->p.sample[g->p.n_in - 1], g->clean, w, h);
    else
        memcpy(g->p.sample[0], g->clean, bytes);
}

static bool takes_pictures(const struct run *g, int *w, int *h)
{
    return vd_pair_takes_picture(&g->p, w, h) || vd_pair_takes_two(&g->p, w, h);
}

static int pictures(struct run *g)
{
    const int n = g->o->samples < VD_PICTURES ? VD_PICTURES : g->o->samples;
    struct vd_set *s;
    int w, h;
    if (!takes_pictures(g, &w, &h) || w < SMALLEST_PICTURE || h < SMALLEST_PICTURE)
        return 0;
    int rc = picture_room(g, w, h);
    if (!rc)
        rc = begin_set(g, VD_SET_PICTURES, "pictures", n, &s);
    if (rc)
        return rc;
    s->realistic = true;
    s->has_clean = g->r->is_filter;
    s->w = w;
    s->h = h;
    for (int k = 0; !rc && k < n; k++) {
        vd_picture(g->clean, w, h, k);
        feed(g, g->r->is_filter || k % 2, w, h); /* a score sees both kinds, a filter the kind that it is for */
        rc = measure(g, s, k, n, g->r->is_filter ? g->clean : NULL);
        if (rc == 0)
            break;
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}

/* --- sources */

/* The size that the model sees of pictures of w x h: a filter's is the picture's, where it takes that, any other model's its own. */
static int source_size(struct run *g, const struct vd_gate_source *src, int *w, int *h)
{
    struct vd_pair *p = &g->p;
    if (!takes_pictures(g, w, h))
        return vd_fail(ENOTSUP, "%s: %s takes no pictures of one plane, and a clip has nothing else to give it; give arrays of its inputs (.npy)",
                       src->name, g->r->id);
    if (g->r->is_filter && (*w != src->w || *h != src->h)) {
        p->in[0].shape[2] = src->h;
        p->in[0].shape[3] = src->w;
        int rc = vd_pair_shape(p);
        if (!rc && vd_pair_gives_picture(p, 0)) {
            *w = src->w;
            *h = src->h;
            return 0;
        }
        if (rc && rc != -ENOTSUP && rc != -ERANGE)
            return rc;
        p->in[0] = p->natural[0];
        if ((rc = vd_pair_shape(p)))
            return rc;
    }
    if (src->w < *w || src->h < *h)
        return vd_fail(ENOTSUP, "%s: its pictures are %dx%d, and %s takes %dx%d", src->name, src->w, src->h, g->r->id, *w, *h);
    return 0;
}

/* Where a window lies is drawn. */
static void window(struct run *g, const float *from, int from_w, int from_h, int w, int h)
{
    const size_t x = vd_rng_below(&g->windows, (uint32_t)(from_w - w) + 1), y = vd_rng_below(&g->windows, (uint32_t)(from_h - h) + 1);
    for (size_t i = 0; i < (size_t)h; i++)
        memcpy(g->clean + i * (size_t)w, from + (y + i) * (size_t)from_w + x, (size_t)w * sizeof(*from));
}

static int source_frames(struct run *g, const struct vd_gate_source *src, struct vd_set *s, float *whole)
{
    const bool damaged = src->degrade && src->w;
    int64_t number;
    int rc;
    while ((rc = src->next(src->ctx, src->w ? &whole : g->p.sample, &number)) > 0) {
        if (s->n >= src->n)
            return vd_fail(EBADMSG, "%s: more samples than it said", src->name);
        if (src->w) {
            window(g, whole, src->w, src->h, s->w, s->h);
            feed(g, damaged, s->w, s->h);
        }
        rc = measure(g, s, number, src->n, s->has_clean ? g->clean : NULL);
        if (rc <= 0)
            return rc;
    }
    return rc ? rc : s->n ? 0 : vd_fail(EBADMSG, "%s: no samples in it", src->name);
}

static int source(struct run *g, const struct vd_gate_source *src)
{
    struct vd_pair *p = &g->p;
    struct vd_set *s = NULL;
    float *whole = NULL;
    int w = 0, h = 0, rc;
    vd_rng_seed(&g->windows, g->o->seed);
    if (src->w) {
        rc = source_size(g, src, &w, &h);
        if (!rc)
            rc = picture_room(g, w, h);
        if (!rc && !(whole = vd_calloc((size_t)src->w * (size_t)src->h, sizeof(*whole))))
            rc = vd_nomem((unsigned long long)src->w * (unsigned)src->h * sizeof(*whole));
    } else {
        rc = src->prepare(src->ctx, p->in, p->n_in);
        if (!rc)
            rc = vd_pair_shape(p);
        if (!rc && vd_pair_takes_picture(p, &w, &h))
            rc = picture_room(g, w, h);
    }
    if (!rc)
        rc = begin_set(g, VD_SET_SOURCE, src->name, src->n, &s);
    if (!rc) {
        s->realistic = true;
        s->has_clean = g->r->is_filter && src->degrade && src->w;
        s->w = w;
        s->h = h;
        rc = source_frames(g, src, s, whole);
    }
    vd_free(whole);
    for (size_t i = 0; i < p->n_in; i++) {
        p->in[i].rank = p->natural[i].rank;
        memcpy(p->in[i].shape, p->natural[i].shape, sizeof(p->in[i].shape));
    }
    return rc ? rc : vd_pair_shape(p);
}

/* --- the whole */

static int all_sets(struct run *g, const struct vd_gate_limits *l)
{
    struct vd_gate_result *r = g->r;
    int rc = noise(g);
    if (!rc && !g->o->compat) {
        rc = pictures(g);
        for (size_t i = 0; !rc && i < g->o->n_source; i++)
            rc = source(g, &g->o->source[i]);
        if (r->n_set == 1) /* noise is all there is, so that it has to do for everything */
            r->set[0].realistic = true;
    }
    r->plcc = vd_compare_plcc(&g->record);
    r->drop = 1 - r->plcc;
    r->worst_abs = g->record.worst_abs;
    r->rmse = vd_compare_rmse(&g->record);
    for (int i = 0; !rc && i < r->n_set; i++)
        for (size_t k = 0; !rc && r->set[i].cell && r->set[i].n && k < r->n_out; k++)
            rc = vd_cell_end(&r->set[i].cell[k], g->o->seed);
    if (!rc && r->n_out == 1 && r->set[0].cell && r->set[0].n == VD_RECORD_SAMPLES) { /* one figure, down to its last bit */
        struct vd_cell *c = &r->set[0].cell[0];
        c->plcc = r->plcc;
        c->drop = r->drop;
        c->upper = isnan(c->upper) ? c->upper : fmax(c->upper, c->drop);
    }
    return rc ? rc : vd_gate_judge(r, l, &g->record);
}

static const struct vd_row *say(const struct vd_resolved *file)
{
    return file->row ? file->row : file->sidecar.json ? &file->sidecar.row : NULL;
}

static struct vd_pair_how opens_how(const struct vd_gate_opts *o, const struct vd_row *side)
{
    const bool sized = side && side->size_w > 0 && side->size_h > 0;
    return (struct vd_pair_how){.threads = o->threads, .kernels = o->kernels, .registry = o->registry, .trusted_keys = o->trusted_keys,
                                .require_pinned = o->require_pinned, .w = sized ? side->size_w : DEFAULT_SIZE,
                                .h = sized ? side->size_h : DEFAULT_SIZE};
}

static int open_pair(struct run *g, const char *path_or_id, const struct vd_resolved *file, const struct vd_row *side)
{
    const struct vd_pair_how how = opens_how(g->o, side);
    struct vd_gate_result *r = g->r;
    vmaf_dnn_info info;
    int rc = vd_pair_open(&g->p, path_or_id, file, &how);
    if (rc)
        return rc;
    r->pinned = g->p.pinned;
    r->all_int8 = g->p.all_int8;
    r->mode = vd_quant_mode_name(g->p.mode);
    r->n_in = g->p.n_in;
    r->n_out = g->p.n_out;
    snprintf(r->fp32_path, sizeof r->fp32_path, "%s", file->fp32_path);
    snprintf(r->int8_path, sizeof r->int8_path, "%s", file->int8_path);
    snprintf(r->fp32_sha256, sizeof r->fp32_sha256, "%s", file->sha256);
    if (!(rc = vmaf_dnn_session_info(g->p.session[VD_INT8], &info))) {
        snprintf(r->int8_sha256, sizeof r->int8_sha256, "%s", info.sha256);
        snprintf(r->kernels, sizeof r->kernels, "%s", info.kernels);
    }
    r->is_filter = g->kind ? !strcmp(g->kind, "filter") : vd_pair_gives_picture(&g->p, 0);
    if (!rc && r->is_filter && !(g->p.n_out == 1 && vd_pair_gives_picture(&g->p, 0)))
        rc = vd_fail(EBADMSG, "%s is of kind filter, but has not one output of the shape of one input", r->id);
    r->set = vd_arena_array(&r->arena, 2 + g->o->n_source, sizeof(*r->set));
    return rc ? rc : r->set ? 0 : vd_nomem(sizeof(*r->set));
}

static int gate(const char *path_or_id, const struct vd_resolved *file, const struct vd_gate_opts *o, struct vd_gate_result *r)
{
    const struct vd_row *row = say(file), *side = file->sidecar.json ? &file->sidecar.row : NULL;
    snprintf(r->id, sizeof(r->id), "%s", file->id);
    r->mode = vd_quant_mode_name(file->declared);
    if (row && file->declared == VD_QUANT_FP32) {
        const struct vd_pair_how how = opens_how(o, side);
        r->skipped = true; /* nothing to compare, but a file that does not open is no model that needs no gate */
        return vd_pair_opens(path_or_id, &how);
    }
    if (!row && !vd_file_is_regular(file->int8_path))
        return vd_fail(ENOENT, "%s: no registry row or sidecar and no %s: there is nothing to compare it with; 'vmaf-dnn quantize dynamic %s' makes it",
                       file->fp32_path, file->int8_path, file->fp32_path);
    if (row && row->unknown_limit && !o->compat)
        return vd_fail(EBADMSG, "%s: quant_gate asks for a rule that is not known here; vmaf-dnn verify names it", r->id);
    r->budget_from = o->budget >= 0 ? VD_BUDGET_GIVEN : row && row->has_budget ? VD_BUDGET_REGISTRY : VD_BUDGET_DEFAULT;
    r->budget = o->budget >= 0 ? o->budget : row && row->has_budget ? row->budget : default_budget;

    struct run g = {.o = o, .r = r, .kind = row ? row->kind : NULL, .worst = -1, .sigma = blur_sigma, .quality = JPEG_QUALITY};
    if (side && side->has_degradation) {
        g.sigma = side->blur_sigma;
        g.quality = side->jpeg_quality;
    }
    struct vd_gate_limits l;
    int rc = open_pair(&g, path_or_id, file, side);
    if (!rc) {
        vd_gate_limits(&l, row, side, r->is_filter);
        rc = all_sets(&g, &l);
    }
    vd_pair_close(&g.p);
    vd_free(g.clean);
    vd_free(g.scratch);
    vd_free(g.added[0]);
    vd_free(g.added[1]);
    return rc;
}

int vd_gate(const char *path_or_id, const struct vd_gate_opts *o, struct vd_gate_result *r)
{
    const struct vd_resolve_how how = {.baseline = true, .registry = o->registry, .trusted_keys = o->trusted_keys,
                                       .require_pinned = o->require_pinned};
    struct vd_resolved *file = vd_calloc(1, sizeof(*file)); /* 12 KiB of paths */
    *r = (struct vd_gate_result){.plcc = NAN, .drop = NAN};
    if (!file)
        return vd_nomem(sizeof(*file));
    int rc = vd_resolve(path_or_id, &how, file);
    if (!rc) {
        rc = gate(path_or_id, file, o, r);
        vd_resolved_free(file);
    }
    vd_free(file);
    if (rc)
        vd_gate_result_free(r);
    return rc;
}

void vd_gate_result_free(struct vd_gate_result *r)
{
    for (int i = 0; i < r->n_set; i++)
        for (size_t k = 0; r->set[i].cell && k < r->n_out; k++)
            vd_cell_free(&r->set[i].cell[k]);
    for (int i = 0; i < VD_MAX_KEPT; i++)
        vd_kept_free(&r->kept[i], r->n_in);
    vd_arena_free(&r->arena);
    *r = (struct vd_gate_result){0};
}
