/* SPDX-License-Identifier: BSD-2-Clause */
/* Which samples training draws: every place of every picture alike, and the same for the same number. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
