/* SPDX-License-Identifier: BSD-2-Clause */
/* Gradients against differences in long double, on every kernel set; threads, resuming, and what is stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "graph/graph.h"
#include "plan/plan.h"
#include "temp_dir.h"
#include "train/arch.h"
#include "train/trainer.h"
#include "train_reference.h"

enum { MAX_WEIGHTS = 64, MAX_SAMPLE = 4096, MAX_BATCH = 8 };

/* Samples from a list. */
struct list {
    float x[MAX_BATCH][MAX_SAMPLE], target[MAX_BATCH][MAX_SAMPLE];
    size_t n_x, n_target;
    int n;
};

static void draw(void *arg, uint64_t sample, float *x, float *target)
{
    const struct list *l = arg;
    memcpy(x, l->x[sample % (uint64_t)l->n], l->n_x * sizeof(float));
    memcpy(target, l->target[sample % (uint64_t)l->n], l->n_target * sizeof(float));
}

struct rig {
    struct vd_onnx_model model;
    struct vd_buf bytes;       /* the model as a file: that is what a graph is made of */
    struct vd_onnx_model read;
    struct vd_graph graph;
    struct vd_workers *workers;
    struct vd_net *net;
    struct list *list;
};

static void set_up(struct rig *r, struct vd_onnx_model *m, const struct vd_net_opts *o, const char *set, int threads, uint64_t seed)
{
    const struct vd_kernels *k;
    struct vd_rng rng;
    *r = (struct rig){.model = *m};
    assert_int_equal(vd_onnx_write(&r->model, &r->bytes), 0);
    assert_int_equal(vd_onnx_read(&r->read, r->bytes.data, r->bytes.size), 0);
    assert_int_equal(vd_graph_build(&r->graph, &r->read), 0);
    assert_int_equal(vd_kernels_get(set, &k), 0);
    assert_int_equal(vd_workers_create(threads, &r->workers), 0);
    if (vd_net_create(&r->net, &r->graph, o, k, r->workers))
        fail_msg("%s", vd_reason());
    r->list = calloc(1, sizeof(*r->list));
    r->list->n = o->batch;
    r->list->n_x = vd_net_input_count(r->net);
    r->list->n_target = vd_net_target_count(r->net);
    assert_true(r->list->n_x <= MAX_SAMPLE && r->list->n_target <= MAX_SAMPLE && o->batch <= MAX_BATCH);
    vd_rng_seed(&rng, seed);
    for (int i = 0; i < o->batch; i++) {
        for (size_t k2 = 0; k2 < r->list->n_x; k2++)
            r->list->x[i][k2] = vd_rng_f32(&rng) * 2 - 1;
        for (size_t k2 = 0; k2 < r->list->n_target; k2++)
            r->list->target[i][k2] = vd_rng_f32(&rng) * 2 - 1;
    }
}

static void tear_down(struct rig *r)
{
    vd_net_free(r->net);
    vd_workers_free(r->workers);
    vd_graph_free(&r->graph);
    vd_onnx_free(&r->read);
    vd_onnx_free(&r->model);
    vd_free(r->bytes.data);
    free(r->list);
}

static real reference(struct rig *r, struct ref *ref, const struct vd_net_opts *o)
{
    const size_t n = r->list->n_x, t = r->list->n_target;
    float *x = malloc(n * sizeof(float) * (size_t)o->batch), *target = malloc(t * sizeof(float) * (size_t)o->batch);
    for (int i = 0; i < o->batch; i++) {
        memcpy(x + (size_t)i * n, r->list->x[i], n * sizeof(float));
        memcpy(target + (size_t)i * t, r->list->target[i], t * sizeof(float));
    }
    const real loss = ref_loss(ref, &o->loss, x, o->batch, (int)(n / (size_t)(o->height * o->width)), o->height, o->width, target);
    free(x);
    free(target);
    return loss;
}

/* Every parameter tensor: the distance of its gradient from the differences, over the gradient's length, is below 1e-6; sums in float32
 * allow that for the few hundred terms that there are here. */
