/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/row_bytes_avx2_tmpl.h"
#include "kernels/x86/wino_u8_row_avx2.h"

/* Bytes become 16 bits on the way in, for vpmaddwd, which never saturates (docs/adr/0005): a few pixels at a time, on the stack. */

static size_t pad(size_t n) { return (n + 63) & ~(size_t)63; }

/* A pair of inputs of each pixel against a block's weights [16][2]; pixel: 16-bit elements. */
VR_INLINE void add_pair(vd_vi acc[][VR_NV], const int16_t *s, const int16_t *w, const int np, const ptrdiff_t pixel)
{
    const vd_vi w0 = vi_load(w), w1 = vi_load(w + VD_LANES);

    VR_UNROLL
    for (int p = 0; p < np; p++) {
        const vd_vi x = vi_pair(s + p * pixel);
        acc[p][0] = vi_dot(acc[p][0], x, w0);
        acc[p][1] = vi_dot(acc[p][1], x, w1);
    }
}

/* --- dense, as it stands --- */

/* [oc block][ky][kx][ic / 2][16][ic % 2] */
static size_t pack_plain(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int16_t *out = pack;
    const size_t pairs = ((size_t)s->ic + 1) / 2, taps = (size_t)(s->kh * s->kw), block = taps * pairs * VD_LANES * 2;
    const size_t size = pad(((size_t)s->oc + VD_LANES - 1) / VD_LANES * block * sizeof(int16_t));

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t i = 0; i < (size_t)s->ic; i++)
            for (size_t t = 0; t < taps; t++)
                out[o / VD_LANES * block + ((t * pairs + i / 2) * VD_LANES + o % VD_LANES) * 2 + i % 2] = *w++;
    return size;
}

VR_INLINE void sums_plain(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const struct vd_row_shape *s = &j->c->shape;
    const int16_t *w = (const int16_t *)(const void *)j->weight;
    int16_t wide[VR_LARGE * VD_LANES] __attribute__((aligned(32)));

    vr_first(j, acc, np);
    for (int ky = 0; ky < s->kh; ky++) {
        const uint8_t *row = j->src[ky] + x * pixel;
        for (int kx = 0; kx < s->kw; kx++, row += j->step) {
            const uint8_t *e = row;
            for (int left = s->ic; left > 0; left -= VD_LANES, e += j->src_block) {
                const int pairs = left < VD_LANES ? (left + 1) / 2 : VD_LANES / 2;
                VR_UNROLL
                for (int p = 0; p < np; p++)
                    _mm256_store_si256((__m256i *)(wide + p * VD_LANES), vi_wide(e + p * pixel));
                for (int i = 0; i < pairs; i++, w += 2 * VD_LANES)
                    add_pair(acc, wide + 2 * i, w, np, VD_LANES);
            }
        }
    }
}

VR_TILES(plain1, sums_plain, VD_LANES)
VR_TILES(plain2, sums_plain, 2 * VD_LANES)
VR_TILE(VR_SMALL, plain, 0, sums_plain, j->pixel)

static struct vr_job job_of(const struct vd_row_conv *c, const void *const *src, size_t src_block)
{
    const int lanes = c->shape.kind == VD_ROW_FIRST ? 1 : VD_LANES;

    return (struct vr_job){.c = c, .src = (const uint8_t *const *)src, .src_block = src_block,
                           .step = (ptrdiff_t)c->shape.dilation * lanes, .pixel = (ptrdiff_t)c->shape.stride * lanes};
}

static void conv_plain(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                       const float *residual, size_t residual_block, int width)
{
    static vr_tile_fn *const tiles[3][3] = {VR_TILE_NAMES(plain1), VR_TILE_NAMES(plain2), {NULL, NULL, tile_plain}};
    const struct vd_row_shape *s = &c->shape;
    struct vr_job j = job_of(c, src, src_block);
    const size_t block = (size_t)(s->kh * s->kw) * (((size_t)s->ic + 1) / 2) * VD_LANES * 2 * sizeof(int16_t);

    vr_rows(&j, tiles[s->stride > 2 ? 2 : s->stride - 1], block, dst, dst_block, residual, residual_block, width);
}

static size_t pack_dense(const struct vd_row_shape *s, const void *weight, void *pack)
{
    return vd_wino_u8_fits(s) ? vd_pack_wino_u8(s, weight, pack) : pack_plain(s, weight, pack);
}

static void conv_dense(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                       const float *residual, size_t residual_block, int width)
{
    (vd_wino_u8_fits(&c->shape) ? vd_conv_wino_u8 : conv_plain)(c, dst, dst_block, src, src_block, residual, residual_block, width);
}

