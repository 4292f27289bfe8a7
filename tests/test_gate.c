/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the gate (comparison, pictures, damage) against plain formulas and recorded digests, and the verdict on models. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "gate/explain.h"
#include "gate/gate.h"
#include "temp_dir.h"
#include "trust/trust.h"

/* --- compare.c */

/* In two passes over everything, in long double. */
static double plain_plcc(const float *a, const float *b, size_t n)
{
    long double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < n; i++)
        ma += a[i], mb += b[i];
    ma /= n, mb /= n;
    for (size_t i = 0; i < n; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    return (double)(ab / sqrtl(aa * bb));
}

static void close_to(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%.17g, not %.17g", have, want);
}

static void plcc_in_pieces(void **state)
{
    (void)state;
    enum { N = 30011 };
    static float a[N], b[N];
    struct vd_rng rng;
    vd_rng_seed(&rng, 1);
    for (int k = 0; k < 4; k++) { /* offsets that make a naive sum of squares lose everything */
        const float offset = (float[]){0, 1, 1000, -5000}[k], noise = (float[]){0.01f, 1, 1e-3f, 5}[k];
        double worst = 0, square = 0;
        for (int i = 0; i < N; i++) {
            a[i] = offset + vd_rng_f32(&rng);
            b[i] = a[i] + noise * (vd_rng_f32(&rng) - 0.5f);
            const double d = (double)a[i] - (double)b[i];
            worst = fmax(worst, fabs(d));
            square += d * d;
        }
        const double want = plain_plcc(a, b, N);
        for (int pieces = 0; pieces < 3; pieces++) {
            struct vd_compare c = {0};
            for (size_t at = 0; at < N;) {
                size_t n = pieces == 0 ? N : pieces == 1 ? 1 + vd_rng_u32(&rng) % 700 : 4096;
                n = n < N - at ? n : N - at;
                vd_compare_add(&c, a + at, b + at, n);
                at += n;
            }
            assert_int_equal(c.n, N);
            close_to(vd_compare_plcc(&c), want, 1e-12);
            close_to(vd_compare_rmse(&c), sqrt(square / N), 1e-12);
            assert_true(c.worst_abs == worst);
        }
    }
}

static void plcc_without_a_value(void **state)
{
    (void)state;
    static float constant[10000], varied[10000];
    for (int i = 0; i < 10000; i++) {
        constant[i] = 0.1f;
        varied[i] = (float)i;
    }
    for (int k = 0; k < 3; k++) {
        struct vd_compare c = {0};
        vd_compare_add(&c, k == 0 ? varied : constant, k == 1 ? varied : constant, 10000);
        assert_true(isnan(vd_compare_plcc(&c)));
        assert_true((c.m2_a > 0) == (k == 0) && (c.m2_b > 0) == (k == 1)); /* a constant has a variance of exactly 0 */
    }
    const float worst[3] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 6; k++) {
        float a[3] = {1, 2, 3}, b[3] = {1, 2, 3};
        struct vd_compare c = {0};
        (k < 3 ? a : b)[1] = worst[k % 3];
        vd_compare_add(&c, a, b, 3);
        assert_true(isnan(vd_compare_plcc(&c)) && isnan(vd_compare_rmse(&c)));
        assert_true(c.nonfinite_a == (k < 3) && c.nonfinite_b == (k >= 3));
        assert_true(isinf(c.worst_abs) && c.n == 2);
    }
    struct vd_compare c = {0};
    assert_true(isnan(vd_compare_plcc(&c)) && isnan(vd_compare_rmse(&c)));
    const float a[4] = {1, 2, 3, 4}, up[4] = {2, 4, 6, 8}, down[4] = {4, 3, 2, 1};
    vd_compare_add(&c, a, up, 4);
    assert_true(vd_compare_plcc(&c) == 1);
    c = (struct vd_compare){0};
    vd_compare_add(&c, a, down, 4);
    assert_true(vd_compare_plcc(&c) == -1);
}

static void psnr(void **state)
{
    (void)state;
    const float a[4] = {0, 0.5f, 1, 0.25f}, b[4] = {0.1f, 0.5f, 1, 0.25f}, nan[1] = {NAN};
    close_to(vd_psnr(a, b, 4), 10 * log10(4 / ((double)0.1f * (double)0.1f)), 1e-12);
    assert_true(vd_psnr(a, a, 4) == INFINITY);
    assert_true(isnan(vd_psnr(a, nan, 1)));
}

