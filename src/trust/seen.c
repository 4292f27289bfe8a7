/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "trust/signature.h"
#include "trust/trust_priv.h"

/* One file for each key and name of a registry: the number in decimal, and a newline. Per key, so that whoever gets hold of one key
 * cannot lock the others' registries out with a version that nobody can exceed. */
enum { MARK_MOST = 32 };

int vd_seen_folder(char dst[VD_MAX_PATH])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME"), *below = "/vmaf-dnn";

    if (!state || state[0] != '/') { /* relative ones are to be ignored, says its specification */
        state = home && home[0] == '/' ? home : NULL;
        below = "/.local/state/vmaf-dnn";
    }
    if (!state)
        return vd_fail(EKEYREJECTED, "trusted keys are set, and there is no place to keep the highest registry_version that was opened; "
                       "set HOME or XDG_STATE_HOME");
    int n = snprintf(dst, VD_MAX_PATH, "%s%s", state, below);
    return n > 0 && n < VD_MAX_PATH - 300 ? 0 : vd_fail(ENAMETOOLONG, "XDG_STATE_HOME or HOME: a path of over %d bytes", VD_MAX_PATH - 300);
}

static int mark_path(char dst[VD_MAX_PATH], const uint8_t id[VD_KEY_ID], const char *name)
{
    char key[VD_KEY_NAME];
    int rc = vd_seen_folder(dst);

    if (rc)
        return rc;
    vd_key_name(id, key);
    size_t n = strlen(dst);
    snprintf(dst + n, VD_MAX_PATH - n, "/%s%s%s", key, name ? "-" : "", name ? name : ""); /* at most 255 of [a-z0-9_] */
    return 0;
}

/* 0 where there is none yet. */
static int read_mark(const char *path, int64_t *mark)
{
    uint8_t *data;
    size_t size;

    *mark = 0;
    int rc = vd_file_read(path, MARK_MOST, &data, &size);
    if (rc == -ENOENT && vd_present(path) == 0)
        return 0;
    if (rc == -ENOMEM)
        return rc;
    if (rc)
        return vd_fail(EKEYREJECTED, "the highest registry_version that was opened: %s", vd_reason());
    size_t digits = strspn((const char *)data, "0123456789");
    if (digits && digits <= 16 && digits + 1 == size && data[digits] == '\n')
        *mark = strtoll((const char *)data, NULL, 10);
    else
        rc = vd_fail(EKEYREJECTED, "%s: is not the number that was kept there; remove it if you know why, and the next registry counts as new",
                     vd_shown(path));
    vd_free(data);
    return rc;
}

static int compare(const char *path, const uint8_t id[VD_KEY_ID], int64_t version, int64_t *mark)
{
    char key[VD_KEY_NAME];
    int rc = read_mark(path, mark);

    if (rc || version >= *mark)
        return rc;
    vd_key_name(id, key);
    return vd_fail(EKEYREJECTED, "registry_version is %" PRId64 ", and %" PRId64 " of key %s was opened here before (%s): an older registry does "
                   "not open; if it is another one and not an older one, give it a name", version, *mark, key, vd_shown(path));
}

int vd_seen_check(const uint8_t id[VD_KEY_ID], const char *name, int64_t version)
{
    char path[VD_MAX_PATH];
    int64_t mark;
    int rc = mark_path(path, id, name);

    return rc ? rc : compare(path, id, version, &mark);
}

static int make_folders(char path[VD_MAX_PATH])
{
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        struct stat st;
        int rc = 0;
        if (mkdir(path, 0700) && errno != EEXIST) {
            int err = errno;
            if (stat(path, &st) || !S_ISDIR(st.st_mode)) /* one that is there may still not be made */
                rc = vd_fail(err, "%s: %s", vd_shown(path), strerror(err));
        }
        *p = '/';
        if (rc)
            return rc;
    }
    return 0;
}

int vd_seen_make(char dst[VD_MAX_PATH])
{
    int rc = vd_seen_folder(dst);
    size_t n = rc ? 0 : strlen(dst);

    if (rc)
        return rc;
    dst[n] = '/'; /* there is room: vd_seen_folder() leaves 300 bytes */
    dst[n + 1] = 0;
    rc = make_folders(dst);
    dst[n] = 0;
    return rc;
}

int vd_seen_keep(const uint8_t id[VD_KEY_ID], const char *name, int64_t version)
{
    char path[VD_MAX_PATH], text[MARK_MOST];
    int64_t mark;
    int rc = mark_path(path, id, name);

    if (!rc)
        rc = compare(path, id, version, &mark);
    if (rc || mark == version)
        return rc;
    /* Another process may raise it at the same time: looked at again under a lock, so that the higher one stays. */
    int lock = -1;
    rc = make_folders(path);
    if (!rc) {
        lock = vd_lock_folder(path);
        rc = compare(path, id, version, &mark);
        if (rc) {
            vd_unlock_folder(lock);
            return rc;
        }
    }
    if (!rc && mark < version) {
        int n = snprintf(text, sizeof(text), "%" PRId64 "\n", version);
        rc = vd_file_write(path, text, (size_t)n);
    }
    vd_unlock_folder(lock);
    if (rc && rc != -ENOMEM)
        rc = vd_fail(EKEYREJECTED, "the highest registry_version that was opened cannot be kept, so that an older one would open later: %s; "
                     "set XDG_STATE_HOME to a folder that can be written", vd_reason());
    return rc;
}
