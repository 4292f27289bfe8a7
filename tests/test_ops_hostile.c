/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_harness.h"

/* Every row of the table with shapes, attributes and data out of a hat, sensible and absurd ones mixed. infer either refuses with
 * a reason or run must be able to do it: within its buffers (which are exactly as long as they should be, for the address
 * sanitizer), without undefined arithmetic, and twice the same, on one thread and on four. */

static uint64_t seed = 20261126;
static struct vd_workers *four;

static int below(struct vd_rng *r, int n) { return (int)(vd_rng_u32(r) % (uint32_t)n); }

static int64_t odd_int(struct vd_rng *r)
{
    static const int64_t ends[] = {INT64_MIN, INT64_MAX, INT32_MAX, INT32_MIN, 1LL << 40, -1, 0, 1 << 20, (1 << 20) + 1, INT64_MIN + 1};
    switch (below(r, 8)) {
    case 0: return ends[below(r, (int)(sizeof(ends) / sizeof(*ends)))];
    case 1: return below(r, 40) - 20;
    default: return below(r, 5);
    }
}

static int64_t odd_dim(struct vd_rng *r)
{
    switch (below(r, 40)) {
    case 0: return 1LL << below(r, 41);
    case 1: return below(r, 3000);
    case 2: return 0;
    case 3: case 4: case 5: return 1;
    default: return 1 + below(r, 7);
    }
}

/* Values that a list of integers may have (shapes, axes, indices) when small is set; otherwise any bytes. */
static void fill(struct vd_rng *r, struct vd_tensor *t, bool small)
{
    const size_t n = vd_tensor_count(t), size = vd_type_size(t->type);
    uint8_t *p = t->data;
    for (size_t i = 0; i < n * size; i++)
        p[i] = t->type == VD_BOOL ? (uint8_t)below(r, 2) : (uint8_t)vd_rng_u32(r);
    for (size_t i = 0; i < n; i++)
        if (t->type == VD_F32 && below(r, 8))
            ((float *)t->data)[i] = vd_rng_f32(r) * 20 - (below(r, 2) ? 10 : 0);
        else if (small && t->type == VD_S64)
            ((int64_t *)t->data)[i] = odd_int(r);
        else if (small && t->type == VD_S32)
            ((int32_t *)t->data)[i] = (int32_t)odd_int(r);
}

static int some_type(struct vd_rng *r, uint32_t mask)
{
    int type;
    do
        type = below(r, 14);
    while (!(mask & VD_T(type)));
    return type;
}

static uint32_t types_of(const struct vd_op *op, int i)
{
    uint32_t mask = 0;
    for (int k = 0; k <= i && k < VD_OP_MAX_IN && op->types[k]; k++)
        mask = op->types[k];
    return mask;
}

static int64_t ints[MOST_ATTR][8];
static float reals[8];
static struct vd_onnx_tensor value;
static uint64_t value_data[8];

