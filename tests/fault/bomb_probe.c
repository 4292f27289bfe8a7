/* SPDX-License-Identifier: BSD-2-Clause */
/* bomb_probe KIND FILE: reads one file as the program would, and prints "RC GROWTH CPU REASON": the result, by how many KiB the peak of
 * the memory in use went up (-1 under AddressSanitizer, whose memory is not the program's), microseconds of CPU, and why. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/npy.h"
#include "io/y4m.h"
#include "io/zip.h"
#include "quant/calibration.h"
#include "trust/signature.h"
#include "trust/trust.h"
#include "vmaf_dnn/vmaf_dnn.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static long status_kib(const char *key)
{
    char line[256];
    long v = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && v < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)))
            v = strtol(line + strlen(key), NULL, 10);
    if (f)
        fclose(f);
    return v;
}

static int clip(const char *path)
{
    static struct vd_y4m y;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -errno : vd_y4m_open(&y, vd_read_fd, &fd, "clip", false);
    if (rc)
        return rc;
    while ((rc = vd_y4m_next(&y)) == 1)
        ;
    vd_y4m_close(&y);
    return rc;
}

static int array(const char *path)
{
    struct vd_npy a;
    const int rc = vd_npy_load(path, &a);
    vd_npy_free(&a);
    return rc;
}

static int registry(const char *path)
{
    static struct vd_registry r;
    struct vd_trusted none = {.n = 0};
    const int rc = vd_registry_load(path, &none, &r);
    if (!rc)
        vd_registry_free(&r);
    return rc;
}

static int sidecar(const char *path)
{
    struct vd_sidecar s;
    const int rc = vd_sidecar_load(path, &s);
    vd_sidecar_free(&s);
    return rc;
}

static int calibration(const char *path)
{
    struct vd_calibration c;
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(path, VD_CALIB_MAX_FILE, &data, &size);
    if (rc)
        return rc;
    rc = vd_calib_read(&c, data, size, path);
    vd_free(data);
    if (!rc)
        vd_calibration_free(&c);
    return rc;
}

/* Every member to its end. */
static int archive(const char *path)
{
    static uint8_t piece[1 << 16];
    struct vd_zip z;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const int open_rc = fd < 0 ? -errno : vd_zip_open(&z, fd, path);
    int rc = open_rc;
    for (int i = 0; !rc && i < z.n; i++) {
        struct vd_zip_stream *s;
        rc = vd_zip_stream_open(&s, &z, &z.member[i]);
        for (uint64_t left = z.member[i].size; !rc && left; left -= left < sizeof piece ? left : sizeof piece)
            rc = vd_zip_read(s, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        vd_zip_stream_close(s);
    }
    if (open_rc == 0)
        vd_zip_close(&z);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct { const char *kind; int (*read)(const char *path); } kinds[] = {
        {"model", vmaf_dnn_validate_onnx}, {"registry", registry}, {"sidecar", sidecar}, {"y4m", clip}, {"npy", array},
        {"calibration", calibration}, {"npz", archive},
    };
    struct rusage a, b;
    for (size_t i = 0; argc == 3 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].kind, argv[1]))
            continue;
        const long before = status_kib("VmRSS:");
        getrusage(RUSAGE_SELF, &a);
        const int rc = kinds[i].read(argv[2]);
        getrusage(RUSAGE_SELF, &b);
        const long cpu = (b.ru_utime.tv_sec - a.ru_utime.tv_sec + b.ru_stime.tv_sec - a.ru_stime.tv_sec) * 1000000L + b.ru_utime.tv_usec -
                         a.ru_utime.tv_usec + b.ru_stime.tv_usec - a.ru_stime.tv_usec;
        const long growth = SANITIZED ? -1 : status_kib("VmHWM:") - before;
        printf("%d %ld %ld %s\n", rc, growth, cpu, rc ? vd_reason() : "");
        return 0;
    }
    return 2;
}
