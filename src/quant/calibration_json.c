/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_lex.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/status.h"
#include "quant/calibration.h"

/* One value after another, so that memory stays within a few times the file. The first thing that is wrong stays in rc. */

enum { MOST_VALUES = 1 << 19 };

struct in {
    struct vd_calibration *c;
    struct vd_json_lex x;
    const char *name;
    int rc;
    bool other;      /* keys are missing, or are not those of such a file */
    uint64_t frames; /* of the sources */
    struct lists *s;
};

/* What is copied to the arena when its length is known. */
struct lists {
    struct vd_calib_tensor tensor[VD_CALIB_TENSORS];
    struct vd_calib_group group[VD_CALIB_TENSORS];
    const char *name[VD_CALIB_TENSORS];
    float scale[VD_CALIB_CHANNELS];
    struct vd_calib_channel channel[VD_CALIB_CHANNELS];
    uint64_t count[VD_HIST_BINS];
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

static void *keep(struct in *r, const void *list, int n, size_t size)
{
    void *p = r->rc ? NULL : vd_arena_dup(&r->c->arena, list, (size_t)n * size);
    if (!p && !r->rc)
        r->rc = vd_nomem((unsigned long long)n * size);
    return p;
}

/* The value that comes next begins with word, and that is behind us. */
static bool opens(struct in *r, const char *word)
{
    if (!r->rc)
        r->rc = vd_json_lex_value(&r->x);
    return !r->rc && vd_json_lex_take(&r->x, word);
}

/* The list goes on, and n of it are read. */
static bool more(struct in *r, const char *what, int n, int most)
{
    const int next = r->rc ? r->rc : vd_json_lex_next(&r->x, ']', !n);
    if (next < 0)
        r->rc = next;
    else if (next && n >= most)
        bad(r, "%s is not a list of at most %d", what, most);
    return !r->rc && next;
}

static bool begin_list(struct in *r, const char *what, int most)
{
    if (!opens(r, "["))
        bad(r, "%s is not a list of at most %d", what, most);
    return !r->rc;
}

static bool begin_object(struct in *r, const char *what)
{
    if (!opens(r, "{"))
        bad(r, "%s is not an object", what);
    return !r->rc;
}

/* Which of the words of list (space between; a '?' behind one that may be missing) key is; -1: none. Or, without a key, the first that is
 * not among those seen and must be. */
static int word_of(const char *list, const char *key, unsigned seen, const char **word, int *length)
{
    int i = 0;
    for (const char *w = list; *w; w += strspn(w, " ?"), i++) {
        const size_t n = strcspn(w, " ?");
        *word = w;
        *length = (int)n;
        if (key ? strlen(key) == n && !memcmp(w, key, n) : w[n] != '?' && !(seen & 1u << i))
            return i;
        w += n;
    }
    return -1;
}

/* The next member's place in list, which has all keys of the object; -1 behind the last, or after a failure. */
static int member(struct in *r, const char *what, const char *list, unsigned *seen)
{
    const char *word;
    char *key;
    int length, at = -1;
    const int next = r->rc ? r->rc : vd_json_lex_next(&r->x, '}', !*seen);
    if (next < 0)
        r->rc = next;
    if (r->rc)
        return -1;
    if (!next) {
        if (word_of(list, NULL, *seen, &word, &length) >= 0) {
            bad(r, "%s has no \"%.*s\"", what, length, word);
            r->other = true;
        }
        return -1;
    }
    r->rc = vd_json_lex_key(&r->x, &key);
    if (!r->rc && (at = word_of(list, key, 0, &word, &length)) < 0) {
        bad(r, "%s has an unknown key \"%.40s\"", what, key);
        r->other = true;
    } else if (!r->rc && *seen & 1u << at) {
        r->rc = vd_json_lex_bad(&r->x, "a key that was there before");
    }
    vd_free(key);
    if (r->rc)
        return -1;
    *seen |= 1u << at;
    return at;
}

/* Freed by the caller; NULL: not a string, or a failure. */
static char *string(struct in *r)
{
    char *s = NULL;
    if (!opens(r, "\""))
        return NULL;
    if (!(r->rc = vd_json_lex_string(&r->x, &s)))
        return s;
    vd_free(s);
    return NULL;
}

static bool number(struct in *r, struct vd_json_number *n)
{
    if (opens(r, "") && r->x.p < r->x.end && (*r->x.p == '-' || (*r->x.p >= '0' && *r->x.p <= '9')))
        r->rc = vd_json_lex_number(&r->x, n);
    else
        return false;
    return !r->rc;
}

/* A string that may be a name; freed by the caller. */
static char *name(struct in *r, const char *what)
{
    char *s = string(r);
    if (!s || !*s || strlen(s) > 1023)
        bad(r, "%s is not a name", what);
    for (const char *p = s; p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            bad(r, "%s has a control character", what);
    return s;
}

static const char *get_name(struct in *r, const char *what)
{
    char *s = name(r, what);
    const char *copy = r->rc ? NULL : vd_arena_str(&r->c->arena, s, strlen(s));
    if (!copy && !r->rc)
        r->rc = vd_nomem(strlen(s));
    vd_free(s);
    return copy ? copy : "";
}

static void get_sha256(struct in *r, const char *what, char hex[65])
{
    char *s = string(r);
    if (!s || strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
        bad(r, "%s is not 64 lower-case hex digits", what);
    else
        memcpy(hex, s, 65);
    vd_free(s);
}

static int64_t get_int(struct in *r, const char *what, int64_t lo, int64_t hi)
{
    struct vd_json_number n;
    if (number(r, &n) && n.whole && n.i >= lo && n.i <= hi)
        return n.i;
    bad(r, "%s is not a whole number of %lld..%lld", what, (long long)lo, (long long)hi);
    return lo;
}

static float get_float(struct in *r, const char *what)
{
    struct vd_json_number n;
    if (number(r, &n) && isfinite((float)n.d))
        return (float)n.d;
    bad(r, "%s is not a finite number", what);
    return 0;
}

static vd_exact get_exact(struct in *r, const char *what)
{
    char *text = string(r);
    const char *s = text;
    const bool minus = s && *s == '-';
    vd_exact e = 0;
    if (minus)
        s++;
    if (!s || !*s || strlen(s) > 31 || strspn(s, "0123456789abcdef") != strlen(s))
        bad(r, "%s is not a sum in hex digits", what);
    else
        for (; *s; s++)
            e = e * 16 + (*s <= '9' ? *s - '0' : *s - 'a' + 10);
    vd_free(text);
    return minus ? -e : e;
}

static void get_source(struct in *r)
{
    char sha256[65] = "", *of = NULL;
    uint64_t frames = 0;
    unsigned seen = 0;
    if (!begin_object(r, "a source"))
        return;
    for (int k; (k = member(r, "a source", "name sha256 frames", &seen)) >= 0;)
        switch (k) {
        case 0: of = name(r, "the name of a source"); break;
        case 1: get_sha256(r, "the sha256 of a source", sha256); break;
        default: frames = (uint64_t)get_int(r, "the frames of a source", 1, 1 << 20);
        }
    r->frames += frames;
    if (!r->rc && (r->rc = vd_calib_add_source(r->c, of, sha256, frames)))
        r->rc = vd_fail(r->rc == -EINVAL ? EBADMSG : -r->rc, "%s: %s", r->name, vd_reason());
    const struct vd_calib_source *last = r->rc ? NULL : &r->c->source[r->c->n_source - 1];
    if (last && (strcmp(last->name, of) || strcmp(last->sha256, sha256) || last->frames != frames)) /* putting many in order would take long */
        bad(r, "the sources are not in the order of their names");
    vd_free(of);
}

static void get_sources(struct in *r)
{
    if (begin_list(r, "sources", VD_CALIB_SOURCES))
        while (more(r, "sources", r->c->n_source, VD_CALIB_SOURCES))
            get_source(r);
}

static void get_group(struct in *r, struct vd_calib_group *g)
{
    unsigned seen = 0;
    *g = (struct vd_calib_group){0};
    if (!begin_object(r, "an equalization"))
        return;
    for (int k; (k = member(r, "an equalization", "tensors scale", &seen)) >= 0;)
        if (k == 0) {
            static const char what[] = "the tensors of an equalization";
            begin_list(r, what, VD_CALIB_TENSORS);
            for (; more(r, what, g->n_tensor, VD_CALIB_TENSORS); g->n_tensor++)
                r->s->name[g->n_tensor] = get_name(r, "a tensor of an equalization");
            g->tensor = keep(r, r->s->name, g->n_tensor, sizeof(*g->tensor));
        } else {
            static const char what[] = "the scale of an equalization";
            begin_list(r, what, VD_CALIB_CHANNELS);
            for (; more(r, what, g->channels, VD_CALIB_CHANNELS); g->channels++) {
                const float scale = r->s->scale[g->channels] = get_float(r, "a scale of an equalization");
                if (!(scale >= 0x1p-40f && scale <= 0x1p40f))
                    bad(r, "a scale of an equalization is %g", (double)scale);
            }
            g->scale = keep(r, r->s->scale, g->channels, sizeof(*g->scale));
        }
}

static void get_groups(struct in *r)
{
    struct vd_calibration *c = r->c;
    begin_list(r, "equalization", VD_CALIB_TENSORS);
    for (; more(r, "equalization", c->n_group, VD_CALIB_TENSORS); c->n_group++)
        get_group(r, &r->s->group[c->n_group]);
    c->group = keep(r, r->s->group, c->n_group, sizeof(*c->group));
}

static void get_channels(struct in *r, struct vd_calib_tensor *t)
{
    begin_list(r, "channels", VD_CALIB_CHANNELS);
    for (; more(r, "channels", t->channels, VD_CALIB_CHANNELS); t->channels++) {
        struct vd_calib_channel *c = &r->s->channel[t->channels];
        int n = 0;
        begin_list(r, "a channel", 3);
        for (; more(r, "a channel", n, 3); n++)
            if (n == 2)
                c->sum = get_exact(r, "a channel's sum");
            else
                *(n ? &c->max : &c->min) = get_float(r, n ? "a channel's max" : "a channel's min");
        if (n != 3)
            bad(r, "a channel is not min, max and sum");
        else if (!(c->min <= c->max))
            bad(r, "a channel's min is over its max");
    }
    t->channel = keep(r, r->s->channel, t->channels, sizeof(*t->channel));
}

static void get_counts(struct in *r, struct vd_hist *h)
{
    begin_list(r, "counts", VD_HIST_BINS);
    for (; more(r, "counts", h->n_bins, VD_HIST_BINS); h->n_bins++)
        h->n += r->s->count[h->n_bins] = (uint64_t)get_int(r, "a count", 0, INT64_C(1) << 53); /* at most 2^62 */
    h->count = keep(r, r->s->count, h->n_bins, sizeof(*h->count));
    h->room = h->n_bins;
}

static void check_hist(struct in *r, struct vd_hist *h)
{
    int exponent, n_bins;
    int64_t first;
    if (h->min > h->max) {
        bad(r, "min is over max");
        return;
    }
    vd_hist_geometry(h->min, h->max, &exponent, &first, &n_bins);
    if (exponent != h->exponent || first != h->first || n_bins != h->n_bins)
        bad(r, "the bins are not those of min and max");
    else if (h->n == 0 || h->n > UINT64_C(1) << 53)
        bad(r, "the counts are %s", h->n ? "too many" : "all 0");
    h->covers = true;
}

static void get_tensor(struct in *r, struct vd_calib_tensor *t)
{
    struct vd_hist *h = &t->hist;
    unsigned seen = 0;
    *t = (struct vd_calib_tensor){0};
    if (!begin_object(r, "a tensor"))
        return;
    for (int k; (k = member(r, "a tensor", "name fixed? min max frame_min frame_max exponent first counts channels", &seen)) >= 0;)
        switch (k) {
        case 0: t->name = get_name(r, "the name of a tensor"); break;
        case 1:
            if (!(t->fixed = opens(r, "true")) && !r->rc && !vd_json_lex_take(&r->x, "false"))
                bad(r, "fixed is neither true nor false");
            break;
        case 2: h->min = get_float(r, "min"); break;
        case 3: h->max = get_float(r, "max"); break;
        case 4: t->frame_min = get_exact(r, "frame_min"); break;
        case 5: t->frame_max = get_exact(r, "frame_max"); break;
        case 6: h->exponent = (int)get_int(r, "exponent", -126, 127); break;
        case 7: h->first = get_int(r, "first", -(1 << 14), 1 << 14); break;
        case 8: get_counts(r, h); break;
        default: get_channels(r, t);
        }
    if (!r->rc)
        check_hist(r, h);
}

static void get_tensors(struct in *r)
{
    struct vd_calibration *c = r->c;
    struct vd_names names;
    begin_list(r, "tensors", VD_CALIB_TENSORS);
    for (; more(r, "tensors", c->n_tensor, VD_CALIB_TENSORS); c->n_tensor++) {
        get_tensor(r, &r->s->tensor[c->n_tensor]);
        r->rc = vd_context(r->rc, "tensor %d", c->n_tensor);
    }
    c->tensor = keep(r, r->s->tensor, c->n_tensor, sizeof(*c->tensor));
    if (!r->rc)
        r->rc = vd_names_init(&names, &c->arena, (size_t)c->n_tensor);
    for (int i = 0; !r->rc && i < c->n_tensor; i++)
        if (vd_names_add(&names, c->tensor[i].name, i) != i)
            bad(r, "two tensors have the name %s", c->tensor[i].name);
}

static void get_format(struct in *r)
{
    char *s = string(r);
    if (!s || strcmp(s, VD_CALIB_FORMAT))
        bad(r, "not a calibration (\"format\" is not \"%s\")", VD_CALIB_FORMAT);
    vd_free(s);
}

static void get_version(struct in *r)
{
    struct vd_json_number n;
    if (!number(r, &n) || !n.whole || n.i != VD_CALIB_VERSION)
        bad(r, "a calibration of another version than %d", VD_CALIB_VERSION);
}

static void get_file(struct in *r)
{
    struct vd_calibration *c = r->c;
    unsigned seen = 0;
    if (!opens(r, "{") && !r->rc)
        r->rc = vd_json_lex_bad(&r->x, "'{' is wanted");
    for (int k; (k = member(r, "the file", "format version model_sha256 frames sources equalization tensors", &seen)) >= 0;)
        switch (k) {
        case 0: get_format(r); break;
        case 1: get_version(r); break;
        case 2: get_sha256(r, "model_sha256", c->model_sha256); break;
        case 3: c->frames = (uint64_t)get_int(r, "frames", 1, INT64_C(1) << 40); break;
        case 4: get_sources(r); break;
        case 5: get_groups(r); break;
        default: get_tensors(r);
        }
    if (r->other && !(seen & 1)) /* some other JSON file */
        r->rc = vd_fail(EBADMSG, "%s: not a calibration (\"format\" is not \"%s\")", r->name, VD_CALIB_FORMAT);
    if (!r->rc)
        r->rc = vd_json_lex_end(&r->x);
    if (!r->rc && r->frames != c->frames)
        bad(r, "frames is %" PRIu64 ", and the sources have %" PRIu64, c->frames, r->frames);
}

int vd_calib_read(struct vd_calibration *c, const uint8_t *data, size_t size, const char *name)
{
    struct in r = {.c = c, .name = name};
    *c = (struct vd_calibration){0};
    if (size > VD_CALIB_MAX_FILE)
        return vd_fail(E2BIG, "%s: a calibration of over %d bytes", name, VD_CALIB_MAX_FILE);
    if (!(r.s = vd_malloc(sizeof(*r.s))))
        return vd_nomem(sizeof(*r.s));
    vd_json_lex_open(&r.x, data, size, name, MOST_VALUES);
    get_file(&r);
    vd_free(r.s);
    if (r.rc)
        vd_calibration_free(c);
    return r.rc;
}
