/* SPDX-License-Identifier: BSD-2-Clause */
/* Histograms that merge exactly, calibration files, ranges, the search for a budget. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/histogram.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "quant/budget.h"
#include "quant/calibration.h"
#include "quant/weights.h"

/* --- histograms */

static struct vd_hist empty_hist(void)
{
    struct vd_hist h = {.count = calloc(VD_HIST_BINS, sizeof(uint64_t)), .room = VD_HIST_BINS};
    assert_non_null(h.count);
    return h;
}

static void assert_same_hist(const struct vd_hist *a, const struct vd_hist *b)
{
    assert_memory_equal(a->count, b->count, VD_HIST_BINS * sizeof(*a->count));
    assert_true(a->n == b->n && a->covers == b->covers && a->exponent == b->exponent && a->n_bins == b->n_bins && a->first == b->first);
    assert_memory_equal(&a->min, &b->min, sizeof(a->min));
    assert_memory_equal(&a->max, &b->max, sizeof(a->max));
}

static void add_values(struct vd_hist *h, const float *v, size_t n)
{
    uint64_t count[VD_HIST_BINS] = {0};
    float lo = v[0], hi = v[0];
    for (size_t i = 0; i < n; i++) {
        lo = fminf(lo, v[i]);
        hi = fmaxf(hi, v[i]);
    }
    vd_hist_cover(h, lo, hi);
    vd_hist_count(h, v, n, count);
    vd_hist_add(h, count);
}

static void fill(struct vd_rng *r, float *v, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        const float u = vd_rng_f32(r) - 0.5f;
        v[i] = kind == 0 ? u : kind == 1 ? ldexpf(u, (int)(vd_rng_u32(r) % 200) - 100) : kind == 2 ? 3 + u * 1e-6f : vd_rng_u32(r) % 3 ? 0 : u;
    }
}

static void test_hist_merges(void **state)
{
    (void)state;
    enum { N = 600, PARTS = 6 };
    static float v[N];
    struct vd_rng r;
    vd_rng_seed(&r, 5);
    for (int round = 0; round < 200; round++) {
        struct vd_hist whole = empty_hist(), merged = empty_hist(), in_order = empty_hist();
        fill(&r, v, N, round % 4);
        if (round % 7 == 0)
            v[0] = -1e-42f; /* just under a bin's edge, whatever the width */
        add_values(&whole, v, N);
        for (int p = PARTS - 1; p >= 0; p--) { /* the last part first */
            struct vd_hist part = empty_hist();
            add_values(&part, v + p * (N / PARTS), N / PARTS);
            vd_hist_merge(&merged, &part);
            free(part.count);
        }
        for (int p = 0; p < PARTS; p++)
            add_values(&in_order, v + p * (N / PARTS), N / PARTS);
        assert_same_hist(&whole, &merged);
        assert_same_hist(&whole, &in_order);
        assert_int_equal(whole.n, N);
        uint64_t sum = 0;
        for (int i = 0; i < whole.n_bins; i++) {
            uint64_t want = 0;
            const double a = ldexp((double)(whole.first + i), whole.exponent), b = ldexp((double)(whole.first + i + 1), whole.exponent);
            for (int k = 0; k < N; k++)
                want += (double)v[k] >= a && (double)v[k] < b;
            assert_int_equal(whole.count[i], want);
            sum += want;
        }
        assert_int_equal(sum, N);
        free(whole.count);
        free(merged.count);
        free(in_order.count);
    }
}

static void test_hist_of_one_value(void **state)
{
    (void)state;
    const float value[] = {0, 1, -1, 0.3f, 1e-40f, -3e38f, 3e38f};
    for (size_t i = 0; i < sizeof(value) / sizeof(*value); i++) {
        struct vd_hist h = empty_hist();
        add_values(&h, &value[i], 1);
        assert_int_equal(h.n_bins, 1);
        assert_int_equal(h.count[0], 1);
        assert_true(vd_hist_quantile(&h, 0.5) == (double)value[i]);
        free(h.count);
    }
}

