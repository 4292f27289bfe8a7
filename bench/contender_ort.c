/* SPDX-License-Identifier: BSD-2-Clause */
/* ONNX Runtime through dlopen. Its defaults are kept but for the number of threads: all graph optimisations, its arena,
 * its spinning workers. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "contenders.h"
#include "ort_api.h"

enum { API_VERSION = 1, FLOAT32 = 1, ARENA_ALLOCATOR = 1, DEFAULT_MEMORY = 0, ERRORS_ONLY = 3 };

static ort_function *const *api;
static void *env;

#define ORT(type, entry) ((type *)api[entry])

static void check(ort_status *status)
{
    if (!status)
        return;
    fprintf(stderr, "ONNX Runtime: %s\n", ORT(ort_get_error_message, ORT_GET_ERROR_MESSAGE)(status));
    exit(4);
}

const char *vd_ort_load(const char *library)
{
    void *so = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    union { void *object; ort_get_base *function; } base = {.object = dlsym(so, "OrtGetApiBase")};
    if (!base.object || !(api = base.function()->get_api(API_VERSION))) {
        fprintf(stderr, "%s is not ONNX Runtime's library\n", library);
        return NULL;
    }
    check(ORT(ort_create_env, ORT_CREATE_ENV)(ERRORS_ONLY, "bench", &env));
    return base.function()->version();
}

struct engine {
    struct vd_work work;
    void *options, *session, *memory, *in, *out;
    double open_s;
    float *x, *y;
};

static void *open_ort(const struct vd_work *w)
{
    struct engine *e = calloc(1, sizeof(*e));
    const size_t n = (size_t)w->width * (size_t)w->height, n_out = w->scalar ? 1 : n;
    const int64_t shape[4] = {1, 1, w->height, w->width}, one[2] = {1, 1};

    if (!e || !(e->x = calloc(n, sizeof(float))) || !(e->y = calloc(n_out, sizeof(float)))) {
        fprintf(stderr, "no memory\n");
        exit(5);
    }
    e->work = *w;
    for (size_t i = 0; i < n; i++)
        e->x[i] = (float)(i * 2654435761u >> 8 & 255) / 255;
    const double begin = vd_contender_now();
    check(ORT(ort_create, ORT_CREATE_SESSION_OPTIONS)(&e->options));
    check(ORT(ort_set_int, ORT_SET_INTRA_OP_NUM_THREADS)(e->options, w->threads));
    check(ORT(ort_create_session, ORT_CREATE_SESSION)(env, w->path, e->options, &e->session));
    e->open_s = vd_contender_now() - begin;
    check(ORT(ort_create_memory, ORT_CREATE_CPU_MEMORY_INFO)(ARENA_ALLOCATOR, DEFAULT_MEMORY, &e->memory));
    check(ORT(ort_create_tensor, ORT_CREATE_TENSOR_WITH_DATA)(e->memory, e->x, n * sizeof(float), shape, 4, FLOAT32, &e->in));
    check(ORT(ort_create_tensor, ORT_CREATE_TENSOR_WITH_DATA)(e->memory, e->y, n_out * sizeof(float), w->scalar ? one : shape,
                                                              w->scalar ? 1 : 4, FLOAT32, &e->out));
    return e;
}

static void run_ort(void *engine)
{
    struct engine *e = engine;
    const char *in[1] = {e->work.in}, *out[1] = {e->work.out};
    const void *x[1] = {e->in};

    check(ORT(ort_run, ORT_RUN)(e->session, NULL, in, x, 1, out, 1, &e->out));
}

static void close_ort(void *engine)
{
    struct engine *e = engine;

    ORT(ort_release, ORT_RELEASE_VALUE)(e->in);
    ORT(ort_release, ORT_RELEASE_VALUE)(e->out);
    ORT(ort_release, ORT_RELEASE_MEMORY_INFO)(e->memory);
    ORT(ort_release, ORT_RELEASE_SESSION)(e->session);
    ORT(ort_release, ORT_RELEASE_SESSION_OPTIONS)(e->options);
    free(e->x);
    free(e->y);
    free(e);
}

static double open_s_ort(const void *engine) { return ((const struct engine *)engine)->open_s; }

const struct vd_engine vd_engine_ort = {"ONNX Runtime", open_ort, run_ort, close_ort, open_s_ort};
