/* SPDX-License-Identifier: BSD-2-Clause */
/* Quantisation-aware training: the forward pass is the file that is written, gradients are those of the straight-through surrogate, threads and
 * kills do not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/mem.h"
#include "common/random.h"
#include "plan/plan.h"
#include "quant/observe.h"
#include "temp_dir.h"
#include "train/arch.h"
#include "train/net_priv.h"
#include "train/trainer.h"
#include "train_reference.h"

enum { MAX_SAMPLE = 1024, MAX_BATCH = 4, MAX_RANGES = 32 };

struct rig {
    struct vd_buf bytes;
    struct vd_onnx_model m;
    struct vd_graph graph;
    struct vd_calibration c;
    struct vd_static_opts so;
    struct vd_static_layout layout;
    struct vd_workers *workers;
    const struct vd_kernels *k;
    struct vd_net_opts o;
    struct vd_net *net;
    float x[MAX_BATCH][MAX_SAMPLE], target[MAX_BATCH][MAX_SAMPLE];
};

static void draw(void *arg, uint64_t sample, float *x, float *target)
{
    const struct rig *r = arg;
    memcpy(x, r->x[sample % (uint64_t)r->o.batch], vd_net_input_count(r->net) * sizeof(float));
    memcpy(target, r->target[sample % (uint64_t)r->o.batch], vd_net_target_count(r->net) * sizeof(float));
}

/* A score net without BatchNormalization, as training stores it. */
static void folded_score(struct vd_onnx_model *m, struct vd_buf *b)
{
    static const struct vd_arch_block block[] = {{2, 19}, {1, 20}};
    struct vd_onnx_model arch, read, stored;
    struct vd_graph g;
    struct vd_net *net;
    struct vd_buf first = {0};
    const struct vd_kernels *k;
    size_t states;
    const struct vd_net_opts o = {.height = 14, .width = 14, .batch = 2, .loss = {.l2 = 1}};
    assert_int_equal(vd_arch_separable_score(&arch, 18, block, 2, 14, 0.2f, 3), 0);
    assert_int_equal(vd_onnx_write(&arch, &first), 0);
    assert_int_equal(vd_onnx_read(&read, first.data, first.size), 0);
    assert_int_equal(vd_graph_build(&g, &read), 0);
    assert_int_equal(vd_kernels_get("c", &k), 0);
    assert_int_equal(vd_net_create(&net, &g, &o, k, NULL), 0);
    assert_int_equal(vd_net_store(net, vd_net_params(net), vd_net_state(net, &states), &stored), 0);
    assert_int_equal(vd_onnx_write(&stored, b), 0);
    assert_int_equal(vd_onnx_read(m, b->data, b->size), 0);
    vd_onnx_free(&stored);
    vd_net_free(net);
    vd_graph_free(&g);
    vd_onnx_free(&read);
    vd_onnx_free(&arch);
    vd_free(first.data);
}

static void set_up(struct rig *r, bool score, const struct vd_net_opts *o, const char *set, int threads, uint64_t seed)
{
    struct vd_rng rng;
    struct vd_observer *observer;
    *r = (struct rig){.o = *o, .so = {.method = VD_RANGE_MSE, .percentile = 99.99, .no_bias_correction = true, .qat = true}};
    if (score) {
        folded_score(&r->m, &r->bytes);
    } else {
        struct vd_onnx_model arch;
        assert_int_equal(vd_arch_residual_filter(&arch, 18, 2, seed), 0);
        assert_int_equal(vd_onnx_write(&arch, &r->bytes), 0);
        assert_int_equal(vd_onnx_read(&r->m, r->bytes.data, r->bytes.size), 0);
        vd_onnx_free(&arch);
    }
    vd_rng_seed(&rng, seed);
    for (int i = 0; i < r->m.n_init; i++) /* wide ranges between channels, and biases that are not 0 */
        if (r->m.init[i].type == VD_F32 && r->m.init[i].rank > 0) {
            float *w = vd_arena_dup(&r->m.arena, r->m.init[i].data, r->m.init[i].size);
            for (size_t k = 0; k < r->m.init[i].count; k++)
                w[k] = r->m.init[i].rank == 1 ? w[k] + vd_rng_f32(&rng) * 0.4f - 0.1f : w[k] * (1 + (float)(k % 7));
            r->m.init[i].data = (const uint8_t *)w;
        }
    assert_int_equal(vd_graph_build(&r->graph, &r->m), 0);
    assert_int_equal(vd_kernels_get(set, &r->k), 0);
    assert_int_equal(vd_workers_create(threads, &r->workers), 0);
    struct vd_tensor in = {.type = VD_F32, .rank = 4, .dim = {1, 1, o->height, o->width}};
    const size_t n = (size_t)o->height * (size_t)o->width;
    assert_true(n <= MAX_SAMPLE && o->batch <= MAX_BATCH);
    assert_int_equal(vd_observer_open(&observer, &r->m, &r->c, r->k, r->workers), 0);
    for (int i = 0; i < MAX_BATCH; i++) {
        for (size_t k = 0; k < n; k++)
            r->x[i][k] = vd_rng_f32(&rng);
        for (size_t k = 0; k < n; k++)
            r->target[i][k] = vd_rng_f32(&rng);
        in.data = r->x[i];
        if (i < 2)
            assert_int_equal(vd_observer_run(observer, &in, true), 0);
    }
    vd_observer_close(observer);
    vd_calib_trim(&r->c);
    r->so.calibration = &r->c;
    if (vd_static_layout(&r->m, &r->so, &r->layout))
        fail_msg("%s", vd_reason());
    r->o.layout = &r->layout;
    if (vd_net_create(&r->net, &r->graph, &r->o, r->k, r->workers))
        fail_msg("%s", vd_reason());
}

