/* SPDX-License-Identifier: BSD-2-Clause */
/* Quantise, write, reload: what is written is read back to the same bytes, and quantising again gives the same file, whatever memory
 * held before. */
#include "fuzz.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "graph/graph.h"
#include "quant/quant.h"

static int quantise(const uint8_t *data, size_t size, uint64_t how, struct vd_buf *bytes)
{
    struct vd_onnx_model in, out;
    struct vd_quant_report rep;
    const struct vd_quant_opts o = {.weight_type = how & 1 ? VD_S8 : VD_U8, .per_tensor = how & 2, .source_sha256 = how & 4 ? "0123" : NULL};
    vd_reason_clear();
    fuzz_fill = how & 8 ? 0xff : 0x00;
    int rc = vd_onnx_read(&in, data, size);
    if (rc)
        return rc;
    if ((rc = vd_quantize_dynamic(&in, &o, &out, &rep)) == 0) {
        MUST(rep.conv + rep.matmul + rep.gemm > 0 && rep.n_layer >= rep.conv + rep.matmul + rep.gemm);
        for (int i = 0; i < rep.n_layer; i++)
            MUST(rep.layer[i].node && rep.layer[i].op && (rep.layer[i].why_fp32 || !isnan(rep.layer[i].sqnr_db)));
        MUST(vd_onnx_write(&out, bytes) == 0);
        vd_onnx_free(&out);
    } else {
        static const struct vd_onnx_model zero;
        MUST(!memcmp(&out, &zero, sizeof zero));
    }
    vd_onnx_free(&in);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct vd_buf a = {0}, b = {0}, again = {0};
    const uint64_t how = fuzz_hash(data, size, 4) & 7;
    fuzz_most = 8 << 20;
    fuzz_result = 0;
    const int rc = quantise(copy, size, how, &a);
    if (rc) {
        fuzz_refused(rc);
    } else {
        MUST(quantise(copy, size, how | 8, &b) == 0);
        MUST(a.size == b.size && !memcmp(a.data, b.data, a.size));
        struct vd_onnx_model m;
        uint8_t *exact = fuzz_copy(a.data, a.size);
        MUST(vd_onnx_read(&m, exact, a.size) == 0);
        MUST(vd_onnx_write(&m, &again) == 0);
        MUST(a.size == again.size && !memcmp(a.data, again.data, a.size));
        vd_onnx_free(&m);
        MUST(quantise(exact, a.size, how, &b) == -ENOTSUP); /* once is enough */
        free(exact);
    }
    vd_free(a.data);
    vd_free(b.data);
    vd_free(again.data);
    free(copy);
    return 0;
}
