/* SPDX-License-Identifier: BSD-2-Clause */
#include "train_config.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/json_text.h"
#include "common/mem.h"
#include "trust/trust.h"

/* Reading goes on after a mistake, whose line is kept; what was read is then not used. */
struct reader {
    struct vd_train_config *c;
    const char *path;
    int rc;
};

static int wrong(struct reader *r, const char *where, const char *key, const char *what)
{
    if (!r->rc)
        r->rc = vd_fail(EBADMSG, "%s: %s%s%s: %s", r->path, where, *where && *key ? "." : "", key, what);
    return r->rc;
}

/* Every key of an object must be one of list ("a b c"). */
static void only(struct reader *r, const char *where, const json_t *o, const char *list)
{
    const char *key;
    json_t *value;

    if (!json_is_object(o)) {
        wrong(r, where, "", "an object is wanted");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)o, key, value) {
        const char *at = list;
        const size_t n = strlen(key);
        while (*at && !(!strncmp(at, key, n) && (at[n] == ' ' || !at[n]))) {
            at += strcspn(at, " ");
            at += strspn(at, " ");
        }
        if (!*at || !n) {
            char what[256];
            snprintf(what, sizeof(what), "not a key here; there are %s", list);
            wrong(r, where, key, what);
        }
    }
}

static double number(struct reader *r, const char *where, const json_t *o, const char *key, double fallback, double lo, double hi)
{
    const json_t *v = json_object_get(o, key);
    char what[128];
    if (!v)
        return fallback;
    const double x = json_number_value(v);
    if (json_is_number(v) && x >= lo && x <= hi)
        return x;
    snprintf(what, sizeof(what), "a number of %g to %g is wanted", lo, hi);
    wrong(r, where, key, what);
    return fallback;
}

static long whole(struct reader *r, const char *where, const json_t *o, const char *key, long fallback, long lo, long hi)
{
    const json_t *v = json_object_get(o, key);
    char what[128];
    if (!v)
        return fallback;
    const json_int_t x = json_integer_value(v);
    if (json_is_integer(v) && x >= lo && x <= hi)
        return (long)x;
    snprintf(what, sizeof(what), "a whole number of %ld to %ld is wanted", lo, hi);
    wrong(r, where, key, what);
    return fallback;
}

static const char *text(struct reader *r, const char *where, const json_t *o, const char *key, bool must)
{
    const json_t *v = json_object_get(o, key);
    if (!v && !must)
        return NULL;
    if (!json_is_string(v) || !*json_string_value(v)) {
        wrong(r, where, key, v ? "a text is wanted" : "is missing");
        return NULL;
    }
    return json_string_value(v);
}

/* A path as it is to be opened: what is not absolute is relative to the folder that the configuration is in. */
static const char *resolve(struct reader *r, const char *where, const char *key, const char *said)
{
    const char *slash = strrchr(r->path, '/');
    if (!said || *said == '/' || !slash)
        return said;
    const char *full = vd_arena_printf(&r->c->arena, "%.*s%s", (int)(slash + 1 - r->path), r->path, said);
    if (!full)
        r->rc = vd_nomem(strlen(said));
    else if (strlen(full) >= VD_MAX_PATH)
        wrong(r, where, key, "the path is too long");
    return full;
}

static void read_net(struct reader *r, const json_t *net)
{
    struct vd_train_config *c = r->c;
    const json_t *filter = json_object_get(net, "residual_filter"), *score = json_object_get(net, "separable_score");

    only(r, "net", net, "from residual_filter separable_score");
    c->from = resolve(r, "net", "from", text(r, "net", net, "from", false));
    if (json_object_size(net) != 1) {
        wrong(r, "net", "", "one of from, residual_filter and separable_score is wanted");
    } else if (filter) {
        only(r, "net.residual_filter", filter, "channels blocks");
        c->channels = (int)whole(r, "net.residual_filter", filter, "channels", 16, 2, VD_ARCH_MAX_CHANNELS);
        c->blocks = (int)whole(r, "net.residual_filter", filter, "blocks", 4, 0, VD_ARCH_MAX_BLOCKS);
    } else if (score) {
        const json_t *blocks = json_object_get(score, "blocks");
        only(r, "net.separable_score", score, "stem blocks side");
        c->stem = (int)whole(r, "net.separable_score", score, "stem", 16, 2, VD_ARCH_MAX_CHANNELS);
        c->side = (int)whole(r, "net.separable_score", score, "side", 224, 8, 4096);
        if (!json_is_array(blocks) || json_array_size(blocks) > VD_ARCH_MAX_BLOCKS) {
            wrong(r, "net.separable_score", "blocks", "a list of [stride, channels] is wanted");
            return;
        }
        for (size_t i = 0; i < json_array_size(blocks); i++) {
            const json_t *b = json_array_get(blocks, i);
            const json_int_t stride = json_integer_value(json_array_get(b, 0)), channels = json_integer_value(json_array_get(b, 1));
            if (json_array_size(b) != 2 || (stride != 1 && stride != 2) || channels < 2 || channels > VD_ARCH_MAX_CHANNELS)
                wrong(r, "net.separable_score", "blocks", "each is [stride, channels], stride 1 or 2");
            c->block[c->n_block++] = (struct vd_arch_block){(int)stride, (int)channels};
        }
    }
}

