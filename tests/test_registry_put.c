/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trainer or a converter writes into registry and sidecar; numbers and sizes that the writers of both keep or refuse. */
#include <errno.h>

#include "registry_files.h"

static json_t *keys_of(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);

    assert_non_null(o);
    return o;
}

static void is(const char *path, const char *text) { assert_string_equal(slurp(path), text); }

static int put_row(const char *text, const char *sidecar)
{
    json_t *o = keys_of(text);
    const int rc = vd_registry_put(registry_path, o, sidecar);

    json_decref(o);
    return rc;
}

static int put_side(const char *text)
{
    json_t *o = keys_of(text);
    const int rc = vd_sidecar_put(sidecar_path, o);

    json_decref(o);
    return rc;
}

/* The row of model.onnx as it is shared, in braces, with more behind it. */
static const char *row_with(const char *more)
{
    static char s[4][1200];
    static unsigned turn;
    char *d = s[turn++ % 4];

    snprintf(d, sizeof s[0], "{%s%s}", shared(NULL), more);
    return d;
}

static void test_put_row(void **state)
{
    (void)state;
    put("registry.json", registry_of("{\"id\":\"z\",\"kind\":\"nr\",\"onnx\":\"z.onnx\",\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"mine\":[1]}"));
    /* A new one, in its place by id. */
    assert_int_equal(put_row(row_with(",\"notes\":\"new\""), NULL), 0);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_int_equal(reg.n, 2);
    assert_string_equal(reg.row[0].id, "model_v1");
    assert_string_equal(reg.row[0].notes, "new");
    assert_string_equal(reg.row[1].id, "z");
    assert_non_null(json_object_get(json_array_get(json_object_get(reg.json, "models"), 1), "mine"));
    vd_registry_free(&reg);
    /* The same one: keys replaced, added, taken out, and left alone. */
    assert_int_equal(put_row("{\"id\":\"model_v1\",\"onnx\":\"model.onnx\",\"notes\":null,\"opset\":18,\"license\":\"BSD-2-Clause\"}", NULL), 0);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_int_equal(reg.n, 2);
    assert_null(reg.row[0].notes);
    assert_int_equal(reg.row[0].opset, 18);
    assert_string_equal(reg.row[0].license, "BSD-2-Clause");
    assert_string_equal(reg.row[0].sha256, digest_of(fp32_bytes));
    vd_registry_free(&reg);
    assert_int_equal(temp_dir_count(&dir), 1);
}

/* A pinned sidecar: its digest goes along with the row that has one, and only with that. */
static void test_put_pins_the_sidecar(void **state)
{
    char more[100];

    (void)state;
    put_sidecar(shared(NULL));
    put_registry(shared(NULL));
    assert_int_equal(put_row(row_with(""), sidecar_path), 0);
    assert_null(strstr(slurp(registry_path), "sidecar_sha256"));
    snprintf(more, sizeof more, ",\"sidecar_sha256\":\"%s\"", digest_of("an old one"));
    assert_int_equal(put_row(row_with(more), sidecar_path), 0);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_string_equal(reg.row[0].sidecar_sha256, digest_of(slurp(sidecar_path)));
    vd_registry_free(&reg);
    /* Quantising changes the sidecar, and its digest again. */
    assert_int_equal(vd_sidecar_set_quant(sidecar_path, VD_QUANT_STATIC, digest_of(int8_bytes)), 0);
    assert_int_equal(vd_registry_set_quant(registry_path, "model.onnx", VD_QUANT_STATIC, digest_of(int8_bytes), sidecar_path, "clips of a test"), 0);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_string_equal(reg.row[0].sidecar_sha256, digest_of(slurp(sidecar_path)));
    assert_string_equal(reg.row[0].calibration_set, "clips of a test");
    vd_registry_free(&reg);
    assert_int_equal(vd_registry_set_quant(registry_path, "model.onnx", VD_QUANT_DYNAMIC, digest_of(int8_bytes), sidecar_path, NULL), 0);
    assert_null(strstr(slurp(registry_path), "quant_calibration_set"));
    /* One that cannot be read is not pinned as if it could. */
    char before[4000];
    snprintf(before, sizeof before, "%.3999s", slurp(registry_path));
    assert_int_equal(unlink(sidecar_path), 0);
    assert_int_equal(put_row(row_with(more), sidecar_path), -ENOENT);
    is(registry_path, before);
    assert_int_equal(temp_dir_count(&dir), 1);
}

