/* SPDX-License-Identifier: BSD-2-Clause */
/* Row streams between the caller's planes, and in place, against the same filter on tensors; what rings and whole tensors take. VD_SEED repeats a run. */
#include "stream_nets.h"

/* A filter of the learned filter's kind: in, three layers, out, and the input added. lean: windows that look up, or down, alone,
 * without the input at the end. */
static void make_filter(struct net *n, enum form form, int lean)
{
    const int channels[] = {1, 16, 16, 1};
    struct maker m = {.n = n, .form = form, .type = VD_U8};
    net_begin(n, 17);
    const char *x = net_input(n, VD_F32, 4), *v = x;
    for (int i = 0; i < 3; i++) {
        const int64_t dim[4] = {channels[i + 1], channels[i], 3, 3}, ones[4] = {1 + lean, 1, 1 - lean, 1};
        struct vd_onnx_node *conv;
        const float size = 1.0f / sqrtf((float)(9 * channels[i]));
        const struct value in = {.name = v};
        if (form == DYNAMIC) {
            v = dynamic_conv(&m, &in, dim[0], dim[1], dim, &conv);
        } else {
            conv = net_node(n, "Conv", 1, v, net_const(n, VD_F32, 4, dim, random_floats(n, (size_t)(dim[0] * dim[1] * 9), -size, size)), NULL);
            v = conv->out[0];
        }
        net_ints(n, conv, "pads", 4, ones);
        if (i < 2)
            v = net_node(n, "Relu", 1, v, NULL)->out[0];
    }
    net_output(n, lean ? v : net_node(n, "Add", 1, v, x, NULL)->out[0]);
}

static void filter_plane(const struct net *n, const struct run *how, const struct vd_plane *pl)
{
    struct vd_graph g;
    struct vd_plan *p;
    struct vd_workers *w;
    const struct vd_tensor shape = {.type = VD_F32, .rank = 4, .dim = {1, 1, pl->h, pl->w}};
    open_plan(&p, &g, n, how, &w);
    assert_int_equal(vd_plan_shape_plane(p, &shape), 0);
    if (how->band_rows != VD_NO_STREAMS)
        assert_true(p->cross[0].plane && p->cross[g.out[0]].plane);
    const struct vd_stream *s = p->n_step == 1 ? p->step[0].stream : NULL;
    if (s && how->threads == 1 && !how->band_rows)
        assert_non_null(s->halo); /* in place, it saves rows at the bands' edges and not the whole plane */
    assert_int_equal(vd_plan_run_plane(p, pl), 0);
    close_plan(p, &g, w);
}

static void flip_rows(unsigned char *dst, const unsigned char *src, size_t stride, int h, bool turn)
{
    for (int y = 0; y < h; y++)
        memcpy(dst + stride * (size_t)y, src + stride * (size_t)(turn ? h - 1 - y : y), stride);
}

/* Straight from and to planes, in place or not, upside down or not, is what the tensors give. */
static void check_planes(enum form form, int lean, int w, int h, int bpc)
{
    static struct net n;
    const size_t sample = bpc > 8 ? 2 : 1, stride = ((size_t)w + 5) * sample, size = stride * (size_t)h;
    unsigned char *in = vd_malloc(size), *want = vd_malloc(size), *out = vd_malloc(size), *turned = vd_malloc(size);
    make_filter(&n, form, lean);
    for (size_t i = 0; i < size / sample; i++) {
        const unsigned v = (unsigned)below(bpc > 8 ? (1 << bpc) + (below(50) ? 0 : 200) : 256); /* some over the range */
        if (bpc > 8)
            ((uint16_t *)(void *)in)[i] = (uint16_t)(v > UINT16_MAX ? UINT16_MAX : v);
        else
            in[i] = (uint8_t)v;
    }
    for (int i = 0; vd_kernels_name(i); i++) {
        struct vd_plane pl = {.in = in, .out = want, .in_stride = (ptrdiff_t)stride, .out_stride = (ptrdiff_t)stride, .w = w, .h = h, .bpc = bpc};
        memcpy(want, in, size); /* what is between rows stays */
        filter_plane(&n, &(struct run){vd_kernels_name(i), 1, 0}, &pl);
        for (int how = 0; how < 12; how++) {
            const bool in_place = how % 2, down = how % 4 > 1; /* down: rows lie from the last to the first */
            unsigned char *from = in_place ? out : turned;
            flip_rows(from, in, stride, h, down);
            if (!in_place)
                flip_rows(out, in, stride, h, down); /* what is between rows stays */
            pl = (struct vd_plane){.in = from, .out = out, .in_stride = (ptrdiff_t)stride, .out_stride = (ptrdiff_t)stride, .w = w, .h = h, .bpc = bpc};
            if (down) {
                pl.in = from + stride * (size_t)(h - 1);
                pl.out = out + stride * (size_t)(h - 1);
                pl.in_stride = pl.out_stride = -(ptrdiff_t)stride;
            }
            filter_plane(&n, &(struct run){vd_kernels_name(i), (int[]){1, 2, 5}[how % 3], (int[]){0, 1, 3, 7}[how / 3]}, &pl);
            flip_rows(turned, out, stride, h, down);
            if (memcmp(turned, want, size))
                fail_msg("seed %llu: %dx%d, %d bits, kernels %s, way %d: other samples", (unsigned long long)seed, w, h, bpc, vd_kernels_name(i), how);
        }
    }
    vd_free(in);
    vd_free(want);
    vd_free(out);
    vd_free(turned);
    net_end(&n);
}

