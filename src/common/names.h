/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_NAMES_H
#define VD_NAMES_H

#include <stddef.h>

#include "common/arena.h"

/* Strings to indices: open addressing in an arena, sized once. The strings are
 * not copied. The hash is seeded with an address of the process, so that a file
 * cannot aim for collisions. */
struct vd_names {
    struct vd_names_slot { const char *name; int index; } *slot;
    size_t mask;
};

/* Room for count names. -ENOMEM. */
int vd_names_init(struct vd_names *t, struct vd_arena *a, size_t count);
int vd_names_find(const struct vd_names *t, const char *name); /* -1: absent */
/* The index under which the name is now known: index when it is new, else the earlier one. */
int vd_names_add(struct vd_names *t, const char *name, int index);

#endif
