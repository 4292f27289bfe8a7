/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRUST_H
#define VD_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "trust/signature.h"

/* Which bytes run. docs/formats.md describes the files. */

enum { VD_MAX_MODEL = 50 << 20, VD_MAX_JSON = 1 << 20, VD_MAX_PATH = 4096 };

enum vd_quant_mode { VD_QUANT_FP32, VD_QUANT_DYNAMIC, VD_QUANT_STATIC, VD_QUANT_QAT };
const char *vd_quant_mode_name(enum vd_quant_mode m);
int vd_quant_mode_parse(const char *s, enum vd_quant_mode *m); /* -EBADMSG for an unknown word */

void vd_sha256_hex(const void *data, size_t size, char hex[65]);

/* The gate's rules beside the budget: registry, quant_gate. docs/formats.md says what each means and what holds without it. */
enum vd_limit {
    VD_LIMIT_SLOPE, VD_LIMIT_OFFSET, VD_LIMIT_SROCC_DROP, VD_LIMIT_RMSE, VD_LIMIT_ABS_ERROR, /* every output */
    VD_LIMIT_PSNR, VD_LIMIT_SSIM, VD_LIMIT_GAIN_LOSS, VD_LIMIT_GAIN_LOSS_WORST,              /* of filters */
    VD_LIMIT_SCORE_ERROR, VD_LIMIT_SCORE_ERROR_WORST,                                        /* of scores */
    VD_N_LIMITS
};
const char *vd_limit_key(enum vd_limit l);

/* One model as registry row or sidecar say; pointers live as long as the json_t. Absent strings are NULL. */
struct vd_row {
    const char *id, *kind, *onnx, *sha256, *int8_sha256, *sidecar_sha256, *license, *notes, *calibration_set; /* kind: fr, nr or filter */
    int opset; /* 0 when absent */
    bool smoke, has_budget;
    double budget; /* quant_accuracy_budget_plcc */
    bool has_limit[VD_N_LIMITS];
    double limit[VD_N_LIMITS]; /* quant_gate */
    bool unknown_limit;        /* quant_gate has a rule that is not in the list: the file opens, and is not gated */
    enum vd_quant_mode quant_mode;
    /* Sidecar only: the input contract. */
    const char *input_name, *output_name;
    int size_w, size_h; /* input size to use where the model's is symbolic; 0 when absent */
    const char *resize; /* the kernel that brings pictures to that size; NULL when absent */
    double output_lo, output_hi; /* output.range; both 0 when absent */
    /* Sidecar only: degradation, what a filter's pictures are damaged by. 0: not at all, or absent. */
    bool has_degradation;
    double blur_sigma;
    int jpeg_quality;
};

struct vd_registry {
    char path[VD_MAX_PATH];
    json_t *json;       /* whole file; keys that are not ours are kept */
    struct vd_row *row; /* in file order */
    int n;
    const char *name;   /* which registry of its signer this is; NULL when absent */
    int64_t version;    /* registry_version; 0 when absent */
    bool is_signed;     /* by a trusted key */
    char key[VD_KEY_NAME]; /* that one's id */
    char sha256[65];    /* of the file */
};
#define VD_REGISTRY_SCHEMA "vmaf-dnn-registry/1" /* of "schema": what a signature was given for */

/* Strict: JSON with duplicate keys, a schema_version other than 1, a known key of the wrong type or form, an unknown
 * quant_mode or kind, a digest that is not 64 lower-case hex digits, an int8_sha256 without a quant_mode that runs it, an
 * onnx that is not a plain file name (no '/'), duplicate ids or files are -EBADMSG with line or row named.
 * A row without sha256, or without int8_sha256 where quant_mode is not fp32, is -EKEYREJECTED. Keys that are not
 * known are let be (vd_registry_lint() finds them). -ENOENT when there is no such file, -E2BIG over VD_MAX_JSON.
 * With trusted keys (t->n > 0) the bytes that are parsed must be signed by one of them in PATH.minisig, have the schema and a
 * registry_version that is not below the highest one opened before under that key: -EKEYREJECTED.
 * On failure r is empty. */
int vd_registry_load(const char *path, const struct vd_trusted *t, struct vd_registry *r);
int vd_registry_digest(const char *path, char sha256[65]); /* of the file as it is now */
void vd_registry_free(struct vd_registry *r);
const struct vd_row *vd_registry_by_id(const struct vd_registry *r, const char *id);
const struct vd_row *vd_registry_by_onnx(const struct vd_registry *r, const char *base); /* "x.onnx" */

/* Path of the registry to look ids up in: given when not NULL, else $VMAF_DNN_REGISTRY when set, else the first that
 * exists of model/tiny/registry.json and the installed one. -ENOENT when there is none, and what to do. */
int vd_registry_find(const char *given, char path[VD_MAX_PATH]);

/* The sidecar X.json of X.onnx, as strict as the registry; its onnx must be X.onnx. */
struct vd_sidecar { json_t *json; struct vd_row row; char sha256[65]; };
int vd_sidecar_load(const char *path, struct vd_sidecar *s); /* path of the JSON itself */
void vd_sidecar_free(struct vd_sidecar *s);

/* Every rule of registry.schema.json and sidecar.schema.json, and what a schema cannot say (order, duplicates, names):
 * say is called for each rule that is broken, row by index, -1 for the file as a whole. Returns their number with what could be
 * read in r or s (fields that break a rule are absent), or a negative errno when the file cannot be read or is not JSON. */
