/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "registry_files.h"

static void test_sha256(void **state)
{
    static char a[1000000];
    char hex[65];

    (void)state;
    /* FIPS 180-2, appendix B */
    vd_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    vd_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    vd_sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(a, 'a', sizeof a);
    vd_sha256_hex(a, sizeof a, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_modes(void **state)
{
    enum vd_quant_mode m = VD_QUANT_FP32;

    (void)state;
    for (int i = VD_QUANT_FP32; i <= VD_QUANT_QAT; i++) {
        assert_int_equal(vd_quant_mode_parse(vd_quant_mode_name((enum vd_quant_mode)i), &m), 0);
        assert_int_equal(m, i);
    }
    assert_int_equal(vd_quant_mode_parse("int8", &m), -EBADMSG);
    assert_int_equal(vd_quant_mode_parse("", &m), -EBADMSG);
    assert_int_equal(vd_quant_mode_parse("FP32", &m), -EBADMSG);
}

static const char *full_row(void)
{
    static char s[2000];

    snprintf(s, sizeof s,
             "{%s,\"quant_accuracy_budget_plcc\":0.002,\"quant_calibration_set\":\"clips\",\"license\":\"MIT\",\"license_url\":"
             "\"https://example.org/x\",\"description\":\"d\",\"sigstore_bundle\":\"model.sigstore.json\",\"smoke\":true,"
             "\"notes\":\"n\xc3\xa9\"}", shared("dynamic"));
    return s;
}

static void test_row(void **state)
{
    (void)state;
    put("registry.json", registry_of(full_row()));
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_int_equal(reg.n, 1);
    assert_string_equal(reg.path, registry_path);
    const struct vd_row *r = vd_registry_by_id(&reg, "model_v1");
    assert_ptr_equal(r, vd_registry_by_onnx(&reg, "model.onnx"));
    assert_null(vd_registry_by_id(&reg, "model_v"));
    assert_null(vd_registry_by_onnx(&reg, "model.int8.onnx"));
    assert_string_equal(r->id, "model_v1");
    assert_string_equal(r->kind, "filter");
    assert_string_equal(r->onnx, "model.onnx");
    assert_int_equal(r->opset, 17);
    assert_string_equal(r->sha256, digest_of(fp32_bytes));
    assert_string_equal(r->int8_sha256, digest_of(int8_bytes));
    assert_int_equal(r->quant_mode, VD_QUANT_DYNAMIC);
    assert_true(r->has_budget && r->budget == 0.002 && r->smoke);
    assert_string_equal(r->calibration_set, "clips");
    assert_string_equal(r->license, "MIT");
    assert_string_equal(r->notes, "n\xc3\xa9");
    vd_registry_free(&reg);
    put("registry.json", registry_of(""));
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_int_equal(reg.n, 0);
    vd_registry_free(&reg);
}

static void test_sidecar(void **state)
{
    char s[1000];

    (void)state;
    snprintf(s, sizeof s, "{%s,\"input\":{\"name\":\"degraded\",\"range\":[0,1],\"width\":224,\"height\":112},"
             "\"output\":{\"name\":\"filtered\",\"range\":[0.0,1e0]},\"later\":{}}", shared("static"));
    put("model.json", s);
    assert_int_equal(vd_sidecar_load(sidecar_path, &side), 0);
    assert_string_equal(side.row.input_name, "degraded");
    assert_string_equal(side.row.output_name, "filtered");
    assert_int_equal(side.row.size_w, 224);
    assert_int_equal(side.row.size_h, 112);
    assert_int_equal(side.row.quant_mode, VD_QUANT_STATIC);
    vd_sidecar_free(&side);
    put("other.json", s);
    assert_int_equal(vd_sidecar_load(temp_path(&dir, "other.json"), &side), -EBADMSG);
    assert_non_null(strstr(vd_reason(), "it is about model.onnx, whose sidecar is called model.json"));
    assert_null(side.json);
    assert_int_equal(vd_sidecar_load(temp_path(&dir, "none.json"), &side), -ENOENT);
}

struct said { char text[2000]; int rows[16], n; };

static void listen(void *arg, int row, const char *line)
{
    struct said *s = arg;

    assert_true(s->n < 16);
    s->rows[s->n++] = row;
    snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%s\n", line);
}

static void lint_finds(const char *text, int row, const char *why)
{
    struct said s = {.n = 0};
    bool there = false;

    put("registry.json", text);
    int n = vd_registry_lint(registry_path, &no_keys, &reg, listen, &s);
    if (!why)
        assert_int_equal(n, 0);
    assert_int_equal(n, s.n);
    for (int i = 0; i < s.n; i++)
        there |= s.rows[i] == row;
    if (why && (!there || !strstr(s.text, why)))
        fail_msg("row %d, '%s' is not among: %s", row, why, s.text);
    vd_registry_free(&reg);
}

/* One thing wrong with a row: the loader's errno (0: the loader lets it be) and words, which lint has too. */
static void test_row_rules(void **state)
{
    static const struct { const char *a, *b; int err; const char *why; } c[] = {
        {"\"id\":\"model_v1\",", "", EBADMSG, "there is no id"},
        {"\"model_v1\"", "7", EBADMSG, "id: a string is wanted, this is a number"},
        {"\"model_v1\"", "\"Model_v1\"", EBADMSG, "id: 'Model_v1' is not an id"},
        {"\"model_v1\"", "\"\"", EBADMSG, "id: '' is not an id"},
        {"\"model_v1\"", "\"a\\nb\"", EBADMSG, "is not an id"},
        {"\"kind\":\"filter\",", "", EBADMSG, "there is no kind"},
        {"\"filter\"", "\"xr\"", EBADMSG, "kind: 'xr' is not fr, nr or filter"},
        {"\"filter\"", "null", EBADMSG, "kind: a string is wanted, this is null"},
        {"\"onnx\":\"model.onnx\",", "", EBADMSG, "there is no onnx"},
        {"\"model.onnx\"", "\"../model.onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\"a/model.onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\"/model.onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\".onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\".m.onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\"-m.onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\"model.int8.onnx\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\"model.ort\"", EBADMSG, "is not the plain name"},
        {"\"model.onnx\"", "\"mo del.onnx\"", EBADMSG, "is not the plain name"},
        {"\"opset\":17,", "", 0, "there is no opset"},
        {":17,", ":17.0,", EBADMSG, "opset: a whole number is wanted"},
        {":17,", ":\"17\",", EBADMSG, "opset: a whole number is wanted, this is a string"},
        {":17,", ":true,", EBADMSG, "this is true or false"},
        {":17,", ":6,", EBADMSG, "opset: 6 is outside 7 to 23"},
        {":17,", ":24,", EBADMSG, "opset: 24 is outside 7 to 23"},
        {":17,", ":9223372036854775807,", EBADMSG, "outside 7 to 23"},
        {":17,", ":4294967313,", EBADMSG, "outside 7 to 23"},
        {":17,", ":9223372036854775808,", EBADMSG, NULL}, /* jansson's own words */
        {"\"sha256\"", "\"sha\"", EKEYREJECTED, "there is no sha256"},
        {"\"sha256\":\"", "\"sha256\":\"0", EBADMSG, "sha256: "},
        {"\"int8_sha256\":\"", "\"int8_sha256\":\"G", EBADMSG, "int8_sha256: "},
        {"\",\"quant_mode\"", "g\",\"quant_mode\"", EBADMSG, "sha256: "}, /* 64 digits and one more */
        {"\"int8_sha256\"", "\"int8_sha\"", EKEYREJECTED, "there is no int8_sha256"},
        {"\"dynamic\"", "\"int8\"", EBADMSG, "quant_mode: 'int8' is not fp32, dynamic, static or qat"},
        {"\"dynamic\"", "\"Dynamic\"", EBADMSG, "quant_mode: "},
        {"\"dynamic\"", "[]", EBADMSG, "quant_mode: a string is wanted, this is an array"},
        {"\"dynamic\"", "\"fp32\"", EBADMSG, "quant_mode is fp32, which runs no int8 file"},
        {"\"quant_mode\":\"dynamic\",", "", EBADMSG, "quant_mode is fp32, which runs no int8 file"},
        {"0.002", "-0.1", EBADMSG, "quant_accuracy_budget_plcc: -0.1 is outside 0 to 1"},
        {"0.002", "1.5", EBADMSG, "outside 0 to 1"},
        {"0.002", "\"0.002\"", EBADMSG, "quant_accuracy_budget_plcc: a number is wanted"},
        {"0.002", "1e999", EBADMSG, NULL},
        {"\"clips\"", "{}", EBADMSG, "quant_calibration_set: a string is wanted, this is an object"},
        {"\"MIT\"", "1", EBADMSG, "license: a string is wanted"},
        {"https://", "http://", EBADMSG, "license_url: "},
        {"model.sigstore.json", "model.json", EBADMSG, "sigstore_bundle: "},
        {"model.sigstore.json", "../model.sigstore.json", EBADMSG, "sigstore_bundle: "},
        {"true", "1", EBADMSG, "smoke: true or false is wanted, this is a number"},
        {"\"notes\":", "\"Notes\":", 0, "Notes: no such key"},
        {"\"notes\":", "\"input\":", 0, "input: no such key"},
        {"\"notes\":", "\"id\":", EBADMSG, NULL}, /* a key twice */
        {"\"notes\":\"", "\"notes\":\"\\u0000", EBADMSG, NULL},
    };

    (void)state;
    lint_finds(registry_of(full_row()), 0, NULL);
    for (size_t i = 0; i < COUNT(c); i++) {
        const char *text = registry_of(with(full_row(), c[i].a, c[i].b));
        put("registry.json", text);
        int rc = vd_registry_load(registry_path, &no_keys, &reg);
        if (rc != -c[i].err || (c[i].err && c[i].why && !strstr(vd_reason(), c[i].why)))
            fail_msg("%s to %s: %d, %s", c[i].a, c[i].b, rc, vd_reason());
        if (!c[i].err)
            vd_registry_free(&reg);
        else if (c[i].why) /* the row, by number and, where it has one, id */
            assert_non_null(strstr(vd_reason(), "registry.json: row 1"));
        else
            assert_non_null(strstr(vd_reason(), "registry.json:1:"));
        assert_null(reg.json);
        assert_int_equal(reg.n, 0);
        if (c[i].why)
            lint_finds(registry_of(with(full_row(), c[i].a, c[i].b)), 0, c[i].why);
    }
}

static void test_top_rules(void **state)
{
    static const struct { const char *text; int err; int row; const char *why; } c[] = {
        {"{\"models\":[]}", EBADMSG, -1, "schema_version: there is none"},
        {"{\"schema_version\":2,\"models\":[]}", EBADMSG, -1, "schema_version: 2, and this program knows 1"},
        {"{\"schema_version\":\"1\",\"models\":[]}", EBADMSG, -1, "schema_version: not a whole number"},
        {"{\"schema_version\":1}", EBADMSG, -1, "models: there is none"},
        {"{\"schema_version\":1,\"models\":{}}", EBADMSG, -1, "models: not an array"},
        {"{\"schema_version\":1,\"models\":[7]}", EBADMSG, 0, "not a JSON object"},
        {"{\"$schema\":1,\"schema_version\":1,\"models\":[]}", EBADMSG, -1, "$schema: not a string"},
        {"{\"schema_version\":1,\"models\":[],\"model\":1}", 0, -1, "model: no such key"},
        {"[]", EBADMSG, -1, "not a JSON object"},
    };
    char two[1500], row[500];

    (void)state;
    for (size_t i = 0; i < COUNT(c); i++) {
        put("registry.json", c[i].text);
        assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), -c[i].err);
        if (c[i].err)
            assert_non_null(strstr(vd_reason(), c[i].why));
        vd_registry_free(&reg);
        lint_finds(c[i].text, c[i].row, c[i].why);
    }
    snprintf(row, sizeof row, "%s", shared(NULL));
    snprintf(two, sizeof two, "{%s},{%s}", row, with(row, "model.onnx", "b.onnx"));
    put("registry.json", registry_of(two));
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), -EBADMSG);
    assert_non_null(strstr(vd_reason(), "row 2: id: row 1 has model_v1 too"));
    lint_finds(registry_of(two), 1, "id: row 1 has model_v1 too");
    snprintf(two, sizeof two, "{%s},{%s}", row, with(row, "model_v1", "z"));
    put("registry.json", registry_of(two));
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), -EBADMSG);
    assert_non_null(strstr(vd_reason(), "row 2: onnx: row 1 has model.onnx too"));
    snprintf(two, sizeof two, "{%s},{%s}", row, with(with(row, "model_v1", "a"), "model.onnx", "a.onnx"));
    put("registry.json", registry_of(two));
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0); /* readable, not tidy */
    vd_registry_free(&reg);
    lint_finds(registry_of(two), 1, "rows are sorted by id, and model_v1 stands before it");
}