static int read_sources(struct reader *r, const char *where, const json_t *list, struct vd_train_source *out)
{
    int n = 0;
    if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > VD_TRAIN_MAX_SOURCES) {
        wrong(r, where, "", "a list of 1 to 64 sources is wanted");
        return 0;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        struct vd_train_source *t = &out[n++];
        const bool scores = r->c->kind && !strcmp(r->c->kind, "nr");
        const char *key = scores ? "scores" : "clean";
        only(r, where, s, scores ? "scores" : "clean degraded every");
        t->said[0] = text(r, where, s, key, true);
        t->said[1] = scores ? NULL : text(r, where, s, "degraded", false);
        t->clean = resolve(r, where, key, t->said[0]);
        t->degraded = resolve(r, where, "degraded", t->said[1]);
        t->every = whole(r, where, s, "every", 1, 1, 100000);
    }
    return n;
}

static void read_data(struct reader *r, const json_t *data)
{
    struct vd_train_config *c = r->c;
    const json_t *d = json_object_get(data, "degrade");

    only(r, "data", data, "train validation degrade");
    c->n_train = read_sources(r, "data.train", json_object_get(data, "train"), c->train);
    c->n_validation = read_sources(r, "data.validation", json_object_get(data, "validation"), c->validation);
    c->shrink = 1;
    if (!d)
        return;
    only(r, "data.degrade", d, "shrink blur noise jpeg");
    c->shrink = number(r, "data.degrade", d, "shrink", 1, 1, 16);
    c->blur = number(r, "data.degrade", d, "blur", 0, 0, 3);
    c->noise = number(r, "data.degrade", d, "noise", 0, 0, 64);
    c->jpeg = (int)whole(r, "data.degrade", d, "jpeg", 0, 1, 100);
}

static void read_loss(struct reader *r, const json_t *l)
{
    struct vd_loss *out = &r->c->loss;
    if (!l) {
        out->l1 = 1;
        return;
    }
    only(r, "loss", l, "l1 l2 charbonnier eps rank margin scale");
    out->l1 = number(r, "loss", l, "l1", 0, 0, 1e6);
    out->l2 = number(r, "loss", l, "l2", 0, 0, 1e6);
    out->charbonnier = number(r, "loss", l, "charbonnier", 0, 0, 1e6);
    out->rank = number(r, "loss", l, "rank", 0, 0, 1e6);
    out->eps = number(r, "loss", l, "eps", 1e-3, 1e-9, 1e3);
    out->margin = number(r, "loss", l, "margin", 0, 0, 1e6);
    out->scale = number(r, "loss", l, "scale", 1, 1e-9, 1e9);
    if (!(out->l1 + out->l2 + out->charbonnier + out->rank > 0))
        wrong(r, "loss", "", "at least one of l1, l2, charbonnier and rank is wanted");
}

static void read_optimiser(struct reader *r, const json_t *o)
{
    struct vd_train_opts *t = &r->c->opts;

    if (o)
        only(r, "optimiser", o, "steps warmup rate rate_end weight_decay beta1 beta2 epsilon clip_norm average");
    const bool qat = r->c->qat.on; /* which begins near its end */
    t->steps = (uint64_t)whole(r, "optimiser", o, "steps", qat ? 2000 : 20000, 1, 1000000000);
    t->warmup = (uint64_t)whole(r, "optimiser", o, "warmup", qat ? 50 : 200, 0, 1000000);
    t->lr = number(r, "optimiser", o, "rate", qat ? 2e-4 : 2e-3, 1e-9, 10);
    t->lr_end = number(r, "optimiser", o, "rate_end", qat ? 1e-6 : 1e-5, 0, 10);
    t->weight_decay = number(r, "optimiser", o, "weight_decay", 1e-4, 0, 1);
    t->beta1 = number(r, "optimiser", o, "beta1", 0.9, 0, 0.9999);
    t->beta2 = number(r, "optimiser", o, "beta2", 0.999, 0, 0.999999);
    t->epsilon = number(r, "optimiser", o, "epsilon", 1e-8, 1e-30, 1);
    t->clip_norm = number(r, "optimiser", o, "clip_norm", 1, 0, 1e9);
    t->average = number(r, "optimiser", o, "average", 0, 0, 0.999999);
}

