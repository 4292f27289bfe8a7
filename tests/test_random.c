/* SPDX-License-Identifier: BSD-2-Clause */
/* vd_rng against NumPy's default_rng, value for value. NumPy 2.4.6 printed each
 * row, for s as in the row's comment:
 *
 *   import hashlib, numpy as np; r = np.random.default_rng; hexes = lambda a: [float(v).hex() for v in a]
 *   print([hex(v) for v in r(s).bit_generator.random_raw(8).tolist()])                         # raw
 *   print(hexes(r(s).random(9, dtype='f')), hexes(r(s).random(8)))                             # f32, f64
 *   g = r(s); print(sum((hexes(g.random(n, dtype=t)) for n, t in zip((3,2,2,1,2), 'fdfdf')), [])) # mixed
 *   print(hashlib.sha256(r(s).random(100001, dtype='f').tobytes()).hexdigest())                # sha256
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/random.h"

enum { RAW = 8, F32 = 9, F64 = 8, MIXED = 10, LONG = 100001 };

static const struct row {
    uint64_t seed, raw[RAW];
    double f32[F32], f64[F64], mixed[MIXED];
    const char *sha256;
} rows[] = {
    { /* 0 */
        .seed = 0x0,
        .raw = {0xa30febcfd9c2825f, 0x4510bdf882d9d721, 0xa7d3da94ecde8b8, 0x43b27b61342f01d,
                0xd0327a782cde513b, 0xe9aa5979a6401c4e, 0x9b4c7b7180edb27f, 0xbac0495ff8829a45},
        .f32 = {0x1.b38504p-1, 0x1.461fd6p-1, 0x1.05b3aep-1, 0x1.1442f4p-2, 0x1.3b37ap-2,
                0x1.4fa7ap-5, 0x1.342fp-4, 0x1.0ec9cp-6, 0x1.66f288p-3},
        .f64 = {0x1.461fd79fb385p-1, 0x1.1442f7e20b674p-2, 0x1.4fa7b529d9bdp-5, 0x1.0ec9ed84d0bcp-6, 0x1.a064f4f059bcap-1,
                0x1.d354b2f34c803p-1, 0x1.3698f6e301db6p-1, 0x1.758092bff1053p-1},
        .mixed = {0x1.b38504p-1, 0x1.461fd6p-1, 0x1.05b3aep-1, 0x1.4fa7b529d9bdp-5, 0x1.0ec9ed84d0bcp-6,
                  0x1.1442f4p-2, 0x1.66f288p-3, 0x1.d354b2f34c803p-1, 0x1.a064f4p-1, 0x1.01db64p-1},
        .sha256 = "c7f78bf21aaa34dbdc4966dd98178a52c6b6dd75c5957cd492d11e8a34e0ca69",
    },
    { /* 1 */
        .seed = 0x1,
        .raw = {0x8306bdf37922e4ff, 0xf35196bbc152a866, 0x24e7a4f608ec18cd, 0xf2dab0aed2ac6fd2,
                0x4fd42fa03fcd72a9, 0x6c5f1f45de787048, 0xd3e4513345ee6d24, 0x68c1464c41ca3aca},
        .f32 = {0x1.e48b9p-2, 0x1.060d7ap-1, 0x1.82a55p-1, 0x1.e6a32cp-1, 0x1.1d83p-5,
                0x1.273d2p-3, 0x1.a558dep-1, 0x1.e5b56p-1, 0x1.fe6b9p-3},
        .f64 = {0x1.060d7be6f245cp-1, 0x1.e6a32d7782a55p-1, 0x1.273d27b04760cp-3, 0x1.e5b5615da558dp-1, 0x1.3f50be80ff35cp-2,
                0x1.b17c7d1779e1cp-2, 0x1.a7c8a2668bdcdp-1, 0x1.a30519310728ep-2},
        .mixed = {0x1.e48b9p-2, 0x1.060d7ap-1, 0x1.82a55p-1, 0x1.273d27b04760cp-3, 0x1.e5b5615da558dp-1,
                  0x1.e6a32cp-1, 0x1.fe6b9p-3, 0x1.b17c7d1779e1cp-2, 0x1.3f50bcp-2, 0x1.17b9b4p-2},
        .sha256 = "cd705d44bc1c9929624cba8ee9c2124ee18065ff0ca44b6a4fc1686bd908cf28",
    },
    { /* 2**32-1 */
        .seed = 0xffffffff,
        .raw = {0x407f5fa930d8fd9f, 0x3814b22eb9684802, 0x498b7dcee8d8dc95, 0x9e758f03369e8515,
                0xef5cf72bb50c69e2, 0x4bc478ea21bb26b3, 0x853d3cefd8463fe3, 0x467dd55290b5e238},
        .f32 = {0x1.86c7e8p-3, 0x1.01fd7cp-2, 0x1.72d09p-1, 0x1.c0a59p-3, 0x1.d1b1b8p-1,
                0x1.262df4p-2, 0x1.b4f428p-3, 0x1.3ceb1ep-1, 0x1.6a18d2p-1},
        .f64 = {0x1.01fd7ea4c363ep-2, 0x1.c0a59175cb424p-3, 0x1.262df73ba3636p-2, 0x1.3ceb1e066d3dp-1, 0x1.deb9ee576a18dp-1,
                0x1.2f11e3a886ec8p-2, 0x1.0a7a79dfb08c7p-1, 0x1.19f7554a42d78p-2},
        .mixed = {0x1.86c7e8p-3, 0x1.01fd7cp-2, 0x1.72d09p-1, 0x1.262df73ba3636p-2, 0x1.3ceb1e066d3dp-1,
                  0x1.c0a59p-3, 0x1.6a18d2p-1, 0x1.2f11e3a886ec8p-2, 0x1.deb9eep-1, 0x1.b08c7ep-1},
        .sha256 = "6a0f320c72f5b37e0ddf238bb332a8c81eb60c842f5d97a1d58fc37f130fe5b7",
    },
    { /* 2**32 */
        .seed = 0x100000000,
        .raw = {0xe3c5ebe285ac1625, 0x8ea09968fe31dbcc, 0xcd084ff84d8de9be, 0xf4de16ec3a8b9986,
                0xf016733e42aeb52, 0x3c84c18710386ed2, 0xc9ae0f694036465d, 0x14336a40d6852c},
        .f32 = {0x1.0b582cp-1, 0x1.c78bd6p-1, 0x1.fc63b6p-1, 0x1.1d4132p-1, 0x1.3637a4p-2,
                0x1.9a109ep-1, 0x1.d45cc8p-3, 0x1.e9bc2cp-1, 0x1.c855d6p-1},
        .f64 = {0x1.c78bd7c50b582p-1, 0x1.1d4132d1fc63bp-1, 0x1.9a109ff09b1bdp-1, 0x1.e9bc2dd875173p-1, 0x1.e02ce67c855dp-5,
                0x1.e4260c3881c34p-3, 0x1.935c1ed2806c8p-1, 0x1.4336a40d68p-12},
        .mixed = {0x1.0b582cp-1, 0x1.c78bd6p-1, 0x1.fc63b6p-1, 0x1.9a109ff09b1bdp-1, 0x1.e9bc2dd875173p-1,
                  0x1.1d4132p-1, 0x1.c855d6p-1, 0x1.e4260c3881c34p-3, 0x1.e02cep-5, 0x1.00d918p-2},
        .sha256 = "913589bef66ab511ac093f04b494b47a5b98d5ac488010fe7ce48f77cd755efb",
    },
    { /* 2**40+5 */
        .seed = 0x10000000005,
        .raw = {0x1369aef039fedeb, 0x5f61b40473314316, 0x9654aaeeea6ebe77, 0x26c2209be6417518,
                0x6b827fe60286ef60, 0xfc65016fe39c09e5, 0x5c774681124818ce, 0xcdb131f24f143bc},
        .f32 = {0x1.cff68p-7, 0x1.369ap-8, 0x1.ccc50cp-2, 0x1.7d86dp-2, 0x1.d4dd7cp-1,
                0x1.2ca954p-1, 0x1.cc82eap-1, 0x1.3611p-3, 0x1.43778p-7},
        .f64 = {0x1.369aef039fe8p-8, 0x1.7d86d011ccc5p-2, 0x1.2ca955ddd4dd7p-1, 0x1.361104df320b8p-3, 0x1.ae09ff980a1bap-2,
                0x1.f8ca02dfc7381p-1, 0x1.71dd1a0449206p-2, 0x1.9b6263e49e28p-5},
        .mixed = {0x1.cff68p-7, 0x1.369ap-8, 0x1.ccc50cp-2, 0x1.2ca955ddd4dd7p-1, 0x1.361104df320b8p-3,
                  0x1.7d86dp-2, 0x1.43778p-7, 0x1.f8ca02dfc7381p-1, 0x1.ae09fcp-2, 0x1.24818p-4},
        .sha256 = "88cca968f4dd1c663616763643fc25f5cdff5845befdaf2e895eab92207aa313",
    },
    { /* 2**64-1 */
        .seed = 0xffffffffffffffff,
        .raw = {0xae163a7a8c47568f, 0xd86659f5f3382359, 0x1e52b195bc2d24a, 0xe5026aaf19a22db1,
                0x2103dd989acff71c, 0x519f668e4da8ffa0, 0x96e7ca73cf907673, 0x2ec49d1809f5929e},
        .f32 = {0x1.188eacp-1, 0x1.5c2c74p-1, 0x1.e67046p-1, 0x1.b0ccb2p-1, 0x1.6f0b48p-2,
                0x1.e52bp-8, 0x1.9a22dp-4, 0x1.ca04d4p-1, 0x1.359feep-1},
        .f64 = {0x1.5c2c74f5188eap-1, 0x1.b0ccb3ebe6704p-1, 0x1.e52b195bc2dp-8, 0x1.ca04d55e33445p-1, 0x1.081eecc4d67f8p-3,
                0x1.467d9a3936a3ep-2, 0x1.2dcf94e79f20ep-1, 0x1.7624e8c04fac8p-3},
        .mixed = {0x1.188eacp-1, 0x1.5c2c74p-1, 0x1.e67046p-1, 0x1.e52b195bc2dp-8, 0x1.ca04d55e33445p-1,
                  0x1.b0ccb2p-1, 0x1.359feep-1, 0x1.467d9a3936a3ep-2, 0x1.081ee8p-3, 0x1.9f20ecp-1},
        .sha256 = "1167d840e26f167210c7c94c9c0817370112255fefb60a2cb38c9c1026295193",
    },
};

