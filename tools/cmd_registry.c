/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "secret_key.h"
#include "trust/trust.h"

static const char help[] =
    "Usage: vmaf-dnn registry keygen -s SECRET.key -p PUBLIC.pub [OPTION]...\n"
    "       vmaf-dnn registry sign -s SECRET.key REGISTRY [OPTION]...\n"
    "       vmaf-dnn registry verify [REGISTRY] [-p PUBLIC.pub | --trusted-keys DIR]\n"
    "\n"
    "Who says which models run? A registry is signed as a whole, in minisign's format: 'minisign -Vm registry.json -p\n"
    "PUBLIC.pub' verifies what 'sign' makes, 'verify' what 'minisign -S' makes, and the key files are the same.\n"
    "Where trusted keys are set (--trusted-keys or VMAF_DNN_TRUSTED_KEYS, a folder of X.pub files, or keys that the build\n"
    "embeds), no command and no program opens a model whose registry is not signed by one of them, or is older than\n"
    "one that was opened before.\n"
    "\n"
    "keygen makes a pair of keys. The secret one is encrypted with a password, which is asked for at the terminal.\n"
    "sign writes REGISTRY.minisig. First it adds to the registry what a signature covers: schema, registry_version, one\n"
    "higher each time, and the sha256 of every sidecar. The registry has to be named: none is signed that was only found.\n"
    "verify says whether the signature is good, and of which key and version (REGISTRY by default as ids find it:\n"
    "$VMAF_DNN_REGISTRY, model/tiny/registry.json, the installed one).\n"
    "\n"
    "  -s, --secret FILE     secret key\n"
    "  -p, --public FILE     public key\n"
    "  --password-file FILE  the first line of FILE is the password (- is standard input)\n"
    "  --no-password         the secret key is not encrypted\n"
    "  --registry FILE       another way to name REGISTRY\n"
    "  --as-it-is            sign the registry as it lies there, without a new registry_version\n"
    "  --comment TEXT        trusted comment, signed too (default: time, file name)\n"
    "  --trusted-keys DIR    folder of public keys (default: $VMAF_DNN_TRUSTED_KEYS)\n"
    "  --sandbox=MODE        reach no other files, programs or network: auto (default: as far as the system can),\n"
    "                        require (or fail), off\n"
    "  -f, --force           replace key files that exist\n"
    "  -q, --quiet           print nothing but errors\n"
    "\n"
    "Exit codes: 0 done, or the signature is good; 1 it is not; 2 usage or no such file; 4 the registry or the key was\n"
    "refused; 5 no room or no memory.\n"
    "\n"
    "Example:\n"
    "  vmaf-dnn registry keygen -s release.key -p keys/release.pub\n"
    "  vmaf-dnn registry sign -s release.key model/tiny/registry.json\n"
    "  vmaf-dnn filter --trusted-keys keys -m learned_filter_v1 in.y4m -o out.y4m\n";

const struct vd_cmd vd_cmd_registry;

struct job {
    const char *what, *secret, *public, *password_file, *comment;
    struct vd_run_opts run; /* registry, trusted_keys, sandbox */
    bool no_password, as_it_is, force, quiet;
};

static int parse(int argc, char **argv, struct job *j)
{
    enum { OPT_PASSWORD = 1, OPT_NONE, OPT_AS_IT_IS, OPT_COMMENT };
    static const struct option longs[] = {
        {"secret", required_argument, NULL, 's'},
        {"public", required_argument, NULL, 'p'},
        {"password-file", required_argument, NULL, OPT_PASSWORD},
        {"no-password", no_argument, NULL, OPT_NONE},
        {"as-it-is", no_argument, NULL, OPT_AS_IT_IS},
        {"comment", required_argument, NULL, OPT_COMMENT},
        {"registry", required_argument, NULL, VD_OPT_REGISTRY},
        {"trusted-keys", required_argument, NULL, VD_OPT_TRUSTED},
        {"sandbox", required_argument, NULL, VD_OPT_SANDBOX},
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    static const char *const words[] = {"keygen", "sign", "verify", NULL};
    const struct vd_cmd *c = &vd_cmd_registry;
    int opt;

    while ((opt = vd_getopt(c, argc, argv, "s:p:fq", longs)) != -1)
        switch (opt) {
        case 's': j->secret = optarg; break;
        case 'p': j->public = optarg; break;
        case OPT_PASSWORD: j->password_file = optarg; break;
        case OPT_NONE: j->no_password = true; break;
        case OPT_AS_IT_IS: j->as_it_is = true; break;
        case OPT_COMMENT: j->comment = optarg; break;
        case 'f': j->force = true; break;
        case 'q': j->quiet = true; break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &j->run) < 0)
                return VD_EXIT_USAGE;
        }
    if (optind == argc)
        return vd_usage(c, "what is to be done? keygen, sign or verify");
    j->what = argv[optind];
    for (int i = 0; words[i]; i++)
        if (!strcmp(j->what, words[i])) {
            if (argc - optind > (i ? 2 : 1))
                return vd_usage(c, "'%s' is too much", argv[optind + (i ? 2 : 1)]);
            if (j->run.registry && (!i || argv[optind + 1]))
                return i ? vd_usage(c, "--registry %s and '%s': one registry at a time", j->run.registry, argv[optind + 1])
                         : vd_usage(c, "keygen makes keys, and --registry %s has no part in it", j->run.registry);
            if (argv[optind + 1]) /* NULL behind the last */
                j->run.registry = argv[optind + 1];
            return VD_EXIT_OK;
        }
    const char *near = vd_closest(j->what, words);
    return near ? vd_usage(c, "'%s'? did you mean '%s'?", j->what, near) : vd_usage(c, "'%s'? keygen, sign or verify", j->what);
}

