/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json_text.h"
#include "common/mem.h"
#include "trust/trust_priv.h"

int vd_json_read(const char *path, bool jailed, json_t **json, char sha256[65])
{
    uint8_t *data = NULL;
    size_t size = 0;

    *json = NULL;
    int rc = (jailed ? vd_read_jailed : vd_file_read)(path, VD_MAX_JSON, &data, &size);
    if (rc)
        return rc;
    if (sha256)
        vd_sha256_hex(data, size, sha256);
    rc = vd_json_parse(data, size, path, json);
    vd_free(data);
    return rc;
}

/* An honest row has about 20 values, and VD_MAX_JSON bytes of honest rows are below these. */
int vd_json_parse(const void *data, size_t size, const char *path, json_t **json)
{
    static const struct vd_json_room room = {.depth = 16, .objects = 4096, .values = 32768};

    return vd_json_text(data, size, path, &room, json);
}

/* The fewest digits that keep every number's value: 0.01 stays 0.01. Fewer than it needs can make the largest ones too large to be read. */
static int dump(const json_t *json, const char *path, char **text)
{
    int rc = 0;

    for (size_t digits = 15; digits <= 17; digits++) {
        json_t *back = NULL;
        char *s = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        rc = s ? vd_json_parse(s, strlen(s), path, &back) : vd_nomem(1);
        const bool same = !rc && (digits == 17 || json_equal(json, back));
        json_decref(back);
        if (same) {
            *text = s;
            return 0;
        }
        free(s);
        if (rc && rc != -EBADMSG)
            break;
    }
    return rc;
}

static int json_text(const json_t *json, const char *path, char **text, size_t *size)
{
    char *s = NULL;
    int rc = dump(json, path, &s);
    size_t n = rc ? 0 : strlen(s);

    *size = n + 1;
    *text = NULL;
    if (!rc && n + 1 > VD_MAX_JSON)
        rc = vd_fail(E2BIG, "%s: would grow over %d bytes", vd_shown(path), VD_MAX_JSON);
    if (!rc && !(*text = vd_malloc(n + 1)))
        rc = vd_nomem(n + 1);
    if (!rc) {
        memcpy(*text, s, n);
        (*text)[n] = '\n';
    }
    free(s);
    return rc;
}

/* Not every file system has locks, and one that has none must not stop a write: two writers at once are what is lost then. */
int vd_lock_folder(const char *path)
{
    char dir[VD_MAX_PATH];

    if (vd_beside(dir, path, "."))
        return -1;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        while (flock(fd, LOCK_EX) && errno == EINTR)
            ;
    return fd;
}

/* Unlocked by name, so that a close that fails cannot keep it. */
void vd_unlock_folder(int lock)
{
    if (lock < 0)
        return;
    flock(lock, LOCK_UN);
    close(lock);
}

static int changed(json_t *json, const char *path, vd_json_change *change, vd_json_change *check, void *arg, char **made, size_t *n)
{
    int rc = change(json, path, arg);

    if (!rc)
        rc = check(json, path, arg);
    return rc ? rc : json_text(json, path, made, n);
}

int vd_json_create(const char *path, json_t *json, vd_json_change *change, vd_json_change *check, void *arg)
{
    char *made = NULL;
    size_t n = 0;
    int lock = vd_lock_folder(path), rc = json ? changed(json, path, change, check, arg, &made, &n) : vd_nomem(1);

    if (!rc)
        rc = vd_file_write(path, made, n);
    vd_free(made);
    json_decref(json);
    vd_unlock_folder(lock);
    return rc;
}

int vd_json_update(const char *path, vd_json_change *change, vd_json_change *check, void *arg, char **text, size_t *size)
{
    char real[VD_MAX_PATH], *made = NULL;
    json_t *json = NULL;
    size_t n = 0;
    int rc;

    /* Through a link to the file itself, which a rename would replace. */
    if (!realpath(path, real))
        return vd_fail(errno == ENOTDIR ? ENOENT : errno, "%s: %s", vd_shown(path), strerror(errno));
    int lock = vd_lock_folder(real);
    rc = vd_json_read(real, false, &json, NULL);
    if (!rc)
        rc = changed(json, path, change, check, arg, &made, &n);
    if (!rc)
        rc = vd_file_write(real, made, n);
    if (!rc && text) {
        *text = made;
        *size = n;
        made = NULL;
    }
    vd_free(made);
    json_decref(json);
    vd_unlock_folder(lock);
    return rc;
}

/* Both keys where a reader looks for them: in their places, else after quant_mode, else after sha256. */
static int quant_insert(json_t *o, json_t *mode, json_t *digest)
{
    const char *anchor = json_object_get(o, "quant_mode") ? "quant_mode" : "sha256", *key;
    json_t *all = json_object(), *v;
    int bad = !all;

    json_object_foreach(o, key, v) {
        if (strcmp(key, "quant_mode") && strcmp(key, "int8_sha256"))
            bad |= json_object_set(all, key, v);
        if (!strcmp(key, anchor))
            bad |= json_object_set(all, "quant_mode", mode) | json_object_set(all, "int8_sha256", digest);
    }
    bad = bad || json_object_clear(o) || json_object_update(o, all);
    json_decref(all);
    return bad;
}

int vd_quant_put(json_t *o, const struct vd_quant *q)
{
    if ((q->mode == VD_QUANT_FP32) != !q->int8_sha256)
        return vd_fail(EINVAL, "quant_mode %s %s an int8 file and its digest", vd_quant_mode_name(q->mode),
                       q->int8_sha256 ? "goes without" : "needs");
    if (!q->int8_sha256) {
        json_object_del(o, "quant_mode");
        json_object_del(o, "int8_sha256");
        return 0;
    }
    json_t *mode = json_string(vd_quant_mode_name(q->mode)), *digest = json_string(q->int8_sha256);
    int bad;
    if (!mode || !digest)
        bad = 1;
    else if (json_object_get(o, "quant_mode") && json_object_get(o, "int8_sha256"))
        bad = json_object_set(o, "quant_mode", mode) | json_object_set(o, "int8_sha256", digest);
    else
        bad = quant_insert(o, mode, digest);
    json_decref(mode);
    json_decref(digest);
    return bad ? vd_nomem(64) : 0;
}

int vd_json_merge(json_t *o, const json_t *keys)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)keys, key, value) {
        if (json_is_null(value))
            json_object_del(o, key);
        else if (json_object_set(o, key, value))
            return vd_nomem(strlen(key));
    }
    return 0;
}
