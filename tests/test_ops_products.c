/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_random.h"

/* Gemm, MatMul and MatMulInteger: shapes, refusals, and the same bits as the plain loop. */

static void products(void **state)
{
    (void)state;
    static const struct {
        int ra, rb, ry;
        int64_t a[4], b[4], y[4];
        int err;
    } all[] = {
        {2, 2, 2, {2, 3}, {3, 4}, {2, 4}, 0}, {1, 2, 1, {3}, {3, 4}, {4}, 0}, {2, 1, 1, {2, 3}, {3}, {2}, 0}, {1, 1, 0, {3}, {3}, {0}, 0},
        {3, 3, 3, {5, 2, 3}, {1, 3, 4}, {5, 2, 4}, 0}, {4, 3, 4, {7, 1, 2, 3}, {5, 3, 4}, {7, 5, 2, 4}, 0}, {3, 1, 2, {5, 2, 3}, {3}, {5, 2}, 0},
        {2, 2, 2, {2, 0}, {0, 4}, {2, 4}, 0},
        {2, 2, 0, {2, 3}, {2, 3}, {0}, ERANGE}, {3, 3, 0, {5, 2, 3}, {4, 3, 2}, {0}, ERANGE}, {0, 2, 0, {0}, {1, 2}, {0}, EBADMSG},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct trial *t = trial_new("MatMul", 17);
        trial_in(t, VD_F32, all[i].ra, all[i].a, NULL);
        trial_in(t, VD_F32, all[i].rb, all[i].b, NULL);
        if (all[i].err) {
            trial_refuses(t, all[i].err, "");
            continue;
        }
        assert_int_equal(trial_infer(t), 0);
        check_shape(&t->out[0], VD_F32, all[i].ry, all[i].y);
        trial_free(t);
    }
    struct trial *t = trial_new("Gemm", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(4, 3), NULL);
    trial_refuses(t, ERANGE, "3 and 4 elements");
    t = trial_new("Gemm", 17);
    trial_in(t, VD_F32, DIMS(2, 3), NULL);
    trial_in(t, VD_F32, DIMS(3, 4), NULL);
    trial_in(t, VD_F32, DIMS(2), NULL);
    trial_refuses(t, ERANGE, "2 x 4");
    t = trial_new("Gemm", 17);
    trial_in(t, VD_F32, DIMS(2, 3, 1), NULL);
    trial_in(t, VD_F32, DIMS(3, 4), NULL);
    trial_refuses(t, ERANGE, "must be matrices");
}

/* A sum that may leave 32 bits: 33025 products fit whatever they are, more only when the weights are known to be small. */
static void integer_sums(void **state)
{
    (void)state;
    enum { K = 40000 };
    uint8_t *w = vd_calloc(K, 1);
    assert_non_null(w);
    for (int how = 0; how < 4; how++) {
        const int64_t k = how ? K : 33025, one = 1;
        const uint8_t zp = how == 3;
        memset(w, how == 2 ? 255 : 1, K);
        struct trial *t = trial_new("MatMulInteger", 17);
        trial_in(t, VD_U8, 2, (const int64_t[]){1, k}, NULL);
        trial_in(t, VD_U8, 2, (const int64_t[]){k, 1}, how < 2 ? NULL : w);
        trial_in(t, VD_U8, SCALAR, NULL);
        trial_in(t, VD_U8, 1, &one, &zp);
        if (how == 0 || how == 3) {
            assert_int_equal(trial_infer(t), 0);
            trial_free(t);
        } else
            trial_refuses(t, ENOTSUP, "may not fit 32 bits");
    }
    vd_free(w);
}

