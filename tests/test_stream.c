/* SPDX-License-Identifier: BSD-2-Clause */
/* Row streams against the same model on whole tensors: random nets in fp32, static and dynamic int8, at sizes down to one pixel. A stream's
 * result must not depend on kernel set (int8), band height or threads; VD_SEED repeats a run. */
#include "stream_nets.h"

static void random_picture(struct vd_tensor *x, int64_t c, int64_t h, int64_t w, int64_t batch)
{
    *x = (struct vd_tensor){.type = VD_F32, .rank = 4, .dim = {batch, c, h, w}};
    x->data = vd_malloc(vd_tensor_bytes(x));
    for (size_t i = 0; i < vd_tensor_count(x); i++)
        ((float *)x->data)[i] = real(-1, 2);
}

static void check_close(const unsigned char *got, const unsigned char *want, size_t size, uint64_t case_seed)
{
    float most = 0, worst = 0;
    for (size_t i = 0; i < size / sizeof(float); i++) {
        const float g = ((const float *)(const void *)got)[i], w = ((const float *)(const void *)want)[i];
        most = fabsf(w) > most ? fabsf(w) : most;
        worst = !(fabsf(g - w) <= worst) ? fabsf(g - w) : worst;
    }
    if (!(worst <= 1e-4f * (1 + most)))
        fail_msg("case seed %llu: off by %g of %g", (unsigned long long)case_seed, (double)worst, (double)most);
}

static void check_net(enum form form, int64_t c, int64_t h, int64_t w, int64_t batch)
{
    static const int bands[] = {0, 1, 2, 3, 7}, threads[] = {1, 2, 5};
    const uint64_t case_seed = vd_rng_u64(&rng);
    static struct net n;
    struct vd_tensor x;
    size_t size, again;
    int streams;
    vd_rng_seed(&rng, case_seed);
    make_net(&n, form, c, h, w);
    random_picture(&x, c, h, w, batch);
    unsigned char *want = outputs_of(&n, &x, &(struct run){"c", 1, VD_NO_STREAMS}, &size, &streams);
    assert_int_equal(streams, 0);
    for (int i = 0; vd_kernels_name(i); i++) {
        unsigned char *first = outputs_of(&n, &x, &(struct run){vd_kernels_name(i), 1, 0}, &again, &streams);
        assert_int_equal(size, again);
        assert_true(streams > 0);
        if (form == F32)
            check_close(first, want, size, case_seed);
        else if (memcmp(first, want, size))
            fail_msg("seed %llu, case %llu: kernels %s differ from whole tensors", (unsigned long long)seed, (unsigned long long)case_seed, vd_kernels_name(i));
        for (size_t b = 0; b < sizeof(bands) / sizeof(*bands); b++)
            for (size_t t = 0; t < sizeof(threads) / sizeof(*threads); t++) {
                unsigned char *got = outputs_of(&n, &x, &(struct run){vd_kernels_name(i), threads[t], bands[b]}, &again, &streams);
                if (memcmp(got, first, size))
                    fail_msg("seed %llu, case %llu: kernels %s, bands of %d rows, %d threads: other bits", (unsigned long long)seed,
                             (unsigned long long)case_seed, vd_kernels_name(i), bands[b], threads[t]);
                vd_free(got);
            }
        vd_free(first);
    }
    vd_free(want);
    vd_free(x.data);
    net_end(&n);
}

static void check_form(enum form form)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {1, 1, 37}, {1, 37, 1}, {3, 2, 2}, {16, 9, 33}, {1, 24, 17}, {1, 31, 50}, {20, 13, 16}};
    vd_rng_seed(&rng, seed + form);
    for (int i = 0; i < 16; i++) {
        const int64_t *s = sizes[i % 8];
        check_net(form, s[0], s[1], s[2], i % 5 == 4 ? 3 : 1);
    }
}

static void test_f32(void **state) { (void)state; check_form(F32); }
static void test_static(void **state) { (void)state; check_form(STATIC); }
static void test_scaled(void **state) { (void)state; check_form(SCALED); }
static void test_dynamic(void **state) { (void)state; check_form(DYNAMIC); }

int main(void)
{
    if (getenv("VD_SEED"))
        seed = strtoull(getenv("VD_SEED"), NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32), cmocka_unit_test(test_static), cmocka_unit_test(test_scaled), cmocka_unit_test(test_dynamic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