static void tear_down(struct rig *r)
{
    vd_net_free(r->net);
    vd_workers_free(r->workers);
    vd_static_layout_free(&r->layout);
    vd_calibration_free(&r->c);
    vd_graph_free(&r->graph);
    vd_onnx_free(&r->m);
    vd_free(r->bytes.data);
}

/* The file of the net as it is now. */
static void write_file(struct rig *r, struct vd_buf *b)
{
    struct vd_static_override range[MAX_RANGES];
    struct vd_static_report rep;
    struct vd_onnx_model stored, q;
    size_t states;
    const double *state = vd_net_state(r->net, &states);
    struct vd_static_opts so = r->so;
    assert_int_equal(vd_net_store(r->net, vd_net_params(r->net), state, &stored), 0);
    so.n_override = vd_net_ranges(r->net, vd_net_params(r->net), state, NULL);
    assert_true(so.n_override > 2 && so.n_override <= MAX_RANGES);
    vd_net_ranges(r->net, vd_net_params(r->net), state, range);
    so.override = range;
    if (vd_quantize_static(&stored, &so, &q, &rep))
        fail_msg("%s", vd_reason());
    assert_int_equal(rep.skipped, 0);
    assert_int_equal(vd_onnx_write(&q, b), 0);
    vd_onnx_free(&q);
    vd_onnx_free(&stored);
}

/* A step at a rate that moves every weight and range by far. */
static void shake(struct rig *r)
{
    int params;
    double loss;
    const struct vd_net_param *p = vd_net_table(r->net, &params);
    assert_int_equal(vd_net_step(r->net, draw, r, 0, true, &loss), 0);
    const float *g = vd_net_grads(r->net);
    for (int i = 0; i < params; i++)
        for (size_t k = p[i].offset; k < p[i].offset + p[i].count; k++)
            vd_net_params(r->net)[k] -= g[k] == 0 ? 0 : (g[k] > 0 ? 1.0f : -1.0f) * (p[i].range ? 0.05f : 0.01f);
}

static void each_set(void (*check)(const char *set))
{
    for (int i = 0; vd_kernels_name(i); i++)
        check(vd_kernels_name(i));
}

/* --- forwards */