/* What the loader would refuse is not written, and what is there stays to the byte. */
static void test_put_refusals(void **state)
{
    static const struct { int err; const char *why, *more; } bad[] = {
        {EBADMSG, "kind", ",\"kind\":\"xx\""},        {EBADMSG, "sha256", ",\"sha256\":\"00\""},
        {EKEYREJECTED, "sha256", ",\"sha256\":null"}, {EBADMSG, "onnx", ",\"onnx\":\"../model.onnx\""},
        {EBADMSG, "opset", ",\"opset\":\"17\""},      {EBADMSG, "onnx", ",\"onnx\":\"z.onnx\""}, /* another row's file */
        {EKEYREJECTED, "int8_sha256", ",\"quant_mode\":\"dynamic\""},
    };
    char before[4000], rows[2400];

    (void)state;
    snprintf(rows, sizeof rows, "%s,%s", row_with(""), with(with(row_with(""), "model_v1", "z"), "model.onnx", "z.onnx"));
    put("registry.json", registry_of(rows));
    snprintf(before, sizeof before, "%.3999s", slurp(registry_path));
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[400];
        snprintf(text, sizeof text, "{\"id\":\"model_v1\"%s}", bad[i].more);
        const int rc = put_row(text, NULL);
        if (rc != -bad[i].err || !strstr(vd_reason(), bad[i].why))
            fail_msg("%s: %d: %s", text, rc, rc ? vd_reason() : "");
        is(registry_path, before);
        snprintf(text, sizeof text, "{\"id\":\"new\"%s}", bad[i].more); /* and a row that is not there yet, which lacks more */
        assert_true(put_row(text, NULL) < 0);
        is(registry_path, before);
    }
    static const char *const no_registry[] = {"[]", "{}", "{\"schema_version\":1}", "{\"schema_version\":1,\"models\":{}}", "{\"schema_version\":1,\"models\":7}",
                                              "{\"schema_version\":2,\"models\":[]}", "{", ""};
    for (size_t i = 0; i < COUNT(no_registry); i++) {
        put("registry.json", no_registry[i]);
        assert_int_equal(put_row(row_with(""), NULL), -EBADMSG);
        is(registry_path, no_registry[i]);
        assert_int_equal(vd_registry_set_quant(registry_path, "model.onnx", VD_QUANT_FP32, NULL, NULL, NULL) < 0, 1);
        is(registry_path, no_registry[i]);
    }
    put("registry.json", registry_of("5,{\"id\":7},{\"onnx\":null}")); /* rows that are none are nobody's */
    snprintf(before, sizeof before, "%.3999s", slurp(registry_path));
    assert_int_equal(put_row(row_with(""), NULL), -EBADMSG);
    assert_int_equal(vd_registry_set_quant(registry_path, "model.onnx", VD_QUANT_DYNAMIC, digest_of(int8_bytes), NULL, NULL), -ENOENT);
    is(registry_path, before);
    assert_int_equal(unlink(registry_path), 0);
    assert_int_equal(put_row(row_with(""), NULL), -ENOENT);
    assert_int_equal(temp_dir_count(&dir), 0);
}