static void test_sidecar_rules(void **state)
{
    static const struct { const char *a, *b; int err; const char *why; } c[] = {
        {"\"input\":", "\"in\":", 0, "there is no input"},
        {"\"output\":", "\"out\":", 0, "there is no output"},
        {"\"x\"", "7", EBADMSG, "input.name: a string is wanted"},
        {"\"x\"", "\"\"", EBADMSG, "input.name: a name has 1 to 255 bytes"},
        {"\"name\":\"x\"", "\"nam\":\"x\"", 0, "input: there is no name"},
        {"{\"name\":\"x\"", "[{\"name\":\"x\"}],\"q\":{\"a\":1", EBADMSG, "input: an object is wanted, this is an array"},
        {"[0,1]", "[1,0]", EBADMSG, "input.range: the lowest value, 1, is not below the highest, 0"},
        {"[0,1]", "[0]", EBADMSG, "input.range: not two numbers"},
        {"[0,1]", "[0,1,2]", EBADMSG, "input.range: not two numbers"},
        {"[0,1]", "[0,\"1\"]", EBADMSG, "input.range: not two numbers"},
        {"[0,1]", "1", EBADMSG, "input.range: an array of two numbers is wanted"},
        {":224", ":0", EBADMSG, "input.width: 0 is outside 1 to 65535"},
        {":224", ":65536", EBADMSG, "input.width: 65536 is outside"},
        {":224", ":-224", EBADMSG, "input.width: -224 is outside"},
        {"\"width\":224,", "", EBADMSG, "input: width and height go together"},
        {"\"height\":112", "\"hight\":112", EBADMSG, "input: width and height go together"},
        {"\"output\":{", "\"output\":{\"width\":1,", 0, "output.width: no such key"},
        {"\"opset\":17,", "", 0, "there is no opset"},
        {"\"id\":\"model_v1\",", "", EBADMSG, "there is no id"},
        {"\"sha256\"", "\"sha\"", EKEYREJECTED, "there is no sha256"},
        {"\"int8_sha256\"", "\"int8_sha\"", EKEYREJECTED, "there is no int8_sha256"},
        {"\"opset\":17,", "\"opset\":17,\"license\":\"MIT\",", 0, "license: no such key"},
    };
    char good[1000];

    (void)state;
    snprintf(good, sizeof good, "{%s,\"input\":{\"name\":\"x\",\"range\":[0,1],\"width\":224,\"height\":112},"
             "\"output\":{\"name\":\"y\"},\"notes\":\"\"}", shared("dynamic"));
    for (size_t i = 0; i <= COUNT(c); i++) {
        struct said s = {.n = 0};
        put("model.json", i < COUNT(c) ? with(good, c[i].a, c[i].b) : good);
        int rc = vd_sidecar_load(sidecar_path, &side);
        vd_sidecar_free(&side);
        int n = vd_sidecar_lint(sidecar_path, &side, listen, &s);
        vd_sidecar_free(&side);
        if (i == COUNT(c)) {
            assert_int_equal(rc, 0);
            assert_int_equal(n, 0);
        } else if (rc != -c[i].err || n < 1 || !strstr(s.text, c[i].why))
            fail_msg("%s to %s: %d, %d: %s", c[i].a, c[i].b, rc, n, s.text);
    }
}

