/* SPDX-License-Identifier: BSD-2-Clause */
/* Signatures and trusted keys: what is refused, and that nothing opens then. Interoperation with minisign is process/test_signed.py's. */
#include <errno.h>

#include <sodium.h>

#include "signed_folder.h"
#include "vmaf_dnn/vmaf_dnn.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Made by minisign 0.11: -G -W, then -S of a file "hi\n", and -S -l of the same. */
static const char minisign_pub[] = "untrusted comment: minisign public key 39FF15EC8A013FB5\n"
                                   "RWS1PwGK7BX/OWRMdKiJUkU9JmnX+xoIQ1CGe6sJlktQ4qE/2rpt+i+4\n";
static const char minisign_sig[] =
    "untrusted comment: signature from minisign secret key\n"
    "RUS1PwGK7BX/OTgeEGNrIbm+H34SQiye1387vPtL6m5k7Wq6BRqCtGhqFNJJMlZuVt5uMXzmA53biuevhALk7PVuL+Ib/Y+ZCwE=\n"
    "trusted comment: timestamp:1795629250\tfile:f\thashed\n"
    "IkbWiImxDfmkT3J0nh0UrEv4XnqP7o3i1U9R1ZAp4KsJ9STKMXKTIOb1pZRlXSyXaBAotXmUfSrQz2NtR68sAg==\n";
static const char minisign_legacy[] =
    "untrusted comment: signature from minisign secret key\n"
    "RWS1PwGK7BX/OWcxtvhupKUNgHJxLbZiteFtfwV+7+QJmEqGwVQRHX2cLGZsQLaFIFzf8M67xOu419STHfA1c52ClZDF5mdXGwY=\n"
    "trusted comment: timestamp:1795630878\tfile:f\n"
    "DfRmb5fpSFKdPyhHiJdZNfVW8f8eoIzhRXAQFWzEBsxk4mTbREkAmp436Wym0MMsDdX+ZKUDiQcXY8hcrKLqCg==\n";

static struct vd_trusted one_key(const char *text)
{
    struct vd_trusted t = {.n = 1};

    assert_int_equal(vd_public_key_parse(text, strlen(text), "test.pub", &t.key[0]), 0);
    return t;
}

static int check(const char *data, const char *sig, size_t n, const struct vd_trusted *t)
{
    struct vd_signed s;

    vd_reason_clear();
    return vd_signature_check(data, strlen(data), sig, n, "f.minisig", t, &s);
}

static const char *changed(const char *s, const char *a, const char *b)
{
    static char buf[8192 + 4096];
    const char *at = strstr(s, a);

    assert_non_null(at);
    snprintf(buf, sizeof buf, "%.*s%s%s", (int)(at - s), s, b, at + strlen(a));
    return buf;
}

static void test_minisign(void **state)
{
    struct vd_trusted t = one_key(minisign_pub);
    struct vd_signed s;
    char name[VD_KEY_NAME];

    (void)state;
    assert_int_equal(vd_signature_check("hi\n", 3, minisign_sig, strlen(minisign_sig), "f.minisig", &t, &s), 0);
    vd_key_name(s.id, name);
    assert_string_equal(name, "39FF15EC8A013FB5");
    assert_int_equal(s.n_comment, strlen("timestamp:1795629250\tfile:f\thashed"));
    assert_memory_equal(s.comment, "timestamp:", 10);
    assert_int_equal(check("hi", minisign_sig, strlen(minisign_sig), &t), -EKEYREJECTED);
    assert_int_equal(check("hi\n\n", minisign_sig, strlen(minisign_sig), &t), -EKEYREJECTED);
    /* the text of the first line is nobody's */
    const char *other = changed(minisign_sig, "signature from minisign secret key", "anything at all");
    assert_int_equal(check("hi\n", other, strlen(other), &t), 0);
    /* legacy, a good one, says what it is */
    assert_int_equal(check("hi\n", minisign_legacy, strlen(minisign_legacy), &t), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "legacy"));
}

