/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/json_text.h"
#include "common/names.h"
#include "common/status.h"
#include "quant/calibration.h"

static const char format_name[] = "vmaf_dnn.calibration";
enum { FORMAT_VERSION = 1 };

/* --- writing: by hand, a tensor a line, so that thousands of counts stay small and can still be read */

static void put(struct vd_buf *b, const char *fmt, ...) VD_PRINTF(2, 3);
static void put(struct vd_buf *b, const char *fmt, ...)
{
    char text[256]; /* numbers, digests and words of this file: under 200 */
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    assert(n >= 0 && (size_t)n < sizeof(text));
    vd_put(b, text, (size_t)n);
}

/* Names have no control characters. */
static void put_string(struct vd_buf *b, const char *s)
{
    vd_put_u8(b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            vd_put_u8(b, '\\');
        vd_put_u8(b, (uint8_t)*s);
    }
    vd_put_u8(b, '"');
}

static void put_exact(struct vd_buf *b, vd_exact v)
{
    __extension__ typedef unsigned __int128 u128;
    const u128 m = v < 0 ? -(u128)v : (u128)v;
    put(b, "\"%s", v < 0 ? "-" : "");
    if (m >> 64)
        put(b, "%" PRIx64 "%016" PRIx64 "\"", (uint64_t)(m >> 64), (uint64_t)m);
    else
        put(b, "%" PRIx64 "\"", (uint64_t)m);
}

static void put_tensor(struct vd_buf *b, const struct vd_calib_tensor *t)
{
    const struct vd_hist *h = &t->hist;
    vd_put_str(b, "{\"name\":");
    put_string(b, t->name);
    if (t->fixed)
        vd_put_str(b, ",\"fixed\":true");
    put(b, ",\"min\":%.9g,\"max\":%.9g,\"frame_min\":", (double)h->min, (double)h->max);
    put_exact(b, t->frame_min);
    vd_put_str(b, ",\"frame_max\":");
    put_exact(b, t->frame_max);
    put(b, ",\"exponent\":%d,\"first\":%" PRId64 ",\"counts\":[", h->exponent, h->first);
    for (int i = 0; i < h->n_bins; i++)
        put(b, "%s%" PRIu64, i ? "," : "", h->count[i]);
    vd_put_str(b, "],\"channels\":[");
    for (int i = 0; i < t->channels; i++) {
        put(b, "%s[%.9g,%.9g,", i ? "," : "", (double)t->channel[i].min, (double)t->channel[i].max);
        put_exact(b, t->channel[i].sum);
        vd_put_u8(b, ']');
    }
    vd_put_str(b, "]}");
}

int vd_calib_write(const struct vd_calibration *c, struct vd_buf *b)
{
    put(b, "{\"format\":\"%s\",\"version\":%d,\n\"model_sha256\":\"%s\",\n\"frames\":%" PRIu64 ",\n\"sources\":[", format_name, FORMAT_VERSION,
        c->model_sha256, c->frames);
    for (int i = 0; i < c->n_source; i++) {
        vd_put_str(b, i ? ",\n{\"name\":" : "\n{\"name\":");
        put_string(b, c->source[i].name);
        put(b, ",\"sha256\":\"%s\",\"frames\":%" PRIu64 "}", c->source[i].sha256, c->source[i].frames);
    }
    vd_put_str(b, "],\n\"equalization\":[");
    for (int i = 0; i < c->n_group; i++) {
        vd_put_str(b, i ? ",\n{\"tensors\":[" : "\n{\"tensors\":[");
        for (int k = 0; k < c->group[i].n_tensor; k++) {
            vd_put_str(b, k ? "," : "");
            put_string(b, c->group[i].tensor[k]);
        }
        vd_put_str(b, "],\"scale\":[");
        for (int k = 0; k < c->group[i].channels; k++)
            put(b, "%s%.9g", k ? "," : "", (double)c->group[i].scale[k]);
        vd_put_str(b, "]}");
    }
    vd_put_str(b, "],\n\"tensors\":[");
    for (int i = 0; i < c->n_tensor; i++) {
        vd_put_str(b, i ? ",\n" : "\n");
        put_tensor(b, &c->tensor[i]);
    }
    vd_put_str(b, "]}\n");
    return b->bad ? vd_nomem(b->cap) : 0;
}