/* Every shorter file is refused, and named with line and column; a longer one too. */
static void test_prefixes(void **state)
{
    char text[8200];

    (void)state;
    snprintf(text, sizeof text, "%s", registry_of(full_row()));
    for (size_t n = 0; n < strlen(text); n++) {
        unlink(registry_path); /* some file systems flush what is truncated */
        assert_true(temp_put(registry_path, text, n));
        assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), -EBADMSG);
        assert_non_null(strstr(vd_reason(), "registry.json:1:"));
    }
    snprintf(text, sizeof text, "%s ]", registry_of(full_row()));
    put("registry.json", text);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), -EBADMSG);
    assert_non_null(strstr(vd_reason(), "something behind the end"));
}

/* Any bit flipped: an error, or a row that still pins both files. Nothing less loads. */
static void test_bits(void **state)
{
    char text[8192];

    (void)state;
    snprintf(text, sizeof text, "%s", registry_of(full_row()));
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ 1 << bit);
            unlink(registry_path);
            assert_true(temp_put(registry_path, text, n));
            int rc = vd_registry_load(registry_path, &no_keys, &reg);
            text[i] = (char)(text[i] ^ 1 << bit);
            if (rc) {
                assert_true(rc == -EBADMSG || rc == -EKEYREJECTED);
                assert_null(reg.json);
                continue;
            }
            const struct vd_row *r = &reg.row[0];
            assert_int_equal(reg.n, 1);
            assert_true(strlen(r->sha256) == 64 && strlen(r->int8_sha256) == 64);
            assert_true(r->quant_mode != VD_QUANT_FP32);
            vd_registry_free(&reg);
        }
}