static void check_gradients(struct vd_onnx_model *m, const struct vd_net_opts *o, const char *set, uint64_t seed)
{
    struct rig r;
    struct ref_weight weight[MAX_WEIGHTS];
    double loss;
    int params;
    set_up(&r, m, o, set, 2, seed);
    const struct vd_net_param *table = vd_net_table(r.net, &params);
    struct ref *ref = calloc(1, sizeof(*ref));
    *ref = (struct ref){.m = &r.model, .weight = weight, .n_weight = params};
    assert_true(params <= MAX_WEIGHTS);
    for (int i = 0; i < params; i++) {
        weight[i] = (struct ref_weight){table[i].name, malloc(table[i].count * sizeof(real)), table[i].count};
        for (size_t k = 0; k < table[i].count; k++)
            weight[i].v[k] = (real)vd_net_params(r.net)[table[i].offset + k];
    }
    assert_int_equal(vd_net_step(r.net, draw, r.list, 0, true, &loss), 0);
    const double want = (double)reference(&r, ref, o);
    if (fabs(loss - want) > 1e-6 * fabs(want))
        fail_msg("%s: loss %.9g, not %.9g", set, loss, want);
    for (int i = 0; i < params; i++) {
        double off = 0, length = 0;
        const size_t step = table[i].count > 16 ? table[i].count / 16 : 1;
        for (size_t k = 0; k < table[i].count; k += step) {
            const real w = weight[i].v[k], h = 1e-8L;
            weight[i].v[k] = w + h;
            const real up = reference(&r, ref, o);
            weight[i].v[k] = w - h;
            const real down = reference(&r, ref, o);
            weight[i].v[k] = w;
            const double d = (double)((up - down) / (2 * h)), g = (double)vd_net_grads(r.net)[table[i].offset + k];
            off += (d - g) * (d - g);
            length += d * d;
        }
        if (sqrt(off) > 1e-6 * sqrt(length) + 1e-9)
            fail_msg("%s on %s: gradient off by %.2e of %.2e", table[i].name, set, sqrt(off), sqrt(length));
    }
    for (int i = 0; i < params; i++)
        free(weight[i].v);
    free(ref);
    tear_down(&r);
}

static void spread_weights(struct vd_onnx_model *m, uint64_t seed)
{
    struct vd_rng rng;
    vd_rng_seed(&rng, seed);
    for (int i = 0; i < m->n_init; i++)
        if (m->init[i].type == VD_F32 && m->init[i].rank == 1) /* biases, scales, shifts: not all alike */
            for (size_t k = 0; k < m->init[i].count; k++)
                ((float *)(uintptr_t)m->init[i].data)[k] += vd_rng_f32(&rng) * 0.4f - 0.1f;
}

static void each_set(void (*check)(const char *set))
{
    for (int i = 0; vd_kernels_name(i); i++)
        check(vd_kernels_name(i));
}

static void filter_gradients(const char *set)
{
    static const struct vd_loss losses[] = {{.l2 = 1}, {.l1 = 1}, {.charbonnier = 2, .eps = 0.05}, {.l1 = 0.5, .l2 = 0.25}};
    static const int sizes[][3] = {{9, 13, 5}, {1, 1, 3}, {3, 33, 16}, {7, 4, 17}};
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        struct vd_onnx_model m;
        const struct vd_net_opts o = {.height = sizes[i][0], .width = sizes[i][1], .batch = 3, .loss = losses[i], .norm_momentum = 0.1};
        assert_int_equal(vd_arch_residual_filter(&m, sizes[i][2], 1, 5 + i), 0);
        spread_weights(&m, i);
        check_gradients(&m, &o, set, 11 + i);
    }
}

static void test_filter_gradients(void **state)
{
    (void)state;
    each_set(filter_gradients);
}

/* Without its BatchNormalizations: several in a row amplify what float32 loses, which is theirs and not a layer's. */
static void strip_norms(struct vd_onnx_model *m)
{
    int kept = 0;
    for (int i = 0; i < m->n_node; i++) {
        const struct vd_onnx_node *n = &m->node[i];
        if (strcmp(n->op_type, "BatchNormalization")) {
            m->node[kept++] = *n;
            continue;
        }
        m->node[i + 1].in[0] = n->in[0];
    }
    m->n_node = kept;
}

