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

#endif