/* --- samples.c */

static void pictures(void **state)
{
    (void)state;
    /* Of the bytes of all pictures: what any machine must draw. */
    static const struct { int w, h; const char *sha256; } want[] = {
        {224, 224, "9f3c95801a04b5ffb7e6aadc5ad508491544ceea1e719fe21da2af8b6e055121"},
        {97, 61, "ffe0e8b58434a4bf18c3f08129903fb80c0d8e841d41e2f1442ba0dfd192d911"},
        {16, 16, "73ff9c26810b822c743782b37145cc4c1d9af2fd3e2dcc7bb80d95fd318a567c"},
        {17, 300, "a2744e5bcfd48727b162db82e46600e7c7427870640e2391f33b257af91e13e5"},
    };
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        const size_t n = (size_t)want[k].w * (size_t)want[k].h;
        float *p = calloc(n * VD_PICTURES + 1, sizeof *p);
        char sha[65];
        assert_non_null(p);
        p[n * VD_PICTURES] = 42; /* canary */
        for (int i = 0; i < VD_PICTURES; i++)
            vd_picture(p + n * (size_t)i, want[k].w, want[k].h, i);
        assert_true(p[n * VD_PICTURES] == 42);
        for (int i = 0; i < VD_PICTURES; i++) {
            struct vd_compare c = {0};
            for (size_t j = 0; j < n; j++) { /* 8-bit samples */
                const float v = p[n * (size_t)i + j];
                assert_true(v >= 0 && v <= 1 && rintf(v * 255) / 255 == v);
            }
            vd_compare_add(&c, p + n * (size_t)i, p + n * (size_t)((i + 1) % VD_PICTURES), n);
            assert_true(c.m2_a / (double)n > 1e-5);       /* no picture is flat */
            if (n > 10000)
                assert_true(fabs(vd_compare_plcc(&c)) < 0.9); /* and no two are alike */
        }
        vd_sha256_hex(p, n * VD_PICTURES * sizeof *p, sha);
        assert_string_equal(sha, want[k].sha256);
        free(p);
    }
}

/* --- degrade.c */

static void blur(void **state)
{
    (void)state;
    enum { W = 23, H = 17 };
    static float src[W * H], dst[W * H], scratch[W * H];
    double tap[11], sum = 0;
    for (int i = 0; i < 11; i++)
        sum += tap[i] = exp(-(i - 5) * (i - 5) / (2 * 1.2 * 1.2));
    src[8 * W + 11] = 1; /* an impulse gives the kernel */
    vd_blur(dst, src, W, H, 1.2, scratch);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const bool inside = abs(x - 11) <= 5 && abs(y - 8) <= 5;
            close_to((double)dst[y * W + x], inside ? tap[x - 11 + 5] * tap[y - 8 + 5] / sum / sum : 0, 1e-8);
        }
    for (int i = 0; i < W * H; i++)
        src[i] = 0.7f; /* repeated edges keep a constant */
    vd_blur(dst, src, W, H, 1.2, scratch);
    for (int i = 0; i < W * H; i++)
        close_to((double)dst[i], (double)0.7f, 1e-7);
    src[0] = 1; /* the corner counts for itself and for all that is past it */
    vd_blur(dst, src, W, H, 1.2, scratch);
    double edge = 0;
    for (int i = 0; i <= 5; i++)
        edge += tap[i] / sum;
    close_to((double)dst[0], (double)0.7f + (1 - (double)0.7f) * edge * edge, 1e-7);
    src[0] = 0.25f;
    vd_blur(dst, src, 1, 1, 1.2, scratch);
    close_to((double)dst[0], 0.25, 1e-7);
}

/* One block by the definition of T.81: cosines from libm, a sum over all 64 for each coefficient and each sample. */
static void plain_block(const double p[64], const int step[64], double out[64])
{
    const double pi = acos(-1);
    double f[64];
    for (int u = 0; u < 64; u++) {
        double v = 0;
        for (int i = 0; i < 64; i++)
            v += (p[i] - 128) * cos((2 * (i % 8) + 1) * (u % 8) * pi / 16) * cos((2 * (i / 8) + 1) * (u / 8) * pi / 16);
        v *= (u % 8 ? 1 : sqrt(0.5)) * (u / 8 ? 1 : sqrt(0.5)) / 4;
        f[u] = round(rint(v * 1048576) / 1048576 / step[u]) * step[u]; /* ties away from zero, whatever the noise of the sum */
    }
    for (int i = 0; i < 64; i++) {
        double v = 0;
        for (int u = 0; u < 64; u++)
            v += (u % 8 ? 1 : sqrt(0.5)) * (u / 8 ? 1 : sqrt(0.5)) / 4 * f[u] * cos((2 * (i % 8) + 1) * (u % 8) * pi / 16) *
                 cos((2 * (i / 8) + 1) * (u / 8) * pi / 16);
        out[i] = fmin(255, fmax(0, floor(rint(v * 1048576) / 1048576 + 128.5)));
    }
}