static bool flag(struct reader *r, const char *where, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (v && !json_is_boolean(v))
        wrong(r, where, key, "true or false is wanted");
    return json_is_true(v);
}

static void read_augment(struct reader *r, const json_t *o)
{
    struct vd_train_augment *a = &r->c->augment;
    if (!o)
        return;
    only(r, "augment", o, "transpose contrast brightness");
    a->transpose = flag(r, "augment", o, "transpose");
    a->contrast = number(r, "augment", o, "contrast", 0, 0, 0.9);
    a->brightness = number(r, "augment", o, "brightness", 0, 0, 0.5);
    if (r->c->kind && strcmp(r->c->kind, "nr"))
        wrong(r, "augment", "", "it is for scores; a filter's samples are flipped alone");
}

static void read_qat(struct reader *r, const json_t *q)
{
    static const char *const modes[] = {"learned", "average", "fixed"}; /* as enum vd_net_range_mode */
    struct vd_train_qat_config *c = &r->c->qat;
    if (!q)
        return;
    c->on = true;
    only(r, "qat", q, "ranges range_rate range_momentum calibration samples method percentile margin equalize per_tensor teacher noise exclude");
    const char *mode = text(r, "qat", q, "ranges", false), *method = text(r, "qat", q, "method", false);
    for (c->ranges = VD_RANGES_LEARNED; mode && c->ranges <= VD_RANGES_FIXED && strcmp(mode, modes[c->ranges]);)
        c->ranges++;
    if (c->ranges > VD_RANGES_FIXED)
        wrong(r, "qat", "ranges", "learned, average or fixed is wanted");
    c->range_rate = number(r, "qat", q, "range_rate", 1, 0, 1e6);
    c->range_momentum = number(r, "qat", q, "range_momentum", 0.01, 0, 1);
    c->calibration = resolve(r, "qat", "calibration", text(r, "qat", q, "calibration", false));
    c->samples = whole(r, "qat", q, "samples", 128, 1, 1000000);
    c->method = VD_RANGE_MSE;
    if (method && !vd_range_method_parse(method, &c->method))
        wrong(r, "qat", "method", "mse, percentile, minmax, entropy or average is wanted");
    c->percentile = number(r, "qat", q, "percentile", 99.99, 50, 100);
    c->margin = number(r, "qat", q, "margin", 1, 1, 1000);
    c->equalize = flag(r, "qat", q, "equalize");
    c->per_tensor = flag(r, "qat", q, "per_tensor");
    c->teacher = number(r, "qat", q, "teacher", 0, 0, 1);
    c->noise = number(r, "qat", q, "noise", 0, 0, 1);
    const json_t *list = json_object_get(q, "exclude");
    if (list && (!json_is_array(list) || json_array_size(list) > VD_TRAIN_MAX_SOURCES))
        wrong(r, "qat", "exclude", "a list of up to 64 names of nodes is wanted");
    for (size_t i = 0; !r->rc && i < json_array_size(list); i++) {
        if (!json_is_string(json_array_get(list, i)))
            wrong(r, "qat", "exclude", "names of nodes are wanted");
        c->exclude[c->n_exclude++] = json_string_value(json_array_get(list, i));
    }
    if (c->calibration && c->equalize)
        wrong(r, "qat", "equalize", "is what the calibration says, when one is given: leave it out");
    if (!r->c->from)
        wrong(r, "qat", "", "begins with a trained model: net must be {\"from\": \"MODEL.onnx\"}");
}

