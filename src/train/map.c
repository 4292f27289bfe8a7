/* SPDX-License-Identifier: BSD-2-Clause */
#include "train/map.h"

#include <string.h>

#include "common/status.h"

/* unit: elements of 64 bytes */
static int init(struct vd_map *m, int c, int h, int w, bool thin, int border, int slack, int unit)
{
    const int64_t lanes = thin ? 1 : VD_LANES, blocks = thin ? 1 : (c + VD_LANES - 1) / VD_LANES;
    /* left border in whole vectors, so that pixel 0 of a blocked row of floats is aligned */
    const int64_t row = (((int64_t)border * 2 + w + slack) * lanes + unit - 1) / unit * unit;
    const int64_t block = row * ((int64_t)h + 2 * border) + unit;
    *m = (struct vd_map){.c = c, .h = h, .w = w, .thin = thin, .border = border, .lanes = (size_t)lanes, .blocks = (int)blocks};
    if (c < 1 || h < 1 || w < 1 || border < 0 || row > INT32_MAX || block > INT32_MAX || block * blocks > INT32_MAX)
        return vd_fail(ERANGE, "a tensor of %dx%dx%d is too large to train on", c, h, w);
    m->row = (size_t)row;
    m->block = (size_t)block;
    m->size = (size_t)(block * blocks);
    m->origin = (size_t)(border * row + (int64_t)border * lanes);
    return 0;
}

int vd_map_init(struct vd_map *m, int c, int h, int w, bool thin, int border, int slack)
{
    return init(m, c, h, w, thin, border, slack, VD_LANES);
}

int vd_map_init_bytes(struct vd_map *m, int c, int h, int w, bool thin, int border, int slack)
{
    return init(m, c, h, w, thin, border, slack, 64);
}

void vd_map_mend(const struct vd_map *m, float *data, int y)
{
    for (int b = 0; b < m->blocks; b++)
        memset(vd_map_row(m, data, b, y) + (size_t)m->w * m->lanes, 0, (size_t)m->border * m->lanes * sizeof(float));
}

void vd_map_load(const struct vd_map *m, float *data, const float *planes)
{
    for (int c = 0; c < m->c; c++)
        for (int y = 0; y < m->h; y++) {
            float *row = vd_map_row(m, data, m->thin ? 0 : c / VD_LANES, y) + (m->thin ? 0 : c % VD_LANES);
            for (int x = 0; x < m->w; x++)
                row[(size_t)x * m->lanes] = *planes++;
        }
}

void vd_map_store(const struct vd_map *m, const float *data, float *planes)
{
    for (int c = 0; c < m->c; c++)
        for (int y = 0; y < m->h; y++) {
            const float *row = data + m->origin + (size_t)(m->thin ? 0 : c / VD_LANES) * m->block + (size_t)y * m->row +
                               (m->thin ? 0 : (size_t)(c % VD_LANES));
            for (int x = 0; x < m->w; x++)
                *planes++ = row[(size_t)x * m->lanes];
        }
}
