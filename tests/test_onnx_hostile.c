/* SPDX-License-Identifier: BSD-2-Clause */
/* The ONNX reader against files that mean harm: cut, flipped, operated on and spliced, and with memory running out. Whatever comes in, it is read and written back to a fixed point, or refused with a reason and nothing left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/random.h"
#include "common/status.h"
#include "onnx/onnx_wire.h"
#include "onnx_build.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct tally { size_t read, refused; };

static bool zeroed(const struct vd_onnx_model *m)
{
    static const struct vd_onnx_model zero;
    return !memcmp(m, &zero, sizeof zero);
}

/* The bytes behind data[size] must not be read: the caller sees to that. */
static void survive(const uint8_t *data, size_t size, struct tally *n)
{
    struct vd_onnx_model m, again;
    struct vd_buf one = {0}, two = {0};
    vd_reason_clear();
    int rc = vd_onnx_read(&m, data, size);
    if (rc) {
        n->refused++;
        if (rc != -EBADMSG && rc != -EPERM && rc != -E2BIG)
            fail_msg("refused with %d: %s", rc, vd_reason());
        assert_true(strlen(vd_reason()) > 10);
        assert_true(zeroed(&m));
        return;
    }
    n->read++;
    assert_int_equal(vd_onnx_write(&m, &one), 0); /* reads every byte that the model points to */
    if (vd_onnx_read(&again, one.data, one.size))
        fail_msg("what was written is refused: %s", vd_reason());
    assert_int_equal(vd_onnx_write(&again, &two), 0);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    vd_onnx_free(&again);
    vd_onnx_free(&m);
    assert_true(zeroed(&m));
    vd_free(one.data);
    vd_free(two.data);
}

static void survive_copy(const uint8_t *data, size_t size, struct tally *n)
{
    uint8_t *exact = exact_copy(data, size);
    survive(exact, size, n);
    free(exact);
}

static struct vd_buf file_of(const char *name)
{
    char path[4096];
    uint8_t *data;
    size_t size;
    const char *source = getenv("VMAF_DNN_SOURCE");
    snprintf(path, sizeof path, "%s/model/tiny/%s", source ? source : ".", name);
    if (vd_file_read(path, 1 << 20, &data, &size))
        fail_msg("%s", vd_reason());
    return (struct vd_buf){.data = data, .size = size, .cap = size};
}