static void score_gradients(const char *set)
{
    static const struct vd_loss losses[] = {{.l2 = 1}, {.l1 = 1, .rank = 0.5, .margin = 0.1, .scale = 0.7}};
    static const struct vd_arch_block block[] = {{2, 19}, {1, 20}};
    for (size_t i = 0; i < 4; i++) {
        struct vd_onnx_model m;
        const struct vd_net_opts o = {.height = 13, .width = 13, .batch = 3, .loss = losses[i % 2], .norm_momentum = 0.1};
        assert_int_equal(vd_arch_separable_score(&m, 18, block, i < 2 ? 0 : 2, 13, 0.2f, 3 + i), 0);
        spread_weights(&m, i);
        if (i >= 2)
            strip_norms(&m);
        check_gradients(&m, &o, set, 21 + i);
    }
}

static void test_score_gradients(void **state)
{
    (void)state;
    each_set(score_gradients);
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    static const struct vd_arch_block block[] = {{2, 20}};
    for (int kind = 0; kind < 2; kind++) {
        float *first = NULL;
        for (int threads = 1; threads <= 5; threads += 2) {
            struct vd_onnx_model m;
            struct rig r;
            double loss;
            const struct vd_net_opts o = {.height = 16, .width = 16, .batch = 7, .loss = {.l1 = 1}, .norm_momentum = 0.1};
            assert_int_equal(kind ? vd_arch_separable_score(&m, 4, block, 1, 16, 0, 1) : vd_arch_residual_filter(&m, 8, 1, 1), 0);
            set_up(&r, &m, &o, NULL, threads, 9);
            const size_t bytes = vd_net_count(r.net) * sizeof(float);
            assert_int_equal(vd_net_step(r.net, draw, r.list, 0, true, &loss), 0);
            assert_int_equal(vd_net_step(r.net, draw, r.list, 7, true, &loss), 0); /* with memory as the first left it */
            if (first)
                assert_memory_equal(first, vd_net_grads(r.net), bytes);
            else
                first = memcpy(malloc(bytes), vd_net_grads(r.net), bytes);
            tear_down(&r);
        }
        free(first);
    }
}

/* Training on one batch brings its loss down; a checkpoint half way ends in the same bytes. */
static void test_train_and_resume(void **state)
{
    struct temp_dir dir;
    (void)state;
    assert_true(temp_dir_make(&dir));
    static const struct vd_arch_block block[] = {{2, 20}, {1, 24}};
    const uint8_t identity[32] = {1, 2, 3}, other[32] = {9};
    for (int of = 0; of < 4; of++) {
        const int kind = of & 1;
        const struct vd_train_opts t = {.steps = 60, .warmup = 5, .lr = 5e-3, .lr_end = 1e-4, .weight_decay = 1e-4, .beta1 = 0.9, .beta2 = 0.999,
                                        .epsilon = 1e-8, .clip_norm = 1, .average = of & 2 ? 0.8 : 0};
        const char *path = temp_path(&dir, "checkpoint");
        struct vd_onnx_model m, stored;
        struct rig r;
        struct vd_trainer a;
        double loss, first = 0, norm;
        const struct vd_net_opts o = {.height = 16, .width = 16, .batch = 4, .loss = {.l2 = 1}, .norm_momentum = 0.1};
        struct vd_buf bytes[2] = {{0}, {0}};
        for (int again = 0; again < 2; again++) {
            assert_int_equal(kind ? vd_arch_separable_score(&m, 4, block, 2, 16, 0, 1) : vd_arch_residual_filter(&m, 8, 1, 1), 0);
            set_up(&r, &m, &o, NULL, again + 1, 9);
            assert_int_equal(vd_trainer_init(&a, r.net, &t), 0);
            if (again)
                assert_int_equal(vd_trainer_load(&a, path, identity), 0);
            while (a.step < t.steps) {
                assert_int_equal(vd_trainer_step(&a, draw, r.list, o.batch, &loss, &norm), 0);
                first = a.step == 1 ? loss : first;
                if (a.step % 10 == 0)
                    vd_trainer_judge(&a, -loss);
                if (!again && a.step == 25)
                    assert_int_equal(vd_trainer_save(&a, path, identity), 0);
            }
            assert_true(loss < 0.9 * first);
            assert_int_equal(a.best_step, 60);
            size_t states;
            assert_memory_equal(a.best, vd_trainer_params(&a), vd_net_count(r.net) * sizeof(float));
            assert_int_equal(!memcmp(a.best, vd_net_params(r.net), vd_net_count(r.net) * sizeof(float)), !t.average);
            assert_int_equal(vd_net_store(r.net, a.best, a.best_state, &stored), 0);
            assert_int_equal(vd_onnx_write(&stored, &bytes[again]), 0);
            for (int i = 0; i < stored.n_node; i++)
                assert_string_not_equal(stored.node[i].op_type, "BatchNormalization");
            vd_onnx_free(&stored);
            (void)vd_net_state(r.net, &states);
            assert_int_equal(states > 0, kind);
            assert_int_equal(vd_trainer_load(&a, path, other), -EINVAL);
            assert_non_null(strstr(vd_reason(), "another configuration"));
            vd_trainer_free(&a);
            tear_down(&r);
        }
        assert_int_equal(bytes[0].size, bytes[1].size);
        assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size);
        vd_free(bytes[0].data);
        vd_free(bytes[1].data);
    }
    temp_dir_remove(&dir);
}

