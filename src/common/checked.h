/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CHECKED_H
#define VD_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes that a file decides are formed here and nowhere else: false means that
 * the exact result does not fit, and *out is then not to be used. */
static inline bool vd_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool vd_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool vd_mul64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool vd_add64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }

/* Product of rank dims, each >= 0; 1 for rank 0. */
static inline bool vd_count(const int64_t *dim, int rank, size_t *out)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0 || !vd_mul(n, (size_t)dim[i], &n))
            return false;
    *out = n;
    return true;
}

#endif