/* Everything that is kept, and much that is skipped, in less than a kilobyte. */
static struct vd_buf everything(void)
{
    static const struct {
        int type;
        unsigned field;
        const char *values;
        size_t n;
    } typed[] = {
        {VD_F32, TENSOR_FLOAT_DATA, "\0\0\200?\0\0\0\200", 8},
        {VD_U8, TENSOR_INT32_DATA, "\xff\x01\x00", 3},
        {VD_S8, TENSOR_INT32_DATA, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\x01\x7f", 11},
        {VD_BOOL, TENSOR_INT32_DATA, "\x01\x00", 2},
        {VD_F16, TENSOR_INT32_DATA, "\x80\x78\xff\xff\x03", 5},
        {VD_S64, TENSOR_INT64_DATA, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05", 11},
        {VD_F64, TENSOR_DOUBLE_DATA, "\0\0\0\0\0\0\360?\1\0\0\0\0\0\0\0", 16},
        {VD_U32, TENSOR_UINT64_DATA, "\xff\xff\xff\xff\x0f\x00", 6},
    };
    struct vd_buf m = {0}, g = graph_of(), n, a, t, kv = {0};
    char name[8];
    for (size_t i = 0; i < COUNT(typed); i++) {
        snprintf(name, sizeof name, "t%zu", i);
        t = tensor_of(name, typed[i].type, (int64_t[]){2, 1}, 2);
        put_bytes(&t, typed[i].field, typed[i].values, typed[i].n);
        put_msg(&g, GRAPH_INIT, t);
    }
    t = tensor_of("raw", VD_S16, (int64_t[]){1, 2}, 2);
    put_bytes(&t, TENSOR_RAW_DATA, "abcd", 4);
    put_str(&t, TENSOR_DOC, "doc");
    put_msg(&g, GRAPH_INIT, t);
    n = node_of("Odd", "raw", "z");
    put_str(&n, NODE_INPUT, "");
    put_str(&n, NODE_INPUT, "y");
    put_str(&n, NODE_NAME, "node");
    put_str(&n, NODE_DOMAIN, "ai.onnx");
    put_str(&n, NODE_DOC, "doc");
    a = attr_of("f", VD_ATTR_FLOAT);
    put_tag(&a, ATTR_F, 5);
    vd_put_le32(&a, 0x3f800000);
    put_msg(&n, NODE_ATTR, a);
    a = attr_of("i", VD_ATTR_INT);
    put_int(&a, ATTR_I, -3);
    put_msg(&n, NODE_ATTR, a);
    a = attr_of("s", VD_ATTR_STRING);
    put_str(&a, ATTR_S, "SAME_UPPER");
    put_msg(&n, NODE_ATTR, a);
    a = attr_of("t", VD_ATTR_TENSOR);
    t = tensor_of("", VD_U8, NULL, 0);
    put_int(&t, TENSOR_INT32_DATA, 200);
    put_msg(&a, ATTR_T, t);
    put_msg(&n, NODE_ATTR, a);
    a = attr_of("floats", VD_ATTR_FLOATS);
    put_bytes(&a, ATTR_FLOATS, "\0\0\200?\0\0\0\200", 8);
    put_msg(&n, NODE_ATTR, a);
    a = attr_of("ints", VD_ATTR_INTS);
    put_int(&a, ATTR_INTS, 1);
    put_bytes(&a, ATTR_INTS, "\x02\x83\x04", 3);
    put_msg(&n, NODE_ATTR, a);
    put_msg(&g, GRAPH_NODE, n);
    for (int i = 0; i < 2; i++) { /* another domain's */
        n = node_of("Gelu", "z", i ? "v" : "u");
        put_str(&n, NODE_DOMAIN, "com.microsoft");
        put_msg(&g, GRAPH_NODE, n);
    }
    put_msg(&g, GRAPH_VALUE_INFO, value_of("z"));
    put_str(&g, GRAPH_DOC, "a graph\nof two lines");
    put_int(&m, MODEL_IR_VERSION, 3);
    put_str(&m, MODEL_PRODUCER_NAME, "by hand");
    put_str(&m, MODEL_DOC, "h\xc3\xb6he");
    put_msg(&m, MODEL_GRAPH, g);
    put_msg(&m, MODEL_OPSET, opset_of("com.microsoft", 1));
    put_msg(&m, MODEL_OPSET, opset_of("ai.onnx", 11));
    put_str(&kv, KV_KEY, "key");
    put_str(&kv, KV_VALUE, "value");
    put_msg(&m, MODEL_META, kv);
    put_bytes(&m, 100, "unknown", 7);
    return m;
}

static struct vd_buf sample(int i)
{
    static const char *const names[] = {"smoke_v0.onnx", "smoke_fp16_v0.onnx", "learned_filter_v1.onnx"};
    return i == 0 ? everything() : file_of(names[i - 1]);
}
enum { SMALL = 3, SAMPLES = 4 };

/* Every beginning of every sample, the end of it against a page that cannot be read. */
static void test_truncated(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 128 * 1024 / page * page;
    uint8_t *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
    for (int i = 0; i < SAMPLES; i++) {
        struct vd_buf b = sample(i);
        struct tally n = {0};
        assert_true(b.size <= room);
        memcpy(map + room - b.size, b.data, b.size);
        survive(map + room - b.size, b.size, &n);
        assert_int_equal(n.read, 1);
        size_t step = b.size > 4096 ? 7 : 1; /* of the large one every seventh is copied; its end is all raw data */
        for (size_t size = 0; size < b.size; size += step) {
            memcpy(map + room - size, b.data, size);
            survive(map + room - size, size, &n);
        }
        /* everything() ends in a field that may be missing, and so do the files of some exporters */
        assert_true(n.refused > b.size / step - 40);
        vd_free(b.data);
    }
    munmap(map, room + page);
}

/* Every byte of the small samples replaced by every other; of the large one, every byte that is no tensor's by one other. */
static void test_flipped(void **state)
{
    (void)state;
    struct tally n = {0};
    for (int i = 0; i < SAMPLES; i++) {
        struct vd_buf b = sample(i);
        struct vd_onnx_model m;
        uint8_t *exact = exact_copy(b.data, b.size), *mine = exact_copy(b.data, b.size);
        assert_int_equal(vd_onnx_read(&m, exact, b.size), 0);
        for (size_t at = 0; at < b.size; at++) {
            bool raw = false;
            for (int k = 0; k < m.n_init; k++)
                raw |= exact + at >= m.init[k].data + 16 && exact + at < m.init[k].data + m.init[k].size;
            if (i >= SMALL && raw)
                continue;
            for (int x = 1; x < 256; x = i < SMALL ? x + 1 : 256) {
                mine[at] = (uint8_t)(b.data[at] ^ (i < SMALL ? x : 1 << at % 8));
                survive(mine, b.size, &n);
            }
            mine[at] = b.data[at];
        }
        vd_onnx_free(&m);
        free(exact);
        free(mine);
        vd_free(b.data);
    }
    print_message("flips: %zu read, %zu refused\n", n.read, n.refused);
    assert_true(n.read > 10000 && n.refused > 10000);
}

/* Which fields of a message are messages, for surgery that keeps all lengths right. */
enum { MODEL, GRAPH, NODE, ATTR, TENSOR, VALUE, TYPE, TENSOR_TYPE_, SHAPE, DIM, OPSET, KV };
static int kind_of(int parent, unsigned field)
{
    static const struct { int parent; unsigned field; int kind; } known[] = {
        {MODEL, MODEL_GRAPH, GRAPH}, {MODEL, MODEL_OPSET, OPSET}, {MODEL, MODEL_META, KV}, {GRAPH, GRAPH_NODE, NODE},
        {GRAPH, GRAPH_INIT, TENSOR}, {GRAPH, GRAPH_INPUT, VALUE}, {GRAPH, GRAPH_OUTPUT, VALUE}, {NODE, NODE_ATTR, ATTR},
        {ATTR, ATTR_T, TENSOR}, {VALUE, VALUE_TYPE, TYPE}, {TYPE, TYPE_TENSOR, TENSOR_TYPE_}, {TENSOR_TYPE_, TYPE_TENSOR_SHAPE, SHAPE},
        {SHAPE, SHAPE_DIM, DIM},
    };
    for (size_t i = 0; i < COUNT(known); i++)
        if (known[i].parent == parent && known[i].field == field)
            return known[i].kind;
    return -1;
}

struct cut { const uint8_t *from, *to; const uint8_t *put; size_t n; }; /* from..to replaced by put */

static void rebuild(int kind, struct vd_reader body, const struct cut *c, struct vd_buf *out)
{
    struct vd_msg m = {.r = body, .file = body.p, .depth = 1};
    struct vd_field f;
    const uint8_t *start = m.r.p;
    while (vd_msg_next(&m, &f) > 0) {
        const int sub = kind_of(kind, f.number);
        if (sub >= 0 && c->from >= f.body.p && c->to <= f.body.end && f.body.p < f.body.end) {
            struct vd_buf child = {0};
            rebuild(sub, f.body, c, &child);
            vd_put(out, body.p, (size_t)(start - body.p));
            put_msg(out, f.number, child);
            vd_put(out, f.body.end, (size_t)(body.end - f.body.end));
            return;
        }
        start = m.r.p;
    }
    vd_put(out, body.p, (size_t)(c->from - body.p));
    vd_put(out, c->put, c->n);
    vd_put(out, c->to, (size_t)(body.end - c->to));
}

static void cut_and_try(const struct vd_buf *whole, struct cut c, struct tally *n)
{
    struct vd_buf out = {0};
    rebuild(MODEL, (struct vd_reader){.p = whole->data, .end = whole->data + whole->size}, &c, &out);
    assert_int_equal(out.bad, false);
    survive_copy(out.data, out.size, n);
    vd_free(out.data);
}

static void operate(const struct vd_buf *whole, int kind, struct vd_reader body, struct tally *n)
{
    struct vd_msg m = {.r = body, .file = body.p, .depth = 1};
    struct vd_field f;
    for (const uint8_t *at = body.p; at < body.end && kind != MODEL; at++)
        cut_and_try(whole, (struct cut){.from = at, .to = body.end}, n); /* the message ends early */
    for (const uint8_t *start = m.r.p; vd_msg_next(&m, &f) > 0; start = m.r.p) {
        uint8_t twice[8192];
        const size_t len = (size_t)(m.r.p - start);
        cut_and_try(whole, (struct cut){.from = start, .to = m.r.p}, n); /* a field is missing */
        if (2 * len <= sizeof twice) {                                   /* or there twice */
            memcpy(twice, start, len);
            memcpy(twice + len, start, len);
            cut_and_try(whole, (struct cut){start, m.r.p, twice, 2 * len}, n);
        }
        cut_and_try(whole, (struct cut){f.body.p, f.body.end, NULL, 0}, n); /* or its value is not there, its length stays */
        if (kind_of(kind, f.number) >= 0)
            operate(whole, kind_of(kind, f.number), f.body, n);
    }
}

static void test_surgery(void **state)
{
    (void)state;
    struct tally n = {0};
    for (int i = 0; i < SMALL; i++) {
        struct vd_buf b = sample(i);
        operate(&b, MODEL, (struct vd_reader){.p = b.data, .end = b.data + b.size}, &n);
        vd_free(b.data);
    }
    print_message("surgery: %zu read, %zu refused\n", n.read, n.refused);
    assert_true(n.read > 100 && n.refused > 1000);
}

/* Pieces of the small samples, put together at random and with random bytes. */
static void test_spliced(void **state)
{
    (void)state;
    const char *env = getenv("VMAF_DNN_SEED");
    const uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
    struct vd_buf from[SMALL];
    struct tally n = {0};
    struct vd_rng r;
    print_message("VMAF_DNN_SEED=%llu\n", (unsigned long long)seed);
    vd_rng_seed(&r, seed);
    for (int i = 0; i < SMALL; i++)
        from[i] = sample(i);
    for (int i = 0; i < 30000; i++) {
        const struct vd_buf *a = &from[vd_rng_u32(&r) % SMALL], *b = &from[vd_rng_u32(&r) % SMALL];
        struct vd_buf x = {0};
        vd_put(&x, a->data, a->size);
        for (uint32_t k = 1 + vd_rng_u32(&r) % 3; k; k--) {
            size_t at = vd_rng_u32(&r) % (x.size + 1), len = vd_rng_u32(&r) % 24, src = vd_rng_u32(&r) % b->size;
            struct vd_buf y = {0};
            if (len > b->size - src)
                len = b->size - src;
            vd_put(&y, x.data, at);
            vd_put(&y, b->data + src, len);
            if (vd_rng_u32(&r) % 2) /* in place of what was there, so that lengths still hold */
                at = at + len < x.size ? at + len : x.size;
            vd_put(&y, x.data + at, x.size - at);
            if (vd_rng_u32(&r) % 4 == 0 && y.size)
                y.data[vd_rng_u32(&r) % y.size] = (uint8_t)vd_rng_u32(&r);
            vd_free(x.data);
            x = y;
        }
        survive_copy(x.data, x.size, &n);
        vd_free(x.data);
    }
    for (int i = 0; i < SMALL; i++)
        vd_free(from[i].data);
    print_message("spliced: %zu read, %zu refused\n", n.read, n.refused);
}

/* Every allocation fails once, alone and with all after it: -ENOMEM and nothing left (LeakSanitizer looks). */
static void test_no_memory(void **state)
{
    (void)state;
    for (int i = 0; i < SMALL; i++) {
        struct vd_buf b = sample(i);
        for (int persist = 0; persist < 2; persist++) {
            size_t k = 1;
            for (int rc = -ENOMEM; rc; k++) {
                struct vd_onnx_model m;
                struct vd_buf out = {0};
                const char *word = "out of memory";
                vd_reason_clear();
                vd_mem_fail_at(k, persist);
                rc = vd_onnx_read(&m, b.data, b.size);
                if (rc)
                    assert_true(zeroed(&m));
                else
                    rc = vd_onnx_write(&m, &out);
                vd_mem_fail_at(0, 0);
                if (rc) {
                    assert_int_equal(rc, -ENOMEM);
                    assert_non_null(strstr(vd_reason(), word));
                }
                vd_free(out.data);
                vd_onnx_free(&m);
            }
            assert_true(k > 3);
        }
        vd_free(b.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_flipped),   cmocka_unit_test(test_surgery),
        cmocka_unit_test(test_spliced),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
