/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include <png.h>
#include <sodium.h>

#include "common/mem.h"
#include "common/status.h"
#include "gate_charts.h"

static int encode(png_image *image, const uint8_t *grey, uint8_t **png, png_alloc_size_t *size)
{
    *png = NULL;
    *size = 0;
    if (!png_image_write_to_memory(image, NULL, size, 0, grey, 0, NULL) || !(*png = vd_malloc(*size)))
        return vd_nomem(*size);
    return png_image_write_to_memory(image, *png, size, 0, grey, 0, NULL) ? 0 : vd_nomem(*size);
}

int vd_html_picture(struct vd_buf *b, const float *v, int w, int h, const char *alt)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)w, .height = (png_uint_32)h, .format = PNG_FORMAT_GRAY};
    const size_t n = (size_t)w * (size_t)h;
    png_alloc_size_t size = 0;
    uint8_t *grey = vd_malloc(n + 1), *png = NULL;
    char *text = NULL;
    int rc = grey ? 0 : vd_nomem(n);
    for (size_t i = 0; !rc && i < n; i++)
        grey[i] = isfinite(v[i]) ? (uint8_t)lrintf(255 * fmaxf(0, fminf(1, v[i]))) : 0;
    if (!rc)
        rc = encode(&image, grey, &png, &size);
    const size_t room = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
    if (!rc && !(text = vd_malloc(room)))
        rc = vd_nomem(room);
    if (!rc) {
        sodium_bin2base64(text, room, png, size, sodium_base64_VARIANT_ORIGINAL);
        vd_html(b, "<img width=\"%d\" height=\"%d\" alt=\"", w, h);
        vd_html_text(b, alt);
        vd_put_str(b, "\" src=\"data:image/png;base64,");
        vd_put_str(b, text);
        vd_put_str(b, "\">");
    }
    png_image_free(&image);
    vd_free(grey);
    vd_free(png);
    vd_free(text);
    return rc;
}