static void test_put_sidecar(void **state)
{
    const char *whole = ",\"input\":{\"name\":\"x\"},\"output\":{\"name\":\"y\"}";
    char before[4000];

    (void)state;
    /* There is none: one is made, which names its schema first. */
    assert_int_equal(put_side(row_with(whole)), 0);
    assert_memory_equal(slurp(sidecar_path), "{\n  \"$schema\": \"./sidecar.schema.json\",\n", 40);
    assert_int_equal(vd_sidecar_load(sidecar_path, &side), 0);
    assert_string_equal(side.row.input_name, "x");
    vd_sidecar_free(&side);
    /* There is one: its other keys stay. */
    assert_int_equal(put_side("{\"notes\":\"more\",\"opset\":null}"), 0);
    assert_int_equal(vd_sidecar_load(sidecar_path, &side), 0);
    assert_string_equal(side.row.notes, "more");
    assert_int_equal(side.row.opset, 0);
    assert_string_equal(side.row.input_name, "x");
    vd_sidecar_free(&side);
    /* What it must not say is not written. */
    snprintf(before, sizeof before, "%.3999s", slurp(sidecar_path));
    assert_int_equal(put_side("{\"onnx\":\"other.onnx\"}"), -EBADMSG);
    assert_non_null(strstr(vd_reason(), "whose sidecar is called other.json"));
    assert_int_equal(put_side("{\"kind\":7}"), -EBADMSG);
    assert_int_equal(put_side("{\"input\":\"x\"}"), -EBADMSG);
    is(sidecar_path, before);
    /* And where there was none, none is left. */
    assert_int_equal(unlink(sidecar_path), 0);
    assert_int_equal(put_side("{\"kind\":7}"), -EBADMSG);
    assert_int_equal(temp_dir_count(&dir), 0);
    put("model.json", "[1]");
    assert_int_equal(put_side("{\"kind\":\"nr\"}"), -EBADMSG);
    is(sidecar_path, "[1]");
    /* A name that nothing stands behind: neither followed nor replaced. */
    assert_int_equal(unlink(sidecar_path), 0);
    assert_int_equal(symlink("nowhere/model.json", sidecar_path), 0);
    assert_int_equal(put_side(row_with(whole)), -ENOENT);
    assert_int_equal(temp_dir_count(&dir), 1);
    /* Nor is there one in a folder that does not exist, or whose name is a file. */
    json_t *o = keys_of(row_with(whole));
    assert_int_equal(vd_sidecar_put(temp_path(&dir, "no/model.json"), o), -ENOENT);
    put("file", "");
    assert_int_equal(vd_sidecar_put(temp_path(&dir, "file/model.json"), o), -ENOENT);
    char longer[2 * VD_MAX_PATH];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(vd_sidecar_put(longer, o), -ENAMETOOLONG);
    json_decref(o);
}

/* Each allocation fails once: the old file or the new one. (What fails after it was made may leave the empty one behind only if it cannot be removed.) */
static void test_put_without_memory(void **state)
{
    (void)state;
    json_t *o = keys_of(row_with(",\"input\":{\"name\":\"x\"},\"output\":{\"name\":\"y\"}"));
    for (int which = 0; which < 2; which++) {
        int k = 0, rc;
        do {
            unlink(sidecar_path);
            put("registry.json", "{\"schema_version\":1,\"models\":[]}");
            vd_mem_fail_at((size_t)++k, 0);
            rc = which ? vd_sidecar_put(sidecar_path, o) : vd_registry_put(registry_path, o, NULL);
            vd_mem_fail_at(0, 0);
            assert_true(rc == 0 || rc == -ENOMEM);
            if (rc)
                is(registry_path, "{\"schema_version\":1,\"models\":[]}");
            assert_int_equal(temp_dir_count(&dir), which && !rc ? 2 : 1);
        } while (rc && k < 1000);
        assert_int_equal(rc, 0);
        assert_true(k > 5);
    }
    json_decref(o);
}

