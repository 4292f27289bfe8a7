/* SPDX-License-Identifier: BSD-2-Clause */
/* A model run on every kernel set, with memory that held zeros before and ones before. The same set gives the same bits whatever memory
 * held; without a convolution in floats, all sets give the same bits. */
#include "fuzz_model.h"

#include <stdlib.h>

#include "common/status.h"

struct outcome { int rc; uint64_t hash; bool ran, floats; };

static struct outcome run(const uint8_t *data, size_t size, const char *kernels, int fill)
{
    struct outcome o = {0};
    struct fuzz_model m;
    struct vd_plan_info info;
    fuzz_fill = fill;
    vd_reason_clear();
    if ((o.rc = fuzz_model_open(&m, data, size, kernels)) < 0)
        return o;
    if ((o.rc = fuzz_model_shape(&m, fuzz_hash(data, size, 2), 12)) == 0 && fuzz_model_small(&m, 1)) {
        vd_plan_info(m.plan, &info);
        o.floats = info.convs > info.convs_int8;
        fuzz_model_fill(&m, fuzz_hash(data, size, 3));
        o.ran = true;
        if ((o.rc = vd_plan_run(m.plan)) == 0) {
            o.hash = fuzz_model_hash(&m);
            fuzz_model_fill(&m, fuzz_hash(data, size, 3)); /* a second run on what the first one left behind */
            MUST(vd_plan_run(m.plan) == 0 && fuzz_model_hash(&m) == o.hash);
        } else {
            MUST(o.rc == -ERANGE);
        }
    }
    fuzz_model_close(&m);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    fuzz_most = 8 << 20;
    fuzz_result = 0;
    const struct outcome a = run(copy, size, vd_kernels_name(0), 0x00);
    if (a.rc)
        fuzz_refused(a.rc);
    for (int i = 0; (a.rc == 0 || a.ran) && vd_kernels_name(i); i++) {
        const struct outcome b = run(copy, size, vd_kernels_name(i), 0xff);
        MUST(b.ran == a.ran && b.floats == a.floats);
        MUST((a.floats && i > 0) || (a.rc == b.rc && a.hash == b.hash));
    }
    free(copy);
    return 0;
}