/* s: the command's own files. Where a password will be asked for, the terminal too. */
static int confine(struct job *j, struct vd_sandbox *s, bool password)
{
    if (password && !j->no_password && j->run.sandbox != VD_SANDBOX_OFF) {
        if (!j->password_file)
            vd_sandbox_terminal(s);
        else if (strcmp(j->password_file, "-"))
            vd_sandbox_read(s, j->password_file);
    }
    return vd_confine(&vd_cmd_registry, s, &j->run);
}

/* --- keygen */

static int check_new(const struct job *j, const char *path)
{
    int rc = vd_sink_check(path, j->force, -1);

    if (!rc && vd_sink_is_direct(path))
        rc = vd_fail(EINVAL, "%s: keys go into files", path);
    return rc;
}

static int make_pair(const struct job *j, const char *password)
{
    char secret_text[VD_KEY_TEXT], public_text[VD_KEY_TEXT], id[VD_KEY_NAME];
    struct vd_secret_key s;
    struct vd_public_key p;
    size_t n;
    int rc = vd_key_generate(&s, &p);

    if (!rc)
        rc = vd_secret_key_text(&s, password, secret_text, &n);
    vd_secret_key_wipe(&s);
    if (!rc)
        rc = vd_file_write_private(j->secret, secret_text, n);
    sodium_memzero(secret_text, sizeof(secret_text));
    if (!rc)
        rc = vd_file_write(j->public, public_text, vd_public_key_text(&p, public_text));
    if (rc)
        return vd_report_output(rc);
    vd_key_name(p.id, id);
    if (!j->quiet)
        printf("key %s: %s is public, %s is secret%s\n", id, j->public, j->secret, password ? "" : " and not encrypted");
    return VD_EXIT_OK;
}

static int keygen(struct job *j)
{
    char password[VD_PASSWORD_MAX];
    struct vd_sandbox s = {0};
    int rc = 0;

    if (!j->secret || !j->public)
        return vd_usage(&vd_cmd_registry, "name both files: -s SECRET.key -p PUBLIC.pub");
    if (!strcmp(j->secret, j->public) || vd_file_same(j->secret, j->public))
        return vd_usage(&vd_cmd_registry, "the secret and the public key are two files");
    if ((rc = check_new(j, j->secret)) || (rc = check_new(j, j->public)))
        return vd_report_output(rc);
    vd_sandbox_write(&s, j->secret);
    vd_sandbox_write(&s, j->public);
    int code = confine(j, &s, true);
    if (code)
        return code;
    if (!j->no_password && (rc = vd_password(j->password_file, "Password for the new key", true, password)))
        return vd_report(rc);
    if (!j->no_password && !password[0])
        return vd_usage(&vd_cmd_registry, "an empty password encrypts nothing; --no-password says so");
    code = make_pair(j, j->no_password ? NULL : password);
    sodium_memzero(password, sizeof(password));
    return code;
}

/* --- sign */

static int load_secret(const struct job *j, struct vd_secret_key *s)
{
    char password[VD_PASSWORD_MAX];
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(j->secret, VD_KEY_FILE_MAX, &data, &size);

    if (rc)
        return rc;
    rc = vd_secret_key_parse(data, size, j->secret, NULL, s);
    if (rc == -EAGAIN && j->no_password)
        rc = vd_fail(EINVAL, "%s: is encrypted", j->secret);
    if (rc == -EAGAIN) {
        rc = vd_password(j->password_file, "Password of the secret key", false, password);
        if (!rc)
            rc = vd_secret_key_parse(data, size, j->secret, password, s);
        sodium_memzero(password, sizeof(password));
    }
    sodium_memzero(data, size);
    vd_free(data);
    return rc;
}

