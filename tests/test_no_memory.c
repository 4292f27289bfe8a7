/* SPDX-License-Identifier: BSD-2-Clause */
/* Every public function, and what the commands are made of, while the k-th allocation fails: alone, and with all after it, for every
 * k. jansson asks the same allocator, so that its allocations are counted too. A failure is reported, nothing is left (LeakSanitizer
 * looks), files are as they were or as they should be, and what was open goes on working. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
#include "io/npy.h"
#include "io/y4m.h"
#include "quant/quant.h"
#include "temp_dir.h"
#include "trust/trust.h"
#include "vmaf_dnn/vmaf_dnn.h"

static struct temp_dir dir;
static char model[600], int8[600], sidecar[600], registry[600], array[600], tiny[600], tiny_int8[600];
static size_t tried;
static vmaf_dnn_session *session; /* open before memory runs out, for what works on one */
static vmaf_dnn_settings one_thread;

static void copy(const char *name, const char *to)
{
    char from[4096];
    uint8_t *data;
    size_t size;
    const char *source = getenv("VMAF_DNN_SOURCE");
    snprintf(from, sizeof from, "%s/model/tiny/%s", source ? source : ".", name);
    if (vd_file_read(from, 1 << 20, &data, &size))
        fail_msg("%s", vd_reason());
    assert_true(temp_put(to, data, size));
    vd_free(data);
}

/* fn with each allocation failing. 0 from it means that all of its result is there: fn has looked. */
static void each(const char *name, int (*fn)(void))
{
    size_t failed = 0, n = 0;
    for (int persist = 0; persist < 2; persist++)
        for (size_t k = 1;; k++) {
            const size_t before = vd_mem_count();
            vd_reason_clear();
            vd_mem_fail_at(k, persist);
            const int rc = fn();
            vd_mem_fail_at(0, 0);
            n = vd_mem_count() - before;
            if (n < k) {
                if (rc)
                    fail_msg("%s: with all its memory: %d %s", name, rc, vd_reason());
                break;
            }
            if (rc != -ENOMEM && rc != -EAGAIN && rc != 0)
                fail_msg("%s: allocation %zu%s: %d %s", name, k, persist ? " and all after it" : "", rc, vd_reason());
            if (rc && strlen(vd_reason()) < 10)
                fail_msg("%s: allocation %zu: no reason", name, k);
            failed += rc != 0;
            tried++;
        }
    print_message("%-24s %4zu allocations, %zu failures reported\n", name, n, failed);
    assert_true(failed > 0 || n == 0);
}

static int with_session(const char *path, const vmaf_dnn_settings *set)
{
    vmaf_dnn_session *s = (vmaf_dnn_session *)&dir;
    const int rc = vmaf_dnn_session_open(&s, path, set);
    if (rc)
        assert_null(s);
    vmaf_dnn_session_close(s);
    return rc;
}

static int open_path(void) { return with_session(model, &one_thread); }
static int open_int8(void) { return with_session(int8, &one_thread); }
static int open_id(void)
{
    vmaf_dnn_settings set = one_thread;
    set.registry = registry;
    return with_session("learned_filter_v1", &set);
}
static int open_threads(void)
{
    vmaf_dnn_settings set = one_thread;
    set.threads = 3;
    set.baseline = 1;
    return with_session(model, &set);
}
static int validate(void) { return vmaf_dnn_validate_onnx(model); }

static int load_sidecar(void)
{
    static const vmaf_dnn_sidecar zero;
    vmaf_dnn_sidecar s;
    const int rc = vmaf_dnn_sidecar_load(model, &s);
    assert_true(rc ? !memcmp(&s, &zero, sizeof s) : !strcmp(s.id, "learned_filter_v1"));
    return rc;
}

/* Another size each time, so that it plans anew; after a failure the session takes the next plane. */
static int run_planes(void)
{
    static uint8_t in[40 * 40], out[40 * 40];
    static int turn;
    const int w = 8 + turn++ % 30;
    memset(out, 0xaa, sizeof out);
    const int rc = vmaf_dnn_session_run_luma8(session, in, 40, w, 9, out, 40);
    if (rc)
        for (size_t i = 0; i < sizeof out; i++)
            assert_int_equal(out[i], 0xaa);
    return rc;
}

static int run_plane16(void)
{
    static uint16_t in[40 * 40], out[40 * 40];
    static int turn;
    return vmaf_dnn_session_run_plane16(session, in, 80, 7 + turn++ % 30, 8, out, 80, 10);
}

static int run_tensors(void)
{
    static float in[40 * 40], out[40 * 40];
    static int turn;
    const int64_t w = 5 + turn++ % 30;
    vmaf_dnn_input x = {.type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, 8, w}, .data = in, .count = (size_t)(8 * w)};
    vmaf_dnn_output y = {.type = VMAF_DNN_F32, .data = out, .capacity = 40 * 40};
    const int rc = vmaf_dnn_session_run(session, &x, 1, &y, 1);
    assert_true(rc || y.written == (size_t)(8 * w));
    return rc;
}

static int tell(void) /* allocates nothing */
{
    vmaf_dnn_info info;
    vmaf_dnn_slot slot;
    assert_int_equal(vmaf_dnn_session_info(session, &info), 0);
    assert_int_equal(vmaf_dnn_session_input(session, 0, &slot), 0);
    assert_int_equal(vmaf_dnn_session_output(session, 0, &slot), 0);
    assert_non_null(vmaf_dnn_session_attached_ep(session));
    assert_non_null(vmaf_dnn_version());
    return 0;
}

