/* SPDX-License-Identifier: BSD-2-Clause */
/* build_digest FILE...: what models compute, as one digest for each model and kernel set: "NAME SET exact|fp32 DIGEST". scripts/compare_builds.sh
 * compares the lines of differently compiled builds. In one build everything is equal that must be: 1 and 2 threads, memory that held
 * 0x00 and 0xFF, and, where nothing is convolved in floats, the kernel sets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "fuzz_model.h"

struct outcome { int rc; uint64_t hash; bool floats; };

static struct outcome run(const uint8_t *data, size_t size, const char *kernels, int threads, int fill)
{
    static const int sizes[] = {12, 70};
    struct outcome o = {0};
    struct vd_plan_info info;
    struct vd_workers *w = NULL;
    struct fuzz_model m;
    fuzz_fill = fill;
    fuzz_workers = NULL;
    MUST(vd_workers_create(threads, &w) == 0);
    fuzz_workers = w;
    if ((o.rc = fuzz_model_open(&m, data, size, kernels)) == 0) {
        for (int i = 0; i < 2; i++) {
            int rc = fuzz_model_shape(&m, (uint64_t)i, sizes[i]);
            if (!rc && fuzz_model_small(&m, 64)) {
                vd_plan_info(m.plan, &info);
                o.floats |= info.convs > info.convs_int8;
                fuzz_model_fill(&m, (uint64_t)i);
                rc = vd_plan_run(m.plan);
                const uint64_t h = rc ? 0 : fuzz_model_hash(&m);
                o.hash = fuzz_hash(&h, sizeof h, o.hash);
            }
            o.hash = fuzz_hash(&rc, sizeof rc, o.hash);
        }
        fuzz_model_close(&m);
    }
    fuzz_workers = NULL;
    vd_workers_free(w);
    return o;
}

int main(int argc, char **argv)
{
    size_t runs = 0, models = 0;
    fuzz_most = 64 << 20;
    for (int i = 1; i < argc; i++) {
        uint8_t *data;
        size_t size;
        if (vd_file_read(argv[i], 1 << 20, &data, &size))
            return fprintf(stderr, "%s\n", vd_reason()), 2;
        const char *name = strrchr(argv[i], '/');
        name = name ? name + 1 : argv[i];
        uint64_t first = 0;
        for (int k = 0; vd_kernels_name(k); k++) {
            const struct outcome a = run(data, size, vd_kernels_name(k), 1, 0x00), b = run(data, size, vd_kernels_name(k), 2, 0xff);
            if (a.rc != b.rc || a.hash != b.hash)
                return fprintf(stderr, "%s, %s: threads or memory make a difference\n", argv[i], vd_kernels_name(k)), 1;
            if (a.rc)
                break;
            if (k == 0)
                first = a.hash;
            else if (!a.floats && a.hash != first)
                return fprintf(stderr, "%s: %s and %s differ\n", argv[i], vd_kernels_name(0), vd_kernels_name(k)), 1;
            printf("%s %s %s %016llx\n", name, vd_kernels_name(k), a.floats ? "fp32" : "exact", (unsigned long long)a.hash);
            runs += 2;
            models += k == 0;
        }
        vd_free(data);
    }
    fprintf(stderr, "%zu models, %zu runs\n", models, runs);
    return !models;
}