/* Averages by hand beside the trainer's: parameters and the running statistics. */
static void test_average(void **state)
{
    (void)state;
    static const struct vd_arch_block block[] = {{2, 8}};
    const struct vd_train_opts t = {.steps = 12, .lr = 1e-2, .lr_end = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .average = 0.75};
    const struct vd_net_opts o = {.height = 16, .width = 16, .batch = 4, .loss = {.l2 = 1}, .norm_momentum = 0.1};
    struct vd_onnx_model m;
    struct vd_trainer a;
    struct rig r;
    size_t states;
    assert_int_equal(vd_arch_separable_score(&m, 4, block, 1, 16, 0, 1), 0);
    set_up(&r, &m, &o, NULL, 1, 9);
    assert_int_equal(vd_trainer_init(&a, r.net, &t), 0);
    const size_t n = vd_net_count(r.net);
    const double *running = vd_net_state(r.net, &states);
    double *want = malloc((n + states) * sizeof(*want)), loss, norm;
    for (size_t i = 0; i < n + states; i++)
        want[i] = i < n ? (double)vd_net_params(r.net)[i] : running[i - n];
    for (int step = 1; step <= 12; step++) {
        const double stays = step < 3 ? step / (step + 1.0) : 0.75;
        assert_int_equal(vd_trainer_step(&a, draw, r.list, o.batch, &loss, &norm), 0);
        for (size_t i = 0; i < n + states; i++)
            want[i] = stays * want[i] + (1 - stays) * (i < n ? (double)vd_net_params(r.net)[i] : running[i - n]);
    }
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(want[i] - (double)vd_trainer_params(&a)[i]) <= 1e-6 * (1 + fabs(want[i])));
    assert_true(states > 0);
    for (size_t i = 0; i < states; i++)
        assert_true(fabs(want[n + i] - vd_trainer_state(&a)[i]) <= 1e-12 * (1 + fabs(want[n + i])));
    free(want);
    vd_trainer_free(&a);
    tear_down(&r);
}

/* Statistics of batches with the averaged weights: as a net with those weights makes them by itself, and the net that is trained is as it was. */
static void test_settle(void **state)
{
    (void)state;
    static const struct vd_arch_block block[] = {{2, 8}};
    const struct vd_train_opts t = {.steps = 12, .lr = 1e-2, .lr_end = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .average = 0.75, .norm_batches = 1};
    const struct vd_net_opts o = {.height = 16, .width = 16, .batch = 4, .loss = {.l2 = 1}, .norm_momentum = 0.1}, whole = {.height = 16, .width = 16, .batch = 4,
                                  .loss = {.l2 = 1}, .norm_momentum = 1};
    struct vd_onnx_model m[2];
    struct vd_trainer a;
    struct rig r, by_hand;
    size_t states;
    double loss, norm;
    assert_int_equal(vd_arch_separable_score(&m[0], 4, block, 1, 16, 0, 1), 0);
    assert_int_equal(vd_arch_separable_score(&m[1], 4, block, 1, 16, 0, 1), 0);
    set_up(&r, &m[0], &o, NULL, 1, 9);
    set_up(&by_hand, &m[1], &whole, NULL, 1, 9);
    assert_int_equal(vd_trainer_init(&a, r.net, &t), 0);
    for (int step = 0; step < 12; step++)
        assert_int_equal(vd_trainer_step(&a, draw, r.list, o.batch, &loss, &norm), 0);
    const size_t bytes = vd_net_count(r.net) * sizeof(float);
    float *before = memcpy(malloc(bytes), vd_net_params(r.net), bytes);
    double *running = vd_net_state(r.net, &states), *state_before = memcpy(malloc(states * sizeof(double)), running, states * sizeof(double));
    assert_int_equal(vd_trainer_settle(&a, draw, r.list), 0);
    assert_memory_equal(vd_net_params(r.net), before, bytes);
    assert_memory_equal(running, state_before, states * sizeof(double));
    memcpy(vd_net_params(by_hand.net), vd_trainer_params(&a), bytes);
    assert_int_equal(vd_net_step(by_hand.net, draw, by_hand.list, 0, false, &loss), 0);
    const double *want = vd_net_state(by_hand.net, &states);
    for (size_t i = 0; i < states; i++)
        assert_true(fabs(want[i] - vd_trainer_state(&a)[i]) <= 1e-12 * (1 + fabs(want[i])));
    assert_memory_not_equal(vd_trainer_state(&a), state_before, states * sizeof(double));
    free(before);
    free(state_before);
    vd_trainer_free(&a);
    tear_down(&r);
    tear_down(&by_hand);
}

