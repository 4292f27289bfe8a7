/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes to a model, to a graph, to a plan at small shapes; nothing runs but what folding computes. What is read can be written, and
 * what is written is read back to the same bytes. */
#include "fuzz_model.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"

static void round_trip(const struct vd_onnx_model *m, struct vd_buf *one)
{
    struct vd_onnx_model again;
    struct vd_buf two = {0};
    MUST(vd_onnx_write(m, one) == 0);
    MUST(vd_onnx_read(&again, one->data, one->size) == 0);
    MUST(vd_onnx_write(&again, &two) == 0);
    MUST(one->size == two.size && !memcmp(one->data, two.data, two.size));
    vd_onnx_free(&again);
    vd_free(two.data);
}

static void say(void *arg, const char *line)
{
    MUST(*line);
    ++*(int *)arg;
}

/* As inspect does: the declared dims, whatever they are, and small ones where there are none. */
static void look_at_types(const struct vd_onnx_model *m)
{
    int said = 0;
    struct vd_tensor *in = vd_calloc((size_t)m->n_in + 1, sizeof(*in));
    for (int i = 0; in && i < m->n_in; i++) {
        in[i] = (struct vd_tensor){.type = m->in[i].type, .rank = m->in[i].rank < 0 ? 4 : m->in[i].rank};
        for (int d = 0; d < in[i].rank; d++)
            in[i].dim[d] = m->in[i].rank < 0 || m->in[i].dim[d] < 0 ? 3 : m->in[i].dim[d];
    }
    if (in)
        MUST(vd_graph_refusals(m, in, say, &said) == said);
    vd_free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vd_onnx_model zero;
    uint8_t *copy = fuzz_copy(data, size);
    struct vd_onnx_model onnx;
    struct fuzz_model m = {0};
    struct vd_buf bytes = {0};
    int said = 0;
    fuzz_most = 8 << 20;
    fuzz_fill = 0xff;
    fuzz_result = 0;
    vd_reason_clear();
    int rc = vd_onnx_read(&onnx, copy, size);
    if (rc) {
        MUST(!memcmp(&onnx, &zero, sizeof zero));
        fuzz_refused(rc);
        goto end;
    }
    round_trip(&onnx, &bytes);
    MUST(vd_graph_refusals(&onnx, NULL, say, &said) == said);
    look_at_types(&onnx);
    vd_onnx_free(&onnx);
    rc = fuzz_model_open(&m, copy, size, NULL);
    MUST(rc < 0 || said == 0);
    if (rc == 0)
        rc = fuzz_model_shape(&m, fuzz_hash(bytes.data, bytes.size, 1), 12);
    if (rc)
        fuzz_refused(rc);
    fuzz_model_close(&m);
end:
    vd_free(bytes.data);
    free(copy);
    return 0;
}
