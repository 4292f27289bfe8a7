/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMAF_DNN_H
#define VMAF_DNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VMAF_DNN_API __attribute__((visibility("default")))
#else
#define VMAF_DNN_API
#endif

/**
 * vmaf_dnn: run a tiny ONNX model on luma planes or named tensors.
 *
 *     vmaf_dnn_session *s;
 *     if (vmaf_dnn_session_open(&s, "model/tiny/learned_filter_v1.onnx", NULL) < 0)
 *         die(vmaf_dnn_last_error());
 *     vmaf_dnn_session_run_luma8(s, in, in_stride, w, h, out, out_stride);
 *     vmaf_dnn_session_close(s);
 *
 * Every function returns 0 or a negative errno:
 *
 *   -ENOENT        no such file, or not a regular one; also the int8 file that the sidecar promises
 *   -ENAMETOOLONG  a path that would not fit 4096 bytes with its suffix
 *   -E2BIG         over the size cap (50 MiB)
 *   -EBADMSG       not ONNX, not JSON, empty, truncated, contradictory
 *   -EPERM         an operator, domain, attribute or feature that is not in the op table
 *   -EACCES        outside the model directory jail (VMAF_TINY_MODEL_DIR), or not readable
 *   -EKEYREJECTED  a digest that does not match, or is missing where quant_mode asks for it; with trusted keys a registry that
 *                  is not signed by one of them, or older than one that was opened before
 *   -ENOTSUP, -ERANGE  a shape, depth or value that the model cannot take
 *   -EINVAL, -ENOSPC, -ENOMEM, -EIO  as everywhere
 *
 * A session is used by one thread at a time; different sessions are independent.
 */

enum { VMAF_DNN_MAX_RANK = 8 };

/** Element types, numbered as in ONNX's TensorProto.DataType. */
enum vmaf_dnn_type {
    VMAF_DNN_F32 = 1,
    VMAF_DNN_U8 = 2,
    VMAF_DNN_S8 = 3,
    VMAF_DNN_S32 = 6,
    VMAF_DNN_S64 = 7,
    VMAF_DNN_BOOL = 9,
    VMAF_DNN_F16 = 10
};

typedef struct vmaf_dnn_session vmaf_dnn_session;

typedef struct vmaf_dnn_settings {
    int threads;          /**< worker threads; default 0: as many as the affinity mask and the cgroup quota allow */
    const char *kernels;  /**< "c", "avx2", ...; default NULL: the best that the CPU has; -ENOTSUP for one it lacks */
    int baseline;         /**< default 0; 1: the fp32 file of a quantised model, under its own digest */
    const char *registry; /**< path of a registry.json; default NULL: the one beside the model */
    const char *trusted_keys; /**< folder of public keys (X.pub, minisign's) one of which must have signed the registry; default
                                   NULL: of $VMAF_DNN_TRUSTED_KEYS, else what the build embeds, else registries need no signature */
    int require_pinned;       /**< default 0; 1: -EKEYREJECTED for a model that neither registry nor sidecar has a digest of */
    uint8_t reserved[64 - sizeof(const char *) - sizeof(int)]; /**< zero */
} vmaf_dnn_settings;

/** Fill s with the defaults. */
VMAF_DNN_API void vmaf_dnn_settings_default(vmaf_dnn_settings *s);

/**
 * Open a model by path (X.onnx or X.int8.onnx) or by registry id.
 *
 * Where sidecar or registry say a quant_mode other than fp32, X.int8.onnx is
 * what opens; when it is missing, refused or does not have the recorded digest,
 * this fails, and X.onnx is not opened instead.
 *
 * @param out       receives the session, owned by the caller; NULL on every failure
 * @param settings  read before return; NULL for the defaults
 */
VMAF_DNN_API int vmaf_dnn_session_open(vmaf_dnn_session **out, const char *path_or_id, const vmaf_dnn_settings *settings);

/** NULL is allowed. */
VMAF_DNN_API void vmaf_dnn_session_close(vmaf_dnn_session *s);

typedef struct vmaf_dnn_input {
    const char *name; /**< NULL: by position */
    int type;         /**< enum vmaf_dnn_type; VMAF_DNN_F32 is also taken where the model wants float16 */
    int rank;         /**< 0 to VMAF_DNN_MAX_RANK */
    int64_t shape[VMAF_DNN_MAX_RANK];
    const void *data; /**< contiguous, row-major, aligned for its type; read during the call only */
    size_t count;     /**< elements at data; must equal the product of shape */
} vmaf_dnn_input;

