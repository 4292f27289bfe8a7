/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz_model.h"

#include <string.h>

#include "common/mem.h"
#include "common/status.h"

enum { MAX_INPUTS = 64 };

struct vd_workers *fuzz_workers;

int fuzz_model_open(struct fuzz_model *m, const uint8_t *data, size_t size, const char *kernels)
{
    const struct vd_kernels *k;
    memset(m, 0, sizeof *m);
    int rc = vd_onnx_read(&m->onnx, data, size);
    if (!rc)
        rc = vd_graph_build(&m->graph, &m->onnx);
    if (!rc)
        rc = vd_kernels_get(kernels, &k);
    if (!rc)
        rc = vd_plan_create(&m->plan, &m->graph, k, fuzz_workers);
    if (rc)
        fuzz_model_close(m);
    return rc;
}

void fuzz_model_close(struct fuzz_model *m)
{
    vd_plan_free(m->plan);
    vd_graph_free(&m->graph);
    vd_onnx_free(&m->onnx);
    memset(m, 0, sizeof *m);
}

int fuzz_model_shape(struct fuzz_model *m, uint64_t seed, int most)
{
    struct vd_tensor in[MAX_INPUTS] = {0};
    if (m->onnx.n_in > MAX_INPUTS)
        return vd_fail(ERANGE, "%d inputs are more than is tried", m->onnx.n_in);
    for (int i = 0; i < m->onnx.n_in; i++) {
        const struct vd_onnx_value *v = &m->onnx.in[i];
        in[i] = (struct vd_tensor){.type = v->type, .rank = v->rank < 0 ? (int)(fuzz_random(&seed) % 5) : v->rank};
        for (int k = 0; k < in[i].rank; k++) {
            const uint32_t other = 1 + fuzz_random(&seed) % (in[i].rank > 4 ? 3 : (uint32_t)most);
            in[i].dim[k] = v->rank < 0 || v->dim[k] < 1 || v->dim[k] > 16 ? other : v->dim[k];
        }
    }
    return vd_plan_shape(m->plan, in);
}

void fuzz_model_fill(struct fuzz_model *m, uint64_t seed)
{
    for (int i = 0; i < m->onnx.n_in; i++) {
        struct vd_tensor *t = vd_plan_input(m->plan, i);
        const size_t n = vd_tensor_count(t), size = vd_type_size(t->type);
        for (size_t k = 0; k < n; k++) {
            const uint32_t r = fuzz_random(&seed);
            uint8_t *to = (uint8_t *)t->data + k * size;
            const float f = (float)(int32_t)r * 0x1p-30f; /* -2 to 2 */
            const double d = f;
            const uint16_t h = vd_f16_from_f32(f);
            const int64_t wide = (int64_t)(r % 9) - 4;
            if (t->type == VD_F32)
                memcpy(to, &f, sizeof f);
            else if (t->type == VD_F64)
                memcpy(to, &d, sizeof d);
            else if (t->type == VD_F16)
                memcpy(to, &h, sizeof h);
            else if (t->type == VD_BOOL)
                *to = r & 1;
            else if (size == 1)
                *to = (uint8_t)r;
            else
                memcpy(to, &wide, size); /* little endian */
        }
    }
}

bool fuzz_model_small(const struct fuzz_model *m, int scale)
{
    struct vd_plan_info info;
    vd_plan_info(m->plan, &info);
    return info.macs < (int64_t)scale << 20 && info.arena_bytes < (size_t)scale << 22;
}

static uint64_t hash_floats(const struct vd_tensor *t, uint64_t h)
{
    const size_t size = vd_type_size(t->type);
    for (size_t i = 0, n = vd_tensor_count(t); i < n; i++) {
        uint64_t bits = 0;
        memcpy(&bits, (const uint8_t *)t->data + i * size, size);
        const uint64_t exponent = t->type == VD_F16 ? 0x7c00 : t->type == VD_F32 ? 0x7f800000 : 0x7ff0000000000000;
        const uint64_t sign = t->type == VD_F16 ? 0x8000 : t->type == VD_F32 ? 0x80000000 : 0x8000000000000000;
        if ((bits & ~sign) > exponent)
            bits = exponent | 1;
        h = fuzz_hash(&bits, sizeof bits, h);
    }
    return h;
}

uint64_t fuzz_model_hash(const struct fuzz_model *m)
{
    uint64_t h = 0;
    for (int i = 0; i < m->onnx.n_out; i++) {
        const struct vd_tensor *t = vd_plan_output(m->plan, i);
        h = fuzz_hash(&t->type, sizeof t->type, h);
        h = fuzz_hash(t->dim, (size_t)t->rank * sizeof t->dim[0], h);
        if (t->type == VD_F16 || t->type == VD_F32 || t->type == VD_F64)
            h = hash_floats(t, h);
        else if (vd_tensor_bytes(t))
            h = fuzz_hash(t->data, vd_tensor_bytes(t), h);
    }
    return h;
}