static void test_form(void **state)
{
    static const struct { const char *a, *b, *why; } c[] = {
        {"untrusted comment: s", "Untrusted comment: s", "first line"},
        {"untrusted comment: s", "untrusted comment:s", "first line"},
        {"untrusted comment: signature", "untrusted comment: \x1b[2J", "first line"},
        {"key\n", "key\r\n", "first line"},
        {"RUS1", "RXS1", "algorithm"},
        {"RUS1", "RWS1", "legacy"},
        {"RUS1", " RUS1", "second line"},
        {"RUS1", "\nRUS1", "second line"},
        {"ZCwE=", "ZCwE", "second line"},
        {"ZCwE=", "ZCwF=", "second line"}, /* bits behind the last byte */
        {"ZCwE=", "ZCwE=\r", "second line"},
        {"ZCwE=", "ZCwE==", "second line"},
        {"BX/OT", "BX\xafOT", "second line"}, /* which libsodium's decoder takes for a slash */
        {"A53biuev", "A53\xe2iuev", "second line"},
        {"trusted comment: t", "trusted comment:t", "third line"},
        {"\tfile", "\x01" "file", "third line"},
        {"\tfile", " file", "does not fit"},
        {"hashed", "hasheD", "does not fit"},
        {"hashed\n", "hashed \n", "does not fit"},
        {"R68sAg==", "R68sAg=", "fourth line"},
        {"R68sAg==", "R68sAh==", "fourth line"},
        {"R68sAg==\n", "R68sAg==", "fourth line"},
        {"R68sAg==\n", "R68sAg==\n\n", "follows"},
        {"R68sAg==\n", "R68sAg==\nuntrusted comment: again\n", "follows"},
        {"S1PwGK7BX/OT", "S1PwGK7BX/PT", "not among the trusted"},
    };
    struct vd_trusted t = one_key(minisign_pub), none = {.n = 0};
    char longest[8300];

    (void)state;
    for (size_t i = 0; i < COUNT(c); i++) {
        const char *s = changed(minisign_sig, c[i].a, c[i].b);
        int rc = check("hi\n", s, strlen(s), &t);
        if (rc != -EKEYREJECTED)
            fail_msg("%zu: %d", i, rc);
        if (!strstr(vd_reason(), c[i].why))
            fail_msg("%zu: %s", i, vd_reason());
    }
    assert_int_equal(check("hi\n", minisign_sig, strlen(minisign_sig), &none), -EKEYREJECTED);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    const char *s = changed(minisign_sig, "timestamp", longest);
    assert_int_equal(check("hi\n", s, strlen(s), &t), -EKEYREJECTED);
    for (size_t n = 0; n < strlen(minisign_sig); n++)
        assert_int_equal(check("hi\n", minisign_sig, n, &t), -EKEYREJECTED);
}

/* The order of the group; a signature's second half plus it verifies wherever that half is not held to be below it. */
static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};

static int check_with(const uint8_t sig[64], const uint8_t key[32])
{
    char text[VD_SIGNATURE_TEXT];
    const char *line2 = strchr(minisign_sig, '\n') + 1;
    uint8_t b[74];
    char base64[128];
    struct vd_trusted t = one_key(minisign_pub);

    if (key)
        memcpy(t.key[0].key, key, 32);
    assert_true(vd_base64(line2, 100, b, sizeof b));
    if (sig)
        memcpy(b + 10, sig, 64);
    sodium_bin2base64(base64, sizeof base64, b, sizeof b, sodium_base64_VARIANT_ORIGINAL);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(line2 - minisign_sig), minisign_sig, base64, line2 + 100);
    return check("hi\n", text, strlen(text), &t);
}

