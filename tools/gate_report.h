/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_REPORT_H
#define VD_GATE_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "gate/gate.h"

/* What came of a model, for people (gate_text.c) and programs (gate_json.c). */

void vd_gate_print(FILE *f, const struct vd_gate_result *r, bool compat);
/* One object; NULL when there is no memory. */
json_t *vd_gate_json(const struct vd_gate_result *r);
/* JSON has neither NaN nor infinity: null. */
void vd_json_number(json_t *o, const char *key, double v);
/* A member or an element that memory did not suffice for is missing from then on, and what was made may not be written. They take v. */
void vd_json_set(json_t *o, const char *key, json_t *v);
void vd_json_append(json_t *list, json_t *v);
bool vd_json_lost(void);

#endif