static void forward_is_the_file(const char *set)
{
    static const enum vd_net_range_mode modes[] = {VD_RANGES_LEARNED, VD_RANGES_AVERAGE, VD_RANGES_FIXED};
    for (int i = 0; i < 6; i++) {
        struct rig *r = malloc(sizeof(*r));
        struct vd_onnx_model q;
        struct vd_graph g;
        struct vd_plan *plan;
        struct vd_buf b = {0};
        const bool score = i & 1;
        const struct vd_net_opts o = {.height = 14, .width = 14, .batch = 3, .loss = {.l2 = 1}, .ranges = modes[i / 2], .range_momentum = 0.1};
        set_up(r, score, &o, set, 2, 40 + (uint64_t)i);
        for (int k = 0; k < 3; k++)
            shake(r);
        write_file(r, &b);
        assert_int_equal(vd_onnx_read(&q, b.data, b.size), 0);
        if (vd_graph_build(&g, &q) || vd_plan_create(&plan, &g, r->k, r->workers))
            fail_msg("%s", vd_reason());
        const struct vd_tensor shape = {.type = VD_F32, .rank = 4, .dim = {1, 1, o.height, o.width}};
        assert_int_equal(vd_plan_shape(plan, &shape), 0);
        for (int s = 0; s < MAX_BATCH; s++) { /* the last was never seen */
            float y[MAX_SAMPLE];
            memcpy(vd_plan_input(plan, 0)->data, r->x[s], vd_net_input_count(r->net) * sizeof(float));
            assert_int_equal(vd_plan_run(plan), 0);
            assert_int_equal(vd_net_forward(r->net, r->x[s], y), 0);
            const float *want = vd_plan_output(plan, 0)->data;
            float lo = 1e30f, hi = -1e30f;
            for (size_t k = 0; k < vd_net_target_count(r->net); k++) {
                const float v = score ? y[k] : fminf(1, fmaxf(0, y[k])); /* a filter's last Clip is left out in training */
                lo = fminf(lo, v);
                hi = fmaxf(hi, v);
                if (v != want[k])
                    fail_msg("%s, %s, ranges %d, sample %d: element %zu is %.9g, the file's %.9g", set, score ? "score" : "filter", i / 2, s, k, (double)v, (double)want[k]);
            }
            assert_true(score || hi > lo + 0.1f);
        }
        vd_plan_free(plan);
        vd_graph_free(&g);
        vd_onnx_free(&q);
        vd_free(b.data);
        tear_down(r);
        free(r);
    }
}

static void test_forward_is_the_file(void **state)
{
    (void)state;
    each_set(forward_is_the_file);
}

/* --- gradients: the net with each rounding as it was, so that values inside a range move along, those beyond it move with its end */

struct surrogate {
    const struct rig *r;
    real *param;          /* of ranges, by offset in the net's parameters */
    bool recorded;
    real *off;            /* by element in the order in which they are made */
    signed char *side;
    size_t at;
};

enum { MAX_ELEMENTS = 1 << 18 };

static const struct vd_net_value *rounded_value(const struct rig *r, const char *name, bool *float_too)
{
    int v = -1;
    for (int i = 0; i < r->graph.n_value; i++)
        if (!strcmp(r->graph.value[i].name, name))
            v = i;
    for (int i = 0; i < r->layout.n_spot; i++)
        if (!strcmp(r->layout.spot[i].tensor, name)) {
            const int root = vd_net_root(r->net, v);
            *float_too = r->net->value[root].range == VD_NONE_AT;
            for (int l = 0; l < r->net->n_layer && *float_too; l++)
                if (r->net->layer[l].kind == VD_LAYER_ROUND && r->net->layer[l].in[0] == root)
                    return &r->net->value[r->net->layer[l].out];
            return &r->net->value[root];
        }
    return NULL;
}

static real surrogate_of(struct surrogate *s, const struct vd_net_value *x, const struct vd_net_range *q, real scale, real zp, real y)
{
    const size_t i = s->at++;
    assert_true(i < MAX_ELEMENTS);
    if (!s->recorded) {
        const real v = y / (real)q->scale;
        s->side[i] = v <= x->lo - q->zp ? -1 : v >= x->hi - q->zp;
        s->off[i] = rintl(v) - v;
    }
    if (!s->side[i])
        return y + s->off[i] * scale;
    const int byte = s->side[i] < 0 ? x->lo : x->hi;
    if (byte == (s->side[i] < 0 ? 0 : 255))
        return (byte - zp) * scale;
    const real bound = (real)(s->side[i] < 0 ? x->clamp_lo : x->clamp_hi);
    return bound + (byte - q->zp - bound / (real)q->scale) * scale;
}

