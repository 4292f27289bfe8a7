/* SPDX-License-Identifier: BSD-2-Clause */
/* Which samples training draws: every place of every picture alike, and the same for the same number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train_data.h"

enum { SIDE = 8, DRAWS = 20000 };

static void test_places(void **state)
{
    static uint8_t small[SIDE * (SIDE + 1)], large[(SIDE + 9) * (SIDE + 2)]; /* 2 places, and 10 x 3 */
    struct vd_train_picture p[2] = {{.w = SIDE, .h = SIDE + 1, .clean = small, .degraded = small, .places = 2},
                                    {.w = SIDE + 9, .h = SIDE + 2, .clean = large, .degraded = large, .places = 32}};
    const struct vd_train_config c = {.seed = 3, .score_scale = 1};
    struct vd_train_data d = {.config = &c, .picture = p, .n = 2, .side = SIDE};
    float x[SIDE * SIDE], again[SIDE * SIDE], target[SIDE * SIDE];
    int of_small = 0;
    (void)state;
    memset(large, 255, sizeof(large));
    for (uint64_t i = 0; i < DRAWS; i++) {
        vd_train_data_draw(&d, i, x, target);
        of_small += x[0] < 0.5f;
        if (i % 1000)
            continue;
        vd_train_data_draw(&d, i, again, target);
        assert_memory_equal(x, again, sizeof(x));
        assert_memory_equal(x, target, sizeof(x));
    }
    assert_in_range(of_small, DRAWS * 2 / 32 - 200, DRAWS * 2 / 32 + 200); /* 1250, five deviations of 34 and some */
}

/* A score's picture, or a window of one, in each of four ways as often; the target has the net's unit. */
static void test_scores(void **state)
{
    static uint8_t small[SIDE * SIDE], large[(SIDE + 1) * SIDE];
    struct vd_train_picture p = {.w = SIDE, .h = SIDE, .degraded = small, .score = 80, .places = 1},
                            q = {.w = SIDE + 1, .h = SIDE, .degraded = large, .score = 20, .places = 2};
    const struct vd_train_config c = {.seed = 5, .score_scale = 100};
    struct vd_train_data d = {.config = &c, .picture = &p, .n = 1, .side = SIDE};
    float x[SIDE * SIDE], target;
    int of[4] = {0}, left = 0;
    (void)state;
    small[0] = 255; /* a corner, and where it comes to lie */
    for (uint64_t i = 0; i < DRAWS; i++) {
        vd_train_data_draw(&d, i, x, &target);
        const float corner[4] = {x[0], x[SIDE - 1], x[SIDE * (SIDE - 1)], x[SIDE * SIDE - 1]};
        int bright = 0;
        for (int k = 0; k < 4; k++) {
            of[k] += corner[k] > 0.5f;
            bright += corner[k] > 0.5f;
        }
        assert_int_equal(bright, 1);
        assert_true(target > 0.799f && target < 0.801f);
    }
    for (int k = 0; k < 4; k++)
        assert_in_range(of[k], DRAWS / 4 - 310, DRAWS / 4 + 310); /* five deviations of 61 */
    d.picture = &q;
    large[SIDE] = 255; /* the last column is in one of two windows */
    for (uint64_t i = 0; i < DRAWS; i++) {
        float sum = 0;
        vd_train_data_draw(&d, i, x, &target);
        for (int k = 0; k < SIDE * SIDE; k++)
            sum += x[k];
        left += sum > 0.5f;
        assert_true(target > 0.199f && target < 0.201f);
    }
    assert_in_range(left, DRAWS / 2 - 355, DRAWS / 2 + 355);
}

/* Transposed one time in two; contrast and brightness within what is asked for, the same over a sample, and all of it. */
static void test_augment(void **state)
{
    static uint8_t v[SIDE * SIDE];
    struct vd_train_picture p = {.w = SIDE, .h = SIDE, .degraded = v, .score = 80, .places = 1};
    const struct vd_train_config c = {.seed = 7, .score_scale = 100, .augment = {.transpose = true, .contrast = 0.2, .brightness = 0.1}};
    struct vd_train_data d = {.config = &c, .picture = &p, .n = 1, .side = SIDE};
    float x[SIDE * SIDE], target;
    int across = 0;
    double gain_min = 9, gain_max = 0, lift_min = 9, lift_max = -9;
    (void)state;
    for (int r = 0; r < SIDE; r++)
        for (int i = 0; i < SIDE; i++)
            v[r * SIDE + i] = i % 2 ? 255 : 0; /* columns: rows when it is turned */
    for (uint64_t i = 0; i < DRAWS; i++) {
        vd_train_data_draw(&d, i, x, &target);
        const int step = x[1] != x[0] ? 1 : SIDE;
        const double gain = (double)fabsf(x[step] - x[0]), lift = ((double)x[step] + (double)x[0]) / 2 - 0.5;
        for (int k = 0; k < SIDE * SIDE; k++)
            assert_true(x[k] == (k / step % 2 ? x[step] : x[0]));
        across += step == 1;
        gain_min = fmin(gain_min, gain);
        gain_max = fmax(gain_max, gain);
        lift_min = fmin(lift_min, lift);
        lift_max = fmax(lift_max, lift);
        assert_true(target > 0.799f && target < 0.801f);
    }
    assert_in_range(across, DRAWS / 2 - 355, DRAWS / 2 + 355);
    assert_true(gain_min >= 0.7999 && gain_min < 0.805 && gain_max <= 1.2001 && gain_max > 1.195);
    assert_true(lift_min >= -0.1001 && lift_min < -0.098 && lift_max <= 0.1001 && lift_max > 0.098);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_scores), cmocka_unit_test(test_augment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
