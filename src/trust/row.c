/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "trust/trust_priv.h"

static const char *const mode_name[] = {"fp32", "dynamic", "static", "qat"};
enum { N_MODES = sizeof(mode_name) / sizeof(mode_name[0]) };

const char *vd_quant_mode_name(enum vd_quant_mode m)
{
    return (unsigned)m < N_MODES ? mode_name[m] : "?";
}

int vd_quant_mode_parse(const char *s, enum vd_quant_mode *m)
{
    for (int i = 0; i < N_MODES; i++)
        if (!strcmp(s, mode_name[i])) {
            *m = (enum vd_quant_mode)i;
            return 0;
        }
    return vd_fail(EBADMSG, "quant_mode is '%.40s', not fp32, dynamic, static or qat", s);
}

/* What a file says must not reach a terminal as it is: vd_fail() takes its control bytes away. */
static void say_clean(vd_trust_say *say, void *arg, int row, const char *line)
{
    vd_fail(EBADMSG, "%s", line);
    say(arg, row, vd_reason());
}

void vd_lint_add(struct vd_lint *l, int err, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (!l->n++) {
        l->err = err;
        if (!l->say)
            vd_fail(err, "%s: %s%s%s", vd_shown(l->file), l->what, l->what[0] ? ": " : "", line);
    }
    if (l->say)
        say_clean(l->say, l->arg, l->row, line);
}

static const char *type_word(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    default: return "null";
    }
}

static bool is(const json_t *v, json_type want, const char *key, const char *words, struct vd_lint *l)
{
    if (json_typeof(v) == want || (want == JSON_TRUE && json_is_boolean(v)) || (want == JSON_REAL && json_is_number(v)))
        return true;
    vd_lint_add(l, EBADMSG, "%s: %s is wanted, this is %s", key, words, type_word(v));
    return false;
}