static void test_quantile(void **state)
{
    (void)state;
    struct vd_hist h = empty_hist();
    float v[1000];
    for (int i = 0; i < 1000; i++)
        v[i] = (float)i / 1000;
    add_values(&h, v, 1000);
    const double width = ldexp(1, h.exponent);
    for (int i = 1; i < 1000; i++)
        assert_true(fabs(vd_hist_quantile(&h, i / 1000.0) - i / 1000.0) <= width);
    assert_true(vd_hist_quantile(&h, 0) == 0 && vd_hist_quantile(&h, 1) == (double)v[999]);
    free(h.count);
}

static void test_exact_sums(void **state)
{
    (void)state;
    vd_exact a = 0, b = 0;
    double v[1000];
    struct vd_rng r;
    vd_rng_seed(&r, 1);
    for (int i = 0; i < 1000; i++)
        v[i] = ldexp(vd_rng_f64(&r) - 0.5, (int)(vd_rng_u32(&r) % 80) - 40);
    for (int i = 0; i < 1000; i++) {
        vd_exact_add(&a, v[i]);
        vd_exact_add(&b, v[999 - i]);
    }
    assert_true(a == b);
    vd_exact c = 0;
    vd_exact_add(&c, 0x1p-51);
    assert_true(c == 0); /* half to even */
    vd_exact_add(&c, -1.5);
    assert_true(vd_exact_value(c) == -1.5);
}

/* --- ranges */

static struct vd_calib_tensor tensor_of(const float *v, size_t n)
{
    static uint64_t count[VD_HIST_BINS];
    struct vd_calib_tensor t = {.name = "t", .hist = {.count = count, .room = VD_HIST_BINS}};
    memset(count, 0, sizeof(count));
    add_values(&t.hist, v, n);
    return t;
}

static void test_ranges(void **state)
{
    (void)state;
    enum { N = 20000 };
    static float v[N];
    struct vd_rng r;
    float lo, hi;
    vd_rng_seed(&r, 3);
    for (int i = 0; i < N; i++) { /* about normal, deviation 1, and two outliers */
        float s = -6;
        for (int k = 0; k < 12; k++)
            s += vd_rng_f32(&r);
        v[i] = s;
    }
    v[0] = 100;
    v[1] = -50;
    struct vd_calib_tensor t = tensor_of(v, N);
    vd_range(&t, 1, VD_RANGE_MINMAX, 100, &lo, &hi);
    assert_true(lo == -50 && hi == 100);
    vd_range(&t, 1, VD_RANGE_PERCENTILE, 99.9, &lo, &hi);
    assert_true(lo < -2.2f && lo > -4 && hi > 2.2f && hi < 4);
    vd_range(&t, 1, VD_RANGE_PERCENTILE, 100, &lo, &hi);
    assert_true(lo == -50 && hi == 100);
    vd_range(&t, 1, VD_RANGE_MSE, 0, &lo, &hi);
    assert_true(lo > -51 && hi < 101);
    t.frame_min = t.frame_max = 0;
    vd_exact_add(&t.frame_min, -50);
    vd_exact_add(&t.frame_min, -2);
    vd_exact_add(&t.frame_max, 100);
    vd_exact_add(&t.frame_max, 4);
    vd_range(&t, 2, VD_RANGE_AVERAGE, 0, &lo, &hi);
    assert_true(lo == -26 && hi == 52);
    t.fixed = true;
    vd_range(&t, 2, VD_RANGE_PERCENTILE, 90, &lo, &hi);
    assert_true(lo == -50 && hi == 100);
}

/* The least squares of the histogram are those of the values, to the width of a bin: against every pair of a grid. */
static void test_mse_is_the_least(void **state)
{
    (void)state;
    enum { N = 4000 };
    static float v[N];
    struct vd_rng r;
    float lo, hi;
    vd_rng_seed(&r, 9);
    for (int i = 0; i < N; i++) {
        const float u = vd_rng_f32(&r) - 0.5f;
        v[i] = u * u * u * 8 + 0.2f;
    }
    v[0] = 6;
    struct vd_calib_tensor t = tensor_of(v, N);
    vd_range(&t, 1, VD_RANGE_MSE, 0, &lo, &hi);
    double best = INFINITY, got = 0;
    for (int a = 0; a <= 60; a++)
        for (int b = 1; b <= 121; b++) {
            const double from = b == 121 && a == 0 ? (double)lo : -0.8 * a / 60, to = b == 121 && a == 0 ? (double)hi : 6.0 * b / 120, s = (to - from) / 255;
            double e = 0;
            for (int i = 0; i < N; i++) {
                const double c = fmin(to, fmax(from, (double)v[i])), d = (double)v[i] - c;
                e += d == 0 ? s * s / 12 : d * d;
            }
            if (b == 121 && a == 0)
                got = e;
            else
                best = fmin(best, e);
        }
    assert_true(got <= best * 1.05);
}

