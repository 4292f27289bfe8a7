/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ORT_API_H
#define VD_ORT_API_H

#include <stddef.h>
#include <stdint.h>

/* The few entries of ONNX Runtime's C interface that the benchmark calls, declared here because the packages that carry the library have
 * no header. The interface is a table of functions whose first version, 102 entries long, can never change; an entry is
 * named by its place. Functions that can fail return a status, NULL when all is well. */
enum ort_entry {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION = 7,
    ORT_RUN = 9,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_SET_INTRA_OP_NUM_THREADS = 24,
    ORT_CREATE_TENSOR_WITH_DATA = 49,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
    ORT_RELEASE_ENV = 92,
    ORT_RELEASE_MEMORY_INFO = 94,
    ORT_RELEASE_SESSION = 95,
    ORT_RELEASE_VALUE = 96,
    ORT_RELEASE_SESSION_OPTIONS = 100,
};

typedef void ort_function(void);
typedef struct ort_status ort_status;

struct ort_base {
    ort_function *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
};
typedef const struct ort_base *ort_get_base(void);

typedef const char *ort_get_error_message(const ort_status *status);
typedef ort_status *ort_create_env(int severity, const char *name, void **env);
typedef ort_status *ort_create_session(const void *env, const char *path, const void *options, void **session);
typedef ort_status *ort_run(void *session, const void *options, const char *const *in_name, const void *const *in, size_t n_in,
                            const char *const *out_name, size_t n_out, void **out);
typedef ort_status *ort_create(void **out);
typedef ort_status *ort_set_int(void *options, int value);
typedef ort_status *ort_create_tensor(const void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, void **out);
typedef ort_status *ort_create_memory(int allocator, int kind, void **out);
typedef void ort_release(void *object);

#endif