/* Another spelling of a good signature, and keys for which anything is one. */
static void test_malleable(void **state)
{
    uint8_t b[74], zero[64] = {0}, identity[64] = {1};
    unsigned carry = 0;

    (void)state;
    assert_int_equal(check_with(NULL, NULL), 0);
    assert_true(vd_base64(strchr(minisign_sig, '\n') + 1, 100, b, sizeof b));
    for (int i = 0; i < 32; i++) {
        carry += b[42 + i] + order[i];
        b[42 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_int_equal(check_with(b + 10, NULL), -EKEYREJECTED);
    assert_int_equal(check_with(zero, zero), -EKEYREJECTED);
    assert_int_equal(check_with(identity, identity), -EKEYREJECTED);
    assert_int_equal(check_with(zero, NULL), -EKEYREJECTED);
}

static void test_public_key_form(void **state)
{
    static const struct { const char *a, *b; } c[] = {
        {"untrusted", "trusted"}, {"RWS", "RXS"}, {"+i+4\n", "+i+4"}, {"+i+4\n", "+i+4\r\n"}, {"+i+4\n", "+i+4\n\n"}, {"+i+4\n", "+i+=\n"},
        {"RWS1", "RWS1\n"}, {"RWS1PwGK", "RWS1"}, {"minisign", "\x7f"},
    };
    struct vd_public_key k;

    (void)state;
    for (size_t i = 0; i < COUNT(c); i++) {
        const char *s = changed(minisign_pub, c[i].a, c[i].b);
        assert_int_equal(vd_public_key_parse(s, strlen(s), "x.pub", &k), -EBADMSG);
    }
    assert_int_equal(vd_public_key_parse(NULL, 0, "x.pub", &k), -EBADMSG);
}

/* --- a folder of models */

static int opens(const char *name, const char *trusted)
{
    struct vd_resolve_how how = {.trusted_keys = trusted};
    static struct vd_resolved r;
    int rc = vd_resolve(temp_path(&dir, name), &how, &r);

    vd_resolved_free(&r);
    return rc;
}

static const char model[] = "learned_filter_v1.onnx";

static void refuses(const char *why)
{
    assert_int_equal(opens(model, keys_path), -EKEYREJECTED);
    if (!strstr(vd_reason(), why))
        fail_msg("'%s' is not in: %s", why, vd_reason());
}

static json_t *load_json(const char *name)
{
    json_t *j = json_load_file(temp_path(&dir, name), 0, NULL);

    assert_non_null(j);
    return j;
}

static void store_and_sign(json_t *j)
{
    char text[VD_SIGNATURE_TEXT];
    uint8_t *data;
    size_t size, n;

    assert_int_equal(json_dump_file(j, temp_path(&dir, "registry.json"), JSON_INDENT(1)), 0);
    json_decref(j);
    assert_int_equal(vd_file_read(temp_path(&dir, "registry.json"), VD_MAX_JSON, &data, &size), 0);
    assert_int_equal(vd_sign(&secret, data, size, "x", text, &n), 0);
    assert_true(temp_put(temp_path(&dir, "registry.json.minisig"), text, n));
    vd_free(data);
}

static void test_unsigned(void **state)
{
    (void)state;
    assert_int_equal(opens(model, keys_path), 0);
    assert_int_equal(rename(temp_path(&dir, "registry.json.minisig"), temp_path(&dir, "away")), 0);
    refuses("not signed");
    assert_int_equal(opens(model, NULL), 0); /* nothing asks for a signature */
    setenv("VMAF_DNN_TRUSTED_KEYS", keys_path, 1);
    assert_int_equal(opens(model, NULL), -EKEYREJECTED);
    vmaf_dnn_session *s;
    assert_int_equal(vmaf_dnn_session_open(&s, temp_path(&dir, model), NULL), -EKEYREJECTED);
    assert_null(s);
    unsetenv("VMAF_DNN_TRUSTED_KEYS");
    assert_int_equal(mkdir(temp_path(&dir, "registry.json.minisig"), 0755), 0);
    refuses("not signed");
    rmdir(temp_path(&dir, "registry.json.minisig"));
    assert_int_equal(mkfifo(temp_path(&dir, "registry.json.minisig"), 0644), 0);
    refuses("not signed");
    unlink(temp_path(&dir, "registry.json.minisig"));
    assert_int_equal(rename(temp_path(&dir, "away"), temp_path(&dir, "registry.json.minisig")), 0);
    assert_int_equal(opens(model, keys_path), 0);
    /* no registry at all, and a model that it has no row for */
    assert_int_equal(rename(temp_path(&dir, "registry.json"), temp_path(&dir, "away")), 0);
    refuses("no signed registry has a row");
    assert_int_equal(rename(temp_path(&dir, "away"), temp_path(&dir, "registry.json")), 0);
    assert_int_equal(link(temp_path(&dir, model), temp_path(&dir, "stray.onnx")), 0);
    assert_int_equal(opens("stray.onnx", keys_path), -EKEYREJECTED);
    assert_int_equal(opens("stray.onnx", NULL), 0);
    struct vd_resolve_how pinned = {.require_pinned = true};
    struct vd_resolved r;
    assert_int_equal(vd_resolve(temp_path(&dir, "stray.onnx"), &pinned, &r), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "only pinned"));
    assert_int_equal(vd_resolve(temp_path(&dir, model), &pinned, &r), 0);
    vd_resolved_free(&r);
}

static void test_keys(void **state)
{
    char text[VD_KEY_TEXT];
    struct vd_secret_key other;
    struct vd_public_key p;
    struct vd_trusted t;

    (void)state;
    /* another key alone, then both */
    assert_int_equal(vd_key_generate(&other, &p), 0);
    assert_int_equal(mkdir(temp_path(&dir, "two"), 0755), 0);
    assert_true(temp_put(temp_path(&dir, "two/b.pub"), text, vd_public_key_text(&p, text)));
    assert_int_equal(opens(model, temp_path(&dir, "two")), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "not among the trusted keys"));
    /* the other key with the id of the right one: an id is a name, not a proof */
    memcpy(p.id, secret.id, sizeof p.id);
    assert_true(temp_put(temp_path(&dir, "two/b.pub"), text, vd_public_key_text(&p, text)));
    assert_int_equal(opens(model, temp_path(&dir, "two")), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "does not fit"));
    assert_int_equal(link(temp_path(&dir, "keys/test.pub"), temp_path(&dir, "two/a.pub")), 0);
    assert_int_equal(opens(model, temp_path(&dir, "two")), 0);
    /* files that are not keys: other names are no matter, a .pub that is none is */
    assert_true(temp_put(temp_path(&dir, "two/README"), "x", 1) && temp_put(temp_path(&dir, "two/.c.pub"), "x", 1));
    assert_int_equal(opens(model, temp_path(&dir, "two")), 0);
    assert_true(temp_put(temp_path(&dir, "two/c.pub"), "x", 1));
    assert_int_equal(opens(model, temp_path(&dir, "two")), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "c.pub"));
    unlink(temp_path(&dir, "two/c.pub"));
    assert_int_equal(mkdir(temp_path(&dir, "two/c.pub"), 0755), 0);
    assert_int_equal(opens(model, temp_path(&dir, "two")), -ENOENT);
    rmdir(temp_path(&dir, "two/c.pub"));
    /* no keys, no folder */
    assert_int_equal(mkdir(temp_path(&dir, "empty"), 0755), 0);
    assert_int_equal(opens(model, temp_path(&dir, "empty")), -EKEYREJECTED);
    assert_int_equal(opens(model, temp_path(&dir, "nowhere")), -ENOENT);
    assert_int_equal(opens(model, temp_path(&dir, model)), -ENOENT);
    assert_int_equal(opens(model, ""), -ENOENT);
    /* 64 of them, and one more */
    for (int i = 0; i < VD_KEYS_MAX - 2; i++) {
        char name[40];
        snprintf(name, sizeof name, "two/n%d.pub", i);
        assert_int_equal(link(temp_path(&dir, "keys/test.pub"), temp_path(&dir, name)), 0);
    }
    assert_int_equal(vd_trusted_load(temp_path(&dir, "two"), &t), 0);
    assert_int_equal(t.n, VD_KEYS_MAX);
    assert_int_equal(link(temp_path(&dir, "keys/test.pub"), temp_path(&dir, "two/last.pub")), 0);
    assert_int_equal(vd_trusted_load(temp_path(&dir, "two"), &t), -EKEYREJECTED);
    assert_int_equal(t.n, 0);
    /* nothing is set */
    unsetenv("VMAF_DNN_TRUSTED_KEYS");
    assert_int_equal(vd_trusted_load(NULL, &t), 0);
    assert_int_equal(t.n, 0);
    setenv("VMAF_DNN_TRUSTED_KEYS", "", 1);
    assert_int_equal(vd_trusted_load(NULL, &t), 0);
    unsetenv("VMAF_DNN_TRUSTED_KEYS");
}