#define EACH(r) const struct row *r = rows; r < rows + sizeof rows / sizeof *rows; r++
#define SAME(got, want) \
    do { \
        double g_ = (got), w_ = (want); \
        if (memcmp(&g_, &w_, sizeof g_) != 0) \
            fail_msg("seed %llu: %a, and NumPy has %a", (unsigned long long)r->seed, g_, w_); \
    } while (0)

static void test_raw(void **state)
{
    (void)state;
    struct vd_rng g;
    for (EACH(r)) {
        vd_rng_seed(&g, r->seed);
        for (int i = 0; i < RAW; i++)
            assert_true(vd_rng_u64(&g) == r->raw[i]);
    }
}

static void test_floats(void **state)
{
    (void)state;
    struct vd_rng g;
    for (EACH(r)) {
        vd_rng_seed(&g, r->seed);
        for (int i = 0; i < F32; i++)
            SAME(vd_rng_f32(&g), r->f32[i]);
        vd_rng_seed(&g, r->seed);
        for (int i = 0; i < F64; i++)
            SAME(vd_rng_f64(&g), r->f64[i]);
    }
}

/* The half that an odd number of 32-bit draws leaves over outlives 64-bit draws. */
static void test_mixed(void **state)
{
    (void)state;
    static const char draws[MIXED + 1] = "fffddffdff";
    struct vd_rng g;
    for (EACH(r)) {
        vd_rng_seed(&g, r->seed);
        for (int i = 0; i < MIXED; i++)
            SAME(draws[i] == 'd' ? vd_rng_f64(&g) : (double)vd_rng_f32(&g), r->mixed[i]);
    }
}

