/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRUST_PRIV_H
#define VD_TRUST_PRIV_H

#include "common/status.h"
#include "trust/trust.h"

/* Where the rules that a file breaks go: to say (every one), or without it the
 * first becomes the reason. */
struct vd_lint {
    const char *file;
    const char *what; /* "row 3 (id)" or "" */
    int row;          /* index, -1: the file as a whole */
    bool full;        /* the schema's rules too, not only those that decide which bytes run */
    vd_trust_say *say;
    void *arg;
    int n, err;       /* rules broken; errno of the first */
};
void vd_lint_add(struct vd_lint *l, int err, const char *fmt, ...) VD_PRINTF(3, 4);

/* What an object of either kind says; keys of the wrong type or form are reported and left out. */
void vd_row_parse(const json_t *o, bool sidecar, struct vd_row *row, struct vd_lint *l);

/* Rows and top of r->json; every rule. */
int vd_registry_parse(struct vd_registry *r, struct vd_lint *l);

bool vd_id_ok(const char *s);       /* [a-z0-9_]+, at most 255 */
bool vd_file_name_ok(const char *s); /* X.onnx of [A-Za-z0-9_][A-Za-z0-9._+-]*, at most 255, not X.int8.onnx */
bool vd_digest_ok(const char *s);   /* 64 lower-case hex digits */

/* Bytes before .int8.onnx or .onnx; false when path is not a model's. */
bool vd_model_stem(const char *path, size_t *stem, bool *is_int8);
const char *vd_base_name(const char *path);
/* The end of a path, short enough to leave room for the reason. */
const char *vd_shown(const char *path);
/* dst = folder of path + name. */
int vd_beside(char dst[VD_MAX_PATH], const char *path, const char *name);
/* 1: something has this name, a dangling link too; 0: nothing has; else why that cannot be told. */
int vd_present(const char *path);
/* -ENOENT unless path is a regular file, links followed; opens nothing. */
int vd_regular(const char *path);

/* Inside VMAF_TINY_MODEL_DIR, or there is none: real is the canonical path then, else path itself. */
int vd_jail(const char *path, char real[VD_MAX_PATH]);

/* JSON text to an object; path is for messages. */
int vd_json_parse(const void *data, size_t size, const char *path, json_t **json);
/* Inside the jail, when jailed. sha256: of the bytes. */
int vd_json_read(const char *path, bool jailed, json_t **json, char sha256[65]);
/* Read, change and replace a JSON file while holding the lock of its folder; the result must pass check. */
typedef int vd_json_change(json_t *json, const char *path, void *arg);
/* text: the bytes that were written; NULL: not wanted. */
int vd_json_update(const char *path, vd_json_change *change, vd_json_change *check, void *arg, char **text, size_t *size);
/* The same of a file that is not there and begins as json, which is freed here; NULL: there was no memory for it. */
int vd_json_create(const char *path, json_t *json, vd_json_change *change, vd_json_change *check, void *arg);
/* Keys of o become those of keys; a null takes one out. */
int vd_json_merge(json_t *o, const json_t *keys);
int vd_lock_folder(const char *path); /* of path; what to unlock, or -1: there are no locks there */
void vd_unlock_folder(int lock);
/* quant_mode and int8_sha256 of a row or sidecar; both are removed for fp32, which has no digest. A row also says what the ranges are of,
 * or nothing where calibration_set is NULL. */
struct vd_quant { enum vd_quant_mode mode; const char *int8_sha256, *onnx, *sidecar, *calibration_set; };
int vd_quant_put(json_t *o, const struct vd_quant *q);

#endif