/* A path that is as long as may be, with what is put behind it over that: no signature and no key is passed over for it. */
static void test_long_paths(void **state)
{
    static char path[2 * VD_MAX_PATH];
    static struct vd_registry reg;
    struct vd_trusted t;

    (void)state;
    assert_int_equal(vd_trusted_load(keys_path, &t), 0);
    for (size_t most = VD_MAX_PATH - 12; most < VD_MAX_PATH + 2; most++) {
        size_t n = (size_t)snprintf(path, sizeof path, "%s", dir.path), name = strlen("/registry.json");
        while (n + 2 + name <= most)
            n += (size_t)sprintf(path + n, "/.");
        sprintf(path + n, "%s", &"//registry.json"[n + name == most]);
        assert_int_equal(strlen(path), most);
        const bool fits = most + strlen(".minisig") < VD_MAX_PATH;
        assert_int_equal(vd_registry_load(path, &t, &reg), fits ? 0 : -ENAMETOOLONG);
        vd_registry_free(&reg);
    }
    size_t n = (size_t)snprintf(path, sizeof path, "%s", keys_path);
    while (n + strlen("/test.pub") + 2 < VD_MAX_PATH)
        n += (size_t)sprintf(path + n, "/.");
    assert_int_equal(vd_trusted_load(path, &t), 0);
    sprintf(path + n, "/.");
    assert_int_equal(vd_trusted_load(path, &t), -ENAMETOOLONG);
    assert_int_equal(t.n, 0);
}