static void made(struct ref *ref, int tensor)
{
    struct surrogate *s = ref->arg;
    struct ref_tensor *t = &ref->t[tensor];
    bool float_too = false;
    const struct vd_net_value *x = rounded_value(s->r, t->name, &float_too);
    if (!x)
        return;
    if (float_too) {
        static char names[8][64];
        static int n;
        char *name = names[n++ % 8];
        snprintf(name, 64, "%s#", t->name);
        struct ref_tensor *q = ref_new(ref, name, t->n, t->c, t->h, t->w);
        memcpy(q->v, t->v, sizeof(real) * (size_t)(t->n * t->c * t->h * t->w));
        t = q;
    }
    const struct vd_net_range *q = &s->r->net->range[x->range];
    const real scale = q->param == VD_NONE_AT ? (real)q->scale : (real)q->scale * expl(s->param[q->param] - (real)s->r->net->params[q->param]);
    const real zp = q->param == VD_NONE_AT || q->from_zero ? q->zp : q->zp + 255 * (s->param[q->param + 1] - (real)s->r->net->params[q->param + 1]);
    for (int i = 0; i < t->n * t->c * t->h * t->w; i++)
        t->v[i] = surrogate_of(s, x, q, scale, zp, t->v[i]);
}

static const char *reads(struct ref *ref, const struct vd_onnx_node *n, const char *name)
{
    const struct surrogate *s = ref->arg;
    for (int i = ref->n - 1; i >= 0 && s->r->layout.step[n - s->r->m.node].quantised; i--)
        if (!strncmp(ref->t[i].name, name, strlen(name)) && !strcmp(ref->t[i].name + strlen(name), "#"))
            return ref->t[i].name;
    return name;
}

static real reference(struct ref *ref, const struct rig *r)
{
    static float x[MAX_BATCH * MAX_SAMPLE], target[MAX_BATCH * MAX_SAMPLE];
    const size_t n = vd_net_input_count(r->net), t = vd_net_target_count(r->net);
    for (int i = 0; i < r->o.batch; i++) {
        memcpy(x + (size_t)i * n, r->x[i], n * sizeof(float));
        memcpy(target + (size_t)i * t, r->target[i], t * sizeof(float));
    }
    ((struct surrogate *)ref->arg)->at = 0;
    return ref_loss(ref, &r->o.loss, x, r->o.batch, 1, r->o.height, r->o.width, target);
}

/* What the weights and biases stand for, once rounded. */
static void rounded_weights(const struct rig *r, struct ref_weight *weight, const struct vd_net_param *table)
{
    for (int i = 0; i < r->net->n_layer; i++) {
        const struct vd_layer *l = &r->net->layer[i];
        if (l->kind != VD_LAYER_CONV)
            continue;
        assert_true(l->quant);
        for (int k = 0; !table[k].range; k++) {
            if ((int64_t)table[k].offset == l->param[0])
                for (size_t e = 0; e < table[k].count; e++)
                    weight[k].v[e] = (real)l->w_dq[e];
            if ((int64_t)table[k].offset == l->param[1] && r->net->value[l->out].range != VD_NONE_AT)
                for (size_t e = 0; e < table[k].count; e++)
                    weight[k].v[e] = l->bias_q[e] * (real)r->net->range[r->net->value[l->in[0]].range].scale * (real)l->w_scale[e];
        }
    }
}

/* Distance of a gradient from the differences, over its length: weights within 1e-6 as without rounding; a range's within 1e-3, since its terms
 * rint(v) - v have the float32 rounding of v, which is up to 255, and cancel. */