/* A schema counts characters, not bytes; jansson has checked that this is UTF-8. */
static size_t characters(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

static const char *text(const json_t *v, const char *key, size_t most, struct vd_lint *l)
{
    if (!is(v, JSON_STRING, key, "a string", l))
        return NULL;
    const char *s = json_string_value(v);
    if (characters(s) > most) {
        vd_lint_add(l, EBADMSG, "%s: %zu characters, %zu at most", key, characters(s), most);
        return NULL;
    }
    return s;
}

static bool integer(const json_t *v, const char *key, int lo, int hi, int *out, struct vd_lint *l)
{
    if (!is(v, JSON_INTEGER, key, "a whole number", l))
        return false;
    json_int_t n = json_integer_value(v);
    if (n < lo || n > hi) {
        vd_lint_add(l, EBADMSG, "%s: %lld is outside %d to %d", key, (long long)n, lo, hi);
        return false;
    }
    *out = (int)n;
    return true;
}

static void range(const json_t *v, const char *key, double out[2], struct vd_lint *l)
{
    const json_t *lo = json_array_get(v, 0), *hi = json_array_get(v, 1);

    if (!is(v, JSON_ARRAY, key, "an array of two numbers", l))
        return;
    if (json_array_size(v) != 2 || !json_is_number(lo) || !json_is_number(hi))
        vd_lint_add(l, EBADMSG, "%s: not two numbers, lowest and highest value", key);
    else if (!(json_number_value(lo) < json_number_value(hi)))
        vd_lint_add(l, EBADMSG, "%s: the lowest value, %g, is not below the highest, %g", key, json_number_value(lo),
                    json_number_value(hi));
    else
        out[0] = json_number_value(lo), out[1] = json_number_value(hi);
}

enum { SIZE_MOST = 65535, NOTES_MOST = 1024, NAME_MOST = 255 };

/* "input" and "output" of a sidecar. */
static void tensor(const json_t *v, const char *key, bool input, struct vd_row *row, struct vd_lint *l)
{
    const char *name = NULL, *resize = NULL, *k;
    char full[300];
    double lo_hi[2] = {0, 0};
    int w = 0, h = 0;
    json_t *m;

    if (!is(v, JSON_OBJECT, key, "an object", l))
        return;
    json_object_foreach((json_t *)v, k, m) {
        snprintf(full, sizeof(full), "%s.%s", key, k);
        if (!strcmp(k, "name")) {
            name = text(m, full, NAME_MOST, l);
            if (name && (!name[0] || strlen(name) > NAME_MOST)) {
                vd_lint_add(l, EBADMSG, "%s: a name has 1 to %d bytes", full, NAME_MOST);
                name = NULL;
            }
        } else if (!strcmp(k, "range"))
            range(m, full, lo_hi, l);
        else if (input && !strcmp(k, "width"))
            integer(m, full, 1, SIZE_MOST, &w, l);
        else if (input && !strcmp(k, "height"))
            integer(m, full, 1, SIZE_MOST, &h, l);
        else if (input && !strcmp(k, "resize")) {
            resize = text(m, full, NAME_MOST, l);
            if (resize && l->full && strcmp(resize, "area") && strcmp(resize, "windows")) /* a newer file opens; who resizes refuses what it does not know */
                vd_lint_add(l, EBADMSG, "%s: '%.40s' is neither area nor windows", full, resize);
        } else if (l->full)
            vd_lint_add(l, EBADMSG, "%s: no such key", full);
    }
    if (l->full && !json_object_get(v, "name"))
        vd_lint_add(l, EBADMSG, "%s: there is no name", key);
    if (input && !json_object_get(v, "width") != !json_object_get(v, "height"))
        vd_lint_add(l, EBADMSG, "%s: width and height go together", key);
    *(input ? &row->input_name : &row->output_name) = name;
    if (input)
        row->resize = resize;
    else
        row->output_lo = lo_hi[0], row->output_hi = lo_hi[1];
    if (w && h) {
        row->size_w = w;
        row->size_h = h;
    }
}

static const char *formed(const json_t *v, const char *key, bool (*ok)(const char *), const char *words, struct vd_lint *l)
{
    if (!is(v, JSON_STRING, key, "a string", l))
        return NULL;
    const char *s = json_string_value(v);
    if (ok(s))
        return s;
    vd_lint_add(l, EBADMSG, "%s: '%.80s' is not %s", key, s, words);
    return NULL;
}

static bool kind_ok(const char *s)
{
    return !strcmp(s, "fr") || !strcmp(s, "nr") || !strcmp(s, "filter");
}

static bool bundle_ok(const char *s)
{
    size_t n = strlen(s);

    return n > 14 && n <= 255 && s[0] != '.' && !strchr(s, '/') && !strcmp(s + n - 14, ".sigstore.json");
}

static bool url_ok(const char *s)
{
    return !strncmp(s, "https://", 8) && s[8] && strlen(s) <= NOTES_MOST;
}

enum { IN_REGISTRY = 1, IN_SIDECAR = 2, IN_BOTH = 3 };

typedef void take_fn(const json_t *v, const char *key, struct vd_row *row, struct vd_lint *l);
#define TAKE(name) static void name(const json_t *v, const char *key, struct vd_row *row, struct vd_lint *l)
#define DIGEST "64 hexadecimal digits in lower case"

TAKE(take_id) { row->id = formed(v, key, vd_id_ok, "an id (a-z, 0-9 and _, at most 255)", l); }
TAKE(take_kind) { row->kind = formed(v, key, kind_ok, "fr, nr or filter", l); }
TAKE(take_onnx) { row->onnx = formed(v, key, vd_file_name_ok, "the plain name of an fp32 file, such as x_v1.onnx", l); }
TAKE(take_sha256) { row->sha256 = formed(v, key, vd_digest_ok, DIGEST, l); }
TAKE(take_int8) { row->int8_sha256 = formed(v, key, vd_digest_ok, DIGEST, l); }
TAKE(take_sidecar) { row->sidecar_sha256 = formed(v, key, vd_digest_ok, DIGEST, l); }
TAKE(take_opset) { integer(v, key, 7, 23, &row->opset, l); }
TAKE(take_license) { row->license = text(v, key, NAME_MOST, l); }
TAKE(take_notes) { row->notes = text(v, key, NOTES_MOST, l); }
TAKE(take_calibration) { row->calibration_set = text(v, key, NAME_MOST, l); }
TAKE(take_text) { (void)row; text(v, key, NOTES_MOST, l); }
TAKE(take_url) { (void)row; formed(v, key, url_ok, "an https:// address", l); }
TAKE(take_bundle) { (void)row; formed(v, key, bundle_ok, "the plain name of a .sigstore.json file", l); }
TAKE(take_input) { tensor(v, key, true, row, l); }
TAKE(take_output) { tensor(v, key, false, row, l); }

TAKE(take_mode)
{
    if (!is(v, JSON_STRING, key, "a string", l))
        return;
    const char *s = json_string_value(v);
    for (int i = 0; i < N_MODES; i++)
        if (!strcmp(s, mode_name[i])) {
            row->quant_mode = (enum vd_quant_mode)i;
            return;
        }
    vd_lint_add(l, EBADMSG, "%s: '%.40s' is not fp32, dynamic, static or qat", key, s);
}

TAKE(take_smoke)
{
    if (is(v, JSON_TRUE, key, "true or false", l))
        row->smoke = json_is_true(v);
}

static bool number(const json_t *v, const char *key, double lo, double hi, double *out, struct vd_lint *l)
{
    if (!is(v, JSON_REAL, key, "a number", l))
        return false;
    const double d = json_number_value(v);
    if (!(d >= lo && d <= hi)) {
        vd_lint_add(l, EBADMSG, "%s: %g is outside %g to %g", key, d, lo, hi);
        return false;
    }
    *out = d;
    return true;
}

TAKE(take_budget) { row->has_budget = number(v, key, 0, 1, &row->budget, l); }

static const struct { const char *key; double most; } limits[VD_N_LIMITS] = {
    [VD_LIMIT_SLOPE] = {"max_slope_error", 1},         [VD_LIMIT_OFFSET] = {"max_offset", 1e9},
    [VD_LIMIT_SROCC_DROP] = {"max_srocc_drop", 2},     [VD_LIMIT_RMSE] = {"max_rmse", 1e9},
    [VD_LIMIT_ABS_ERROR] = {"max_abs_error", 1e9},     [VD_LIMIT_PSNR] = {"min_psnr_db", 200},
    [VD_LIMIT_SSIM] = {"min_ssim", 1},                 [VD_LIMIT_GAIN_LOSS] = {"max_gain_loss_db", 200},
    [VD_LIMIT_GAIN_LOSS_WORST] = {"max_gain_loss_worst_db", 200},
    [VD_LIMIT_SCORE_ERROR] = {"max_score_error", 1e9}, [VD_LIMIT_SCORE_ERROR_WORST] = {"max_score_error_worst", 1e9},
};

const char *vd_limit_key(enum vd_limit l) { return limits[l].key; }

TAKE(take_gate)
{
    const char *k;
    char full[120];
    json_t *m;

    if (!is(v, JSON_OBJECT, key, "an object", l))
        return;
    json_object_foreach((json_t *)v, k, m) {
        int i = 0;
        while (i < VD_N_LIMITS && strcmp(k, limits[i].key))
            i++;
        snprintf(full, sizeof(full), "%s.%.80s", key, k);
        if (i < VD_N_LIMITS)
            row->has_limit[i] = number(m, full, 0, limits[i].most, &row->limit[i], l);
        else
            row->unknown_limit = true;
        if (i == VD_N_LIMITS && l->full)
            vd_lint_add(l, EBADMSG, "%s: no such key", full);
    }
}

TAKE(take_degradation)
{
    const char *k;
    char full[120];
    json_t *m;

    if (!is(v, JSON_OBJECT, key, "an object", l))
        return;
    row->has_degradation = true;
    json_object_foreach((json_t *)v, k, m) {
        snprintf(full, sizeof(full), "%s.%.80s", key, k);
        if (!strcmp(k, "blur_sigma"))
            number(m, full, 0.1, 3, &row->blur_sigma, l);
        else if (!strcmp(k, "jpeg_quality"))
            integer(m, full, 1, 100, &row->jpeg_quality, l);
        else if (l->full)
            vd_lint_add(l, EBADMSG, "%s: no such key", full);
    }
}

static const struct field {
    const char *key;
    int where, must; /* must: what the schema requires; by_loader those without which nothing can be looked up */
    bool by_loader;
    take_fn *take;
} fields[] = {
    {"id", IN_BOTH, IN_BOTH, true, take_id},
    {"kind", IN_BOTH, IN_BOTH, true, take_kind},
    {"onnx", IN_BOTH, IN_BOTH, true, take_onnx},
    {"opset", IN_BOTH, IN_BOTH, false, take_opset},
    {"sha256", IN_BOTH, IN_BOTH, false, take_sha256}, /* the loader has its own errno for it */
    {"quant_mode", IN_BOTH, 0, false, take_mode},
    {"int8_sha256", IN_BOTH, 0, false, take_int8},
    {"sidecar_sha256", IN_REGISTRY, 0, false, take_sidecar},
    {"quant_accuracy_budget_plcc", IN_REGISTRY, 0, false, take_budget},
    {"quant_gate", IN_REGISTRY, 0, false, take_gate},
    {"quant_calibration_set", IN_REGISTRY, 0, false, take_calibration},
    {"license", IN_REGISTRY, 0, false, take_license},
    {"license_url", IN_REGISTRY, 0, false, take_url},
    {"description", IN_REGISTRY, 0, false, take_text},
    {"sigstore_bundle", IN_REGISTRY, 0, false, take_bundle},
    {"smoke", IN_REGISTRY, 0, false, take_smoke},
    {"notes", IN_BOTH, 0, false, take_notes},
    {"input", IN_SIDECAR, IN_SIDECAR, false, take_input},
    {"output", IN_SIDECAR, IN_SIDECAR, false, take_output},
    {"degradation", IN_SIDECAR, 0, false, take_degradation},
    {"$schema", IN_SIDECAR, 0, false, take_text},
};
enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* The rules between keys that decide which bytes run. */
static void digests(const json_t *o, const struct vd_row *row, struct vd_lint *l)
{
    if (!json_object_get(o, "sha256"))
        vd_lint_add(l, EKEYREJECTED, "there is no sha256, so that nothing says which file is meant");
    if (row->quant_mode != VD_QUANT_FP32 && !json_object_get(o, "int8_sha256"))
        vd_lint_add(l, EKEYREJECTED, "quant_mode is %s and there is no int8_sha256, so that nothing says which int8 file is meant; "
                    "quantise the model again", vd_quant_mode_name(row->quant_mode));
    /* Only where the mode itself could be read: an unknown word has been reported already. */
    const json_t *m = json_object_get(o, "quant_mode");
    if (json_object_get(o, "int8_sha256") && (!m || !strcmp(json_is_string(m) ? json_string_value(m) : "", "fp32")))
        vd_lint_add(l, EBADMSG, "int8_sha256 is given, but quant_mode is fp32, which runs no int8 file");
}

void vd_row_parse(const json_t *o, bool sidecar, struct vd_row *row, struct vd_lint *l)
{
    int here = sidecar ? IN_SIDECAR : IN_REGISTRY;
    const char *key;
    json_t *v;

    memset(row, 0, sizeof(*row));
    json_object_foreach((json_t *)o, key, v) {
        const struct field *f = fields, *end = fields + N_FIELDS;
        while (f < end && (strcmp(f->key, key) || !(f->where & here)))
            f++;
        if (f < end)
            f->take(v, key, row, l);
        else if (l->full)
            vd_lint_add(l, EBADMSG, "%.80s: no such key", key);
    }
    for (int i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        if ((f->must & here) && f->take != take_sha256 && (f->by_loader || l->full) && !json_object_get(o, f->key))
            vd_lint_add(l, EBADMSG, "there is no %s", f->key);
    }
    digests(o, row, l);
}

int vd_row_compare(const struct vd_row *row, const struct vd_row *side, unsigned what, vd_trust_say *say, void *arg)
{
    const struct { const char *key, *a, *b; } words[] = {
        {"id", row->id, side->id},
        {"kind", row->kind, side->kind},
        {"onnx", row->onnx, side->onnx},
        {"sha256", row->sha256, side->sha256},
        {"quant_mode", what & VD_COMPARE_QUANT ? vd_quant_mode_name(row->quant_mode) : NULL, vd_quant_mode_name(side->quant_mode)},
        {"int8_sha256", what & VD_COMPARE_QUANT ? row->int8_sha256 : NULL, side->int8_sha256},
        {"notes", what & VD_COMPARE_PROSE ? row->notes : NULL, side->notes},
    };
    char line[512];
    int n = 0;

    if (row->opset && side->opset && row->opset != side->opset) {
        snprintf(line, sizeof(line), "opset: the registry says %d, the sidecar %d", row->opset, side->opset);
        say_clean(say, arg, 0, line);
        n++;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (words[i].a && words[i].b && strcmp(words[i].a, words[i].b)) {
            snprintf(line, sizeof(line), "%s: the registry says %.100s, the sidecar %.100s", words[i].key, words[i].a,
                     words[i].b);
            say_clean(say, arg, 0, line);
            n++;
        }
    return n;
}
