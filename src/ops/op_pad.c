/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/checked.h"
#include "ops/op_util.h"

/* Pad and Tile: along each dim, output position o shows input position o - begin, where that lies in the part of the input that
 * is kept; elsewhere the mode says what it shows. Tile is wrap. */
enum mode { CONSTANT, EDGE, REFLECT, WRAP, MODES };
static const char *const mode_name[MODES] = {"constant", "edge", "reflect", "wrap"};

struct pad {
    int rank;
    enum mode mode;
    int64_t begin[VD_MAX_RANK], end[VD_MAX_RANK]; /* elements added, negative: taken away */
    int64_t out[VD_MAX_RANK];
};

/* The part that is kept of a dim: from *lo on, its size the result. */
static int64_t kept(const struct pad *p, int d, int64_t dim, int64_t *lo)
{
    const int64_t cut = p->begin[d] < 0 ? -p->begin[d] : 0, n = dim - cut + (p->end[d] < 0 ? p->end[d] : 0);
    *lo = cut;
    return n > 0 ? n : 0;
}

static int set_pad(const struct vd_op_call *c, struct pad *p, int d, int64_t begin, int64_t end)
{
    const int64_t most = (int64_t)1 << 40, dim = c->in[0]->dim[d];
    int64_t lo;
    if (begin < -most || begin > most || end < -most || end > most || dim > most)
        return vd_op_fail(c, ERANGE, "pads of %lld and %lld at axis %d are beyond 2^40", (long long)begin, (long long)end, d);
    p->begin[d] = begin;
    p->end[d] = end;
    p->out[d] = dim + begin + end;
    if (p->out[d] < 0)
        return vd_op_fail(c, ERANGE, "pads of %lld and %lld take more from axis %d than its size, %lld", (long long)begin,
                          (long long)end, d, (long long)dim);
    if (p->mode != CONSTANT && p->out[d] && !kept(p, d, dim, &lo))
        return vd_op_fail(c, ERANGE, "mode %s finds nothing of axis %d, of size %lld, to repeat", mode_name[p->mode], d,
                          (long long)dim);
    return 0;
}

static int pad_of(const struct vd_op_call *c, struct pad *p)
{
    const struct vd_tensor *x = c->in[0], *pads = vd_op_in(c, 1), *value = vd_op_in(c, 2);
    const char *mode = vd_op_str(c, "mode", mode_name[CONSTANT]);
    const int modes = c->opset >= 19 ? MODES : WRAP;
    int64_t axes[VD_MAX_RANK];
    const int64_t *attr = NULL;
    int n = x->rank, rc;
    bool seen[VD_MAX_RANK] = {false};
    *p = (struct pad){.rank = x->rank};
    while ((int)p->mode < modes && strcmp(mode, mode_name[p->mode]))
        p->mode++;
    if ((int)p->mode == modes)
        return vd_op_fail(c, EBADMSG, "attribute mode is '%.40s'; it must be constant, edge%s", mode,
                          modes == WRAP ? " or reflect" : ", reflect or wrap");
    for (int i = 0; i < x->rank; i++) {
        axes[i] = i;
        p->out[i] = x->dim[i];
    }
    if (vd_op_in(c, 3) && (rc = vd_op_known_ints(c, 3, "axes", axes, &n)) < 0)
        return rc;
    size_t count = pads ? vd_tensor_count(pads) : (size_t)vd_op_ints(c, "pads", &attr);
    if (pads && (rc = vd_op_need_known(c, 1, "pads")) < 0)
        return rc;
    if (count != 2 * (size_t)n)
        return vd_op_fail(c, EBADMSG, "%zu pads for %d axes; there must be two for each", count, n);
    if (value && vd_tensor_count(value) != 1)
        return vd_op_fail(c, EBADMSG, "input 2 (constant_value) has %zu elements; it must have one", vd_tensor_count(value));
    if (value && (rc = vd_op_same_type(c, 0, 2)) < 0)
        return rc;
    for (int i = 0; i < n; i++) {
        int axis;
        if ((rc = vd_op_axis(c, axes[i], x->rank, &axis)) < 0)
            return rc;
        if (seen[axis])
            return vd_op_fail(c, EBADMSG, "axis %lld is given twice", (long long)axes[i]);
        seen[axis] = true;
        const size_t at = (size_t)i, half = (size_t)n;
        if ((rc = set_pad(c, p, axis, attr ? attr[at] : vd_tensor_int(pads, at), attr ? attr[at + half] : vd_tensor_int(pads, at + half))) < 0)
            return rc;
    }
    return 0;
}

