/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_KEPT_H
#define VD_KEPT_H

#include "gate/gate.h"
#include "gate/pair.h"

/* The last sample of a set, which p has just run, into r->kept[slot] in the place of what is there. clean: its clean picture, or NULL. */
int vd_keep(struct vd_gate_result *r, int slot, int set, const struct vd_pair *p, const float *clean);
void vd_kept_free(struct vd_kept *k, size_t n_in);

#endif