/* --- reading: the first thing that is wrong stays in rc */

struct in {
    struct vd_calibration *c;
    const char *name;
    int rc;
};

static void bad(struct in *r, const char *fmt, ...) VD_PRINTF(2, 3);
static void bad(struct in *r, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (r->rc)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->rc = vd_fail(EBADMSG, "%s: %s", r->name, text);
}

static void *room(struct in *r, size_t count, size_t size)
{
    void *p = vd_arena_array(&r->c->arena, count ? count : 1, size);
    if (!p && !r->rc)
        r->rc = vd_nomem((unsigned long long)count * size);
    return p;
}

static bool is_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *w = list; *w; w += strspn(w, " ?")) {
        const size_t k = strcspn(w, " ?");
        if (k == n && !memcmp(w, word, n))
            return true;
        w += k;
    }
    return false;
}

/* Keys of object o: all of want (space between; a '?' behind one that may be missing), and no other. */
static bool keys(struct in *r, const json_t *o, const char *what, const char *want)
{
    const char *key;
    json_t *value;
    if (!json_is_object(o)) {
        bad(r, "%s is not an object", what);
        return false;
    }
    for (const char *w = want; *w;) {
        const size_t n = strcspn(w, " ?");
        char k[32];
        snprintf(k, sizeof(k), "%.*s", (int)n, w);
        if (w[n] != '?' && !json_object_get(o, k))
            bad(r, "%s has no \"%s\"", what, k);
        w += n + strspn(w + n, " ?");
    }
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
        if (!is_word(want, key))
            bad(r, "%s has an unknown key \"%.40s\"", what, key);
    return !r->rc;
}

static const char *get_string(struct in *r, const json_t *v, const char *what)
{
    const char *s = json_string_value(v);
    if (!s || !*s || json_string_length(v) != strlen(s) || strlen(s) > 1023) {
        bad(r, "%s is not a name", what);
        return "";
    }
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) {
            bad(r, "%s has a control character", what);
            return "";
        }
    char *copy = vd_arena_str(&r->c->arena, s, strlen(s));
    if (!copy && !r->rc)
        r->rc = vd_nomem(strlen(s));
    return copy ? copy : "";
}