/* A good signature of something that is no registry of this kind, or is not one that may open. */
static void test_purpose(void **state)
{
    (void)state;
    json_t *j = load_json("registry.json");
    json_object_del(j, "schema");
    store_and_sign(j);
    refuses("schema");
    j = load_json("registry.json");
    json_object_set_new(j, "schema", json_string("somebody-elses/1"));
    store_and_sign(j);
    assert_int_equal(opens(model, keys_path), -EBADMSG);
    j = load_json("registry.json");
    json_object_set_new(j, "schema", json_string(VD_REGISTRY_SCHEMA));
    json_object_del(j, "registry_version");
    store_and_sign(j);
    refuses("registry_version");
    static const double bad[] = {0, -1, 1.5};
    for (size_t i = 0; i < COUNT(bad); i++) {
        j = load_json("registry.json");
        json_object_set_new(j, "registry_version", bad[i] == 1.5 ? json_real(bad[i]) : json_integer((json_int_t)bad[i]));
        store_and_sign(j);
        assert_int_equal(opens(model, keys_path), -EBADMSG);
    }
    sign_registry(); /* 1.5 is not a number to go on from: 1 */
    assert_int_equal(opens(model, keys_path), 0);
}

static void test_sidecar(void **state)
{
    json_t *row;

    (void)state;
    json_t *j = load_json("registry.json");
    row = json_array_get(json_object_get(j, "models"), 0);
    assert_non_null(json_object_get(row, "sidecar_sha256"));
    json_object_del(row, "sidecar_sha256");
    store_and_sign(j);
    refuses("no sidecar_sha256");
    assert_int_equal(opens(model, NULL), 0);
    sign_registry();
    assert_int_equal(opens(model, keys_path), 0);
    assert_int_equal(rename(temp_path(&dir, "learned_filter_v1.json"), temp_path(&dir, "away")), 0);
    refuses("is not there");
    assert_int_equal(opens(model, NULL), -EKEYREJECTED);
    sign_registry(); /* without one, the row has no digest for it */
    assert_int_equal(opens(model, keys_path), 0);
    assert_int_equal(rename(temp_path(&dir, "away"), temp_path(&dir, "learned_filter_v1.json")), 0);
    refuses("no sidecar_sha256");
    sign_registry();
    assert_int_equal(opens(model, keys_path), 0);
}

