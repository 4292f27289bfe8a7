/* SPDX-License-Identifier: BSD-2-Clause */
/* clip_drop MODEL REGISTRY CLIP.y4m STEP: the int8 file against the fp32 file on every STEP-th frame of a clip, before
 * samples are rounded. One Pearson over all samples of all frames, as the gate does it on its 16. For the demo and for
 * the figures in the documents. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "gate/gate.h"
#include "io/y4m.h"
#include "vmaf_dnn/vmaf_dnn.h"

static int run(vmaf_dnn_session *s, const struct vd_y4m *y, const float *in, float *out, size_t n)
{
    vmaf_dnn_input i = {.type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, y->height, y->width}, .data = in, .count = n};
    vmaf_dnn_output o = {.type = VMAF_DNN_F32, .data = out, .capacity = n};
    return vmaf_dnn_session_run(s, &i, 1, &o, 1);
}

int main(int argc, char **argv)
{
    vmaf_dnn_settings how;
    vmaf_dnn_session *int8 = NULL, *fp32 = NULL;
    struct vd_y4m y = {0};
    struct vd_compare whole = {0}, added = {0};
    float *in = NULL, *a = NULL, *b = NULL;
    int status = 1, used = 0, rc = 0;

    if (argc != 5 || atoi(argv[4]) < 1)
        return fputs("clip_drop MODEL REGISTRY CLIP.y4m STEP\n", stderr), 2;
    vmaf_dnn_settings_default(&how);
    how.registry = argv[2];
    if (vmaf_dnn_session_open(&int8, argv[1], &how))
        goto end;
    how.baseline = 1;
    if (vmaf_dnn_session_open(&fp32, argv[1], &how))
        goto end;
    int fd = open(argv[3], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(argv[3]);
        goto end;
    }
    if (vd_y4m_open(&y, vd_read_fd, &fd, argv[3], false))
        goto end;
    size_t n = (size_t)y.width * (size_t)y.height;
    in = vd_calloc(n, sizeof(*in));
    a = vd_calloc(n, sizeof(*a));
    b = vd_calloc(n, sizeof(*b));
    if (!in || !a || !b)
        goto end;
    while ((rc = vd_y4m_next(&y)) == 1) {
        if ((y.frames - 1) % atoi(argv[4]))
            continue;
        const float peak = (float)((1 << y.depth) - 1);
        for (size_t i = 0; i < n; i++)
            in[i] = (float)(y.bytes == 1 ? y.plane[0][i] : ((const uint16_t *)(const void *)y.plane[0])[i]) / peak;
        if (run(fp32, &y, in, a, n) || run(int8, &y, in, b, n))
            goto end;
        vd_compare_add(&whole, a, b, n);
        for (size_t i = 0; i < n; i++) {
            a[i] -= in[i];
            b[i] -= in[i];
        }
        vd_compare_add(&added, a, b, n);
        used++;
    }
    if (rc < 0)
        goto end;
    printf("frames=%d plcc=%.6f drop=%.6f added_plcc=%.6f worst_abs=%.6f\n", used, vd_compare_plcc(&whole),
           1.0 - vd_compare_plcc(&whole), vd_compare_plcc(&added), whole.worst_abs);
    status = 0;
end:
    if (status)
        fprintf(stderr, "clip_drop: %s\n", vmaf_dnn_last_error());
    vd_free(in);
    vd_free(a);
    vd_free(b);
    vd_y4m_close(&y);
    vmaf_dnn_session_close(fp32);
    vmaf_dnn_session_close(int8);
    return status;
}