/* --- first: pairs of pixels along the row, or single ones where they do not lie side by side --- */

enum { CHUNK = 16 }; /* taps that are widened together */

static int along(const struct vd_row_shape *s) { return s->dilation == 1 && s->stride <= 2 ? 2 : 1; }

/* [oc block][ky][kx / 2][16][kx % 2], or [oc block][ky][kx][16][2] */
static size_t pack_first(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int16_t *out = pack;
    const int a = along(s), groups = (s->kw + a - 1) / a;
    const size_t row = (size_t)groups * VD_LANES * 2, block = (size_t)s->kh * row;
    const size_t size = pad(((size_t)s->oc + VD_LANES - 1) / VD_LANES * block * sizeof(int16_t));

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t ky = 0; ky < (size_t)s->kh; ky++)
            for (size_t kx = 0; kx < (size_t)s->kw; kx++)
                out[o / VD_LANES * block + ky * row + (kx / (size_t)a * VD_LANES + o % VD_LANES) * 2 + kx % (size_t)a] = *w++;
    return size;
}

VR_INLINE void sums_first(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const int16_t *w = (const int16_t *)(const void *)j->weight;
    int16_t wide[2 * VR_LARGE + CHUNK + 8] __attribute__((aligned(32)));

    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + x * pixel;
        for (int kx = 0; kx < j->c->shape.kw; kx += CHUNK, row += CHUNK) {
            const int taps = j->c->shape.kw - kx < CHUNK ? j->c->shape.kw - kx : CHUNK, n = (np - 1) * (int)pixel + taps;
            if (n < 16)
                _mm256_store_si256((__m256i *)wide, vi_wide(row));
            else
                for (int i = 0; i <= n; i += 8)
                    _mm_store_si128((__m128i *)(wide + i), _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(row + i))));
            for (int i = 0; i < taps; i += 2, w += 2 * VD_LANES)
                add_pair(acc, wide + i, w, np, pixel);
        }
    }
}

VR_INLINE void sums_first_single(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const int16_t *w = (const int16_t *)(const void *)j->weight;

    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + x * pixel;
        for (int kx = 0; kx < j->c->shape.kw; kx++, row += j->step, w += 2 * VD_LANES) {
            const vd_vi w0 = vi_load(w), w1 = vi_load(w + VD_LANES);
            VR_UNROLL
            for (int p = 0; p < np; p++) {
                const vd_vi v = vi_set1(row[p * pixel]);
                acc[p][0] = vi_dot(acc[p][0], v, w0);
                acc[p][1] = vi_dot(acc[p][1], v, w1);
            }
        }
    }
}

VR_TILES(first1, sums_first, 1)
VR_TILES(first2, sums_first, 2)
VR_TILE(VR_SMALL, first_single, 0, sums_first_single, j->pixel)

static void conv_first(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                       const float *residual, size_t residual_block, int width)
{
    static vr_tile_fn *const tiles[3][3] = {VR_TILE_NAMES(first1), VR_TILE_NAMES(first2), {NULL, NULL, tile_first_single}};
    const struct vd_row_shape *s = &c->shape;
    struct vr_job j = job_of(c, src, src_block);
    const size_t groups = (size_t)((s->kw + along(s) - 1) / along(s));

    vr_rows(&j, tiles[along(s) == 1 ? 2 : s->stride - 1], (size_t)s->kh * groups * VD_LANES * 2 * sizeof(int16_t), dst, dst_block, residual,
            residual_block, width);
}

/* --- depthwise: two taps along the row, interleaved --- */

/* [block][ky][kx / 2][16][kx % 2] */
static size_t pack_depthwise(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const struct vd_row_shape row = {.oc = s->oc, .kh = s->kh, .kw = s->kw, .stride = 1, .dilation = 1};

    return pack_first(&row, weight, pack);
}

VR_INLINE void sums_depthwise(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const int16_t *w = (const int16_t *)(const void *)j->weight;

    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + (size_t)j->block * j->src_block + x * pixel;
        for (int kx = 0; kx < j->c->shape.kw; kx += 2, row += 2 * j->step, w += 2 * VD_LANES) {
            const ptrdiff_t other = kx + 1 < j->c->shape.kw ? j->step : 0; /* of weight 0 where there is none */
            const vd_vi w0 = vi_load(w), w1 = vi_load(w + VD_LANES);
            VR_UNROLL
            for (int p = 0; p < np; p++) {
                const __m128i a = _mm_loadu_si128((const __m128i *)(row + p * pixel));
                const __m128i b = _mm_loadu_si128((const __m128i *)(row + p * pixel + other));
                acc[p][0] = vi_dot(acc[p][0], _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), w0);
                acc[p][1] = vi_dot(acc[p][1], _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b)), w1);
            }
        }
    }
}