static int find(const struct job *j, char path[VD_MAX_PATH])
{
    return vd_registry_find(j->run.registry, path);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int write_signature(const struct job *j, const struct vd_secret_key *s, const char *path, const uint8_t *data, size_t size)
{
    char text[VD_SIGNATURE_TEXT], sig[VD_MAX_PATH + 10], usual[400];
    size_t n;

    snprintf(usual, sizeof(usual), "timestamp:%lld\tfile:%.300s\thashed", (long long)time(NULL), base_name(path));
    snprintf(sig, sizeof(sig), "%s.minisig", path);
    int rc = vd_sign(s, data, size, j->comment ? j->comment : usual, text, &n);
    if (!rc)
        rc = vd_file_write(sig, text, n);
    return rc;
}

static int print_signed(const struct vd_secret_key *s, const char *path)
{
    struct vd_trusted none = {.n = 0};
    struct vd_registry r;
    char id[VD_KEY_NAME];

    vd_key_name(s->id, id);
    int rc = vd_registry_load(path, &none, &r);
    if (rc)
        return rc;
    printf("%s.minisig: key %s, registry_version %" PRId64 ", %d model%s\n", path, id, r.version, r.n, vd_s(r.n));
    vd_registry_free(&r);
    return 0;
}

/* To sign is to write, and to answer for what is in it: the one that ids find is named, and left alone. */
static int which_registry(const struct job *j)
{
    char path[VD_MAX_PATH];

    if (find(j, path))
        snprintf(path, sizeof(path), "%s", "REGISTRY.json");
    return vd_usage(&vd_cmd_registry, "which registry is to be signed? Name it, as in 'vmaf-dnn registry sign -s %s %s'", j->secret, path);
}

static int sign(struct job *j)
{
    char path[VD_MAX_PATH];
    struct vd_sandbox box = {0};
    struct vd_secret_key s;
    uint8_t *data = NULL;
    size_t size;

    if (!j->secret)
        return vd_usage(&vd_cmd_registry, "with which key? -s SECRET.key");
    if (!j->run.registry)
        return which_registry(j);
    vd_sandbox_read(&box, j->secret);
    vd_allow_model(&box, &j->run, NULL);
    vd_allow_model_writes(&box, &j->run, NULL);
    int code = confine(j, &box, true);
    if (code)
        return code;
    int rc = find(j, path);
    if (!rc)
        rc = load_secret(j, &s);
    if (rc)
        return vd_report(rc);
    rc = vd_registry_prepare(path, j->as_it_is, &data, &size);
    if (!rc)
        rc = write_signature(j, &s, path, data, size);
    if (!rc && !j->quiet && (rc = print_signed(&s, path)))
        rc = vd_context(rc, "%s is signed, but cannot be read back", path);
    vd_secret_key_wipe(&s);
    vd_free(data);
    return rc == -EACCES ? vd_report_output(rc) : vd_report(rc);
}

/* --- verify */

static int load_keys(const struct job *j, struct vd_trusted *t)
{
    uint8_t *data;
    size_t size;
    int rc;

    if (!j->public)
        return vd_trusted_load(j->run.trusted_keys, t);
    if ((rc = vd_file_read(j->public, VD_KEY_FILE_MAX, &data, &size)))
        return rc;
    t->n = 1;
    rc = vd_public_key_parse(data, size, j->public, &t->key[0]);
    vd_free(data);
    return rc;
}

struct first { char line[512]; };

static void keep_first(void *arg, int row, const char *line)
{
    struct first *f = arg;

    (void)row;
    if (!f->line[0])
        snprintf(f->line, sizeof(f->line), "%s", line);
}

static int verify(struct job *j)
{
    struct vd_sandbox s = {0};
    struct first f = {""};
    struct vd_registry r;
    struct vd_trusted t;
    char path[VD_MAX_PATH];

    if (j->public && j->run.trusted_keys)
        return vd_usage(&vd_cmd_registry, "-p is one key and --trusted-keys a folder: give one of them");
    vd_allow_model(&s, &j->run, NULL);
    if (j->public) {
        vd_sandbox_read(&s, j->public);
        if (!vd_seen_folder(path))
            vd_sandbox_read(&s, path);
    }
    int code = confine(j, &s, false);
    if (code)
        return code;
    int rc = load_keys(j, &t);
    if (!rc)
        rc = find(j, path);
    if (rc)
        return vd_report(rc);
    if (!t.n)
        return vd_usage(&vd_cmd_registry, "with which key? -p PUBLIC.pub, or a folder of trusted keys");
    rc = vd_registry_lint(path, &t, &r, keep_first, &f);
    if (rc < 0)
        return vd_report(rc);
    if (rc) {
        vd_say(NULL, "[FAIL] %s: %s", path, f.line);
        vd_registry_free(&r);
        return VD_EXIT_NO;
    }
    if (!j->quiet)
        printf("[ok]   %s: key %s, registry_version %" PRId64 ", %d model%s\n", path, r.key, r.version, r.n, vd_s(r.n));
    vd_registry_free(&r);
    return VD_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct job j = {0};
    int code = parse(argc, argv, &j);

    if (code)
        return code;
    return !strcmp(j.what, "keygen") ? keygen(&j) : !strcmp(j.what, "sign") ? sign(&j) : verify(&j);
}

const struct vd_cmd vd_cmd_registry = {"registry", "sign the registry, and verify who signed it", help, run};
