/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LAYOUT_H
#define VD_LAYOUT_H

#include "common/arena.h"

/* One buffer of the arena: alive from step first to step last, both included. */
struct vd_slot {
    size_t size;    /* bytes */
    int first, last;
    size_t offset;  /* set by vd_layout(): a multiple of 64 */
};

/* Give every slot an offset so that slots alive at the same time do not overlap,
 * with 64 bytes between neighbours. slots are in order of first. *total: bytes that the whole takes.
 * -ERANGE over 64 GiB. */
int vd_layout(struct vd_slot *slot, int n, size_t *total, struct vd_arena *temp);

#endif