static void test_entropy_cuts_outliers(void **state)
{
    (void)state;
    enum { N = 32000 };
    static float v[N];
    struct vd_rng r;
    float lo, hi;
    vd_rng_seed(&r, 4);
    for (int i = 0; i < N; i++) {
        const float u = vd_rng_f32(&r);
        v[i] = u * u * u;
    }
    v[0] = 3;
    struct vd_calib_tensor t = tensor_of(v, N);
    vd_range(&t, 1, VD_RANGE_ENTROPY, 0, &lo, &hi);
    assert_true(lo == 0 && hi >= 0.9f && hi < 1.6f);
}

/* --- files */

static struct vd_calibration made(int seed, const char *source)
{
    struct vd_calibration c = {.frames = 2};
    struct vd_rng r;
    float v[100];
    vd_rng_seed(&r, (uint64_t)seed);
    memset(c.model_sha256, 'a', 64);
    char sha[65] = "";
    memset(sha, '0' + seed % 10, 64);
    assert_int_equal(vd_calib_add_source(&c, source, sha, 2), 0);
    c.tensor = vd_arena_array(&c.arena, 2, sizeof(*c.tensor));
    c.n_tensor = 2;
    for (int t = 0; t < 2; t++) {
        c.tensor[t].name = t ? "with \"quotes\" \\ and \xc3\xa9" : "x";
        c.tensor[t].fixed = t == 0;
        c.tensor[t].channels = t ? 2 : 0;
        c.tensor[t].channel = vd_arena_array(&c.arena, 2, sizeof(*c.tensor[t].channel));
        fill(&r, v, 100, t ? 3 : 0);
        assert_int_equal(vd_calib_counts(&c, &c.tensor[t]), 0);
        add_values(&c.tensor[t].hist, v, 100);
        vd_exact_add(&c.tensor[t].frame_min, (double)v[0]);
        vd_exact_add(&c.tensor[t].frame_max, (double)v[1]);
        for (int k = 0; k < c.tensor[t].channels; k++) {
            c.tensor[t].channel[k].min = fminf(v[k], v[k + 2]);
            c.tensor[t].channel[k].max = fmaxf(v[k], v[k + 2]);
            vd_exact_add(&c.tensor[t].channel[k].sum, (double)v[k + 4]);
        }
    }
    c.group = vd_arena_array(&c.arena, 1, sizeof(*c.group));
    c.n_group = 1;
    c.group[0] = (struct vd_calib_group){.n_tensor = 1, .channels = 2, .tensor = vd_arena_array(&c.arena, 1, sizeof(char *)),
                                         .scale = vd_arena_array(&c.arena, 2, sizeof(float))};
    c.group[0].tensor[0] = "x";
    c.group[0].scale[0] = 0.5f;
    c.group[0].scale[1] = 1.99f;
    return c;
}

static struct vd_buf bytes_of(const struct vd_calibration *c)
{
    struct vd_buf b = {0};
    assert_int_equal(vd_calib_write(c, &b), 0);
    return b;
}

static void assert_same_bytes(const struct vd_calibration *a, const struct vd_calibration *b)
{
    struct vd_buf x = bytes_of(a), y = bytes_of(b);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    vd_free(x.data);
    vd_free(y.data);
}

static void test_file_round_trip(void **state)
{
    (void)state;
    for (int seed = 0; seed < 30; seed++) {
        struct vd_calibration c = made(seed, "clip.y4m"), back;
        struct vd_buf b = bytes_of(&c);
        assert_int_equal(vd_calib_read(&back, b.data, b.size, "f"), 0);
        assert_same_bytes(&c, &back);
        vd_free(b.data);
        vd_calibration_free(&back);
        vd_calibration_free(&c);
    }
}

