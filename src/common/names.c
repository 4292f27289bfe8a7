/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/names.h"

#include <stdint.h>
#include <string.h>

#include "common/checked.h"

static size_t slot_of(const struct vd_names *t, const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)(uintptr_t)t->slot;
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
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
