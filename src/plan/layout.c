/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/layout.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"

static const uint64_t LAYOUT_CAP = UINT64_C(64) << 30;

struct gap { size_t offset, size; };

static int by_last(const void *a, const void *b)
{
    const struct vd_slot *x = *(struct vd_slot *const *)a, *y = *(struct vd_slot *const *)b;
    return x->last != y->last ? (x->last > y->last) - (x->last < y->last) : (x > y) - (x < y);
}

/* Put a range back among the gaps, which are in order of offset and never touch. */
static int give(struct gap *gap, int n, size_t offset, size_t size)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        const int mid = lo + (hi - lo) / 2;
        if (gap[mid].offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    const int before = lo > 0 && gap[lo - 1].offset + gap[lo - 1].size == offset;
    const int after = lo < n && offset + size == gap[lo].offset;
    if (before && after) {
        gap[lo - 1].size += size + gap[lo].size;
        memmove(&gap[lo], &gap[lo + 1], (size_t)(n - lo - 1) * sizeof(*gap));
        return n - 1;
    }
    if (before) {
        gap[lo - 1].size += size;
        return n;
    }
    if (after) {
        gap[lo].offset = offset;
        gap[lo].size += size;
        return n;
    }
    memmove(&gap[lo + 1], &gap[lo], (size_t)(n - lo) * sizeof(*gap));
    gap[lo] = (struct gap){offset, size};
    return n + 1;
}

/* The smallest gap that holds size, else the end. */
static size_t take(struct gap *gap, int *n, size_t *end, size_t size)
{
    int best = -1;
    for (int i = 0; i < *n; i++)
        if (gap[i].size >= size && (best < 0 || gap[i].size < gap[best].size))
            best = i;
    if (best < 0) {
        const size_t at = *end;
        *end += size;
        return at;
    }
    const size_t at = gap[best].offset;
    gap[best].offset += size;
    gap[best].size -= size;
    if (!gap[best].size) {
        memmove(&gap[best], &gap[best + 1], (size_t)(*n - best - 1) * sizeof(*gap));
        --*n;
    }
    return at;
}

static size_t padded(size_t size) { return ((size + 63) & ~(size_t)63) + 64; }

int vd_layout(struct vd_slot *slot, int n, size_t *total, struct vd_arena *temp)
{
    *total = 0;
    struct vd_slot **ending = vd_arena_array(temp, (size_t)n + 1, sizeof(*ending));
    struct gap *gap = vd_arena_array(temp, (size_t)n + 1, sizeof(*gap));
    if (!ending || !gap)
        return vd_nomem((size_t)n * (sizeof(*ending) + sizeof(*gap)));
    for (int i = 0; i < n; i++)
        ending[i] = &slot[i];
    qsort(ending, (size_t)n, sizeof(*ending), by_last);

    size_t end = 0;
    int gaps = 0, freed = 0;
    for (int i = 0; i < n; i++) {
        struct vd_slot *s = &slot[i];
        assert(s->first <= s->last && (!i || slot[i - 1].first <= s->first));
        while (freed < n && ending[freed]->last < s->first) {
            gaps = give(gap, gaps, ending[freed]->offset, padded(ending[freed]->size));
            freed++;
        }
        if (s->size > LAYOUT_CAP || end > LAYOUT_CAP)
            return vd_fail(ERANGE, "the model's tensors need more than %llu GiB at this size", (unsigned long long)(LAYOUT_CAP >> 30));
        s->offset = take(gap, &gaps, &end, padded(s->size));
    }
    *total = end;
    return 0;
}