static void test_set_quant(void **state)
{
    static const char before[] = "{\n  \"schema_version\": 1,\n  \"models\": [\n"
        "    {\n      \"id\": \"z\",\n      \"kind\": \"fr\",\n      \"onnx\": \"z.onnx\",\n      \"sha256\": \"%s\",\n"
        "      \"quant_accuracy_budget_plcc\": 0.1,\n      \"mine\": [\n        1e-7,\n        123456789.123,\n        {}\n      ]\n    },\n"
        "    {\n      \"notes\": \"\xc3\xa9 / \\\" \\n\",\n      \"id\": \"a\",\n      \"kind\": \"nr\",\n      \"onnx\": \"a.onnx\",\n"
        "      \"sha256\": \"%s\"\n    }\n  ],\n  \"mine\": true\n}\n";
    static const char after[] = "{\n  \"schema_version\": 1,\n  \"models\": [\n"
        "    {\n      \"notes\": \"\xc3\xa9 / \\\" \\n\",\n      \"id\": \"a\",\n      \"kind\": \"nr\",\n      \"onnx\": \"a.onnx\",\n"
        "      \"sha256\": \"%s\"%s\n    },\n"
        "    {\n      \"id\": \"z\",\n      \"kind\": \"fr\",\n      \"onnx\": \"z.onnx\",\n      \"sha256\": \"%s\"%s,\n"
        "      \"quant_accuracy_budget_plcc\": 0.1,\n      \"mine\": [\n        1e-7,\n        123456789.123,\n        {}\n      ]\n    }\n"
        "  ],\n  \"mine\": true\n}\n";
    char text[4000], want[4000], quant[300], other[300];
    const char *d = digest_of(fp32_bytes), *q = digest_of(int8_bytes);

    (void)state;
    snprintf(text, sizeof text, before, d, d);
    put("registry.json", text);
    snprintf(quant, sizeof quant, ",\n      \"quant_mode\": \"dynamic\",\n      \"int8_sha256\": \"%s\"", q);
    assert_int_equal(vd_registry_set_quant(registry_path, "z.onnx", VD_QUANT_DYNAMIC, q, NULL, NULL), 0);
    snprintf(want, sizeof want, after, d, "", d, quant);
    assert_string_equal(slurp(registry_path), want);
    /* Again: the same bytes. Another row: this one stays. */
    assert_int_equal(vd_registry_set_quant(registry_path, "z.onnx", VD_QUANT_DYNAMIC, q, NULL, NULL), 0);
    assert_string_equal(slurp(registry_path), want);
    snprintf(other, sizeof other, ",\n      \"quant_mode\": \"qat\",\n      \"int8_sha256\": \"%s\"", d);
    assert_int_equal(vd_registry_set_quant(registry_path, "a.onnx", VD_QUANT_QAT, d, NULL, NULL), 0);
    snprintf(want, sizeof want, after, d, other, d, quant);
    assert_string_equal(slurp(registry_path), want);
    /* Where there is a quant_mode already, its digest comes next to it. */
    snprintf(text, sizeof text, "%s", with(with(want, quant, ""), "\"id\": \"z\"", "\"quant_mode\": \"fp32\",\n      \"id\": \"z\""));
    put("registry.json", text);
    assert_int_equal(vd_registry_set_quant(registry_path, "z.onnx", VD_QUANT_DYNAMIC, q, NULL, NULL), 0);
    snprintf(text, sizeof text, "%s,\n      \"id\": \"z\"", quant + 8);
    snprintf(want, sizeof want, "%s", with(with(want, quant, ""), "\"id\": \"z\"", text));
    assert_string_equal(slurp(registry_path), want);
    assert_int_equal(vd_registry_set_quant(registry_path, "z.onnx", VD_QUANT_FP32, NULL, NULL, NULL), 0);
    assert_int_equal(vd_registry_set_quant(registry_path, "a.onnx", VD_QUANT_FP32, NULL, NULL, NULL), 0);
    snprintf(want, sizeof want, after, d, "", d, "");
    assert_string_equal(slurp(registry_path), want);

    /* What is refused changes nothing, and leaves nothing behind. */
    assert_int_equal(vd_registry_set_quant(registry_path, "b.onnx", VD_QUANT_DYNAMIC, q, NULL, NULL), -ENOENT);
    assert_non_null(strstr(vd_reason(), "there is no row for b.onnx"));
    assert_int_equal(vd_registry_set_quant(registry_path, "a.onnx", VD_QUANT_DYNAMIC, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(vd_registry_set_quant(registry_path, "a.onnx", VD_QUANT_FP32, q, NULL, NULL), -EINVAL);
    assert_int_equal(vd_registry_set_quant(registry_path, "a.onnx", VD_QUANT_DYNAMIC, "abc", NULL, NULL), -EBADMSG);
    assert_string_equal(slurp(registry_path), want);
    assert_int_equal(vd_registry_set_quant(temp_path(&dir, "none.json"), "a.onnx", VD_QUANT_DYNAMIC, q, NULL, NULL), -ENOENT);
    snprintf(text, sizeof text, "%s", with(want, "\"nr\"", "\"xx\""));
    put("registry.json", text);
    assert_int_equal(vd_registry_set_quant(registry_path, "z.onnx", VD_QUANT_DYNAMIC, q, NULL, NULL), -EBADMSG);
    assert_string_equal(slurp(registry_path), text);
    assert_int_equal(temp_dir_count(&dir), 1);
}

static void test_set_quant_sidecar(void **state)
{
    const char *q = digest_of(int8_bytes);

    (void)state;
    put_sidecar(shared(NULL));
    assert_int_equal(vd_sidecar_set_quant(sidecar_path, VD_QUANT_DYNAMIC, q), 0);
    assert_int_equal(vd_sidecar_load(sidecar_path, &side), 0);
    assert_int_equal(side.row.quant_mode, VD_QUANT_DYNAMIC);
    assert_string_equal(side.row.int8_sha256, q);
    assert_string_equal(side.row.input_name, "x");
    vd_sidecar_free(&side);
    assert_int_equal(vd_sidecar_set_quant(sidecar_path, VD_QUANT_FP32, NULL), 0);
    assert_null(strstr(slurp(sidecar_path), "quant"));
    assert_int_equal(vd_sidecar_set_quant(temp_path(&dir, "none.json"), VD_QUANT_DYNAMIC, q), -ENOENT);
    put("model.json", "[]");
    assert_int_equal(vd_sidecar_set_quant(sidecar_path, VD_QUANT_DYNAMIC, q), -EBADMSG);
    assert_string_equal(slurp(sidecar_path), "[]");
}

/* A link stays one; the file that it names is replaced. */
static void test_set_quant_link(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(mkdir(temp_path(&dir, "real"), 0755), 0);
    put_registry(shared(NULL));
    assert_int_equal(rename(registry_path, temp_path(&dir, "real/r.json")), 0);
    assert_int_equal(symlink("real/r.json", registry_path), 0);
    assert_int_equal(vd_registry_set_quant(registry_path, "model.onnx", VD_QUANT_STATIC, digest_of(int8_bytes), NULL, NULL), 0);
    assert_int_equal(lstat(registry_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_non_null(strstr(slurp(temp_path(&dir, "real/r.json")), "\"static\""));
}

/* Several at once: no row is lost. */
static void test_writers(void **state)
{
    enum { WRITERS = 6, ROUNDS = 25 };
    char rows[6000] = "", name[32];
    pid_t child[WRITERS];

    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        snprintf(name, sizeof name, "m%d.onnx", i);
        const char *row = with(shared(NULL), "model.onnx", name);
        snprintf(name, sizeof name, "m%d", i);
        snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "%s{%s}", i ? "," : "", with(row, "model_v1", name));
    }
    put("registry.json", registry_of(rows));
    for (int i = 0; i < WRITERS; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i])
            continue;
        char digest[65];
        int bad = 0;
        snprintf(name, sizeof name, "m%d.onnx", i);
        for (int k = 0; k < ROUNDS; k++) {
            vd_sha256_hex(&k, sizeof k, digest);
            bad |= vd_registry_set_quant(registry_path, name, VD_QUANT_DYNAMIC, digest, NULL, NULL);
        }
        _exit(bad != 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    int last = ROUNDS - 1;
    char digest[65];
    vd_sha256_hex(&last, sizeof last, digest);
    assert_int_equal(vd_registry_load(registry_path, &no_keys, &reg), 0);
    assert_int_equal(reg.n, WRITERS);
    for (int i = 0; i < WRITERS; i++)
        assert_string_equal(reg.row[i].int8_sha256, digest);
    vd_registry_free(&reg);
    assert_int_equal(temp_dir_count(&dir), 1);
}

static void test_no_memory(void **state)
{
    const char *q = digest_of(int8_bytes);
    char text[4000];

    (void)state;
    for (int persist = 0; persist < 2; persist++) {
        int rc, k = 0;
        put("registry.json", registry_of(full_row()));
        snprintf(text, sizeof text, "%s", slurp(registry_path));
        do {
            vd_mem_fail_at((size_t)++k, persist);
            rc = vd_registry_set_quant(registry_path, "model.onnx", VD_QUANT_QAT, q, NULL, NULL);
            vd_mem_fail_at(0, 0);
            assert_true(rc == 0 || rc == -ENOMEM);
            if (rc)
                assert_string_equal(slurp(registry_path), text);
            assert_int_equal(temp_dir_count(&dir), 1);
        } while (rc && k < 1000);
        assert_int_equal(rc, 0);
        assert_true(k > 5);
    }
}

/* What is shipped: tidy, in the writer's own form, and complete. */
static void test_shipped(void **state)
{
    const char *source = getenv("VMAF_DNN_SOURCE");
    char path[1200], text[1 << 14];
    struct said s = {.n = 0};

    (void)state;
    if (!source)
        skip();
    snprintf(path, sizeof path, "%s/model/tiny/registry.json", source);
    int n = vd_registry_lint(path, &no_keys, &reg, listen, &s);
    if (n)
        fail_msg("%d: %s", n, s.text);
    assert_true(reg.n >= 3);
    for (int i = 0; i < reg.n; i++) {
        const struct vd_row *r = &reg.row[i];
        char file[1200], base[300];
        snprintf(base, sizeof base, "%.*s.json", (int)strlen(r->onnx) - 5, r->onnx);
        snprintf(file, sizeof file, "%s/model/tiny/%s", source, base);
        if (vd_sidecar_lint(file, &side, listen, &s))
            fail_msg("%s: %s", base, s.text);
        if (vd_row_compare(r, &side.row, VD_COMPARE_PROSE | VD_COMPARE_QUANT, listen, &s))
            fail_msg("%s: %s", base, s.text);
        vd_sidecar_free(&side);
        /* Through the writer and back: no byte differs. */
        snprintf(text, sizeof text, "%s", slurp(file));
        put(base, text);
        put("registry.json", slurp(path));
        if (r->quant_mode != VD_QUANT_FP32) {
            assert_int_equal(vd_sidecar_set_quant(temp_path(&dir, base), r->quant_mode, r->int8_sha256), 0);
            assert_string_equal(slurp(temp_path(&dir, base)), text);
            assert_int_equal(vd_registry_set_quant(registry_path, r->onnx, r->quant_mode, r->int8_sha256, NULL, r->calibration_set), 0);
            assert_string_equal(slurp(registry_path), slurp(path));
        }
    }
    /* And for a row without quantisation: there and back again. */
    const struct vd_row *smoke = vd_registry_by_id(&reg, "smoke_v0");
    assert_non_null(smoke);
    put("registry.json", slurp(path));
    assert_int_equal(vd_registry_set_quant(registry_path, smoke->onnx, VD_QUANT_DYNAMIC, smoke->sha256, NULL, NULL), 0);
    assert_int_equal(vd_registry_set_quant(registry_path, smoke->onnx, VD_QUANT_FP32, NULL, NULL, NULL), 0);
    assert_string_equal(slurp(registry_path), slurp(path));
    vd_registry_free(&reg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256), cmocka_unit_test(test_modes), WITH_DIR(test_row), WITH_DIR(test_sidecar),
        WITH_DIR(test_row_rules), WITH_DIR(test_top_rules), WITH_DIR(test_sidecar_rules), WITH_DIR(test_prefixes),
        WITH_DIR(test_bits), WITH_DIR(test_set_quant), WITH_DIR(test_set_quant_sidecar), WITH_DIR(test_set_quant_link),
        WITH_DIR(test_writers), WITH_DIR(test_no_memory), WITH_DIR(test_shipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