static void jpeg_blocks(void **state)
{
    (void)state;
    /* Table K.1 at quality 50 is itself; at 35 it is (142 K + 50) / 100, the first row of which is well known. */
    static const int k1[64] = {16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
                               51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120,
                               101, 72, 92, 95, 98, 112, 100, 103, 99};
    struct vd_rng rng;
    vd_rng_seed(&rng, 7);
    for (int k = 0; k < 300; k++) {
        const int quality = (int[]){35, 50, 75, 10, 100, 1}[k % 6];
        const int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
        float src[64], dst[64];
        double p[64], want[64];
        int step[64];
        for (int i = 0; i < 64; i++) {
            const int s = (k1[i] * percent + 50) / 100;
            step[i] = s < 1 ? 1 : s > 255 ? 255 : s;
            p[i] = k % 2 ? vd_rng_u32(&rng) % 256 : fmin(255, (double)(10 * (i % 8) + 15 * (i / 8)) + vd_rng_u32(&rng) % 30);
            src[i] = (float)p[i] / 255;
        }
        plain_block(p, step, want);
        vd_jpeg_loss(dst, src, 8, 8, quality);
        for (int i = 0; i < 64; i++) {
            assert_true(rintf(dst[i] * 255) / 255 == dst[i] && dst[i] >= 0 && dst[i] <= 1);
            close_to((double)dst[i] * 255, want[i], 0.01);
        }
    }
}

static void jpeg_pictures(void **state)
{
    (void)state;
    enum { W = 45, H = 19 }; /* blocks that the picture ends in */
    static float src[W * H], dst[W * H], wide[48 * 24], wide_dst[48 * 24];
    for (int i = 0; i < W * H; i++)
        src[i] = 1.0f / 3;
    vd_jpeg_loss(dst, src, W, H, 35); /* 85 - 128 is 8 * 43 in the first coefficient, and its step 23 */
    for (int i = 0; i < W * H; i++)
        close_to((double)dst[i] * 255, 128 + round(-8 * 43 / 23.0) * 23 / 8, 0.51);
    vd_picture(src, W, H, 10);
    vd_jpeg_loss(dst, src, W, H, 35);
    for (int y = 0; y < 24; y++)
        for (int x = 0; x < 48; x++)
            wide[y * 48 + x] = src[(y < H ? y : H - 1) * W + (x < W ? x : W - 1)];
    vd_jpeg_loss(wide_dst, wide, 48, 24, 35);
    for (int y = 0; y < H; y++)
        assert_memory_equal(dst + y * W, wide_dst + y * 48, W * sizeof *dst);
    for (int quality = 20; quality < 100; quality += 20) { /* more is nearer */
        vd_jpeg_loss(dst, src, W, H, quality);
        vd_jpeg_loss(wide_dst, src, W, H, quality + 19);
        assert_true(vd_psnr(wide_dst, src, W * H) > vd_psnr(dst, src, W * H));
    }
    const float odd[4] = {-1, 2, 0.5f, 0.5f}; /* out of range is cut */
    vd_jpeg_loss(dst, odd, 4, 1, 100);
    close_to((double)dst[0], 0, 0.01);
    close_to((double)dst[1], 1, 0.01);
}

/* --- gate.c on models of tests/data/dynamic, whose figures are known, and on the shipped filter */

static struct temp_dir dir;

static int copy_of(const char *folder)
{
    static const char *const files[] = {"registry.json", "learned_filter_v1.onnx", "learned_filter_v1.json", "learned_filter_v1.int8.onnx",
                                        "smoke_v0.onnx", "smoke_v0.json"};
    if (!temp_dir_make(&dir))
        return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        uint8_t *data;
        size_t size;
        snprintf(path, sizeof path, "%s/%s/%s", getenv("VMAF_DNN_SOURCE"), folder, files[i]);
        if (vd_file_read(path, VD_MAX_MODEL, &data, &size))
            return -1;
        const bool put = temp_put(temp_path(&dir, files[i]), data, size);
        vd_free(data);
        if (!put)
            return -1;
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return copy_of("tests/data/dynamic");
}

