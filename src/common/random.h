/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_RANDOM_H
#define VD_RANDOM_H

#include <stdint.h>

/* numpy.random.default_rng(seed): SeedSequence (O'Neill's seed_seq_fe) feeding
 * PCG64 (PCG XSL RR 128/64). The streams are NumPy's, value for value. */
struct vd_rng {
    uint64_t state[2], inc[2]; /* 128-bit, low word first */
    uint32_t spare;
    int has_spare;             /* half of a 64-bit draw kept for the next 32-bit one */
};

void vd_rng_seed(struct vd_rng *r, uint64_t seed);
uint64_t vd_rng_u64(struct vd_rng *r);
uint32_t vd_rng_u32(struct vd_rng *r); /* low half first, then the high half, as NumPy */
float vd_rng_f32(struct vd_rng *r);    /* random(dtype=float32): (u32 >> 8) * 2^-24 */
double vd_rng_f64(struct vd_rng *r);   /* random(): (u64 >> 11) * 2^-53 */
/* integers(0, n), n from 1: Lemire's method on 32-bit draws, which NumPy uses for every n that fits. n 1 draws nothing. */
uint32_t vd_rng_below(struct vd_rng *r, uint32_t n);

#endif