static void test_halves(void **state)
{
    (void)state;
    struct vd_rng g;
    for (EACH(r)) {
        vd_rng_seed(&g, r->seed);
        for (int i = 0; i < RAW; i++) {
            assert_true(vd_rng_u32(&g) == (uint32_t)r->raw[i]);
            assert_true(vd_rng_u32(&g) == (uint32_t)(r->raw[i] >> 32));
        }
    }
}

/* Seeding anew forgets everything, the half left over too. */
static void test_reseed(void **state)
{
    (void)state;
    struct vd_rng g;
    memset(&g, 0xff, sizeof g);
    for (int i = 0; i < 3; i++) {
        vd_rng_seed(&g, rows[0].seed);
        assert_true(vd_rng_u32(&g) == (uint32_t)rows[0].raw[0]);
    }
}

static void test_long(void **state)
{
    (void)state;
    for (EACH(r)) {
        crypto_hash_sha256_state h;
        unsigned char digest[32];
        char hex[65];
        struct vd_rng g;
        crypto_hash_sha256_init(&h);
        vd_rng_seed(&g, r->seed);
        for (int i = 0; i < LONG; i++) {
            float f = vd_rng_f32(&g);
            uint32_t bits;
            memcpy(&bits, &f, 4);
            unsigned char le[4] = {(unsigned char)bits, (unsigned char)(bits >> 8), (unsigned char)(bits >> 16),
                                   (unsigned char)(bits >> 24)};
            crypto_hash_sha256_update(&h, le, 4);
        }
        crypto_hash_sha256_final(&h, digest);
        sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
        assert_string_equal(hex, r->sha256);
    }
}

