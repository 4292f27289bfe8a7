/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/names.h"

#include <stdint.h>
#include <string.h>

#include "common/checked.h"

/* Both halves of a product with an odd number. What a change of a word does to it depends on the state before, and that begins with an address. */
static uint64_t mix(uint64_t h, uint64_t w)
{
    __extension__ typedef unsigned __int128 u128;
    const u128 p = (u128)(h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static size_t slot_of(const struct vd_names *t, const char *name)
{
    size_t n = strlen(name);
    const char *p = name;
    uint64_t w = 0, h = mix((uintptr_t)t->slot, n);
    for (; n >= sizeof(w); n -= sizeof(w), p += sizeof(w)) {
        memcpy(&w, p, sizeof(w));
        h = mix(h, w);
    }
    w = 0;
    memcpy(&w, p, n);
    h = mix(h, w);
    size_t i = (size_t)(h ^ h >> 32) & t->mask;
    while (t->slot[i].name && strcmp(t->slot[i].name, name))
        i = (i + 1) & t->mask;
    return i;
}

int vd_names_init(struct vd_names *t, struct vd_arena *a, size_t count)
{
    size_t size = 8, want;
    if (!vd_mul(count, 2, &want))
        return vd_nomem(SIZE_MAX);
    while (size < want)
        size *= 2; /* want is below half of the address space's elements, so this ends */
    t->slot = vd_arena_array(a, size, sizeof(*t->slot));
    t->mask = size - 1;
    return t->slot ? 0 : vd_nomem(size * sizeof(*t->slot));
}

int vd_names_find(const struct vd_names *t, const char *name)
{
    const struct vd_names_slot *s = &t->slot[slot_of(t, name)];
    return s->name ? s->index : -1;
}

int vd_names_add(struct vd_names *t, const char *name, int index)
{
    struct vd_names_slot *s = &t->slot[slot_of(t, name)];
    if (!s->name) {
        s->name = name;
        s->index = index;
    }
    return s->index;
}
