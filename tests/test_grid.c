/* SPDX-License-Identifier: BSD-2-Clause */
/* Every integer of a file set to each of the values at which sizes, indices and casts break: each field alone, and each two of one
 * tensor. What comes of it is refused with a reason, or runs; the sanitizers look. The release build runs it without assertions.
 * VMAF_DNN_GRID=all takes all models of the fuzz corpus, not a part. */
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/status.h"
#include "fuzz_model.h"
#include "io/npy.h"
#include "io/y4m.h"
#include "onnx/onnx_wire.h"
#include "onnx_build.h"
#include "temp_dir.h"
#include "trust/signature.h"
#include "trust/trust.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const uint64_t grid[] = {
    0, 1, 2, VD_MAX_RANK, VD_MAX_RANK + 1, VD_ONNX_MAX_COUNT, 0x7fffffff, 0x80000000u, 0x80000001u, 0xffffffffu, 0x100000001u,
    0x7fffffffffffffffu, 0x8000000000000000u, 0x8000000000000001u, 0xffffffffffffffffu, 0xaaaaaaaaaaaaaaabu /* times 3 is 1 */,
};
enum { VALUES = sizeof grid / sizeof grid[0], MOST = 4096 };
_Static_assert(VALUES == 16, "sixteen values");

enum { MODEL, GRAPH, NODE, ATTR, TENSOR, VALUE, TYPE, TENSOR_TYPE_, SHAPE, DIM, OPSET };
static int kind_of(int parent, unsigned field)
{
    static const struct { int parent; unsigned field; int kind; } known[] = {
        {MODEL, MODEL_GRAPH, GRAPH}, {MODEL, MODEL_OPSET, OPSET}, {GRAPH, GRAPH_NODE, NODE}, {GRAPH, GRAPH_INIT, TENSOR}, {GRAPH, GRAPH_INPUT, VALUE},
        {GRAPH, GRAPH_OUTPUT, VALUE}, {NODE, NODE_ATTR, ATTR}, {ATTR, ATTR_T, TENSOR}, {VALUE, VALUE_TYPE, TYPE}, {TYPE, TYPE_TENSOR, TENSOR_TYPE_},
        {TENSOR_TYPE_, TYPE_TENSOR_SHAPE, SHAPE}, {SHAPE, SHAPE_DIM, DIM},
    };
    for (size_t i = 0; i < COUNT(known); i++)
        if (known[i].parent == parent && known[i].field == field)
            return known[i].kind;
    return -1;
}

/* An integer of the file by its place, and the tensor (initialiser, attribute or type) that it belongs to, counted from 1; 0: none. */
struct number { const uint8_t *at; int tensor; };
static struct number number[MOST];
static int numbers, tensors;

static void collect(int kind, struct vd_reader body, int tensor)
{
    struct vd_msg m = {.r = body, .file = body.p, .depth = 1};
    struct vd_field f;
    if (kind == TENSOR || kind == TENSOR_TYPE_)
        tensor = ++tensors;
    while (vd_msg_next(&m, &f) > 0) {
        const int sub = f.wire == VD_WIRE_LEN ? kind_of(kind, f.number) : -1;
        if (sub >= 0)
            collect(sub, f.body, tensor);
        else if (f.wire == VD_WIRE_VARINT && numbers < MOST)
            number[numbers++] = (struct number){f.body.p, tensor};
    }
}

struct put { const uint8_t *at; uint64_t v; };

/* The message again with other numbers; all lengths around them are right. */
static void rewrite(int kind, struct vd_reader body, const struct put *put, int n, struct vd_buf *out)
{
    struct vd_msg m = {.r = body, .file = body.p, .depth = 1};
    struct vd_field f;
    for (const uint8_t *start = m.r.p; vd_msg_next(&m, &f) > 0; start = m.r.p) {
        const int sub = f.wire == VD_WIRE_LEN ? kind_of(kind, f.number) : -1;
        int hit = -1, inside = 0;
        for (int i = 0; i < n; i++) {
            hit = put[i].at == f.body.p && f.wire == VD_WIRE_VARINT ? i : hit;
            inside |= put[i].at >= f.body.p && put[i].at < f.body.end;
        }
        if (hit >= 0) {
            put_tag(out, f.number, 0);
            vd_put_varint(out, put[hit].v);
        } else if (sub >= 0 && inside) {
            struct vd_buf child = {0};
            rewrite(sub, f.body, put, n, &child);
            put_msg(out, f.number, child);
        } else {
            vd_put(out, start, (size_t)(m.r.p - start));
        }
    }
}

