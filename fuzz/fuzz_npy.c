/* SPDX-License-Identifier: BSD-2-Clause */
/* An array of NumPy: what is taken has the size that its shape says, and comes back from the header that is written of it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "io/npy.h"
#include "onnx/onnx.h"

static int same(const struct vd_npy *a, const struct vd_npy *b)
{
    return a->type == b->type && a->rank == b->rank && a->count == b->count &&
           !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]) &&
           (!a->count || !memcmp(a->data, b->data, a->count * vd_type_size(a->type)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file = fuzz_copy(data, size), *twin = fuzz_copy(data, size);
    struct vd_npy a, b;
    char text[VD_SHAPE_TEXT];
    fuzz_result = 0;
    vd_reason_clear();
    const int rc = vd_npy_parse(file, size, "array.npy", &a);
    MUST(vd_npy_parse(twin, size, "array.npy", &b) == rc);
    if (rc) {
        static const struct vd_npy zero;
        MUST(!memcmp(&a, &zero, sizeof zero));
        fuzz_refused(rc);
    } else {
        const size_t bytes = a.count * vd_type_size(a.type);
        MUST(a.rank >= 0 && a.rank <= VMAF_DNN_MAX_RANK && vd_npy_descr(a.type));
        MUST(!a.count || ((uint8_t *)a.data >= file && bytes <= (size_t)(file + size - (uint8_t *)a.data)));
        MUST(!a.count || (uintptr_t)a.data % vd_type_size(a.type) == 0);
        MUST(same(&a, &b));
        MUST(strlen(vd_shape_text(text, a.rank, a.shape)) < sizeof text);
        char header[VD_NPY_HEADER_ROOM];
        const size_t n = vd_npy_header(header, a.type, a.rank, a.shape);
        uint8_t *again = malloc(n + bytes);
        MUST(again && n < VD_NPY_HEADER_ROOM && n % 64 == 0);
        memcpy(again, header, n);
        if (bytes)
            memcpy(again + n, a.data, bytes);
        MUST(vd_npy_parse(again, n + bytes, "again.npy", &b) == 0 && same(&a, &b));
        free(again);
    }
    free(file);
    free(twin);
    return 0;
}