static void surrogate_gradients(const char *set)
{
    for (int i = 0; i < 2; i++) {
        struct rig *r = malloc(sizeof(*r));
        struct ref *ref = calloc(1, sizeof(*ref));
        struct ref_weight weight[64];
        double loss;
        int params;
        const struct vd_net_opts o = {.height = 7, .width = 7 + i, .batch = 2, .loss = {.l2 = 1}, .ranges = VD_RANGES_LEARNED};
        set_up(r, i & 1, &o, set, 2, 70 + (uint64_t)i);
        shake(r);
        const struct vd_net_param *table = vd_net_table(r->net, &params);
        struct surrogate s = {.r = r, .param = calloc(vd_net_count(r->net), sizeof(real)), .off = malloc(MAX_ELEMENTS * sizeof(real)), .side = malloc(MAX_ELEMENTS)};
        *ref = (struct ref){.m = &r->m, .weight = weight, .n_weight = params, .made = made, .read = reads, .arg = &s};
        for (int k = 0; k < params; k++) {
            weight[k] = (struct ref_weight){table[k].range ? "" : table[k].name, table[k].range ? s.param + table[k].offset : malloc(table[k].count * sizeof(real)), table[k].count};
            for (size_t e = 0; e < table[k].count; e++)
                weight[k].v[e] = (real)vd_net_params(r->net)[table[k].offset + e];
        }
        assert_int_equal(vd_net_step(r->net, draw, r, 0, true, &loss), 0);
        rounded_weights(r, weight, table);
        const double want = (double)reference(ref, r);
        s.recorded = true;
        if (fabs(loss - want) > 1e-6 * fabs(want))
            fail_msg("%s, net %d: loss %.9g, not %.9g", set, i, loss, want);
        int ranges = 0;
        size_t clipped = 0;
        for (size_t e = 0; e < s.at; e++)
            clipped += s.side[e] != 0;
        assert_true(clipped > s.at / 100);
        for (int k = 0; k < params; k++) {
            double off = 0, length = 0;
            const size_t step = table[k].count > 5 ? table[k].count / 5 : 1;
            for (size_t e = 0; e < table[k].count; e += step) {
                const real w = weight[k].v[e], h = 1e-8L;
                weight[k].v[e] = w + h;
                const real up = reference(ref, r);
                weight[k].v[e] = w - h;
                const real down = reference(ref, r);
                weight[k].v[e] = w;
                const double d = (double)((up - down) / (2 * h)), g = (double)vd_net_grads(r->net)[table[k].offset + e];
                off += (d - g) * (d - g);
                length += d * d;
            }
            ranges += table[k].range && length > 0;
            if (sqrt(off) > (table[k].range ? 1e-3 : 1e-6) * sqrt(length) + 1e-9)
                fail_msg("%s of net %d on %s: gradient off by %.2e of %.2e", table[k].name, i, set, sqrt(off), sqrt(length));
        }
        assert_true(ranges >= 3);
        for (int k = 0; k < params; k++)
            if (!table[k].range)
                free(weight[k].v);
        free(s.param);
        free(s.off);
        free(s.side);
        free(ref);
        tear_down(r);
        free(r);
    }
}

static void test_gradients_go_straight_through(void **state)
{
    (void)state;
    each_set(surrogate_gradients);
}

/* --- threads, kills */

static void test_threads_and_kills_do_not_matter(void **state)
{
    static const struct vd_train_opts t = {.steps = 30, .warmup = 3, .lr = 2e-3, .lr_end = 1e-4, .weight_decay = 1e-4, .beta1 = 0.9, .beta2 = 0.999,
                                           .epsilon = 1e-8, .clip_norm = 1, .range_rate = 2};
    const uint8_t identity[32] = {4, 5};
    struct temp_dir dir;
    (void)state;
    assert_true(temp_dir_make(&dir));
    for (int mode = 0; mode < 2; mode++) {
        const char *path = temp_path(&dir, "checkpoint");
        struct vd_buf file[3] = {{0}};
        for (int again = 0; again < 3; again++) { /* whole with 1 thread, whole with 3, from the middle with 2 */
            struct rig *r = malloc(sizeof(*r));
            struct vd_trainer a;
            double loss, first = 0, norm;
            const struct vd_net_opts o = {.height = 12, .width = 12, .batch = 4, .loss = {.l2 = 1}, .ranges = mode ? VD_RANGES_AVERAGE : VD_RANGES_LEARNED,
                                          .range_momentum = 0.05};
            set_up(r, false, &o, NULL, again == 0 ? 1 : again == 1 ? 3 : 2, 90);
            assert_int_equal(vd_trainer_init(&a, r->net, &t), 0);
            if (again == 2)
                assert_int_equal(vd_trainer_load(&a, path, identity), 0);
            while (a.step < t.steps) {
                assert_int_equal(vd_trainer_step(&a, draw, r, o.batch, &loss, &norm), 0);
                first = a.step == 1 ? loss : first;
                if (again == 0 && a.step == 11)
                    assert_int_equal(vd_trainer_save(&a, path, identity), 0);
            }
            assert_true(loss < first || again == 2);
            write_file(r, &file[again]);
            vd_trainer_free(&a);
            tear_down(r);
            free(r);
        }
        for (int k = 1; k < 3; k++) {
            assert_int_equal(file[0].size, file[k].size);
            assert_memory_equal(file[0].data, file[k].data, file[0].size);
        }
        for (int k = 0; k < 3; k++)
            vd_free(file[k].data);
    }
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_is_the_file),
        cmocka_unit_test(test_gradients_go_straight_through),
        cmocka_unit_test(test_threads_and_kills_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