static void test_planes(void **state)
{
    (void)state;
    vd_rng_seed(&rng, seed + 10);
    static const int sizes[][2] = {{1, 1}, {1, 19}, {23, 1}, {40, 37}};
    for (size_t i = 0; i < 4; i++)
        for (int bpc = 8; bpc <= 16; bpc += i == 3 ? 2 : 8) {
            for (int lean = -1; lean <= 1; lean++)
                check_planes(F32, lean, sizes[i][0], sizes[i][1], bpc);
            check_planes(DYNAMIC, 0, sizes[i][0], sizes[i][1], bpc);
        }
}

/* --- memory --- */

/* Three rows for a 3x3 window; what is added at the end waits for as many rows as the windows between look ahead; nothing grows with the height. */
static void test_rings(void **state)
{
    (void)state;
    static struct net n;
    struct vd_graph g;
    struct vd_plan *p;
    struct vd_workers *w;
    size_t area[2];
    vd_rng_seed(&rng, seed + 20);
    make_filter(&n, F32, 0);
    open_plan(&p, &g, &n, &(struct run){"c", 1, 0}, &w);
    for (int i = 0; i < 2; i++) {
        const struct vd_tensor shape = {.type = VD_F32, .rank = 4, .dim = {1, 1, i ? 4000 : 40, 64}};
        assert_int_equal(vd_plan_shape_plane(p, &shape), 0);
        assert_int_equal(p->n_step, 1);
        const struct vd_stream *s = p->step[0].stream;
        int inner = 0;
        for (int v = 0; v < s->n_value; v++) {
            const struct vd_stream_value *x = &s->value[v];
            if (x->channels == 16) {
                assert_int_equal(x->height, 3);
                inner++;
            } else if (s->op[x->producer].kind == VD_ROW_LOAD_PLANE) {
                assert_int_equal(x->height, 4); /* three layers look three rows ahead of the row that is added */
            } else {
                assert_int_equal(x->height, 1);
            }
        }
        assert_int_equal(inner, 2);
        assert_true(p->memory_bytes - p->scratch_bytes < 64); /* no tensor at all */
        area[i] = s->area;
    }
    assert_int_equal(area[0], area[1]);
    close_plan(p, &g, w);
    net_end(&n);
}

/* Between two dynamic layers a whole tensor lies; a residual block adds in place, so that two are alive and not three. */
static void test_in_place(void **state)
{
    (void)state;
    static struct net n;
    struct vd_graph g;
    struct vd_plan *p;
    struct vd_workers *w;
    struct maker m = {.n = &n, .form = DYNAMIC};
    vd_rng_seed(&rng, seed + 30);
    net_begin(&n, 17);
    struct value v = {.name = net_input(&n, VD_F32, 4)};
    const int64_t ones[4] = {1, 1, 1, 1};
    struct vd_onnx_node *conv;
    for (int i = 0; i < 6; i++) {
        const int64_t dim[4] = {i == 5 ? 1 : 16, i ? 16 : 1, 3, 3};
        const char *before = v.name;
        v.name = dynamic_conv(&m, &v, dim[0], dim[1], dim, &conv);
        net_ints(&n, conv, "pads", 4, ones);
        if (i == 1 || i == 3) { /* two layers and the tensor before them */
            const struct value inner = {.name = v.name};
            v.name = dynamic_conv(&m, &inner, 16, 16, dim, &conv);
            net_ints(&n, conv, "pads", 4, ones);
            v.name = net_node(&n, "Add", 1, v.name, before, NULL)->out[0];
        }
    }
    net_output(&n, v.name);
    open_plan(&p, &g, &n, &(struct run){"c", 1, 0}, &w);
    const struct vd_tensor shape = {.type = VD_F32, .rank = 4, .dim = {1, 1, 50, 100}};
    assert_int_equal(vd_plan_shape_plane(p, &shape), 0);
    const size_t tensor = 50 * (100 + VD_ROW_SLACK) * 16 * sizeof(float);
    assert_in_range(p->memory_bytes - p->scratch_bytes, 2 * tensor, 2 * tensor + 1024);
    close_plan(p, &g, w);
    net_end(&n);
}

int main(void)
{
    if (getenv("VD_SEED"))
        seed = strtoull(getenv("VD_SEED"), NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planes), cmocka_unit_test(test_rings), cmocka_unit_test(test_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