static void test_damaged_checkpoint(void **state)
{
    struct temp_dir dir;
    (void)state;
    assert_true(temp_dir_make(&dir));
    const char *path = temp_path(&dir, "whole"), *cut = temp_path(&dir, "cut");
    struct vd_onnx_model m;
    struct rig r;
    struct vd_trainer a;
    uint8_t *data;
    size_t size;
    const uint8_t identity[32] = {7};
    const struct vd_net_opts o = {.height = 4, .width = 4, .batch = 1, .loss = {.l2 = 1}};
    const struct vd_train_opts t = {.steps = 2, .lr = 1e-3};
    assert_int_equal(vd_arch_residual_filter(&m, 2, 0, 1), 0);
    set_up(&r, &m, &o, "c", 1, 9);
    assert_int_equal(vd_trainer_init(&a, r.net, &t), 0);
    assert_int_equal(vd_trainer_load(&a, path, identity), -ENOENT);
    assert_int_equal(vd_trainer_save(&a, path, identity), 0);
    assert_int_equal(vd_file_read(path, 1 << 20, &data, &size), 0);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 1;
        assert_int_equal(vd_file_write(cut, data, size), 0);
        assert_int_equal(vd_trainer_load(&a, cut, identity), -EBADMSG);
        data[i] ^= 1;
        if (i % 16 == 0) {
            assert_int_equal(vd_file_write(cut, data, i), 0);
            assert_int_equal(vd_trainer_load(&a, cut, identity), -EBADMSG);
        }
    }
    vd_free(data);
    vd_trainer_free(&a);
    tear_down(&r);
    temp_dir_remove(&dir);
}

static void test_architectures(void **state)
{
    (void)state;
    static const struct vd_arch_block nr[] = {{2, 32}, {1, 32}, {2, 64}, {1, 64}, {2, 128}};
    struct vd_onnx_model m;
    struct rig r;
    const struct vd_net_opts filter = {.height = 8, .width = 8, .batch = 1, .loss = {.l1 = 1}}, score = {.height = 32, .width = 32, .batch = 1, .loss = {.l1 = 1}};
    assert_int_equal(vd_arch_residual_filter(&m, 16, 4, 1), 0);
    set_up(&r, &m, &filter, NULL, 1, 1);
    assert_int_equal(vd_net_count(r.net), 18865);
    tear_down(&r);
    assert_int_equal(vd_arch_separable_score(&m, 16, nr, 5, 32, 50, 1), 0);
    set_up(&r, &m, &score, NULL, 1, 1);
    assert_int_equal(vd_net_count(r.net), 19105);
    tear_down(&r);
    assert_int_equal(vd_arch_residual_filter(&m, 1, 4, 1), -EINVAL);
    assert_int_equal(vd_arch_residual_filter(&m, 16, 33, 1), -EINVAL);
    assert_int_equal(vd_arch_separable_score(&m, 16, (const struct vd_arch_block[]){{3, 8}}, 1, 64, 0, 1), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_gradients),
        cmocka_unit_test(test_score_gradients),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_train_and_resume),
        cmocka_unit_test(test_average),
        cmocka_unit_test(test_settle),
        cmocka_unit_test(test_damaged_checkpoint),
        cmocka_unit_test(test_architectures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