static size_t ran, refused;

static void trial(const struct vd_buf *file, const struct put *put, int n)
{
    struct vd_buf out = {0};
    struct fuzz_model m;
    rewrite(MODEL, (struct vd_reader){.p = file->data, .end = file->data + file->size}, put, n, &out);
    assert_false(out.bad);
    uint8_t *exact = exact_copy(out.data, out.size);
    vd_reason_clear();
    int rc = fuzz_model_open(&m, exact, out.size, NULL);
    if (!rc)
        rc = fuzz_model_shape(&m, 1, 5);
    if (!rc && fuzz_model_small(&m, 1)) {
        fuzz_model_fill(&m, 2);
        rc = vd_plan_run(m.plan);
    }
    if (rc)
        fuzz_refused(rc);
    ran += !rc;
    refused += rc != 0;
    fuzz_model_close(&m);
    free(exact);
    vd_free(out.data);
}

static void whole_grid(const struct vd_buf *file, bool pairs)
{
    numbers = tensors = 0;
    collect(MODEL, (struct vd_reader){.p = file->data, .end = file->data + file->size}, 0);
    for (int i = 0; i < numbers; i++)
        for (int v = 0; v < VALUES; v++) {
            trial(file, &(struct put){number[i].at, grid[v]}, 1);
            for (int k = i + 1; pairs && k < numbers && number[i].tensor; k++)
                for (int w = 0; w < VALUES && number[k].tensor == number[i].tensor; w++)
                    trial(file, (struct put[]){{number[i].at, grid[v]}, {number[k].at, grid[w]}}, 2);
        }
}

static struct vd_buf load(const char *path)
{
    struct vd_buf b = {0};
    if (vd_file_read(path, 1 << 20, &b.data, &b.size))
        fail_msg("%s", vd_reason());
    return b;
}

static const char *source(void)
{
    const char *s = getenv("VMAF_DNN_SOURCE");
    return s ? s : ".";
}

static void test_shipped(void **state)
{
    (void)state;
    static const char *const names[] = {"smoke_v0", "smoke_fp16_v0", "learned_filter_v1", "learned_filter_v1.int8"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/model/tiny/%s.onnx", source(), names[i]);
        struct vd_buf b = load(path);
        ran = refused = 0;
        whole_grid(&b, b.size < 4096);
        print_message("%s: %d integers in %d tensors: %zu ran, %zu refused\n", names[i], numbers, tensors, ran, refused);
        assert_true(refused > 100);
        vd_free(b.data);
    }
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void test_corpus(void **state)
{
    (void)state;
    char folder[4096], path[4096 + 300];
    struct dirent **entry;
    const bool all = getenv("VMAF_DNN_GRID") && !strcmp(getenv("VMAF_DNN_GRID"), "all");
    snprintf(folder, sizeof folder, "%s/fuzz/corpus/run", source());
    const int n = scandir(folder, &entry, NULL, by_name);
    int models = 0;
    assert_true(n > 2);
    ran = refused = 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.' && (all || i % 48 == 0)) {
            struct vd_buf b = load(path);
            whole_grid(&b, true);
            vd_free(b.data);
            models++;
        }
        free(entry[i]);
    }
    free(entry);
    print_message("%d models of the corpus: %zu ran, %zu refused\n", models, ran, refused);
    assert_true(ran > 100 && refused > 1000);
}

/* Decimal and signed, as the texts have them. */
static const char *decimal(int v)
{
    static char s[4][32];
    static int turn;
    char *d = s[turn++ % 4];
    if (v % 2)
        snprintf(d, 32, "%" PRIu64, grid[v / 2]);
    else
        snprintf(d, 32, "%" PRId64, (int64_t)grid[v / 2]);
    return d;
}

struct bytes { const char *p; size_t left; };

static ptrdiff_t give(void *ctx, void *dst, size_t n)
{
    struct bytes *b = ctx;
    n = n < b->left ? n : b->left;
    memcpy(dst, b->p, n);
    b->p += n;
    b->left -= n;
    return (ptrdiff_t)n;
}