static void test_merge_in_any_order(void **state)
{
    (void)state;
    struct vd_calibration a = made(1, "a"), b = made(2, "b"), c = made(3, "c"), x = made(1, "a"), y = made(2, "b"), z = made(3, "c");
    assert_int_equal(vd_calib_merge(&a, &b), 0);
    assert_int_equal(vd_calib_merge(&a, &c), 0);
    assert_int_equal(vd_calib_merge(&z, &y), 0);
    assert_int_equal(vd_calib_merge(&z, &x), 0);
    assert_int_equal(a.frames, 6);
    assert_same_bytes(&a, &z);
    assert_int_equal(vd_calib_merge(&a, &b), -EINVAL); /* b is in it */
    b.model_sha256[0] = 'b';
    assert_int_equal(vd_calib_merge(&b, &c), -EINVAL);
    y.group[0].scale[0] = 0.25f;
    assert_int_equal(vd_calib_merge(&y, &x), -EINVAL);
    x.tensor[0].name = "other";
    assert_int_equal(vd_calib_merge(&x, &c), -EINVAL);
    struct vd_calibration *all[] = {&a, &b, &c, &x, &y, &z};
    for (size_t i = 0; i < 6; i++)
        vd_calibration_free(all[i]);
}

/* One thing wrong at a time. */
static void test_refuses(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *why; } broken[] = {
        {"vmaf_dnn.calibration", "something", "not a calibration"},
        {"\"version\":1", "\"version\":2", "version"},
        {"\"frames\":2,\n\"sources\"", "\"frames\":3,\n\"sources\"", "frames"},
        {"\"equalization\":", "\"equalisation\":", "unknown key \"equalisation\""},
        {"{\"name\":\"x\",", "{", "a tensor has no \"name\""},
        {"\"exponent\":-", "\"exponent\":-1", "bins"},
        {"\"first\":-", "\"first\":-1", "bins"},
        {"\"counts\":[", "\"counts\":[1,", "bins"},
        {"\"counts\":[", "\"counts\":[-", "count"},
        {"\"fixed\":true", "\"fixed\":1", "fixed"},
        {"\"frame_min\":\"", "\"frame_min\":\"x", "sum"},
        {"\"scale\":[0.5", "\"scale\":[-0.5", "scale"},
        {"{\"name\":\"x\"", "{\"name\":\"\"", "name"},
        {"{\"name\":\"x\"", "{\"name\":\"x\",\"more\":1", "unknown key"},
        {"aaaa\"", "aaaA\"", "hex"},
        {"\"tensors\":[\n", "\"tensors\":[[],\n", "a tensor is not an object"},
        {"\"sources\":[\n", "\"sources\":[7,\n", "a source is not an object"},
        {"\"equalization\":[\n", "\"equalization\":[{},\n", "an equalization has no \"tensors\""},
        {"\"equalization\":[", "\"x\":[],\"equalization\":[", "the file has an unknown key \"x\""},
        {"\"equalization\":[", "\"equalization\":{},\"x\":[", "equalization is not a list"},
        {"\"equalization\":[", "\"frames\":2,\"equalization\":[", "a key that was there before"},
        {"{\"format\":", "{\"models\":[],\"format\":", "not a calibration"},
        {"\"tensors\":[\"x\"", "\"tensors\":[\"x\\u0007\"", "control character"},
        {"\"channels\":[[", "\"channels\":[[1],[", "not min, max and sum"},
        {"\"channels\":[[", "\"channels\":[[2,1,\"0\"],[", "a channel's min is over its max"},
        {"\"channels\":[[", "\"channels\":[[1e39,1,\"0\"],[", "a channel's min is not a finite number"},
        {"with \\\"quotes\\\" \\\\ and \xc3\xa9", "x", "two tensors have the name x"},
        {"{\"name\":\"x\"", "{\"nam\":1,\"name\":\"x\"", "unknown key \"nam\""}, /* the beginning of one that is known */
        {"{\"name\":\"x\"", "{\"\":1,\"name\":\"x\"", "unknown key \"\""},
    };
    struct vd_calibration c = made(4, "clip"), back;
    struct vd_buf b = bytes_of(&c);
    char *text = calloc(b.size + 1, 1), *bad = calloc(b.size + 100, 1);
    memcpy(text, b.data, b.size);
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        const char *at = strstr(text, broken[i].from);
        assert_non_null(at);
        sprintf(bad, "%.*s%s%s", (int)(at - text), text, broken[i].to, at + strlen(broken[i].from));
        if (vd_calib_read(&back, (const uint8_t *)bad, strlen(bad), "f") != -EBADMSG || !strstr(vd_reason(), broken[i].why))
            fail_msg("%s: %s", broken[i].to, vd_reason());
    }
    for (size_t n = 0; n < b.size - 1; n += 7)
        assert_int_equal(vd_calib_read(&back, b.data, n, "f"), -EBADMSG);
    assert_int_equal(vd_calib_read(&back, b.data, VD_CALIB_MAX_FILE + 1, "f"), -E2BIG);
    free(text);
    free(bad);
    vd_free(b.data);
    vd_calibration_free(&c);
}