/* g = r(s); print([g.integers(0, n) for n in of], r(s).integers(0, 3000000000, size=6)) */
static void test_below(void **state)
{
    (void)state;
    static const uint32_t of[] = {1, 2, 3, 10, 16, 300, 1u << 31, 0xffffffffu, (1u << 31) + 1, (1u << 31) + 1, 7};
    enum { N = sizeof of / sizeof *of };
    static const struct { uint64_t seed; uint32_t each[N], same[6]; } want[] = {
        {0, {0u, 1u, 1u, 5u, 4u, 92u, 87989972u, 323153948u, 376383645u, 1746484540u, 4u}, {2551872677u, 1910885061u, 1533409439u, 809360140u, 923488268u, 122920571u}},
        {5, {0u, 1u, 2u, 0u, 12u, 140u, 1106653215u, 2706834549u, 596836679u, 823278402u, 3u}, {2415008770u, 67959658u, 1545976682u, 1890702091u, 857404139u, 2938571141u}},
    };
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        struct vd_rng r;
        vd_rng_seed(&r, want[k].seed);
        for (int i = 0; i < N; i++)
            assert_int_equal(vd_rng_below(&r, of[i]), want[k].each[i]);
        vd_rng_seed(&r, want[k].seed);
        for (int i = 0; i < 6; i++)
            assert_int_equal(vd_rng_below(&r, 3000000000u), want[k].same[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_below), cmocka_unit_test(test_raw),    cmocka_unit_test(test_floats), cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_halves), cmocka_unit_test(test_reseed), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