static bool right_id(const char *id)
{
    return id && strlen(id) <= 64 && id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* What a checkpoint is of: all of the file but how often it saves and speaks, and how many steps are wanted, so that a run can be made longer. */
static int hash_text(const char *s, size_t n, void *state)
{
    return crypto_hash_sha256_update(state, (const unsigned char *)s, n);
}

static int identify(struct vd_train_config *c)
{
    crypto_hash_sha256_state state;
    json_t *copy = json_copy(c->json); /* which leaves out what there is no memory for */
    const json_t *optimiser = json_object_get(c->json, "optimiser");
    json_t *rates = json_copy((json_t *)(uintptr_t)optimiser);
    bool same = json_object_size(copy) == json_object_size(c->json) && json_object_size(rates) == json_object_size(optimiser);
    json_object_del(rates, "steps");
    same = same && (!optimiser || !json_object_set(copy, "optimiser", rates));
    json_decref(rates);
    json_object_del(copy, "save_every");
    json_object_del(copy, "log_every");
    json_object_del(copy, "description");
    crypto_hash_sha256_init(&state);
    const bool whole = same && !json_dump_callback(copy, hash_text, &state, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    crypto_hash_sha256_final(&state, c->identity);
    json_decref(copy);
    return whole ? 0 : vd_nomem(1);
}

int vd_train_config_load(const char *path, struct vd_train_config *c)
{
    uint8_t *data;
    size_t size;
    static const struct vd_json_room room = {.depth = 16, .objects = 4096, .values = 65536};
    *c = (struct vd_train_config){0};
    struct reader r = {.c = c, .path = path};
    int rc = vd_file_read(path, VD_MAX_JSON, &data, &size);
    if (rc)
        return rc;
    rc = vd_json_text(data, size, path, &room, &c->json);
    vd_free(data);
    if (rc)
        return rc;
    only(&r, "", c->json, "id kind license description net qat data crop batch seed optimiser loss augment norm_momentum norm_batches score_scale validate_every save_every "
                          "log_every validation_crop resize");
    c->id = text(&r, "", c->json, "id", true);
    c->kind = text(&r, "", c->json, "kind", true);
    c->license = text(&r, "", c->json, "license", false);
    c->description = text(&r, "", c->json, "description", false);
    if (c->id && !right_id(c->id))
        wrong(&r, "", "id", "up to 64 of a to z, 0 to 9 and _ are wanted");
    if (c->kind && strcmp(c->kind, "filter") && strcmp(c->kind, "nr"))
        wrong(&r, "", "kind", "filter or nr is wanted");
    read_net(&r, json_object_get(c->json, "net"));
    read_qat(&r, json_object_get(c->json, "qat"));
    read_data(&r, json_object_get(c->json, "data"));
    read_loss(&r, json_object_get(c->json, "loss"));
    read_augment(&r, json_object_get(c->json, "augment"));
    read_optimiser(&r, json_object_get(c->json, "optimiser"));
    c->opts.range_rate = c->qat.range_rate;
    c->crop = (int)whole(&r, "", c->json, "crop", 64, 8, 1024);
    c->batch = (int)whole(&r, "", c->json, "batch", 32, 1, 1024);
    c->seed = (uint64_t)whole(&r, "", c->json, "seed", 0, 0, 1L << 40);
    c->norm_momentum = number(&r, "", c->json, "norm_momentum", 0.1, 0, 1);
    c->opts.norm_batches = (int)whole(&r, "", c->json, "norm_batches", 32, 0, 1000000);
    c->score_scale = number(&r, "", c->json, "score_scale", 1, 1e-6, 1e6);
    c->validate_every = whole(&r, "", c->json, "validate_every", 500, 1, 1000000000);
    c->save_every = whole(&r, "", c->json, "save_every", 500, 1, 1000000000);
    c->log_every = whole(&r, "", c->json, "log_every", 50, 1, 1000000000);
    c->validation_crop = whole(&r, "", c->json, "validation_crop", 256, 8, 65536);
    const char *resize = text(&r, "", c->json, "resize", false);
    c->windows = resize && !strcmp(resize, "windows");
    if (resize && !c->windows && strcmp(resize, "area"))
        wrong(&r, "", "resize", "area or windows is wanted");
    if (!r.rc && resize && !strcmp(c->kind, "filter"))
        wrong(&r, "", "resize", "is for kind nr: a filter sees crops");
    if (!r.rc && (c->stem || c->from) && !strcmp(c->kind, "filter") && c->stem)
        wrong(&r, "net", "separable_score", "is for kind nr");
    if (!r.rc && c->channels && strcmp(c->kind, "filter"))
        wrong(&r, "net", "residual_filter", "is for kind filter");
    if (!r.rc)
        r.rc = identify(c);
    if (r.rc)
        vd_train_config_free(c);
    return r.rc;
}

void vd_train_config_free(struct vd_train_config *c)
{
    json_decref(c->json);
    vd_arena_free(&c->arena);
    *c = (struct vd_train_config){0};
}