static void get_sha256(struct in *r, const json_t *v, const char *what, char hex[65])
{
    const char *s = json_string_value(v);
    if (!s || strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
        bad(r, "%s is not 64 lower-case hex digits", what);
    else
        memcpy(hex, s, 65);
}

static int64_t get_int(struct in *r, const json_t *v, const char *what, int64_t lo, int64_t hi)
{
    const json_int_t i = json_integer_value(v);
    if (!json_is_integer(v) || i < lo || i > hi) {
        bad(r, "%s is not a whole number of %lld..%lld", what, (long long)lo, (long long)hi);
        return lo;
    }
    return i;
}

static float get_float(struct in *r, const json_t *v, const char *what)
{
    const double d = json_number_value(v);
    if (!json_is_number(v) || !isfinite((float)d))
        bad(r, "%s is not a finite number", what);
    return r->rc ? 0 : (float)d;
}

static vd_exact get_exact(struct in *r, const json_t *v, const char *what)
{
    const char *s = json_string_value(v);
    const bool minus = s && *s == '-';
    if (minus)
        s++;
    if (!s || !*s || strlen(s) > 31 || strspn(s, "0123456789abcdef") != strlen(s)) {
        bad(r, "%s is not a sum in hex digits", what);
        return 0;
    }
    vd_exact e = 0;
    for (; *s; s++)
        e = e * 16 + (*s <= '9' ? *s - '0' : *s - 'a' + 10);
    return minus ? -e : e;
}

static size_t length(struct in *r, const json_t *v, const char *what, size_t most)
{
    if (!json_is_array(v) || json_array_size(v) > most) {
        bad(r, "%s is not a list of at most %zu", what, most);
        return 0;
    }
    return json_array_size(v);
}

static void get_sources(struct in *r, const json_t *list)
{
    uint64_t frames = 0;
    const size_t n = length(r, list, "sources", VD_CALIB_SOURCES);
    for (size_t i = 0; i < n && !r->rc; i++) {
        const json_t *o = json_array_get(list, i);
        char sha256[65] = "";
        if (!keys(r, o, "a source", "name sha256 frames"))
            return;
        const char *name = get_string(r, json_object_get(o, "name"), "the name of a source");
        get_sha256(r, json_object_get(o, "sha256"), "the sha256 of a source", sha256);
        const uint64_t f = (uint64_t)get_int(r, json_object_get(o, "frames"), "the frames of a source", 1, 1 << 20);
        frames += f;
        if (!r->rc && (r->rc = vd_calib_add_source(r->c, name, sha256, f))) {
            r->rc = vd_fail(r->rc == -EINVAL ? EBADMSG : -r->rc, "%s: %s", r->name, vd_reason());
            return;
        }
        const struct vd_calib_source *last = r->rc ? NULL : &r->c->source[r->c->n_source - 1];
        if (last && (strcmp(last->name, name) || strcmp(last->sha256, sha256) || last->frames != f)) /* putting many in order would take long */
            bad(r, "the sources are not in the order of their names");
    }
    if (!r->rc && frames != r->c->frames)
        bad(r, "frames is %" PRIu64 ", and the sources have %" PRIu64, r->c->frames, frames);
}

static void get_groups(struct in *r, const json_t *list)
{
    const size_t n = length(r, list, "equalization", VD_CALIB_TENSORS);
    r->c->group = room(r, n, sizeof(*r->c->group));
    for (size_t i = 0; i < n && !r->rc; i++) {
        const json_t *o = json_array_get(list, i);
        struct vd_calib_group *g = &r->c->group[r->c->n_group++];
        if (!keys(r, o, "an equalization", "tensors scale"))
            return;
        const json_t *t = json_object_get(o, "tensors"), *s = json_object_get(o, "scale");
        g->n_tensor = (int)length(r, t, "the tensors of an equalization", VD_CALIB_TENSORS);
        g->channels = (int)length(r, s, "the scale of an equalization", VD_CALIB_CHANNELS);
        g->tensor = room(r, (size_t)g->n_tensor, sizeof(*g->tensor));
        g->scale = room(r, (size_t)g->channels, sizeof(*g->scale));
        for (int k = 0; k < g->n_tensor && !r->rc; k++)
            g->tensor[k] = get_string(r, json_array_get(t, (size_t)k), "a tensor of an equalization");
        for (int k = 0; k < g->channels && !r->rc; k++) {
            g->scale[k] = get_float(r, json_array_get(s, (size_t)k), "a scale of an equalization");
            if (!(g->scale[k] >= 0x1p-40f && g->scale[k] <= 0x1p40f))
                bad(r, "a scale of an equalization is %g", (double)g->scale[k]);
        }
    }
}

static void get_hist(struct in *r, const json_t *o, struct vd_hist *h)
{
    const json_t *counts = json_object_get(o, "counts");
    int exponent, n_bins;
    int64_t first;
    h->min = get_float(r, json_object_get(o, "min"), "min");
    h->max = get_float(r, json_object_get(o, "max"), "max");
    const int n = (int)length(r, counts, "counts", VD_HIST_BINS);
    h->exponent = (int)get_int(r, json_object_get(o, "exponent"), "exponent", -126, 127);
    h->first = get_int(r, json_object_get(o, "first"), "first", -(1 << 14), 1 << 14);
    if (r->rc)
        return;
    if (h->min > h->max) {
        bad(r, "min is over max");
        return;
    }
    vd_hist_geometry(h->min, h->max, &exponent, &first, &n_bins);
    if (exponent != h->exponent || first != h->first || n_bins != n) {
        bad(r, "the bins are not those of min and max");
        return;
    }
    h->covers = true;
    h->n_bins = n;
    for (int i = 0; i < n; i++) {
        h->count[i] = (uint64_t)get_int(r, json_array_get(counts, (size_t)i), "a count", 0, INT64_C(1) << 53);
        h->n += h->count[i];
    }
    if (!r->rc && (h->n == 0 || h->n > UINT64_C(1) << 53))
        bad(r, "the counts are %s", h->n ? "too many" : "all 0");
}

static void get_tensor(struct in *r, const json_t *o, struct vd_calib_tensor *t)
{
    if (!keys(r, o, "a tensor", "name fixed? min max frame_min frame_max exponent first counts channels"))
        return;
    t->name = get_string(r, json_object_get(o, "name"), "the name of a tensor");
    const json_t *fixed = json_object_get(o, "fixed"), *channels = json_object_get(o, "channels");
    if (fixed && !json_is_boolean(fixed))
        bad(r, "fixed is neither true nor false");
    t->fixed = json_is_true(fixed);
    get_hist(r, o, &t->hist);
    t->frame_min = get_exact(r, json_object_get(o, "frame_min"), "frame_min");
    t->frame_max = get_exact(r, json_object_get(o, "frame_max"), "frame_max");
    t->channels = (int)length(r, channels, "channels", VD_CALIB_CHANNELS);
    t->channel = room(r, (size_t)t->channels, sizeof(*t->channel));
    for (int i = 0; i < t->channels && !r->rc; i++) {
        const json_t *c = json_array_get(channels, (size_t)i);
        if (length(r, c, "a channel", 3) != 3) {
            bad(r, "a channel is not min, max and sum");
            return;
        }
        t->channel[i].min = get_float(r, json_array_get(c, 0), "a channel's min");
        t->channel[i].max = get_float(r, json_array_get(c, 1), "a channel's max");
        t->channel[i].sum = get_exact(r, json_array_get(c, 2), "a channel's sum");
        if (!r->rc && !(t->channel[i].min <= t->channel[i].max))
            bad(r, "a channel's min is over its max");
    }
}

static void get_tensors(struct in *r, const json_t *list)
{
    struct vd_names names;
    const size_t n = length(r, list, "tensors", VD_CALIB_TENSORS);
    r->c->tensor = room(r, n, sizeof(*r->c->tensor));
    if (!r->rc)
        r->rc = vd_names_init(&names, &r->c->arena, n);
    for (size_t i = 0; i < n && !r->rc; i++) {
        struct vd_calib_tensor *t = &r->c->tensor[i];
        get_tensor(r, json_array_get(list, i), t);
        if (r->rc)
            r->rc = vd_context(r->rc, "tensor %zu", i);
        else if (vd_names_add(&names, t->name, (int)i) != (int)i)
            bad(r, "two tensors have the name %s", t->name);
        r->c->n_tensor++;
    }
}

int vd_calib_read(struct vd_calibration *c, const uint8_t *data, size_t size, const char *name)
{
    static const struct vd_json_room room = {.depth = 16, .objects = 2 * VD_CALIB_SOURCES, .values = 1 << 19};
    struct in r = {.c = c, .name = name};
    *c = (struct vd_calibration){0};
    if (size > VD_CALIB_MAX_FILE)
        return vd_fail(E2BIG, "%s: a calibration of over %d bytes", name, VD_CALIB_MAX_FILE);
    json_t *o;
    const int rc = vd_json_text(data, size, name, &room, &o);
    if (rc)
        return rc;
    const json_t *format = json_object_get(o, "format");
    if (!json_is_string(format) || strcmp(json_string_value(format), format_name))
        bad(&r, "not a calibration (\"format\" is not \"%s\")", format_name);
    else if (json_integer_value(json_object_get(o, "version")) != FORMAT_VERSION)
        bad(&r, "a calibration of another version than %d", FORMAT_VERSION);
    if (!r.rc && keys(&r, o, "the file", "format version model_sha256 frames sources equalization tensors")) {
        get_sha256(&r, json_object_get(o, "model_sha256"), "model_sha256", c->model_sha256);
        c->frames = (uint64_t)get_int(&r, json_object_get(o, "frames"), "frames", 1, INT64_C(1) << 40);
        if (!r.rc)
            get_sources(&r, json_object_get(o, "sources"));
        if (!r.rc)
            get_groups(&r, json_object_get(o, "equalization"));
        if (!r.rc)
            get_tensors(&r, json_object_get(o, "tensors"));
    }
    json_decref(o);
    if (r.rc)
        vd_calibration_free(c);
    return r.rc;
}