static void attributes(struct vd_rng *r, struct trial *t, const struct vd_op *op)
{
    static char names[MOST_ATTR][32];
    static const char *const strings[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "LEFT", "RIGHT", "", "same_upper"};
    /* What other attributes may say, by the head of their names. */
    static const struct { const char *attr, *words[7]; } says[] = {
        {"mode", {"nearest", "linear", "cubic", "reflect", "edge", "DCR", "wrap"}},
        {"coordinate", {"half_pixel", "align_corners", "tf_crop_and_resize", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric", "tf_half_pixel_for_nn"}},
        {"nearest", {"floor", "ceil", "round_prefer_ceil", "round_prefer_floor", "floor", "ceil", ""}},
        {"reduction", {"none", "add", "mul", "max", "min", "mean", "sum"}},
        {"keep_aspect", {"stretch", "not_larger", "not_smaller", "stretch", "stretch", "stretch", "other"}},
    };
    const bool constant = !strcmp(op->name, "Constant");
    const int spatial = 1 + below(r, 3);
    for (const char *p = op->attrs; *p;) {
        const size_t len = strcspn(p, ":");
        const char letter = p[len + 1];
        const bool required = p[len + 2] == '!';
        if ((required || below(r, 2)) && !(constant && t->node.n_attr && below(r, 8))) {
            char *name = names[t->node.n_attr];
            snprintf(name, sizeof(names[0]), "%.*s", (int)len, p);
            struct vd_onnx_attr *a = trial_attr(t, name, letter == 'i' ? VD_ATTR_INT : letter == 'f' ? VD_ATTR_FLOAT : letter == 's' ? VD_ATTR_STRING :
                                                letter == 't' ? VD_ATTR_TENSOR : letter == 'I' ? VD_ATTR_INTS : VD_ATTR_FLOATS);
            switch (letter) {
            case 'i': a->v.i = below(r, 2) ? below(r, 2) : odd_int(r); break;
            case 'f': a->v.f = vd_rng_f32(r) * 4 - 2; break;
            case 's':
                a->v.s = strings[below(r, 6) ? below(r, 6) : below(r, 8)];
                for (size_t k = 0; k < sizeof(says) / sizeof(*says); k++)
                    if (!strncmp(name, says[k].attr, strlen(says[k].attr)) && below(r, 8))
                        a->v.s = says[k].words[below(r, 7)];
                break;
            case 'F': a->v.floats = reals; a->n = below(r, 9); break;
            case 't':
                value = (struct vd_onnx_tensor){.type = below(r, 2) ? VD_F32 : VD_U8, .rank = 1, .dim = {below(r, 9)}, .data = (uint8_t *)value_data};
                value.count = (size_t)value.dim[0];
                value.size = value.count * vd_type_size(value.type);
                a->v.t = &value;
                break;
            default: /* mostly as many as there are spatial dims, and mostly small */
                a->v.ints = ints[t->node.n_attr - 1];
                a->n = below(r, 8) ? spatial << !strcmp(name, "pads") : below(r, 9);
                for (int i = 0; i < 8; i++)
                    ints[t->node.n_attr - 1][i] = below(r, 12) ? (below(r, 3) ? 1 + below(r, 3) : below(r, 3)) : odd_int(r);
            }
        }
        p += len + 2 + required;
        p += strspn(p, " ");
    }
}

static bool one_round(struct vd_rng *r, const struct vd_op *op)
{
    enum { MOST = 1 << 16 };
    struct trial *t = trial_new(op->name, op->opset_min + below(r, op->opset_max - op->opset_min + 1));
    const int n_max = op->in_max == VD_ANY_ARITY ? op->in_min + 3 : op->in_max, n_in = op->in_min + below(r, n_max - op->in_min + 1);
    const bool alike = below(r, 4); /* one type for all inputs that may have it */
    const int style = below(r, 4), pick = below(r, 3); /* lists like one dim of the first, like the first, lists and scalars, mixed */
    int64_t last[8];
    int last_rank = 0;
    bool hidden[MOST_IN] = {false};
    void *data[MOST_IN] = {NULL};
    bool small_enough = true;
    attributes(r, t, op);
    for (int i = 0; i < n_in; i++) {
        const uint32_t mask = types_of(op, i);
        if (i >= op->in_min && below(r, 5) == 0 && op->in_max != VD_ANY_ARITY) {
            trial_no_in(t);
            continue;
        }
        int type = some_type(r, mask), rank = below(r, 3) ? below(r, 6) : below(r, 9);
        if (alike && i && t->in_p[0] && mask & VD_T(t->in[0].type))
            type = t->in[0].type;
        int64_t dim[8];
        for (int d = 0; d < 8; d++)
            dim[d] = odd_dim(r);
        /* what follows the first is often a list, a scalar, or of a shape like the one before */
        if (i && style == 0 && below(r, 16)) {
            rank = 1;
            dim[0] = pick < t->in[0].rank ? t->in[0].dim[pick] : 1;
        } else if (i && (style == 2 || (style == 3 && below(r, 2)))) {
            rank = below(r, 2);
            dim[0] = last_rank && below(r, 2) ? last[below(r, last_rank)] : 1 + below(r, 4);
        } else if (i && (style == 1 || below(r, 2))) {
            rank = last_rank;
            for (int d = 0; d < rank; d++)
                if (below(r, 6))
                    dim[d] = last[d];
        }
        struct vd_tensor *v = trial_in(t, type, rank, dim, NULL);
        const struct vd_op_call probe = {.node = &t->node};
        if (vd_tensor_check(&probe, v)) {
            v->rank = 0;
            small_enough = false; /* a graph would not have let it through */
        }
        memcpy(last, v->dim, sizeof(last));
        last_rank = v->rank;
        const size_t size = vd_tensor_bytes(v);
        if (size > MOST) {
            small_enough = false;
            continue;
        }
        if (!size)
            continue;
        v->data = data[i] = vd_malloc(size);
        assert_non_null(v->data);
        fill(r, v, i > 0);
        hidden[i] = below(r, 4) == 0; /* not known before the run */
        if (hidden[i])
            v->data = NULL;
    }
    trial_outputs(t, op->out_min);
    int rc = trial_infer(t);
    if (!rc) {
        for (int i = 0; i < t->call.n_out; i++) {
            const struct vd_op_call probe = {.node = &t->node};
            assert_int_equal(vd_tensor_check(&probe, &t->out[i]), 0);
            small_enough = small_enough && vd_tensor_bytes(&t->out[i]) <= MOST;
        }
        for (int i = 0; i < MOST_IN; i++)
            if (hidden[i])
                t->in[i].data = data[i];
        void *first[MOST_OUT] = {NULL};
        for (int pass = 0; op->run && small_enough && pass < 2; pass++) {
            for (int i = 0; i < t->call.n_out; i++) {
                t->out[i].data = vd_malloc(vd_tensor_bytes(&t->out[i]) + 1);
                assert_non_null(t->out[i].data);
                memset(t->out[i].data, pass ? 0x5a : 0xa5, vd_tensor_bytes(&t->out[i]) + 1); /* so that what is not written differs */
            }
            t->call.workers = pass ? four : NULL;
            op->run(&t->call);
            for (int i = 0; i < t->call.n_out; i++) {
                const size_t size = vd_tensor_bytes(&t->out[i]);
                assert_int_equal(((uint8_t *)t->out[i].data)[size], pass ? 0x5a : 0xa5);
                if (!pass) {
                    first[i] = t->out[i].data;
                    t->out[i].data = NULL;
                } else
                    assert_memory_equal(first[i], t->out[i].data, size);
            }
        }
        for (int i = 0; i < MOST_OUT; i++)
            vd_free(first[i]);
    }
    for (int i = 0; i < MOST_IN; i++)
        vd_free(data[i]);
    trial_free(t);
    return !rc;
}

static void anything_goes(void **state)
{
    (void)state;
    const char *given = getenv("VD_ROUNDS");
    const int rounds = given ? atoi(given) : 500;
    int rows = 0, never = 0;
    for (int row = 0; vd_op_row(row); row++) {
        const struct vd_op *op = vd_op_row(row);
        int taken = 0;
        for (int k = 0; k < rounds; k++) {
            struct vd_rng r;
            vd_rng_seed(&r, seed + (uint64_t)row * 1000003 + (uint64_t)k);
            taken += one_round(&r, op);
        }
        if (given)
            print_message("%s from opset %d: %d of %d taken\n", op->name, op->opset_min, taken, rounds);
        never += op->run && !taken;
        rows++;
    }
    assert_true(rounds < 500 || never * 10 < rows); /* the hat has something for nearly everybody */
}

static int start(void **state)
{
    (void)state;
    const char *given = getenv("VD_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    printf("VD_SEED=%" PRIu64 "\n", seed);
    return vd_workers_create(4, &four);
}

static int stop(void **state)
{
    (void)state;
    vd_workers_free(four);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(anything_goes)};
    return cmocka_run_group_tests(tests, start, stop);
}