static int tile_of(const struct vd_op_call *c, struct pad *p)
{
    const struct vd_tensor *x = c->in[0];
    int64_t repeats[VD_MAX_RANK];
    int n, rc = vd_op_known_ints(c, 1, "repeats", repeats, &n);
    *p = (struct pad){.rank = x->rank, .mode = WRAP};
    if (rc < 0)
        return rc;
    if (n != x->rank || c->in[1]->rank != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (repeats) must be a list of %d numbers, one for each dim", x->rank);
    for (int i = 0; i < n; i++) {
        if (repeats[i] < 0)
            return vd_op_fail(c, EBADMSG, "input 1 (repeats) has %lld for dim %d", (long long)repeats[i], i);
        if (!vd_mul64(x->dim[i], repeats[i], &p->out[i]) || p->out[i] > (int64_t)1 << 40)
            return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
        p->end[i] = p->out[i] > x->dim[i] ? p->out[i] - x->dim[i] : 0;
    }
    return 0;
}

/* The walk: dims whose rows are shown whole are one with the element, which is then `block` bytes. */
struct walk {
    int rank;
    enum mode mode;
    int64_t out[VD_MAX_RANK], begin[VD_MAX_RANK], lo[VD_MAX_RANK], size[VD_MAX_RANK], step[VD_MAX_RANK];
    size_t block, unit;
    const char *src;
    char *dst;
    unsigned char value[8];
};

/* Where position o of dim d comes from, or -1. *run: how many positions from o on follow each other there. */
static int64_t source(const struct walk *w, int d, int64_t o, int64_t *run)
{
    const int64_t n = w->size[d], at = o - w->begin[d];
    *run = 1;
    if (at >= 0 && at < n) {
        *run = n - at;
        return w->lo[d] + at;
    }
    switch (w->mode) {
    case CONSTANT: *run = at < 0 ? -at : INT64_MAX; return -1;
    case EDGE: return w->lo[d] + (at < 0 ? 0 : n - 1);
    case REFLECT: {
        const int64_t period = n > 1 ? 2 * (n - 1) : 1, k = (at % period + period) % period;
        return w->lo[d] + (k < n ? k : period - k);
    }
    default: {
        const int64_t k = (at % n + n) % n;
        *run = n - k;
        return w->lo[d] + k;
    }
    }
}

static void fill(const struct walk *w, char *dst, size_t bytes)
{
    bool same = true;
    for (size_t i = 1; i < w->unit; i++)
        same = same && w->value[i] == w->value[0];
    if (same)
        memset(dst, w->value[0], bytes);
    else
        for (size_t i = 0; i < bytes; i += w->unit)
            memcpy(dst + i, w->value, w->unit);
}

static void rows(void *arg, size_t begin, size_t end)
{
    const struct walk *w = arg;
    const int last = w->rank - 1;
    for (size_t row = begin; row < end; row++) {
        size_t rest = row;
        int64_t at = 0, run;
        bool inside = true;
        for (int d = last - 1; d >= 0; d--) {
            const int64_t from = source(w, d, (int64_t)(rest % (size_t)w->out[d]), &run);
            inside = inside && from >= 0;
            at += from * w->step[d];
            rest /= (size_t)w->out[d];
        }
        char *dst = w->dst + row * (size_t)w->out[last] * w->block;
        for (int64_t o = 0; o < w->out[last]; o += run) {
            const int64_t from = source(w, last, o, &run);
            run = inside && run < w->out[last] - o ? run : inside ? w->out[last] - o : w->out[last];
            if (inside && from >= 0)
                memcpy(dst + (size_t)o * w->block, w->src + (size_t)(at + from) * w->block, (size_t)run * w->block);
            else
                fill(w, dst + (size_t)o * w->block, (size_t)run * w->block);
        }
    }
}

static void walk(const struct vd_op_call *c, const struct pad *p, const unsigned char *value)
{
    const struct vd_tensor *x = c->in[0];
    struct walk w = {.mode = p->mode, .src = x->data, .dst = c->out[0]->data, .unit = vd_type_size(x->type)};
    int rank = p->rank;
    size_t count = 1;
    if (!vd_tensor_count(c->out[0]))
        return;
    w.block = w.unit;
    memcpy(w.value, value, w.unit);
    while (rank > 0 && !p->begin[rank - 1] && !p->end[rank - 1] && p->out[rank - 1] == x->dim[rank - 1])
        w.block *= (size_t)x->dim[--rank];
    for (int64_t d = rank - 1, step = 1; d >= 0; step *= x->dim[d], d--) {
        w.begin[d] = p->begin[d] > 0 ? p->begin[d] : 0;
        w.size[d] = kept(p, (int)d, x->dim[d], &w.lo[d]);
        w.out[d] = p->out[d];
        w.step[d] = step;
        count *= (size_t)p->out[d];
    }
    w.rank = rank;
    if (!rank) { /* nothing is added: one element that is everything */
        w.rank = 1;
        w.out[0] = w.size[0] = w.step[0] = 1;
    }
    const size_t row = (size_t)w.out[w.rank - 1];
    vd_op_split(c->workers, count / row, VD_ITER_GRAIN / (row * w.block / w.unit) + 1, rows, &w);
}

int vd_infer_pad(const struct vd_op_call *c)
{
    struct pad p;
    const int rc = pad_of(c, &p);
    return rc < 0 ? rc : vd_op_set(c, 0, c->in[0]->type, p.rank, p.out);
}

void vd_run_pad(const struct vd_op_call *c)
{
    struct pad p;
    unsigned char value[8] = {0};
    const int type = c->in[0]->type;
    if (pad_of(c, &p) < 0)
        return; /* infer has seen that it does not fail */
    if (c->opset < 11) {
        const double v = (double)vd_op_float(c, "value", 0);
        vd_store_f64(value, type, &v, 1);
    } else if (vd_op_in(c, 2))
        memcpy(value, c->in[2]->data, vd_type_size(type));
    walk(c, &p, value);
}

int vd_infer_tile(const struct vd_op_call *c)
{
    struct pad p;
    const int rc = tile_of(c, &p);
    return rc < 0 ? rc : vd_op_set(c, 0, c->in[0]->type, p.rank, p.out);
}

void vd_run_tile(const struct vd_op_call *c)
{
    static const unsigned char nothing[8];
    struct pad p;
    if (!tile_of(c, &p)) /* infer has seen that it does not fail */
        walk(c, &p, nothing);
}