static int quantise_to(const char *from, const char *to)
{
    struct vd_onnx_model in, out = {0};
    struct vd_quant_report rep;
    struct vd_buf bytes = {0};
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(from, 1 << 20, &data, &size);
    if (rc)
        return rc;
    if ((rc = vd_onnx_read(&in, data, size)) == 0 && (rc = vd_quantize_dynamic(&in, &(struct vd_quant_opts){.weight_type = VD_U8}, &out, &rep)) == 0 &&
        (rc = vd_onnx_write(&out, &bytes)) == 0)
        rc = vd_file_write(to, bytes.data, bytes.size);
    vd_free(bytes.data);
    vd_onnx_free(&out);
    vd_onnx_free(&in);
    vd_free(data);
    return rc;
}

static int quantise(void) { return quantise_to(tiny, tiny_int8); }

static int gate(void)
{
    struct vd_gate_opts o = {.budget = -1, .threads = 1, .compat = true};
    static struct vd_gate_result r;
    const int rc = vd_gate(tiny, &o, &r);
    if (rc)
        return rc;
    assert_int_equal(r.verdict, VD_PASS);
    vd_gate_result_free(&r);
    return 0;
}

static void say(void *arg, int row, const char *line)
{
    (void)arg;
    (void)row;
    (void)line;
}

static int lint(void)
{
    static struct vd_registry r;
    struct vd_sidecar s;
    struct vd_trusted none = {.n = 0};
    int rc = vd_registry_lint(registry, &none, &r, say, NULL);
    if (rc >= 0)
        vd_registry_free(&r);
    if (!rc) {
        rc = vd_sidecar_lint(sidecar, &s, say, NULL);
        vd_sidecar_free(&s);
    }
    return rc;
}

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static int pin(void)
{
    int rc = vd_sidecar_set_quant(sidecar, VD_QUANT_DYNAMIC, digest);
    if (!rc)
        rc = vd_registry_set_quant(registry, "learned_filter_v1.onnx", VD_QUANT_DYNAMIC, digest, NULL, NULL);
    vd_mem_fail_at(0, 0); /* what is there now is whole */
    struct vd_sidecar s;
    assert_int_equal(vd_sidecar_load(sidecar, &s), 0);
    vd_sidecar_free(&s);
    return rc;
}

static int load_array(void)
{
    struct vd_npy a;
    const int rc = vd_npy_load(array, &a);
    vd_npy_free(&a);
    return rc;
}

static ptrdiff_t give(void *ctx, void *dst, size_t n)
{
    static const char clip[] = "YUV4MPEG2 W2 H2\nFRAME\nabcdef";
    size_t *at = ctx, left = sizeof clip - 1 - *at;
    n = n < left ? n : left;
    memcpy(dst, clip + *at, n);
    *at += n;
    return (ptrdiff_t)n;
}

static int open_clip(void)
{
    struct vd_y4m y;
    size_t at = 0;
    const int rc = vd_y4m_open(&y, give, &at, "clip", false);
    if (!rc) {
        assert_int_equal(vd_y4m_next(&y), 1);
        vd_y4m_close(&y);
    }
    return rc;
}

static void test_each(void **state)
{
    (void)state;
    assert_int_equal(vmaf_dnn_session_open(&session, model, &one_thread), 0);
    each("session_open", open_path);
    each("session_open int8", open_int8);
    each("session_open id", open_id);
    each("session_open threads", open_threads);
    each("validate_onnx", validate);
    each("sidecar_load", load_sidecar);
    each("session_run_luma8", run_planes);
    each("session_run_plane16", run_plane16);
    each("session_run", run_tensors);
    each("info, slots, version", tell);
    each("quantise and write", quantise);
    each("gate", gate);
    each("lint", lint);
    each("npy", load_array);
    each("y4m", open_clip);
    vmaf_dnn_session_close(session);
    each("pin", pin);
    print_message("%zu allocations failed\n", tried);
    assert_true(tried > 2000);
}

int main(void)
{
    json_set_alloc_funcs(vd_malloc, vd_free);
    vmaf_dnn_settings_default(&one_thread);
    one_thread.threads = 1;
    if (!temp_dir_make(&dir))
        return 1;
    snprintf(model, sizeof model, "%s/learned_filter_v1.onnx", dir.path);
    snprintf(int8, sizeof int8, "%s/learned_filter_v1.int8.onnx", dir.path);
    snprintf(sidecar, sizeof sidecar, "%s/learned_filter_v1.json", dir.path);
    snprintf(registry, sizeof registry, "%s/registry.json", dir.path);
    snprintf(array, sizeof array, "%s/a.npy", dir.path);
    snprintf(tiny, sizeof tiny, "%s/tiny.onnx", dir.path);
    snprintf(tiny_int8, sizeof tiny_int8, "%s/tiny.int8.onnx", dir.path);
    copy("smoke_v0.onnx", tiny);
    copy("learned_filter_v1.onnx", model);
    copy("learned_filter_v1.int8.onnx", int8);
    copy("learned_filter_v1.json", sidecar);
    copy("registry.json", registry);
    const int64_t shape[1] = {8};
    uint8_t file[VD_NPY_HEADER_ROOM + 8] = {0};
    char header[VD_NPY_HEADER_ROOM];
    const size_t n = vd_npy_header(header, VMAF_DNN_U8, 1, shape);
    memcpy(file, header, n);
    temp_put(array, file, n + 8);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each)};
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    temp_dir_remove(&dir);
    return rc;
}