static void sign_version(json_int_t version, const char *name)
{
    json_t *j = load_json("registry.json");

    json_object_set_new(j, "registry_version", json_integer(version));
    json_object_del(j, "name");
    if (name)
        json_object_set_new(j, "name", json_string(name));
    store_and_sign(j);
}

static void test_versions(void **state)
{
    char mark[VD_MAX_PATH + 40], key[VD_KEY_NAME];
    struct vd_secret_key first = secret;
    struct vd_public_key p;
    char text[VD_KEY_TEXT];
    struct vd_trusted t;

    (void)state;
    sign_version(100, NULL);
    assert_int_equal(opens(model, keys_path), 0);
    assert_int_equal(opens(model, keys_path), 0); /* the same again */
    sign_version(99, NULL);
    refuses("an older registry");
    assert_non_null(strstr(vd_reason(), "99, and 100"));
    sign_version(101, NULL);
    assert_int_equal(vd_trusted_load(keys_path, &t), 0);
    struct vd_registry *r = vd_calloc(1, sizeof *r); /* verify looks, and raises nothing */
    assert_int_equal(vd_registry_lint(temp_path(&dir, "registry.json"), &t, r, NULL, NULL), 0);
    assert_true(r->is_signed && r->version == 101);
    vd_registry_free(r);
    vd_free(r);
    sign_version(100, NULL);
    assert_int_equal(opens(model, keys_path), 0);
    sign_version(1LL << 53, NULL);
    assert_int_equal(opens(model, keys_path), 0);
    sign_version((1LL << 53) - 1, NULL);
    refuses("an older registry");
    /* another registry of the same key */
    sign_version(3, "other");
    assert_int_equal(opens(model, keys_path), 0);
    sign_version(2, "other");
    refuses("an older registry");
    /* another key is not held back by what the first one signed */
    assert_int_equal(vd_key_generate(&secret, &p), 0);
    assert_true(temp_put(temp_path(&dir, "keys/new.pub"), text, vd_public_key_text(&p, text)));
    sign_version(5, NULL);
    assert_int_equal(opens(model, keys_path), 0);
    sign_version(4, NULL);
    refuses("an older registry");
    unlink(temp_path(&dir, "keys/new.pub"));
    secret = first;

    /* what was kept is damaged, empty, a folder, absent */
    vd_key_name(secret.id, key);
    assert_int_equal(vd_seen_folder(mark), 0);
    strcat(strcat(mark, "/"), key);
    sign_version(6, NULL);
    static const char *const bad[] = {"", "6", "6\n\n", "-6\n", "x\n", " 6\n", "12345678901234567\n", "6\n7\n"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_true(temp_put(mark, bad[i], strlen(bad[i])));
        assert_int_equal(opens(model, keys_path), -EKEYREJECTED);
        assert_non_null(strstr(vd_reason(), "not the number"));
    }
    unlink(mark);
    assert_int_equal(mkdir(mark, 0755), 0);
    refuses("not a regular file");
    rmdir(mark);
    assert_int_equal(opens(model, keys_path), 0);
    assert_true(temp_holds(mark, "6\n", 2));
    /* nowhere to keep it */
    setenv("XDG_STATE_HOME", "relative", 1);
    char *home = strdup(getenv("HOME") ? getenv("HOME") : "");
    unsetenv("HOME");
    refuses("no place to keep");
    setenv("HOME", temp_path(&dir, "home"), 1);
    assert_int_equal(opens(model, keys_path), 0);
    assert_true(temp_holds(temp_path(&dir, strcat(strcpy(mark, "home/.local/state/vmaf-dnn/"), key)), "6\n", 2));
    setenv("XDG_STATE_HOME", "/proc/nowhere", 1);
    refuses("cannot be kept");
    setenv("XDG_STATE_HOME", temp_path(&dir, "state"), 1);
    setenv("HOME", home, 1);
    free(home);
}

