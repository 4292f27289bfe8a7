/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_REPORT_H
#define VD_GATE_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "gate/explain.h"
#include "gate/gate.h"

/* What came of a model, for people and programs. */

/* gate_text.c: the record's line and what is below it. */
void vd_gate_print(FILE *f, const struct vd_gate_result *r, bool compat);
/* At most so many layers, dearest first; all: also what it was measured on, and activations. */
void vd_explain_print(FILE *f, const struct vd_explain *e, int most, bool all);

/* gate_json.c: one object; NULL when there is no memory. */
json_t *vd_gate_json(const struct vd_gate_result *r);
void vd_json_number(json_t *o, const char *key, double v); /* JSON has neither NaN nor infinity: null */
/* A member or an element that memory did not suffice for is missing from then on, and what was made may not be written. They take v. */
void vd_json_set(json_t *o, const char *key, json_t *v);
void vd_json_append(json_t *list, json_t *v);
bool vd_json_lost(void);

/* gate_explain.c */
void vd_explain_json(json_t *o, const struct vd_explain *e); /* "layers" and "activations" into it */
json_t *vd_node_data(const struct vd_gate_result *r, const struct vd_explain *e); /* Model Explorer's node data: SQNR by output tensor */
json_t *vd_trace_json(const struct vd_trace *t); /* the trace event format, with ONNX Runtime's names and keys */

/* gate_html.c: the page, as text whose data the caller frees. -ENOMEM. */
struct vd_buf;
int vd_gate_html(struct vd_buf *b, const struct vd_gate_result *r, const struct vd_explain *e);

/* gate_out.c: to a file, whole or not at all; - is standard output. json is taken, and may be NULL: no memory. */
int vd_report_json(const char *path, json_t *json);
int vd_report_html(const char *path, const struct vd_gate_result *r, const struct vd_explain *e);

#endif
