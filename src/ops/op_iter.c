/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>

#include "ops/op_util.h"

struct split {
    vd_range_fn *fn;
    void *arg;
    size_t n, grain;
};

static void split_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct split *s = arg;
    const size_t begin = task * s->grain;
    s->fn(s->arg, begin, s->n - begin < s->grain ? s->n : begin + s->grain);
}

void vd_op_split(struct vd_workers *w, size_t n, size_t grain, vd_range_fn *fn, void *arg)
{
    assert(grain > 0);
    if (!n)
        return;
    if (n <= grain) {
        fn(arg, 0, n);
        return;
    }
    struct split s = {fn, arg, n, grain};
    vd_workers_run(w, split_task, &s, n / grain + (n % grain != 0));
}

static void add_operand(struct vd_iter *it, const void *data, int type)
{
    assert(it->n < VD_ITER_MAX);
    it->base[it->n] = (unsigned char *)data;
    it->size[it->n] = (int64_t)vd_type_size(type);
    it->n++;
}

void vd_iter_init(struct vd_iter *it, const struct vd_tensor *out)
{
    int64_t step = 1;
    it->n = 0;
    it->rank = out->rank;
    it->total = vd_tensor_count(out);
    if (!it->total)
        it->rank = 0; /* there is nothing to walk, and steps of inputs could be anything */
    for (int d = it->rank - 1; d >= 0; d--) {
        it->dim[d] = out->dim[d];
        it->step[0][d] = step;
        step *= out->dim[d];
    }
    add_operand(it, out->data, out->type);
}

void vd_iter_input(struct vd_iter *it, const struct vd_tensor *t)
{
    int64_t step = 1, *s = it->step[it->n];
    for (int d = it->rank - 1; d >= 0; d--) {
        const int k = d - (it->rank - t->rank);
        const int64_t dim = k >= 0 ? t->dim[k] : 1;
        assert(dim == 1 || dim == it->dim[d]);
        s[d] = dim == 1 ? 0 : step;
        step *= dim;
    }
    add_operand(it, t->data, t->type);
}

void vd_iter_strided(struct vd_iter *it, const void *data, int type, const int64_t *step)
{
    for (int d = 0; d < it->rank; d++)
        it->step[it->n][d] = step[d];
    add_operand(it, data, type);
}

static void collapse(struct vd_iter *it)
{
    int rank = 0;
    for (int d = 0; d < it->rank; d++) {
        if (it->dim[d] == 1)
            continue;
        bool merge = rank > 0;
        for (int k = 0; merge && k < it->n; k++)
            merge = it->step[k][rank - 1] == it->step[k][d] * it->dim[d];
        if (merge)
            rank--;
        it->dim[rank] = merge ? it->dim[rank] * it->dim[d] : it->dim[d];
        for (int k = 0; k < it->n; k++)
            it->step[k][rank] = it->step[k][d];
        rank++;
    }
    if (!rank) {
        it->dim[0] = 1;
        for (int k = 0; k < it->n; k++)
            it->step[k][0] = 1;
        rank = 1;
    }
    it->rank = rank;
}

static void walk(void *arg, size_t begin, size_t end)
{
    const struct vd_iter *it = arg;
    const int last = it->rank - 1;
    int64_t at[VD_MAX_RANK], off[VD_ITER_MAX] = {0};
    struct vd_row row = {.arg = it->arg};
    size_t rest = begin;
    for (int d = last; d >= 0; d--) {
        at[d] = (int64_t)(rest % (size_t)it->dim[d]);
        rest /= (size_t)it->dim[d];
        for (int k = 0; k < it->n; k++)
            off[k] += at[d] * it->step[k][d];
    }
    for (int k = 0; k < it->n; k++)
        row.step[k] = (ptrdiff_t)it->step[k][last];
    while (begin < end) {
        const size_t left = (size_t)(it->dim[last] - at[last]);
        row.n = left < end - begin ? left : end - begin;
        for (int k = 0; k < it->n; k++)
            row.p[k] = it->base[k] + off[k] * it->size[k];
        it->fn(&row);
        begin += row.n;
        /* Only the last row of a piece can stop short of its end, and then the walk is over. */
        for (int k = 0; k < it->n; k++)
            off[k] -= at[last] * it->step[k][last];
        at[last] = 0;
        for (int d = last - 1; d >= 0; d--) {
            const bool carry = ++at[d] == it->dim[d];
            for (int k = 0; k < it->n; k++)
                off[k] += carry ? it->step[k][d] * (1 - it->dim[d]) : it->step[k][d];
            if (!carry)
                break;
            at[d] = 0;
        }
    }
}

void vd_iter_run(struct vd_iter *it, struct vd_workers *w, vd_row_fn *fn, const void *arg)
{
    it->fn = fn;
    it->arg = arg;
    if (!it->total)
        return;
    collapse(it);
    vd_op_split(w, it->total, VD_ITER_GRAIN, walk, it);
}

struct copy {
    unsigned char *dst;
    const unsigned char *src;
};

static void copy_range(void *arg, size_t begin, size_t end)
{
    const struct copy *k = arg;
    memcpy(k->dst + begin, k->src + begin, end - begin);
}

void vd_op_copy(const struct vd_op_call *c)
{
    struct copy k = {c->out[0]->data, c->in[0]->data};
    if (k.dst != k.src)
        vd_op_split(c->workers, vd_tensor_bytes(c->out[0]), (size_t)1 << 18, copy_range, &k);
}
