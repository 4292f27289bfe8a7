/* SPDX-License-Identifier: BSD-2-Clause */
/* A calibration: what is taken is written and read again the same, merges with itself under another name, and has ranges that can be used. */
#include "fuzz.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "quant/calibration.h"

static struct vd_buf text_of(const struct vd_calibration *c)
{
    struct vd_buf b = {0};
    MUST(vd_calib_write(c, &b) == 0);
    return b;
}

static void ranges(const struct vd_calibration *c)
{
    for (int i = 0; i < c->n_tensor; i++)
        for (enum vd_range_method m = VD_RANGE_PERCENTILE; m <= VD_RANGE_AVERAGE; m++) {
            float lo = NAN, hi = NAN;
            if (i >= 4 && (m == VD_RANGE_MSE || m == VD_RANGE_ENTROPY)) /* which search */
                continue;
            vd_range(&c->tensor[i], c->frames, m, 99.99, &lo, &hi);
            MUST(isfinite(lo) && isfinite(hi) && lo <= 0 && hi >= 0);
            const double out = vd_range_clipped(&c->tensor[i], lo, hi);
            MUST(out >= 0 && out <= 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file = fuzz_copy(data, size);
    struct vd_calibration a, b;
    fuzz_result = 0;
    vd_reason_clear();
    const int rc = vd_calib_read(&a, file, size, "c.json");
    free(file);
    if (rc) {
        static const struct vd_calibration zero;
        MUST(!memcmp(&a, &zero, sizeof zero));
        fuzz_refused(rc);
        return 0;
    }
    struct vd_buf x = text_of(&a);
    if (vd_calib_read(&b, x.data, x.size, "again.json") == 0) {
        struct vd_buf y = text_of(&b);
        MUST(x.size == y.size && !memcmp(x.data, y.data, x.size));
        vd_free(y.data);
        MUST(vd_calib_merge(&a, &b) == (a.n_source ? -EINVAL : 0)); /* it has these sources */
        for (int i = 0; i < b.n_source; i++)
            b.source[i].name = "another";
        const int merged = b.n_source < 2 ? vd_calib_merge(&a, &b) : -EINVAL;
        MUST(merged == 0 || merged == -EINVAL || merged == -ERANGE);
        if (!merged)
            ranges(&a);
        ranges(&b);
        vd_calibration_free(&b);
    } else {
        MUST(!"what was written is not read");
    }
    vd_free(x.data);
    vd_calibration_free(&a);
    return 0;
}
