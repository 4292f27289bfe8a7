/* SPDX-License-Identifier: BSD-2-Clause */
/* Gradients with respect to weights (grads.h): every set against sums in float64 over random shapes. Rows are as long as the contract says. */
#include "kernel_harness.h"

#include "kernels/grads.h"

static inline int blocks_of(int channels) { return (channels + VD_LANES - 1) / VD_LANES; }

/* A row of whole blocks (or thin) whose lanes past the channels are finite. */
static float *row_of(int channels, int pixels, int thin, size_t *block)
{
    const size_t n = (size_t)pixels * (thin ? 1 : VD_LANES), all = n * (size_t)(thin ? 1 : blocks_of(channels));
    float *row = get_memory(all * sizeof(float));

    *block = n * sizeof(float);
    for (size_t i = 0; i < all; i++)
        row[i] = small();
    return row;
}

static float value_at(const float *row, size_t block, int thin, int channel, int x)
{
    return thin ? row[x] : row[(size_t)(channel / VD_LANES) * (block / sizeof(float)) + (size_t)x * VD_LANES + (size_t)(channel % VD_LANES)];
}

static void check_case(const struct vd_kernels *k, enum vd_row_conv_kind kind)
{
    static const int channels[] = {1, 2, 5, 16, 17, 33};
    struct vd_row_shape s = {.kind = kind, .ic = channels[below(6)], .oc = channels[below(6)], .kh = between(1, 3), .kw = between(1, 5),
                             .stride = between(1, 3), .dilation = one_in(3) ? between(1, 3) : 1};
    const int width = one_in(3) ? between(1, 60) : between(1, 9);
    size_t g_block, src_block = 0;
    const void *src[3];
    float *rows[3];

    s.ic = kind == VD_ROW_FIRST ? 1 : s.ic;
    s.oc = kind == VD_ROW_LAST ? 1 : kind == VD_ROW_DEPTHWISE ? s.ic : s.oc;
    const int thin_src = kind == VD_ROW_FIRST, thin_dst = kind == VD_ROW_LAST, ic = kind == VD_ROW_DEPTHWISE ? 1 : s.ic, n = s.oc * ic * s.kh * s.kw;
    for (int ky = 0; ky < s.kh; ky++)
        src[ky] = rows[ky] = row_of(s.ic, (width - 1) * s.stride + (s.kw - 1) * s.dilation + 1, thin_src, &src_block);
    float *g = row_of(s.oc, width, thin_dst, &g_block), *w = get_memory((size_t)n * sizeof(float));
    struct guarded dw = guard(vd_row_grad_size(&s) * sizeof(float), 4 * (size_t)below(16));

    for (size_t i = 0; i < vd_row_grad_size(&s); i++) /* the sums are added to what is there */
        ((float *)(void *)dw.data)[i] = 1;
    memset(w, 0, (size_t)n * sizeof(float));
    vd_grad_kernels(k->name)->weight[kind](&s, (float *)(void *)dw.data, g, g_block, src, src_block, width);
    check_edges(&dw, vd_row_grad_size(&s) * sizeof(float), k->name);
    vd_row_grad_add(&s, w, (const float *)(const void *)dw.data);
    for (int o = 0, at = 0; o < s.oc; o++)
        for (int i = 0; i < ic; i++)
            for (int ky = 0; ky < s.kh; ky++)
                for (int kx = 0; kx < s.kw; kx++, at++, checks++) {
                    double sum = 1, size = 1;
                    for (int x = 0; x < width; x++) {
                        const double p = (double)value_at(g, g_block, thin_dst, o, x) *
                            (double)value_at(rows[ky], src_block, thin_src, kind == VD_ROW_DEPTHWISE ? o : i, x * s.stride + kx * s.dilation);
                        sum += p;
                        size += fabs(p);
                    }
                    if (!(fabs((double)w[at] - sum) <= (width + 4) * 0x1p-23 * size))
                        fail_msg("seed %llu, %s: kind %d, %d -> %d, %dx%d, stride %d, dilation %d, width %d: weight %d,%d,%d,%d is %a, not %a",
                                 (unsigned long long)seed, k->name, kind, s.ic, s.oc, s.kh, s.kw, s.stride, s.dilation, width, o, i, ky, kx,
                                 (double)w[at], sum);
                }
    for (int ky = 0; ky < s.kh; ky++)
        vd_free(rows[ky]);
    vd_free(g);
    vd_free(w);
    vd_free(dw.all);
}

static void grads_set(const struct vd_kernels *k)
{
    for (int kind = 0; kind < VD_ROW_KINDS; kind++)
        for (int i = 0; i < cases(150); i++)
            check_case(k, (enum vd_row_conv_kind)kind);
}

static void test_grads(void **state) { (void)state; for_each_set(grads_set); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grads)};

    choose_seed(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
