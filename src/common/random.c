/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/random.h"

__extension__ typedef unsigned __int128 u128;

static uint32_t hashmix(uint32_t v, uint32_t *k, uint32_t mult)
{
    v ^= *k;
    *k *= mult;
    v *= *k;
    return v ^ v >> 16;
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    uint32_t r = 0xca01f9ddu * x - 0x4973f715u * y;
    return r ^ r >> 16;
}

/* SeedSequence(seed).generate_state(4, uint64), pool of four words. The
 * entropy is the seed in 32-bit words; absent words hash as zero. */
static void seed_words(uint64_t seed, uint64_t out[4])
{
    uint32_t pool[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0}, k = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++)
        pool[i] = hashmix(pool[i], &k, 0x931e8875u);
    for (int src = 0; src < 4; src++)
        for (int dst = 0; dst < 4; dst++)
            if (src != dst)
                pool[dst] = mix(pool[dst], hashmix(pool[src], &k, 0x931e8875u));
    k = 0x8b51f9ddu;
    for (int i = 0; i < 4; i++) {
        uint32_t low = hashmix(pool[2 * i % 4], &k, 0x58f38dedu);
        uint32_t high = hashmix(pool[(2 * i + 1) % 4], &k, 0x58f38dedu);
        out[i] = (uint64_t)high << 32 | low;
    }
}

static u128 join(uint64_t high, uint64_t low) { return (u128)high << 64 | low; }

static u128 step(u128 state, u128 inc)
{
    return state * join(0x2360ed051fc65da4u, 0x4385df649fccf645u) + inc;
}

static void store(struct vd_rng *r, u128 state)
{
    r->state[0] = (uint64_t)state;
    r->state[1] = (uint64_t)(state >> 64);
}

void vd_rng_seed(struct vd_rng *r, uint64_t seed)
{
    uint64_t w[4]; /* initstate and initseq, high word first */
    seed_words(seed, w);
    u128 inc = join(w[2], w[3]) << 1 | 1;
    /* PCG's srandom: a step from zero leaves inc, then initstate is added */
    store(r, step(inc + join(w[0], w[1]), inc));
    r->inc[0] = (uint64_t)inc;
    r->inc[1] = (uint64_t)(inc >> 64);
    r->spare = 0;
    r->has_spare = 0;
}

uint64_t vd_rng_u64(struct vd_rng *r)
{
    u128 s = step(join(r->state[1], r->state[0]), join(r->inc[1], r->inc[0]));
    store(r, s);
    uint64_t v = r->state[1] ^ r->state[0];
    unsigned rot = (unsigned)(r->state[1] >> 58);
    return v >> rot | v << (-rot & 63);
}

uint32_t vd_rng_u32(struct vd_rng *r)
{
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    uint64_t v = vd_rng_u64(r);
    r->spare = (uint32_t)(v >> 32);
    r->has_spare = 1;
    return (uint32_t)v;
}

float vd_rng_f32(struct vd_rng *r) { return (float)(vd_rng_u32(r) >> 8) * 0x1p-24f; }

double vd_rng_f64(struct vd_rng *r) { return (double)(vd_rng_u64(r) >> 11) * 0x1p-53; }

uint32_t vd_rng_below(struct vd_rng *r, uint32_t n)
{
    if (n <= 1)
        return 0;
    uint64_t m = (uint64_t)vd_rng_u32(r) * n;
    if ((uint32_t)m < n) { /* the low part decides whether the draw is one of the few too many */
        const uint32_t threshold = (0u - n) % n;
        while ((uint32_t)m < threshold)
            m = (uint64_t)vd_rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}
