/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/sample_plane.h"

#include "plan/plan.h"

static const unsigned char *row_in(const struct vd_plane *p, int y) { return (const unsigned char *)p->in + y * p->in_stride; }

void vd_plane_load(const struct vd_plane *p, const struct vd_kernels *k, float *dst, size_t x, int y, size_t n)
{
    if (p->bpc == 8) {
        k->u8_to_f32(dst, row_in(p, y) + x, n);
        return;
    }
    k->u16_to_f32(dst, (const uint16_t *)(const void *)row_in(p, y) + x, n, (1 << p->bpc) - 1);
    for (size_t i = 0; i < n; i++)
        dst[i] = dst[i] > 1 ? 1 : dst[i]; /* a sample over 2^bpc - 1 */
}

void vd_plane_store(const struct vd_plane *p, const struct vd_kernels *k, const float *src, size_t x, int y, size_t n)
{
    unsigned char *dst = (unsigned char *)p->out + y * p->out_stride;
    if (p->bpc == 8)
        k->f32_to_u8(dst + x, src, n);
    else
        k->f32_to_u16((uint16_t *)(void *)dst + x, src, n, (1 << p->bpc) - 1);
}

void vd_plane_range(const struct vd_plane *p, const struct vd_kernels *k, int y, float range[2])
{
    unsigned lo = UINT16_MAX, hi = 0;
    for (int x = 0; x < p->w; x++) {
        const unsigned v = p->bpc == 8 ? row_in(p, y)[x] : ((const uint16_t *)(const void *)row_in(p, y))[x];
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
    }
    const uint16_t ends[2] = {(uint16_t)lo, (uint16_t)hi};
    const uint8_t bytes[2] = {(uint8_t)lo, (uint8_t)hi};
    const struct vd_plane two = {.in = p->bpc == 8 ? (const void *)bytes : (const void *)ends, .bpc = p->bpc};
    vd_plane_load(&two, k, range, 0, 0, 2);
}