typedef struct vmaf_dnn_output {
    const char *name; /**< NULL: by position */
    int type;         /**< enum vmaf_dnn_type; VMAF_DNN_F32 is also given where the model makes float16 */
    void *data;       /**< the caller's; may be NULL when capacity is 0 */
    size_t capacity;  /**< elements that fit at data */
    size_t written;   /**< set: elements of the output, also on -ENOSPC */
    int rank;         /**< set */
    int64_t shape[VMAF_DNN_MAX_RANK]; /**< set */
} vmaf_dnn_output;

/**
 * Run on named tensors. Every input of the model must be given; outputs may be a
 * selection. -ENOSPC: some output did not fit; written says how much room each
 * needs, and nothing was stored.
 */
VMAF_DNN_API int vmaf_dnn_session_run(vmaf_dnn_session *s, const vmaf_dnn_input *in, size_t n_in, vmaf_dnn_output *out, size_t n_out);

/**
 * Run a filter (one float input [N,1,H,W], one output of the same size) on one
 * plane of 8-bit samples, v / 255 in, rint(v * 255) clamped to 0..255 out. Rounding is half to even.
 * A size other than the last call's plans anew (allocates); in and out may be the same plane.
 *
 * @param in_stride, out_stride  bytes from row to row; may be negative
 * @param w, h                   pixels, at least 1
 */
VMAF_DNN_API int vmaf_dnn_session_run_luma8(vmaf_dnn_session *s, const uint8_t *in, ptrdiff_t in_stride, int w, int h, uint8_t *out,
                                            ptrdiff_t out_stride);

/** The same for 9 to 16 bits in the low bits of uint16_t; strides in bytes. Samples over 2^bpc - 1 are read as that. */
VMAF_DNN_API int vmaf_dnn_session_run_plane16(vmaf_dnn_session *s, const uint16_t *in, ptrdiff_t in_stride, int w, int h, uint16_t *out,
                                              ptrdiff_t out_stride, int bpc);

typedef struct vmaf_dnn_info {
    const char *id;         /**< registry id, else the file's stem; strings live as long as the session */
    const char *file;       /**< the file that is open */
    const char *sha256;     /**< of its bytes, 64 hex digits */
    int pinned;             /**< 1: the digest was compared with registry or sidecar */
    const char *quant_mode; /**< of what is open: "fp32", "dynamic", "static", "qat" */
    int baseline;           /**< 1: the fp32 file of a quantised model */
    int all_int8;           /**< 1: every convolution and matrix product runs in integers */
    const char *kernels;    /**< kernel set */
    int threads;
    size_t n_inputs, n_outputs;
} vmaf_dnn_info;

/** What is open. -EINVAL when either is NULL. */
VMAF_DNN_API int vmaf_dnn_session_info(const vmaf_dnn_session *s, vmaf_dnn_info *info);

typedef struct vmaf_dnn_slot {
    const char *name;
    int type;
    int rank;                         /**< -1: the file gives no shape */
    int64_t shape[VMAF_DNN_MAX_RANK]; /**< -1: any size */
} vmaf_dnn_slot;

/** Input or output i as the session takes it. -ERANGE past the end. */
VMAF_DNN_API int vmaf_dnn_session_input(const vmaf_dnn_session *s, size_t i, vmaf_dnn_slot *slot);
VMAF_DNN_API int vmaf_dnn_session_output(const vmaf_dnn_session *s, size_t i, vmaf_dnn_slot *slot);

/** "CPU"; NULL for NULL. There is no other provider and no fallback. */
VMAF_DNN_API const char *vmaf_dnn_session_attached_ep(const vmaf_dnn_session *s);

typedef struct vmaf_dnn_sidecar {
    char id[256], kind[16], input_name[256], output_name[256];
    int opset;
    char quant_mode[16], sha256[65], int8_sha256[65]; /**< "" when absent */
    int input_width, input_height;                    /**< 0 when absent */
} vmaf_dnn_sidecar;

/** Read <stem>.json of a model path. -ENOENT when there is none; *out is zeroed on failure. */
VMAF_DNN_API int vmaf_dnn_sidecar_load(const char *onnx_path, vmaf_dnn_sidecar *out);

/** Would these bytes open? Reads, parses and plans that very file (no redirect, no digest). */
VMAF_DNN_API int vmaf_dnn_validate_onnx(const char *path);

/** Why the last call on this thread failed: one line, "" when none did. */
VMAF_DNN_API const char *vmaf_dnn_last_error(void);

/** "MAJOR.MINOR.PATCH" of the library that is linked. */
VMAF_DNN_API const char *vmaf_dnn_version(void);

#ifdef __cplusplus
}
#endif

#endif