static void test_prepare(void **state)
{
    const char *registry = temp_path(&dir, "registry.json");
    uint8_t *data;
    size_t size;

    (void)state;
    sign_version(10, "a_name");
    assert_int_equal(vd_registry_prepare(registry, false, &data, &size), 0);
    assert_true(temp_holds(registry, data, size));
    vd_free(data);
    json_t *j = load_json("registry.json");
    assert_int_equal(json_integer_value(json_object_get(j, "registry_version")), 11);
    assert_string_equal(json_string_value(json_object_get(j, "name")), "a_name");
    json_decref(j);
    /* as it is: not a byte, and only what is ready */
    assert_int_equal(vd_registry_prepare(registry, true, &data, &size), 0);
    assert_true(temp_holds(registry, data, size));
    vd_free(data);
    j = load_json("registry.json");
    json_object_del(json_array_get(json_object_get(j, "models"), 0), "sidecar_sha256");
    store_and_sign(j);
    assert_int_equal(vd_registry_prepare(registry, true, &data, &size), -EINVAL);
    assert_null(data);
    j = load_json("registry.json");
    json_object_del(j, "schema");
    store_and_sign(j);
    assert_int_equal(vd_registry_prepare(registry, true, &data, &size), -EINVAL);
    assert_true(temp_put(registry, "[]", 2));
    assert_int_equal(vd_registry_prepare(registry, false, &data, &size), -EBADMSG);
    assert_true(temp_holds(registry, "[]", 2));
    assert_int_equal(vd_registry_prepare(temp_path(&dir, "none.json"), false, &data, &size), -ENOENT);
}

static void test_no_memory(void **state)
{
    int rc = -ENOMEM;
    size_t k = 0;

    (void)state;
    for (int persist = 0; persist < 2; persist++) {
        for (k = 1, rc = -ENOMEM; rc == -ENOMEM; k++) {
            vd_mem_fail_at(k, persist);
            rc = opens(model, keys_path);
            vd_mem_fail_at(0, 0);
        }
        assert_int_equal(rc, 0);
        assert_true(k > 8);
    }
}

int main(void)
{
#define WITH_FOLDER(t) cmocka_unit_test_setup_teardown(t, signed_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minisign), cmocka_unit_test(test_form), cmocka_unit_test(test_public_key_form),
        cmocka_unit_test(test_malleable),
        WITH_FOLDER(test_unsigned),      WITH_FOLDER(test_keys),      WITH_FOLDER(test_purpose),
        WITH_FOLDER(test_sidecar),       WITH_FOLDER(test_versions),  WITH_FOLDER(test_prepare),
        WITH_FOLDER(test_long_paths),
        WITH_FOLDER(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