/* Their number of sources is what a file can make large with little: in order, twice, and as slow to sort as can be. */
static void test_sources_of_a_file(void **state)
{
    (void)state;
    enum { N = 32000 };
    static const char *const why[] = {NULL, "not in the order of their names", "the same clip was given twice", "at most 32768"};
    for (int order = 0; order < 4; order++) {
        const int n = order == 3 ? VD_CALIB_SOURCES + 1 : N;
        struct vd_calibration c = made(4, "clip"), back;
        struct vd_buf b = bytes_of(&c), all = {0};
        vd_put_u8(&b, 0);
        const char *text = (const char *)b.data, *from = strstr(text, "\"frames\":2"), *sources = strstr(text, "{\"name\":\"clip\""), *rest = strstr(text, "],\n\"equal");
        assert_true(from && sources && rest && from < sources && sources < rest);
        char line[200], sha[65] = "";
        memset(sha, '7', 64);
        vd_put(&all, text, (size_t)(from - text));
        snprintf(line, sizeof line, "\"frames\":%d,\n\"sources\":[", n);
        vd_put_str(&all, line);
        for (int i = 0; i < n; i++) {
            snprintf(line, sizeof line, "%s{\"name\":\"%06d\",\"sha256\":\"%s\",\"frames\":1}", i ? "," : "", order == 1 ? n - i : order == 2 && i == n - 1 ? i - 1 : i, sha);
            vd_put_str(&all, line);
        }
        vd_put_str(&all, rest);
        const int rc = vd_calib_read(&back, all.data, all.size, "f");
        if (rc != (order ? -EBADMSG : 0) || (order && !strstr(vd_reason(), why[order])))
            fail_msg("%d: %d: %s", order, rc, vd_reason());
        if (!rc) {
            assert_int_equal(back.n_source, N);
            vd_calibration_free(&back);
        }
        vd_free(all.data);
        vd_free(b.data);
        vd_calibration_free(&c);
    }
}

/* Sums as large as a file may say are refused before they do not fit: 2^124 and 16 of them. */
static void test_sums_that_do_not_fit(void **state)
{
    (void)state;
    for (int w = 0; w < 3; w++)
        for (int sign = -1; sign < 2; sign += 2) {
            struct vd_calibration c = made(1, "first");
            int rc = 0, k = 0;
            while (!rc && k < 40) {
                char name[16];
                snprintf(name, sizeof name, "%d", k++);
                struct vd_calibration more = made(1, name);
                const vd_exact large = (((vd_exact)1 << 123) - 1) * sign;
                *(w == 0 ? &more.tensor[1].frame_min : w == 1 ? &more.tensor[1].frame_max : &more.tensor[1].channel[1].sum) = large;
                rc = vd_calib_merge(&c, &more);
                vd_calibration_free(&more);
            }
            assert_int_equal(rc, -ERANGE);
            assert_true(k > 1 && k < 4);
            vd_calibration_free(&c);
        }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct vd_calibration c = made(7, "clip"), back;
    struct vd_buf b = bytes_of(&c);
    for (size_t k = 1;; k++) {
        vd_mem_fail_at(k, 0);
        const int rc = vd_calib_read(&back, b.data, b.size, "f");
        vd_mem_fail_at(0, 0);
        if (!rc)
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_true(k < 100);
    }
    vd_calibration_free(&back);
    vd_free(b.data);
    vd_calibration_free(&c);
}

/* --- pairs that leave 16 bits */