static int setup_shipped(void **state)
{
    (void)state;
    return copy_of("model/tiny");
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static const struct vd_gate_opts plain = {.budget = -1};

/* Samples of 40 x 24 instead of 224 x 224: the sidecar says so. */
static void make_small(void)
{
    const char *path = temp_path(&dir, "learned_filter_v1.json");
    uint8_t *data;
    size_t size;
    assert_int_equal(vd_file_read(path, VD_MAX_JSON, &data, &size), 0);
    char *w = strstr((char *)data, "\"width\": 224"), *h = strstr((char *)data, "\"height\": 224");
    assert_true(w && h);
    memcpy(strstr(w, "224"), " 40", 3);
    memcpy(strstr(h, "224"), " 24", 3);
    assert_true(temp_put(path, data, size));
    vd_free(data);
}

static int gate(const char *name, const struct vd_gate_opts *o, struct vd_gate_result *r) { return vd_gate(temp_path(&dir, name), o, r); }

static void verdict(void **state)
{
    (void)state;
    struct vd_gate_result r;
    assert_int_equal(gate("learned_filter_v1.onnx", &plain, &r), 0);
    assert_true(r.verdict == VD_PASS && !r.skipped && r.pinned && r.all_int8 && r.is_filter);
    assert_string_equal(r.id, "learned_filter_v1");
    assert_string_equal(r.mode, "dynamic");
    assert_string_equal(r.why, "");
    assert_true(r.budget == 0.01);
    assert_int_equal(r.budget_from, VD_BUDGET_REGISTRY);
    assert_true(r.drop > 0 && r.drop <= 0.0004 && r.drop == 1 - r.plcc); /* what it must show */
    assert_int_equal(r.n_set, 2);
    assert_int_equal(r.set[0].n, VD_RECORD_SAMPLES);
    assert_false(r.set[0].realistic);
    close_to(r.set[0].cell[0].drop, r.drop, 1e-12);
    assert_true(r.set[0].cell[0].upper > r.drop && r.set[0].cell[0].upper < 1.1 * r.drop); /* noise is alike everywhere */
    const struct vd_set *s = &r.set[1];
    const struct vd_cell *c = s->cell;
    assert_true(s->realistic && s->has_clean && s->n == VD_PICTURES && c->picture);
    assert_true(c->drop > 0 && c->drop <= 0.00006 && c->upper > c->drop);
    assert_true(vd_compare_plcc(&c->added) > 0.99);
    assert_true(c->gain[0] > 2 && fabs(c->gain_loss) <= 0.04 && c->gain_loss_worst >= c->gain_loss);
    assert_true(fabs(c->slope - 1) < 0.002 && fabs(c->offset) < 0.002 && c->srocc > 0.998);
    assert_true(c->psnr > 40 && c->psnr_least <= c->psnr && c->ssim_least > 0.95);
    for (int i = 0; i < r.n_rule; i++)
        assert_int_equal(r.rule[i].verdict, VD_PASS);
    vd_gate_result_free(&r);
}

/* What it must show of the static form: noise, which no calibration on pictures has seen, inside the budget; pictures as dynamic's, at the least. */
static void verdict_of_the_shipped(void **state)
{
    (void)state;
    struct vd_gate_result r;
    assert_int_equal(gate("learned_filter_v1.onnx", &plain, &r), 0);
    assert_true(r.verdict == VD_PASS && r.pinned && r.all_int8 && r.is_filter);
    assert_string_equal(r.mode, "static");
    assert_true(r.budget == 0.01 && r.drop > 0 && r.set[0].cell[0].upper <= 0.01);
    const struct vd_cell *c = r.set[1].cell;
    assert_true(c->drop > 0 && c->drop <= 0.00006 && c->upper <= 0.00006);
    assert_true(c->gain[0] > 2 && fabs(c->gain_loss) <= 0.02 && c->gain_loss_worst <= 0.1);
    for (int i = 0; i < r.n_rule; i++)
        assert_int_equal(r.rule[i].verdict, VD_PASS);
    vd_gate_result_free(&r);
}

/* All that is said, as bytes. */
static bool same_result(const struct vd_gate_result *a, const struct vd_gate_result *b)
{
    bool same = a->n_set == b->n_set && a->n_rule == b->n_rule && a->verdict == b->verdict && !memcmp(&a->plcc, &b->plcc, sizeof a->plcc);
    for (int i = 0; same && i < a->n_set; i++) {
        const struct vd_cell *x = a->set[i].cell, *y = b->set[i].cell;
        same = x->n == y->n && !memcmp(x->frame, y->frame, (size_t)x->n * sizeof(*x->frame)) && x->n_kept == y->n_kept &&
               !memcmp(&x->upper, &y->upper, sizeof x->upper) && !memcmp(&x->srocc, &y->srocc, sizeof x->srocc);
    }
    return same;
}

static void verdict_everywhere(void **state)
{
    (void)state;
    struct vd_gate_result r, again;
    struct vd_gate_opts o = plain;
    make_small();
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    assert_int_equal(r.set[1].n, VD_PICTURES);
    assert_int_equal(gate("learned_filter_v1.int8.onnx", &o, &again), 0); /* either file names the model */
    assert_true(same_result(&r, &again));
    vd_gate_result_free(&again);
    o.threads = 1;
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &again), 0);
    assert_true(same_result(&r, &again));
    vd_gate_result_free(&again);
    o.kernels = "c";
    o.compat = true;
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &again), 0);
    close_to(again.drop, r.drop, 5e-8); /* fp32 sums differ in their last bits between kernel sets; six digits do not */
    assert_int_equal(again.n_set, 1);
    assert_null(again.set[0].cell);
    vd_gate_result_free(&again);
    vd_gate_result_free(&r);
}

