/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/status.h"
#include "quant/calibration.h"

/* By hand, a tensor a line, so that thousands of counts stay small and can still be read */

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
    put(b, "{\"format\":\"%s\",\"version\":%d,\n\"model_sha256\":\"%s\",\n\"frames\":%" PRIu64 ",\n\"sources\":[", VD_CALIB_FORMAT, VD_CALIB_VERSION,
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
