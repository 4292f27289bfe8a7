/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "io/resize.h"

enum { SIDE = 40 };

/* By definition, in whole numbers: both grids cut into pieces of 1/(n m), the pieces that an output sample covers added up one by one. */
static double area(const float *src, int w, int h, int dw, int dh, int x, int y)
{
    double sum = 0;
    for (int py = y * h; py < (y + 1) * h; py++)
        for (int px = x * w; px < (x + 1) * w; px++)
            sum += (double)src[py / dh * w + px / dw];
    return sum / ((double)w * h);
}

static void fill(float *p, int n, struct vd_rng *rng)
{
    for (int i = 0; i < n; i++)
        p[i] = (float)vd_rng_f64(rng);
}

static void test_definition(void **state)
{
    static const int size[][4] = {{1, 1, 1, 1}, {7, 5, 7, 5}, {8, 6, 4, 3}, {7, 5, 3, 2}, {3, 2, 7, 5}, {40, 37, 11, 13}, {1, 9, 5, 4}, {9, 1, 4, 5},
                                  {2, 2, 3, 3}, {31, 17, 30, 18}, {40, 40, 1, 1}};
    float src[SIDE * SIDE], dst[SIDE * SIDE + 1];
    struct vd_rng rng;

    (void)state;
    vd_rng_seed(&rng, 7);
    for (size_t k = 0; k < sizeof(size) / sizeof(size[0]); k++) {
        const int w = size[k][0], h = size[k][1], dw = size[k][2], dh = size[k][3];
        fill(src, w * h, &rng);
        dst[dw * dh] = -77;
        vd_resize_area(dst, dw, dh, src, w, h);
        for (int y = 0; y < dh; y++)
            for (int x = 0; x < dw; x++)
                assert_true(fabs((double)dst[y * dw + x] - area(src, w, h, dw, dh, x, y)) < 2e-7);
        assert_true(dst[dw * dh] == -77);
    }
}

/* The same size is the same bits, a flat picture stays flat, and whole factors are means. */
static void test_exact(void **state)
{
    float src[SIDE * SIDE], dst[SIDE * SIDE];
    struct vd_rng rng;

    (void)state;
    vd_rng_seed(&rng, 8);
    fill(src, SIDE * SIDE, &rng);
    vd_resize_area(dst, SIDE, SIDE, src, SIDE, SIDE);
    assert_memory_equal(dst, src, sizeof(src));
    const float four[] = {0.25f, 0.5f, 0.75f, 0.5f};
    vd_resize_area(dst, 1, 1, four, 2, 2);
    assert_true(dst[0] == 0.5f);
    for (int i = 0; i < SIDE * SIDE; i++)
        src[i] = 0.3f;
    vd_resize_area(dst, 23, 19, src, SIDE, SIDE - 3);
    for (int i = 0; i < 23 * 19; i++)
        assert_true(fabsf(dst[i] - 0.3f) < 1e-7f);
}

/* What is darker everywhere stays darker, and the mean stays: it is a mean of means. */
static void test_mean_stays(void **state)
{
    float src[SIDE * SIDE], dst[SIDE * SIDE];
    struct vd_rng rng;

    (void)state;
    vd_rng_seed(&rng, 9);
    for (int side = 1; side <= SIDE; side += 3) {
        double a = 0, b = 0;
        fill(src, SIDE * 33, &rng);
        vd_resize_area(dst, side, SIDE + 1 - side, src, SIDE, 33);
        for (int i = 0; i < SIDE * 33; i++)
            a += (double)src[i];
        for (int i = 0; i < side * (SIDE + 1 - side); i++)
            b += (double)dst[i];
        assert_true(fabs(a / (SIDE * 33) - b / (side * (SIDE + 1 - side))) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_definition), cmocka_unit_test(test_exact), cmocka_unit_test(test_mean_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
