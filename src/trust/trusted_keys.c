/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "trust/signature.h"
#include "trust/trust_priv.h"

/* The second line of a public key file each, by the options release_key and recovery_key of the build; "" for none. */
#ifndef VMAF_DNN_RELEASE_KEY
#define VMAF_DNN_RELEASE_KEY ""
#endif
#ifndef VMAF_DNN_RECOVERY_KEY
#define VMAF_DNN_RECOVERY_KEY ""
#endif

static int embedded(struct vd_trusted *t)
{
    static const char *const line[] = {VMAF_DNN_RELEASE_KEY, VMAF_DNN_RECOVERY_KEY};
    static const char *const name[] = {"the embedded release key", "the embedded recovery key"};
    char text[256];

    for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
        if (!line[i][0])
            continue;
        int n = snprintf(text, sizeof(text), "untrusted comment: \n%s\n", line[i]);
        size_t size = n < 0 || (size_t)n >= sizeof(text) ? 0 : (size_t)n; /* too long is not a key either */
        int rc = vd_public_key_parse(text, size, name[i], &t->key[t->n]);
        if (rc)
            return vd_fail(EKEYREJECTED, "%s", vd_reason());
        t->n++;
    }
    return 0;
}

static bool is_key_file(const char *name)
{
    size_t n = strlen(name);

    return n > 4 && name[0] != '.' && !strcmp(name + n - 4, ".pub");
}

static int add(struct vd_trusted *t, const char *dir, const char *name)
{
    char path[VD_MAX_PATH];
    uint8_t *data;
    size_t size;

    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n < 0 || n >= (int)sizeof(path))
        return vd_fail(ENAMETOOLONG, "...%s: over %d bytes", name, VD_MAX_PATH - 1);
    if (t->n == VD_KEYS_MAX)
        return vd_fail(EKEYREJECTED, "%s: more than %d trusted keys", vd_shown(dir), VD_KEYS_MAX);
    int rc = vd_file_read(path, VD_KEY_FILE_MAX, &data, &size);
    if (rc)
        return rc;
    rc = vd_public_key_parse(data, size, path, &t->key[t->n]);
    vd_free(data);
    if (rc)
        return vd_fail(EKEYREJECTED, "%s", vd_reason());
    t->n++;
    return 0;
}

static int folder(struct vd_trusted *t, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return vd_fail(errno == ENOTDIR ? ENOENT : errno, "the folder of trusted keys, %s: %s", vd_shown(dir), strerror(errno));
    while (!rc && (errno = 0, e = readdir(d)))
        if (is_key_file(e->d_name))
            rc = add(t, dir, e->d_name);
    if (!rc && errno)
        rc = vd_fail(EIO, "the folder of trusted keys, %s: %s", vd_shown(dir), strerror(errno));
    closedir(d);
    if (!rc && !t->n)
        rc = vd_fail(EKEYREJECTED, "%s: no trusted key in it, which is a file X.pub, so that nothing opens", vd_shown(dir));
    return rc;
}

int vd_trusted_load(const char *dir, struct vd_trusted *t)
{
    t->n = 0;
    if (!dir) {
        dir = getenv("VMAF_DNN_TRUSTED_KEYS");
        if (dir && !dir[0])
            dir = NULL;
    }
    int rc = dir ? folder(t, dir) : embedded(t);
    if (rc)
        t->n = 0;
    return rc;
}