static void test_pairs(void **state)
{
    (void)state;
    int worst;
    for (int a = -127; a <= 127; a++)
        for (int b = -127; b <= 127; b++) {
            const int8_t q[2] = {(int8_t)a, (int8_t)b};
            int most = 0, least = 0; /* over the bytes that matter */
            for (int i = 0; i < 4; i++) {
                const int sum = (i & 1 ? 255 : 0) * a + (i & 2 ? 255 : 0) * b;
                most = sum > most ? sum : most;
                least = sum < least ? sum : least;
            }
            assert_int_equal(vd_weights_pairs(q, 1, 2, &worst), most > INT16_MAX || least < INT16_MIN);
        }
    const int8_t known[4] = {-81, -80, 127, 0}; /* ONNX Runtime's issue 16105 */
    assert_int_equal(vd_weights_pairs(known, 1, 3, &worst), 1);
    assert_int_equal(worst, -161);
    assert_int_equal(vd_weights_pairs(known, 2, 2, &worst), 1);
}

/* --- the search */

struct costs { const double *cost; int layers, calls; double interaction; };

static int cost(void *arg, const bool *fp32, double *drop)
{
    struct costs *c = arg;
    *drop = 0;
    c->calls++;
    for (int i = 0; i < c->layers; i++)
        *drop += fp32[i] ? 0 : c->cost[i];
    if (!fp32[0] && !fp32[1])
        *drop += c->interaction;
    return 0;
}

static int fewest(const struct costs *c, double budget)
{
    int best = 1 << 20;
    for (int set = 0; set < 1 << c->layers; set++) {
        bool fp32[16] = {false};
        double drop;
        int n = 0;
        struct costs copy = *c;
        for (int i = 0; i < c->layers; i++)
            n += fp32[i] = set >> i & 1;
        cost(&copy, fp32, &drop);
        if (drop <= budget && n < c->layers && n < best)
            best = n;
    }
    return best;
}

static void test_budget(void **state)
{
    (void)state;
    struct vd_rng r;
    vd_rng_seed(&r, 11);
    for (int round = 0; round < 300; round++) {
        double v[14];
        struct costs c = {.cost = v, .layers = 1 + round % 14, .interaction = round % 3 ? 0 : 1};
        double total = 0;
        for (int i = 0; i < c.layers; i++)
            total += v[i] = vd_rng_f64(&r) * vd_rng_f64(&r);
        const double budget = total * vd_rng_f64(&r);
        struct vd_budget b;
        assert_int_equal(vd_budget_search(c.layers, budget, cost, &c, &b), 0);
        const int want = fewest(&c, budget);
        assert_int_equal(b.met, want < c.layers);
        int n = 0;
        double drop;
        for (int i = 0; i < c.layers; i++)
            n += b.fp32[i];
        cost(&c, b.fp32, &drop);
        assert_true(drop == b.drop);
        assert_true(b.met == (b.drop <= budget));
        if (b.met && (c.layers <= VD_BUDGET_EXHAUSTIVE || !(c.interaction > 0)))
            assert_int_equal(n, want); /* without interactions greedy is exact too */
        vd_budget_free(&b);
    }
}

static int broken(void *arg, const bool *fp32, double *drop)
{
    (void)fp32;
    *drop = NAN;
    return --*(int *)arg > 0 ? 0 : vd_fail(ERANGE, "no");
}

static void test_budget_fails(void **state)
{
    (void)state;
    for (int at = 1; at < 8; at++) {
        struct vd_budget b;
        int left = at;
        assert_int_equal(vd_budget_search(4, 0.1, broken, &left, &b), -ERANGE);
        assert_null(b.fp32);
    }
    struct vd_budget b;
    int left = 1000; /* a drop that is not a number meets nothing */
    assert_int_equal(vd_budget_search(4, 0.1, broken, &left, &b), 0);
    assert_false(b.met);
    vd_budget_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hist_merges), cmocka_unit_test(test_hist_of_one_value), cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_exact_sums), cmocka_unit_test(test_ranges), cmocka_unit_test(test_mse_is_the_least),
        cmocka_unit_test(test_entropy_cuts_outliers), cmocka_unit_test(test_file_round_trip), cmocka_unit_test(test_merge_in_any_order),
        cmocka_unit_test(test_refuses), cmocka_unit_test(test_sources_of_a_file), cmocka_unit_test(test_sums_that_do_not_fit),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_pairs), cmocka_unit_test(test_budget), cmocka_unit_test(test_budget_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