static void test_clip(void **state)
{
    (void)state;
    static const char *const chroma[] = {"", " C444p16", " Cmono"};
    ran = refused = 0;
    for (int w = 0; w < 2 * VALUES; w++)
        for (int h = 0; h < 2 * VALUES; h++)
            for (size_t c = 0; c < COUNT(chroma); c++) {
                char text[256];
                struct vd_y4m y;
                snprintf(text, sizeof text, "YUV4MPEG2 W%s H%s%s\nFRAME\nabcdefghijklmnop", decimal(w), decimal(h), chroma[c]);
                struct bytes b = {text, strlen(text)};
                int rc = vd_y4m_open(&y, give, &b, "clip", false);
                if (!rc) {
                    while ((rc = vd_y4m_next(&y)) == 1)
                        ran++;
                    vd_y4m_close(&y);
                }
                refused += rc < 0;
            }
    print_message("y4m: %zu frames read, %zu refused\n", ran, refused);
    assert_true(ran > 0 && refused > 1000);
}

static void test_array(void **state)
{
    (void)state;
    ran = refused = 0;
    for (int a = 0; a < 2 * VALUES; a++)
        for (int b = 0; b < 2 * VALUES; b++)
            for (int length = 0; length < VALUES + 1; length++) {
                char text[256] = "\x93NUMPY\x02";
                struct vd_npy npy;
                const int n = snprintf(text + 12, 200, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s, %s), }\n", decimal(a), decimal(b));
                const uint32_t said = length == VALUES ? (uint32_t)n : (uint32_t)grid[length];
                memcpy(text + 8, &said, sizeof said);
                uint8_t *exact = exact_copy(text, 12 + (size_t)n + 8);
                const int rc = vd_npy_parse(exact, 12 + (size_t)n + 8, "a.npy", &npy);
                ran += rc == 0;
                refused += rc != 0;
                free(exact);
            }
    print_message("npy: %zu read, %zu refused\n", ran, refused);
    assert_true(ran > 0 && refused > 1000);
}

static void test_documents(void **state)
{
    (void)state;
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static struct vd_registry r;
    struct vd_trusted none = {.n = 0};
    struct temp_dir dir;
    assert_true(temp_dir_make(&dir));
    ran = refused = 0;
    for (int a = 0; a < 2 * VALUES; a++)
        for (int b = 0; b < 2 * VALUES; b++) {
            char text[1024];
            struct vd_sidecar s;
            snprintf(text, sizeof text, "{\"id\":\"x\",\"kind\":\"fr\",\"onnx\":\"x.onnx\",\"opset\":17,\"sha256\":\"%s\",\"input\":{\"name\":\"x\",\"width\":%s,"
                     "\"height\":%s,\"range\":[%s,%s]},\"output\":{\"name\":\"y\"}}", zeros, decimal(a), decimal(b), decimal(a), decimal(b));
            assert_true(temp_put(temp_path(&dir, "x.json"), text, strlen(text)));
            int rc = vd_sidecar_load(temp_path(&dir, "x.json"), &s);
            assert_true(rc || (s.row.size_w >= 1 && s.row.size_w <= 65535));
            vd_sidecar_free(&s);
            ran += rc == 0;
            refused += rc != 0;
            snprintf(text, sizeof text, "{\"schema_version\":1,\"registry_version\":%s,\"models\":[{\"id\":\"x\",\"kind\":\"fr\",\"onnx\":\"x.onnx\",\"opset\":%s,"
                     "\"sha256\":\"%s\",\"quant_accuracy_budget_plcc\":%s}]}", decimal(a), decimal(b), zeros, decimal(a));
            assert_true(temp_put(temp_path(&dir, "registry.json"), text, strlen(text)));
            rc = vd_registry_load(temp_path(&dir, "registry.json"), &none, &r);
            assert_true(rc || r.row[0].opset <= 23);
            if (!rc)
                vd_registry_free(&r);
            ran += rc == 0;
            refused += rc != 0;
        }
    temp_dir_remove(&dir);
    print_message("JSON: %zu read, %zu refused\n", ran, refused);
    assert_true(refused > 1000);
}

int main(void)
{
    fuzz_most = 4 << 20;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped), cmocka_unit_test(test_corpus), cmocka_unit_test(test_clip), cmocka_unit_test(test_array),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