/* The sum runs through k in order: the plain loop gives the same bits, for every shape, transpose and number of threads. */
static void float_products(void **state)
{
    (void)state;
    for (int round = 0; round < 80; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 3000 + (uint64_t)round);
        const int64_t m = 1 + below(&r, round % 3 ? 9 : 150), k = 1 + below(&r, round % 3 ? 20 : 200), n = 1 + below(&r, round % 3 ? 20 : 150);
        const int ta = below(&r, 2), tb = below(&r, 2), form = below(&r, 6);
        const float alpha = below(&r, 2) ? 1 : 0.3f, beta = below(&r, 3) ? 1 : -0.7f;
        static const int c_rank[] = {0, 1, 1, 2, 2, 2};
        const int64_t c_dim[][2] = {{0, 0}, {1, 0}, {n, 0}, {m, 1}, {1, n}, {m, n}};
        float *a = floats(&r, (size_t)(m * k)), *b = floats(&r, (size_t)(k * n)), *c = floats(&r, (size_t)(m * n));
        struct trial *t = trial_new("Gemm", 13);
        trial_in(t, VD_F32, DIMS(ta ? k : m, ta ? m : k), a);
        trial_in(t, VD_F32, DIMS(tb ? n : k, tb ? k : n), b);
        trial_in(t, VD_F32, c_rank[form], c_dim[form], c);
        set_int(t, "transA", ta);
        set_int(t, "transB", tb);
        set_float(t, "alpha", alpha);
        set_float(t, "beta", beta);
        trial_run(t, below(&r, 2) ? four : NULL);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                float sum = 0;
                for (int64_t q = 0; q < k; q++)
                    sum += a[ta ? q * m + i : i * k + q] * b[tb ? j * k + q : q * n + j];
                const size_t at = broadcast_index(&t->out[0], (size_t)(i * n + j), c_rank[form], c_dim[form]);
                const float want = sum * alpha + beta * c[at];
                if (((const float *)t->out[0].data)[i * n + j] != want)
                    fail_msg("round %d of seed %" PRIu64 ": %" PRId64 ", %" PRId64, round, seed, i, j);
            }
        trial_free(t);
        vd_free(a);
        vd_free(b);
        vd_free(c);
    }
    /* Batches: 2 x 1 of the left against 3 of the right. */
    float a[4], b[6], want[12];
    for (int i = 0; i < 4; i++)
        a[i] = (float)(i + 1);
    for (int i = 0; i < 6; i++)
        b[i] = (float)(10 * i + 1);
    for (int i = 0; i < 12; i++) /* [2][3][1][2]: row i / 6 of a, matrix i / 2 % 3 of b */
        want[i] = a[i / 6 * 2 + i % 2] * b[i / 2 % 3 * 2] + a[i / 6 * 2 + 1 - i % 2] * b[i / 2 % 3 * 2 + 1];
    float b2[12]; /* [3][2][2], so that each column meets the row in another order */
    for (int i = 0; i < 3; i++)
        b2[4 * i] = b2[4 * i + 3] = b[2 * i], b2[4 * i + 1] = b2[4 * i + 2] = b[2 * i + 1];
    struct trial *batch = trial_new("MatMul", 13);
    trial_in(batch, VD_F32, DIMS(2, 1, 1, 2), a);
    trial_in(batch, VD_F32, DIMS(1, 3, 2, 2), b2);
    trial_run(batch, four);
    check_shape(&batch->out[0], VD_F32, DIMS(2, 3, 1, 2));
    check_floats(&batch->out[0], want, 12);
    trial_free(batch);
    /* C is not read where beta is 0. */
    struct trial *t = trial_new("Gemm", 13);
    trial_in(t, VD_F32, DIMS(1, 1), (float[]){2});
    trial_in(t, VD_F32, DIMS(1, 1), (float[]){3});
    trial_in(t, VD_F32, DIMS(1), (float[]){NAN});
    set_float(t, "beta", 0);
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){6}, 1);
    trial_free(t);
    t = trial_new("Gemm", 13); /* a sum of nothing */
    trial_in(t, VD_F32, DIMS(2, 0), NULL);
    trial_in(t, VD_F32, DIMS(0, 2), NULL);
    trial_in(t, VD_F32, DIMS(2), (float[]){5, 6});
    trial_run(t, NULL);
    check_floats(&t->out[0], (float[]){5, 6, 5, 6}, 4);
    trial_free(t);
}

static void integer_products(void **state)
{
    (void)state;
    /* ONNX's example */
    struct trial *t = trial_new("MatMulInteger", 10);
    trial_in(t, VD_U8, DIMS(4, 3), (uint8_t[]){11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0});
    trial_in(t, VD_U8, DIMS(3, 2), (uint8_t[]){1, 4, 2, 5, 3, 6});
    trial_in(t, VD_U8, DIMS(1), (uint8_t[]){12});
    trial_in(t, VD_U8, DIMS(1), (uint8_t[]){0});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){-38, -83, -44, -98, -50, -113, -56, -128}, 32);
    trial_free(t);
    for (int round = 0; round < 120; round++) {
        struct vd_rng r;
        vd_rng_seed(&r, seed + 4000 + (uint64_t)round);
        const bool big = round % 6 == 0;
        const int64_t batch = 1 + below(&r, 3), m = 1 + below(&r, big ? 90 : 8), k = 1 + below(&r, big ? 700 : 30), n = 1 + below(&r, big ? 90 : 20);
        const bool sa = below(&r, 2), sb = below(&r, 2), rows = below(&r, 2), cols = below(&r, 2), b_batch = below(&r, 2);
        uint8_t *a = bytes(&r, (size_t)(batch * m * k)), *b = bytes(&r, (size_t)((b_batch ? batch : 1) * k * n));
        uint8_t *za = bytes(&r, (size_t)m), *zb = bytes(&r, (size_t)n);
        const int64_t nza = rows ? m : 1, nzb = cols ? n : 1;
        t = trial_new("MatMulInteger", 17);
        trial_in(t, sa ? VD_S8 : VD_U8, DIMS(batch, m, k), a);
        trial_in(t, sb ? VD_S8 : VD_U8, b_batch ? 3 : 2, b_batch ? (const int64_t[]){batch, k, n} : (const int64_t[]){k, n}, b);
        trial_in(t, sa ? VD_S8 : VD_U8, 1, &nza, za);
        trial_in(t, sb ? VD_S8 : VD_U8, 1, &nzb, zb);
        trial_run(t, below(&r, 2) ? four : NULL);
        for (int64_t i = 0; i < batch * m * n; i++) {
            const int64_t z = i / n / m, y = i / n % m, x = i % n;
            int64_t sum = 0;
#define VALUE(is_signed, v) ((is_signed) ? (int)(int8_t)(v) : (int)(v))
            for (int64_t q = 0; q < k; q++)
                sum += (int64_t)(VALUE(sa, a[(z * m + y) * k + q]) - VALUE(sa, za[rows ? y : 0])) *
                       (VALUE(sb, b[((b_batch ? z : 0) * k + q) * n + x]) - VALUE(sb, zb[cols ? x : 0]));
            assert_int_equal(((const int32_t *)t->out[0].data)[i], sum);
        }
        trial_free(t);
        vd_free(a);
        vd_free(b);
        vd_free(za);
        vd_free(zb);
    }
    t = trial_new("MatMul", 17); /* wraps */
    trial_in(t, VD_S32, DIMS(1, 2), (int32_t[]){65536, INT32_MAX});
    trial_in(t, VD_S32, DIMS(2, 1), (int32_t[]){65536, 2});
    trial_run(t, NULL);
    check_data(&t->out[0], (int32_t[]){-2}, 4);
    trial_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products), cmocka_unit_test(integer_sums), cmocka_unit_test(float_products), cmocka_unit_test(integer_products),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