typedef void vd_trust_say(void *arg, int row, const char *line);
int vd_registry_lint(const char *path, const struct vd_trusted *t, struct vd_registry *r, vd_trust_say *say, void *arg);
int vd_sidecar_lint(const char *path, struct vd_sidecar *s, vd_trust_say *say, void *arg);

/* Every field that row and sidecar both have, and differently: "opset: the registry says 17, the sidecar 18". Returns their
 * number. what: whether notes are compared too (prose: vd_resolve() lets them differ), and the keys that quantising writes. */
enum { VD_COMPARE_PROSE = 1, VD_COMPARE_QUANT = 2 };
int vd_row_compare(const struct vd_row *row, const struct vd_row *sidecar, unsigned what, vd_trust_say *say, void *arg);

/* Atomic rewrites, keeping every key and row that they do not own; what would break the loader's rules is not written.
 * Sorted by id, keys as they were, 2 spaces. fp32 with int8_sha256 NULL removes quant_mode and int8_sha256. -ENOENT when there
 * is no such file or row. Writers take turns (a lock on the folder). */
int vd_sidecar_set_quant(const char *path, enum vd_quant_mode m, const char *int8_sha256);
/* A row that has sidecar_sha256 gets that of the file sidecar as it is now; NULL: none. calibration_set: its quant_calibration_set, at most 255 bytes;
 * NULL removes that key, since the new file's ranges are of no calibration. */
int vd_registry_set_quant(const char *path, const char *onnx_base, enum vd_quant_mode m, const char *int8_sha256, const char *sidecar,
                          const char *calibration_set);
/* What a trainer or a converter knows of a model: the keys of `keys` (an object with id and onnx) replace those of the row of that id, or make a
 * new row; a null takes a key out; keys that it does not have stay. sidecar: the file whose digest goes along, where the row
 * has one. The same for the sidecar at path, which is made when there is none. Checked and atomic as above. */
int vd_registry_put(const char *path, const json_t *keys, const char *sidecar);
int vd_sidecar_put(const char *path, const json_t *keys);
/* What a signature covers, and the bytes of the file afterwards (vd_free()): schema is set, registry_version is one more than it was, and
 * every row has the sidecar_sha256 of the sidecar beside the registry. keep: the file is not changed, and must have all this. */
int vd_registry_prepare(const char *path, bool keep, uint8_t **data, size_t *size);

/* What vd_resolve() found. */
struct vd_resolved {
    char path[VD_MAX_PATH];      /* the file that runs */
    char fp32_path[VD_MAX_PATH]; /* <stem>.onnx, whether it is there or not */
    char int8_path[VD_MAX_PATH]; /* <stem>.int8.onnx */
    char id[256];                /* row's id, else the file's stem */
    uint8_t *data; size_t size;  /* its bytes, read once, hashed, at most VD_MAX_MODEL */
    char sha256[65];
    bool pinned;                 /* the digest was checked against a row or sidecar */
    bool is_int8;                /* path is int8_path */
    enum vd_quant_mode quant_mode; /* of what is open: FP32 with baseline; DYNAMIC is presumed of an unpinned X.int8.onnx */
    enum vd_quant_mode declared;   /* what row or sidecar say of the model; FP32 when there is neither */
    struct vd_registry registry; /* n 0 when there is none */
    struct vd_sidecar sidecar;   /* json NULL when there is none */
    const struct vd_row *row;    /* registry row, or NULL */
};

struct vd_resolve_how {
    bool baseline;        /* the fp32 file under its own digest, also where quant_mode is not fp32 */
    bool requantise;      /* row and sidecar may differ in what quantising writes: a writer that was killed between the two left
                           * them so, and is run again. With baseline only. */
    const char *registry; /* NULL: registry.json beside the model; for an id the one of vd_registry_find() */
    const char *trusted_keys; /* vd_trusted_load(). With keys, a model needs a row in a signed registry */
    bool require_pinned;  /* -EKEYREJECTED for a model without row and sidecar */
};

/* The one resolver of every entry point: path (X.onnx or X.int8.onnx) or registry id to the bytes that run.
 * An argument with a '/' or with .onnx at its end is a path. Path length, jail (VMAF_TINY_MODEL_DIR, both sides canonical;
 * of the file that is named and of the one that runs), regular file, row and sidecar compared, redirect to the int8
 * sibling, size cap, read once, digest. Errors as in include/vmaf_dnn/vmaf_dnn.h.
 * The fp32 file of a quantised model is never opened unless baseline is set. On failure r is empty. */
int vd_resolve(const char *path_or_id, const struct vd_resolve_how *how, struct vd_resolved *r);
void vd_resolved_free(struct vd_resolved *r);

/* vd_file_read() of a file that is inside the jail, links resolved, or there is none. -EACCES. */
int vd_read_jailed(const char *path, size_t cap, uint8_t **data, size_t *size);

/* dst = path without .int8.onnx or .onnx, plus suffix. -ENAMETOOLONG; -EINVAL when path ends in neither, or in
 * .int8.int8.onnx, or has nothing before it. */
int vd_sibling(char dst[VD_MAX_PATH], const char *path, const char *suffix);

#endif
