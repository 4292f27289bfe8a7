/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "trust/trust_priv.h"

static bool ends_with(const char *s, size_t n, const char *end)
{
    size_t m = strlen(end);

    return n >= m && !memcmp(s + n - m, end, m);
}

const char *vd_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

const char *vd_shown(const char *path)
{
    size_t n = strlen(path);

    return n > 120 ? path + n - 120 : path;
}

bool vd_model_stem(const char *path, size_t *stem, bool *is_int8)
{
    size_t n = strlen(path);
    size_t before = (size_t)(vd_base_name(path) - path);

    if (!ends_with(path, n, ".onnx"))
        return false;
    n -= 5;
    *is_int8 = ends_with(path, n, ".int8");
    if (*is_int8)
        n -= 5;
    *stem = n;
    return n > before && !ends_with(path, n, ".int8");
}

int vd_sibling(char dst[VD_MAX_PATH], const char *path, const char *suffix)
{
    size_t stem, n = strlen(suffix);
    bool is_int8;

    if (!vd_model_stem(path, &stem, &is_int8))
        return vd_fail(EINVAL, "%s: not a model's file name, which is X.onnx or X.int8.onnx", vd_shown(path));
    if (n >= VD_MAX_PATH || stem > VD_MAX_PATH - 1 - n)
        return vd_fail(ENAMETOOLONG, "...%s: with %s this path has %zu bytes, of %d at most", vd_shown(path), suffix, stem + n,
                       VD_MAX_PATH - 1);
    memcpy(dst, path, stem);
    memcpy(dst + stem, suffix, n + 1);
    return 0;
}

int vd_beside(char dst[VD_MAX_PATH], const char *path, const char *name)
{
    size_t dir = (size_t)(vd_base_name(path) - path), n = strlen(name);

    if (n >= VD_MAX_PATH || dir > VD_MAX_PATH - 1 - n)
        return vd_fail(ENAMETOOLONG, "...%s: with %s this path has %zu bytes, of %d at most", vd_shown(path), name, dir + n,
                       VD_MAX_PATH - 1);
    memcpy(dst, path, dir);
    memcpy(dst + dir, name, n + 1);
    return 0;
}

bool vd_id_ok(const char *s)
{
    size_t n = strlen(s);

    return n >= 1 && n <= 255 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

bool vd_file_name_ok(const char *s)
{
    size_t n = strlen(s), stem;
    bool is_int8;

    return n <= 255 && s[0] != '.' && s[0] != '-' && s[0] != '+' &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-") == n &&
           vd_model_stem(s, &stem, &is_int8) && !is_int8;
}

int vd_present(const char *path)
{
    struct stat st;

    if (!lstat(path, &st))
        return 1;
    if (errno == ENOENT || errno == ENOTDIR)
        return 0;
    return vd_fail(errno, "%s: %s", vd_shown(path), strerror(errno));
}

static int unreal(const char *path)
{
    int err = errno;

    if (err == EACCES)
        return vd_fail(EACCES, "%s: a folder on the way to it may not be searched", vd_shown(path));
    if (err != ENOENT && err != ENOTDIR && err != ELOOP)
        return vd_fail(err, "%s: %s", vd_shown(path), strerror(err));
    return vd_fail(ENOENT, "%s: no such file%s", vd_shown(path), err == ELOOP ? " (its links go round in a circle)" : "");
}

int vd_regular(const char *path)
{
    struct stat st;

    if (stat(path, &st))
        return unreal(path);
    if (!S_ISREG(st.st_mode))
        return vd_fail(ENOENT, "%s: %s, not a regular file", vd_shown(path), S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe");
    return 0;
}

static_assert(VD_MAX_PATH >= 4096, "realpath() fills PATH_MAX bytes");

static const char *jail_dir(void)
{
    const char *jail = getenv("VMAF_TINY_MODEL_DIR");

    return jail && jail[0] ? jail : NULL;
}

int vd_read_jailed(const char *path, size_t cap, uint8_t **data, size_t *size)
{
    char real[VD_MAX_PATH];
    int rc = vd_jail(path, real);

    *data = NULL;
    *size = 0;
    if (rc)
        return rc;
    /* The canonical path is the one that the jail was held against: no link may come into it now. */
    return jail_dir() ? vd_file_read_real(real, cap, data, size) : vd_file_read(real, cap, data, size);
}

int vd_jail(const char *path, char real[VD_MAX_PATH])
{
    const char *jail = jail_dir();
    char root[VD_MAX_PATH];
    struct stat st;

    if (!jail) {
        if (strlen(path) >= VD_MAX_PATH)
            return vd_fail(ENAMETOOLONG, "...%s: over %d bytes", vd_shown(path), VD_MAX_PATH - 1);
        memcpy(real, path, strlen(path) + 1);
        return 0;
    }
    if (!realpath(jail, root))
        return vd_fail(EACCES, "VMAF_TINY_MODEL_DIR=%s: %s, so that no model may be opened", vd_shown(jail), strerror(errno));
    if (stat(root, &st) || !S_ISDIR(st.st_mode))
        return vd_fail(EACCES, "VMAF_TINY_MODEL_DIR=%s: not a folder, so that no model may be opened", vd_shown(jail));
    if (!realpath(path, real))
        return unreal(path);
    size_t n = strcmp(root, "/") ? strlen(root) : 0;
    if (strncmp(real, root, n) || real[n] != '/')
        return vd_fail(EACCES, "%s: outside VMAF_TINY_MODEL_DIR=%s (it is %s)", vd_shown(path), vd_shown(root), vd_shown(real));
    return 0;
}