VR_TILES(depthwise1, sums_depthwise, VD_LANES)
VR_TILES(depthwise2, sums_depthwise, 2 * VD_LANES)
VR_TILE(VR_SMALL, depthwise, 0, sums_depthwise, j->pixel)

static void conv_depthwise(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                           const float *residual, size_t residual_block, int width)
{
    static vr_tile_fn *const tiles[3][3] = {VR_TILE_NAMES(depthwise1), VR_TILE_NAMES(depthwise2), {NULL, NULL, tile_depthwise}};
    const struct vd_row_shape *s = &c->shape;
    struct vr_job j = job_of(c, src, src_block);

    vr_rows(&j, tiles[s->stride > 2 ? 2 : s->stride - 1], (size_t)s->kh * (((size_t)s->kw + 1) / 2) * VD_LANES * 2 * sizeof(int16_t), dst,
            dst_block, residual, residual_block, width);
}

/* --- last: eight pixels, each summed over its channels' lanes, which are added at the end --- */

/* [ky][kx][ic, whole blocks] */
static size_t pack_last(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int16_t *out = pack;
    const size_t taps = (size_t)(s->kh * s->kw), lanes = ((size_t)s->ic + VD_LANES - 1) / VD_LANES * VD_LANES;
    const size_t size = pad(taps * lanes * sizeof(int16_t));

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t i = 0; i < (size_t)s->ic; i++)
        for (size_t t = 0; t < taps; t++)
            out[t * lanes + i] = *w++;
    return size;
}

static void conv_last(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                      const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const struct vd_row_tail *t = &c->tail;
    const ptrdiff_t pixel = (ptrdiff_t)s->stride * VD_LANES;
    struct vr_tail tail;

    (void)dst_block, (void)residual_block;
    vr_tail_init(&tail, t);
    vr_tail_thin(&tail, t);
    for (int x = 0; x < width; x += VV_LANES) {
        const int16_t *w = c->weight;
        vd_vi acc[VV_LANES];
        VR_UNROLL
        for (int p = 0; p < VV_LANES; p++)
            acc[p] = vi_zero();
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++) {
                const uint8_t *e = (const uint8_t *)src[ky] + x * pixel + (ptrdiff_t)kx * s->dilation * VD_LANES;
                for (int left = s->ic; left > 0; left -= VD_LANES, e += src_block, w += VD_LANES) {
                    const vd_vi weight = vi_load(w);
                    VR_UNROLL
                    for (int p = 0; p < VV_LANES; p++)
                        acc[p] = vi_dot(acc[p], vi_wide(e + p * pixel), weight);
                }
            }
        const __m256i sum = _mm256_add_epi32(vi_add_lanes(acc), _mm256_set1_epi32(t->bias32[0]));
        const __m256 scale = _mm256_set1_ps(t->scale[0]);
        if (t->to_bytes) {
            const __m256i q = vr_code(sum, scale, _mm256_set1_ps((float)(t->hi - t->zp)));
            const __m256i code = _mm256_max_epi32(_mm256_add_epi32(q, _mm256_set1_epi32(t->zp)), _mm256_set1_epi32(t->lo));
            const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
            _mm_storel_epi64((__m128i *)((uint8_t *)dst + x), _mm_packus_epi16(half, half));
        } else {
            tail.lanes[0] = vv_mask(width - x < VV_LANES ? width - x : VV_LANES);
            vr_finish(&tail, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), 0, (float *)dst + x, residual ? residual + x : NULL);
        }
    }
    vr_tail_end(&tail, t);
}

void vd_conv_u8_row_avx2(struct vd_row_kernels *k)
{
    k->pack_u8[VD_ROW_DENSE] = pack_dense;
    k->conv_u8[VD_ROW_DENSE] = conv_dense;
    k->pack_u8[VD_ROW_FIRST] = pack_first;
    k->conv_u8[VD_ROW_FIRST] = conv_first;
    k->pack_u8[VD_ROW_LAST] = pack_last;
    k->conv_u8[VD_ROW_LAST] = conv_last;
    k->pack_u8[VD_ROW_DEPTHWISE] = pack_depthwise;
    k->conv_u8[VD_ROW_DEPTHWISE] = conv_depthwise;
}