/* Every float64 comes back as it was, in as few digits as that takes; and a file does not grow over what is read. */
static void test_numbers_and_size(void **state)
{
    static const char *const numbers[] = {"0.01", "0.1", "1e-7", "123456789.123", "0.30000000000000004", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308",
                                          "0.1234567890123456", "-0.0", "9007199254740993", "-9223372036854775808", "1e22", "4.35"};
    char text[600];

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        snprintf(text, sizeof text, ",\"mine\":%s", numbers[i]);
        put_registry(with(row_with(text) + 1, "}", "")); /* put_registry() has its own braces */
        assert_int_equal(put_row("{\"id\":\"model_v1\",\"opset\":18}", NULL), 0);
        assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
        const json_t *v = json_object_get(json_array_get(json_object_get(reg.json, "models"), 0), "mine");
        if (json_is_integer(v))
            assert_true(json_integer_value(v) == strtoll(numbers[i], NULL, 10));
        else
            assert_true(json_real_value(v) == strtod(numbers[i], NULL));
        vd_registry_free(&reg);
        if (i < 4) {
            snprintf(text, sizeof text, "\"mine\": %s\n", numbers[i]);
            if (!strstr(slurp(registry_path), text))
                fail_msg("%s is not in %s", text, slurp(registry_path));
        }
    }
    /* Nearly as large as may be, then over it by what the writer's spaces add. */
    enum { ZEROS = 30000, TEXT = VD_MAX_JSON - 200000 };
    char *large = malloc(VD_MAX_JSON + 1);
    assert_non_null(large);
    int n = sprintf(large, "{\"schema_version\":1,\"models\":[{%s,\"text\":\"", shared(NULL));
    memset(large + n, 'n', TEXT);
    n += TEXT;
    n += sprintf(large + n, "\",\"mine\":[");
    for (int i = 0; i < ZEROS; i++)
        n += sprintf(large + n, "%s0", i ? "," : "");
    n += sprintf(large + n, "]}]}");
    assert_true(n < VD_MAX_JSON);
    put("registry.json", large);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    vd_registry_free(&reg);
    assert_int_equal(put_row("{\"id\":\"model_v1\",\"opset\":18}", NULL), -E2BIG);
    assert_non_null(strstr(vd_reason(), "would grow over 1048576 bytes"));
    is(registry_path, large);
    /* As many values as are read, and no more: of every kind, and objects alone. */
    for (int objects = 0; objects < 2; objects++) {
        n = sprintf(large, "{\"schema_version\":1,\"models\":[],\"mine\":[");
        for (int i = 0; i < (objects ? 4096 : 32768); i++)
            n += sprintf(large + n, "%s%s", i ? "," : "", objects ? "{}" : "0");
        sprintf(large + n, "]}");
        put("registry.json", large);
        assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), -E2BIG);
        assert_non_null(strstr(vd_reason(), objects ? "more objects and arrays than are read" : "more values than are read"));
    }
    assert_int_equal(temp_dir_count(&dir), 1);
    free(large);
}

/* What is to be signed is checked like what is opened, and stays as it was when it is refused. */
static void test_prepare_refusals(void **state)
{
    static const char *const bad[] = {"[]", "7", "{\"schema_version\":1}", "{\"schema_version\":1,\"models\":[{\"id\":\"a\"}]}",
                                      "{\"schema_version\":1,\"models\":[{\"id\":\"a\",\"onnx\":\"../a.onnx\"}]}", "{\"schema_version\":1,\"models\":[[]]}"};
    static char longer[2 * VD_MAX_PATH];
    uint8_t *data;
    size_t size;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        for (int keep = 0; keep < 2; keep++) {
            put("registry.json", bad[i]);
            assert_int_equal(vd_registry_prepare(registry_path, keep, &data, &size), -EBADMSG);
            assert_null(data);
            is(registry_path, bad[i]);
        }
    memset(longer, 'a', sizeof longer - 1);
    for (int keep = 0; keep < 2; keep++) {
        assert_int_equal(vd_registry_prepare(longer, keep, &data, &size), -ENAMETOOLONG);
        assert_int_equal(vd_registry_prepare(temp_path(&dir, "none.json"), keep, &data, &size), -ENOENT);
        assert_int_equal(vd_registry_prepare(temp_path(&dir, "registry.json/x"), keep, &data, &size), -ENOENT);
        assert_null(data);
    }
    /* A sidecar that is there and cannot be read is not left out. */
    put_registry(shared(NULL));
    assert_int_equal(mkdir(sidecar_path, 0755), 0);
    for (int keep = 0; keep < 2; keep++)
        assert_true(vd_registry_prepare(registry_path, keep, &data, &size) < 0);
    assert_int_equal(rmdir(sidecar_path), 0);
    assert_int_equal(temp_dir_count(&dir), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_put_row),
        WITH_DIR(test_put_pins_the_sidecar),
        WITH_DIR(test_put_refusals),
        WITH_DIR(test_put_sidecar),
        WITH_DIR(test_put_without_memory),
        WITH_DIR(test_numbers_and_size),
        WITH_DIR(test_prepare_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