static void budgets(void **state)
{
    (void)state;
    struct vd_gate_result r;
    struct vd_gate_opts o = {.budget = 1e-6, .compat = true};
    make_small();
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    assert_int_equal(r.verdict, VD_FAIL);
    assert_int_equal(r.budget_from, VD_BUDGET_GIVEN);
    assert_non_null(strstr(r.why, " on the record's samples is over the budget of 0.0000"));
    o.budget = r.drop; /* at most: inside */
    vd_gate_result_free(&r);
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    assert_int_equal(r.verdict, VD_PASS);
    vd_gate_result_free(&r);
    o.compat = false; /* but the bound is not */
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    const struct vd_rule *u = r.rule; /* pictures of this size are over it, which is another rule */
    while (u < r.rule + r.n_rule && !(u->set == 0 && u->verdict))
        u++;
    assert_true(u < r.rule + r.n_rule && u->verdict == VD_INSUFFICIENT && u->value <= u->limit && u->upper > u->limit);
    assert_non_null(strstr(u->why, "16 samples cannot decide"));
    vd_gate_result_free(&r);
}

static void skipped(void **state)
{
    (void)state;
    struct vd_gate_result r;
    assert_int_equal(gate("smoke_v0.onnx", &plain, &r), 0);
    assert_true(r.skipped && !r.n_set);
    assert_string_equal(r.id, "smoke_v0");
    assert_string_equal(r.mode, "fp32");
    vd_gate_result_free(&r);
}

static void errors(void **state)
{
    (void)state;
    struct vd_gate_result r;
    assert_int_equal(gate("nothing.onnx", &plain, &r), -ENOENT);
    struct vd_gate_opts o = plain;
    make_small();
    o.kernels = "mmx";
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), -EINVAL);
    /* The int8 file is missing, or not the pinned one: an error, not a verdict. */
    const char *int8 = temp_path(&dir, "learned_filter_v1.int8.onnx");
    uint8_t *data;
    size_t size;
    assert_int_equal(vd_file_read(int8, VD_MAX_MODEL, &data, &size), 0);
    assert_int_equal(remove(int8), 0);
    assert_int_equal(gate("learned_filter_v1.onnx", &plain, &r), -ENOENT);
    data[size / 2] ^= 1;
    assert_true(temp_put(int8, data, size));
    assert_int_equal(gate("learned_filter_v1.onnx", &plain, &r), -EKEYREJECTED);
    data[size / 2] ^= 1;
    assert_true(temp_put(int8, data, size));
    /* Neither row nor sidecar: gated, unpinned, by the default budget; without an int8 file there is nothing to gate. */
    assert_int_equal(remove(temp_path(&dir, "registry.json")), 0);
    assert_int_equal(remove(temp_path(&dir, "learned_filter_v1.json")), 0);
    o = (struct vd_gate_opts){.budget = -1, .compat = true};
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    assert_true(r.verdict == VD_PASS && !r.pinned && r.budget == 0.01 && r.budget_from == VD_BUDGET_DEFAULT);
    vd_gate_result_free(&r);
    assert_int_equal(remove(int8), 0);
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), -ENOENT);
    assert_non_null(strstr(vd_reason(), "; 'vmaf-dnn quantize dynamic "));
    vd_free(data);
}

