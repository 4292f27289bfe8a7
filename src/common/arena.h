/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ARENA_H
#define VD_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include "common/status.h"

/* Many small objects with one lifetime: a model, a graph. Blocks are chained;
 * everything goes at once. A zeroed struct is an empty arena. */
struct vd_arena {
    struct vd_arena_block *blocks;
    size_t total; /* bytes handed out */
    size_t room;  /* what may still be handed out, where there is a limit */
    bool limited, over;
};

/* At most size bytes from now on. Over it an allocation fails, and over says that it was not for want of memory. */
void vd_arena_limit(struct vd_arena *a, size_t size);

/* Zeroed, 64-byte aligned when size >= 64, else 16. NULL: no memory, or
 * count * size does not fit. */
void *vd_arena_array(struct vd_arena *a, size_t count, size_t size);
void *vd_arena_dup(struct vd_arena *a, const void *data, size_t size);
char *vd_arena_str(struct vd_arena *a, const char *s, size_t len); /* adds the NUL */
char *vd_arena_printf(struct vd_arena *a, const char *fmt, ...) VD_PRINTF(2, 3);
void vd_arena_free(struct vd_arena *a);

#endif
