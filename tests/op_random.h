/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef OP_RANDOM_H
#define OP_RANDOM_H

#include "op_harness.h"

/* Random tensors for rows of the op table, four workers to run them with, and the long way to index what is broadcast. VD_SEED=N: another seed. */

static uint64_t seed = 20261125;
static struct vd_workers *four;

static inline int below(struct vd_rng *r, int n) { return (int)(vd_rng_u32(r) % (uint32_t)n); }

static inline float *floats(struct vd_rng *r, size_t n)
{
    float *v = vd_calloc(n + 1, sizeof(*v));
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = vd_rng_f32(r) * 8 - 4;
    return v;
}

static inline uint8_t *bytes(struct vd_rng *r, size_t n)
{
    uint8_t *v = vd_calloc(n + 1, 1);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (uint8_t)vd_rng_u32(r);
    return v;
}

static inline size_t count_of(int rank, const int64_t *dim)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= (size_t)dim[i];
    return n;
}

/* Element i of `out`, as an index into a tensor of these dims that is broadcast to it. */
static inline size_t broadcast_index(const struct vd_tensor *out, size_t i, int rank, const int64_t *dim)
{
    size_t at = 0, step = 1;
    for (int d = 1; d <= out->rank; d++) {
        const size_t x = i % (size_t)out->dim[out->rank - d];
        i /= (size_t)out->dim[out->rank - d];
        if (d > rank)
            continue;
        at += dim[rank - d] == 1 ? 0 : x * step;
        step *= (size_t)dim[rank - d];
    }
    return at;
}

/* A random shape; one dim in a few is long enough for several pieces of work. */
static inline int random_shape(struct vd_rng *r, int lo, int hi, int64_t *dim)
{
    const int rank = lo + below(r, hi - lo + 1);
    for (int i = 0; i < rank; i++)
        dim[i] = 1 + below(r, 6);
    if (rank && below(r, 4) == 0)
        dim[below(r, rank)] = 900 + below(r, 3000);
    return rank;
}

static inline int start(void **state)
{
    (void)state;
    const char *given = getenv("VD_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    printf("VD_SEED=%" PRIu64 "\n", seed);
    return vd_workers_create(4, &four);
}

static inline int stop(void **state)
{
    (void)state;
    vd_workers_free(four);
    return 0;
}

#endif