/* Every allocation of opening, running and comparing fails once. */
static void no_memory(void **state)
{
    (void)state;
    const struct vd_gate_opts o = {.budget = -1, .threads = 1, .keep = true};
    struct vd_gate_result r;
    make_small();
    const size_t before = vd_mem_count();
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    vd_gate_result_free(&r);
    const size_t total = vd_mem_count() - before, step = total / 100 + 1;
    for (size_t at = 1; at <= total; at += step) {
        vd_mem_fail_at(at, 1);
        const int rc = gate("learned_filter_v1.onnx", &o, &r);
        vd_mem_fail_at(0, 0);
        assert_int_equal(rc, -ENOMEM);
    }
}

/* The same of explaining: nothing is lost, and nothing is said that was not measured. */
static void no_memory_to_explain(void **state)
{
    (void)state;
    const struct vd_gate_opts o = {.budget = -1, .threads = 1, .keep = true};
    struct vd_gate_result r;
    struct vd_explain e;
    struct vd_trace t;
    make_small();
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    assert_int_equal(r.n_kept, VD_MAX_KEPT);
    const size_t before = vd_mem_count();
    assert_int_equal(vd_explain(&r, &o, &e), 0);
    assert_int_equal(e.n_cost, 10);
    for (int i = 0; i < e.n_cost; i++)
        assert_true(e.cost[i].has_alone && e.cost[i].has_cumulative && e.cost[i].has_effect && !e.cost[i].why);
    const size_t middle = vd_mem_count();
    assert_int_equal(vd_trace(&r, &o, &e, &t), 0);
    assert_true(t.n_event >= 10 && t.run_duration > 0);
    vd_trace_free(&t);
    const size_t after = vd_mem_count();
    for (size_t at = 1; at <= after - middle; at += (after - middle) / 60 + 1) {
        vd_mem_fail_at(at, 1);
        const int rc = vd_trace(&r, &o, &e, &t);
        vd_mem_fail_at(0, 0);
        assert_int_equal(rc, -ENOMEM);
    }
    vd_explain_free(&e);
    for (size_t at = 1; at <= middle - before; at += (middle - before) / 120 + 1) {
        vd_mem_fail_at(at, 1);
        const int rc = vd_explain(&r, &o, &e);
        vd_mem_fail_at(0, 0);
        assert_int_equal(rc, -ENOMEM);
    }
    vd_gate_result_free(&r);
}

/* A file that is another one by the time it is explained. */
static void changed_meanwhile(void **state)
{
    (void)state;
    const struct vd_gate_opts o = {.budget = -1, .threads = 1, .keep = true};
    struct vd_gate_result r;
    struct vd_explain e;
    make_small();
    assert_int_equal(gate("learned_filter_v1.onnx", &o, &r), 0);
    assert_true(temp_put(temp_path(&dir, "learned_filter_v1.int8.onnx"), "x", 1));
    assert_int_equal(vd_explain(&r, &o, &e), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "changed while it was gated"));
    vd_gate_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plcc_in_pieces), cmocka_unit_test(plcc_without_a_value), cmocka_unit_test(psnr), cmocka_unit_test(pictures),
        cmocka_unit_test(blur), cmocka_unit_test(jpeg_blocks), cmocka_unit_test(jpeg_pictures),
        cmocka_unit_test_setup_teardown(verdict, setup, teardown), cmocka_unit_test_setup_teardown(verdict_of_the_shipped, setup_shipped, teardown),
        cmocka_unit_test_setup_teardown(verdict_everywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets, setup, teardown),
        cmocka_unit_test_setup_teardown(skipped, setup, teardown), cmocka_unit_test_setup_teardown(errors, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory, setup, teardown), cmocka_unit_test_setup_teardown(no_memory_to_explain, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_meanwhile, setup, teardown),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
