/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <sys/resource.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "file_shim.h"

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static void test_write(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "out");
    static char big[1 << 20];
    memset(big, 'q', sizeof big);
    int fds = open_fds();
    mode_t mask = umask(027);
    assert_int_equal(vd_file_write(p, "one", 3), 0);
    assert_int_equal(mode_of(p), S_IFREG | 0640);
    assert_true(temp_holds(p, "one", 3));
    static const mode_t modes[] = {0600, 0644, 0755, 0666, 0200};
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(p, modes[i]), 0);
        assert_int_equal(vd_file_write(p, big, sizeof big - i), 0);
        assert_int_equal(mode_of(p), S_IFREG | modes[i]);
        assert_int_equal(chmod(p, 0644), 0);
        assert_true(temp_holds(p, big, sizeof big - i));
    }
    umask(mask);
    assert_int_equal(vd_file_write(p, NULL, 0), 0);
    assert_true(temp_holds(p, "", 0));
    assert_int_equal(temp_dir_count(&dir), 1);

    shim_start(WRITE, 0, 0); /* one byte at a time */
    assert_int_equal(vd_file_write(p, "slowly", 6), 0);
    assert_int_equal(shim.seen[WRITE], 6);
    assert_int_equal(shim.seen[FSYNC], 2);
    assert_true(shim.fsync_folder);
    shim_stop();
    assert_true(temp_holds(p, "slowly", 6));

    char cwd[1024];
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_int_equal(chdir(dir.path), 0);
    assert_int_equal(vd_file_write("bare", "b", 1), 0);
    assert_int_equal(chdir(cwd), 0);
    assert_true(temp_holds(temp_path(&dir, "bare"), "b", 1));
    assert_int_equal(temp_dir_count(&dir), 2);
    assert_int_equal(open_fds(), fds);
}

/* Other names of the old file keep the old content; a link is replaced. */
static void test_write_links(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "out"), *other = temp_path(&dir, "other"), *soft = temp_path(&dir, "soft");
    assert_true(temp_put(p, "old", 3));
    assert_int_equal(link(p, other), 0);
    assert_int_equal(symlink("other", soft), 0);
    assert_true(vd_file_same(p, other));
    assert_true(vd_file_same(soft, other));
    assert_int_equal(vd_file_write(p, "new", 3), 0);
    assert_true(temp_holds(p, "new", 3));
    assert_true(temp_holds(other, "old", 3));
    assert_false(vd_file_same(p, other));
    assert_int_equal(vd_file_write(soft, "soft", 4), 0);
    assert_true(S_ISREG(mode_of(soft)));
    assert_true(temp_holds(soft, "soft", 4));
    assert_true(temp_holds(other, "old", 3));
    assert_int_equal(temp_dir_count(&dir), 3);
}

static void test_write_names(void **state)
{
    (void)state;
    static char name[300];
    for (int n = 240; n <= 255; n++) { /* the temporary's name still fits */
        memset(name, 'n', (size_t)n);
        name[n] = 0;
        assert_int_equal(vd_file_write(temp_path(&dir, name), name, (size_t)n), 0);
        assert_true(temp_holds(temp_path(&dir, name), name, (size_t)n));
    }
    assert_int_equal(temp_dir_count(&dir), 16);
    name[255] = 'n';
    assert_int_equal(vd_file_write(temp_path(&dir, name), "x", 1), -ENAMETOOLONG);
    static char deep[5000];
    memset(deep, '/', sizeof deep - 1);
    deep[sizeof deep - 2] = 'f';
    assert_int_equal(vd_file_write(deep, "x", 1), -ENAMETOOLONG);
}

static void refuses_to_write(const char *path, int rc, const char *why)
{
    int before = temp_dir_count(&dir), fds = open_fds();
    struct vd_file_out out;
    for (int stream = 0; stream < 2; stream++) {
        int got = stream ? vd_file_out_open(&out, path) : vd_file_write(path, "new", 3);
        if (got != rc)
            fail_msg("%s: %d instead of %d: %s", path, got, rc, vd_reason());
        if (!strstr(vd_reason(), why) || !strstr(vd_reason(), path))
            fail_msg("'%s' does not say '%s'", vd_reason(), why);
    }
    assert_null(out.stream);
    assert_null(out.path);
    assert_null(out.temp);
    vd_file_out_abort(&out);
    assert_int_equal(temp_dir_count(&dir), before);
    assert_int_equal(open_fds(), fds);
}

static void test_write_refusals(void **state)
{
    (void)state;
    refuses_to_write("", -ENOENT, "empty");
    refuses_to_write(temp_path(&dir, "none/out"), -ENOENT, "folder does not exist");
    refuses_to_write(temp_path(&dir, "sub/"), -EINVAL, "names a folder");
    assert_int_equal(mkdir(temp_path(&dir, "sub"), 0755), 0);
    refuses_to_write(temp_path(&dir, "sub"), -EINVAL, "is a folder");
    assert_int_equal(mkfifo(temp_path(&dir, "fifo"), 0666), 0);
    refuses_to_write(temp_path(&dir, "fifo"), -EINVAL, "is a pipe");
    refuses_to_write("/dev/null", -EINVAL, "is a device");
    assert_int_equal(symlink("/dev/null", temp_path(&dir, "null")), 0);
    refuses_to_write(temp_path(&dir, "null"), -EINVAL, "is a device");
    const char *p = temp_path(&dir, "f");
    assert_true(temp_put(p, "old", 3));
    refuses_to_write(temp_path(&dir, "f/out"), -ENOENT, "folder does not exist");

    drop_root();
    if (getuid() == 0) /* for others, the folder is theirs */
        refuses_to_write(temp_path(&dir, "new"), -EACCES, "no permission");
    regain_root();
    assert_int_equal(chmod(dir.path, 0777), 0);
    assert_int_equal(chmod(p, 0444), 0);
    drop_root();
    refuses_to_write(p, -EACCES, "write-protected");
    regain_root();
    assert_true(temp_holds(p, "old", 3));
    /* Another's file that everybody may write: the new one is ours, since nobody gives files away. */
    assert_int_equal(chmod(p, 0666), 0);
    drop_root();
    assert_int_equal(vd_file_write(p, "new", 3), 0);
    regain_root();
    struct stat st;
    assert_int_equal(stat(p, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    assert_int_equal(st.st_uid, getuid() == 0 ? 65534 : getuid());
    assert_true(temp_holds(p, "new", 3));
}

/* Each occurrence of each system call fails with each errno: the old file stays,
 * or nothing is there, and no temporary. */
static void test_write_faults(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "out");
    static const struct {
        int err, rc;
        const char *why;
    } errs[] = {{ENOSPC, -ENOSPC, "no space left"}, {EDQUOT, -ENOSPC, "quota"}, {EIO, -EIO, "disk reports an error"},
                {EFBIG, -ENOSPC, "ulimit"},         {EROFS, -EACCES, "read-only"},
                {ENOMEM, -ENOMEM, "memory in the kernel"}, {ESTALE, -EIO, "tale file handle"}}; /* of a disk elsewhere */
    static const enum call calls[] = {WRITE, FSYNC, FCHMOD, CLOSE, RENAME};
    int fds = open_fds(), failed = 0;
    for (int exists = 0; exists < 2; exists++)
        for (size_t c = 0; c < COUNT(calls); c++)
            for (size_t e = 0; e < COUNT(errs); e++)
                for (int stream = 0; stream < 2; stream++) {
                    if (calls[c] == CLOSE && stream)
                        continue; /* libc calls its own */
                    unlink(p);
                    if (exists)
                        assert_true(temp_put(p, "old", 3));
                    struct vd_file_out out = {0};
                    int rc;
                    shim_start(calls[c], 1, errs[e].err);
                    if (stream) {
                        rc = vd_file_out_open(&out, p);
                        if (!rc) {
                            assert_int_equal(fputs("new", out.stream), 1);
                            rc = vd_file_out_commit(&out);
                        }
                    } else {
                        rc = vd_file_write(p, "new", 3);
                    }
                    bool happened = shim.seen[calls[c]] > 0;
                    shim_stop();
                    assert_int_equal(rc, happened ? errs[e].rc : 0);
                    if (happened) {
                        failed++;
                        assert_non_null(strstr(vd_reason(), errs[e].why));
                        assert_non_null(strstr(vd_reason(), p));
                    }
                    assert_true(happened ? (exists ? temp_holds(p, "old", 3) : access(p, F_OK) != 0)
                                         : temp_holds(p, "new", 3));
                    assert_int_equal(temp_dir_count(&dir), !happened || exists);
                }
    assert_int_equal(failed, 7 * (2 * (1 + 2 + 1 + 2) + 2)); /* write, fsync, close, rename; fchmod of old ones */
    assert_int_equal(open_fds(), fds);

    static const int harmless[] = {EINTR, EINVAL, ENOTSUP};
    for (size_t i = 0; i < COUNT(harmless); i++)
        for (int nth = 1; nth <= 2; nth++) {
            shim_start(FSYNC, nth, harmless[i]);
            assert_int_equal(vd_file_write(p, harmless, i + 1), 0);
            assert_true(temp_holds(p, harmless, i + 1));
        }
    shim_start(RANDOM, 1, ENOSYS); /* an old kernel, or a sandbox without it: names come from the clock then */
    assert_int_equal(vd_file_write(p, "clock", 5), 0);
    assert_int_equal(shim.seen[RANDOM], 1);
    assert_true(temp_holds(p, "clock", 5));
    shim_start(WRITE, 1, EINTR);
    assert_int_equal(vd_file_write(p, "again", 5), 0);
    assert_true(temp_holds(p, "again", 5));

    shim_start(FSYNC, 2, EIO); /* the folder's, the exception: in place, and it says so */
    assert_int_equal(vd_file_write(p, "placed", 6), -EIO);
    shim_stop();
    assert_non_null(strstr(vd_reason(), "is in place"));
    assert_true(temp_holds(p, "placed", 6));
    assert_int_equal(temp_dir_count(&dir), 1);
    assert_int_equal(open_fds(), fds);
}

static void test_write_nomem(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "out");
    assert_true(temp_put(p, "old", 3));
    int failed = 0;
    for (size_t k = 1; k < 6; k++) {
        size_t before = vd_mem_count();
        vd_mem_fail_at(k, 0);
        int rc = vd_file_write(p, "old", 3);
        vd_mem_fail_at(0, 0);
        assert_int_equal(rc, vd_mem_count() - before >= k ? -ENOMEM : 0);
        failed += rc != 0;
        assert_true(temp_holds(p, "old", 3));
        assert_int_equal(temp_dir_count(&dir), 1);
    }
    assert_in_range(failed, 1, 4);
}

/* A full disk, by the kernel's own limit: at any byte, in the stream's buffer or past it. */
static void test_full_disk(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "out");
    static char big[200000];
    memset(big, 'x', sizeof big);
    assert_true(temp_put(p, "old", 3));
    struct rlimit old, few;
    getrlimit(RLIMIT_FSIZE, &old);
    few = old;
    signal(SIGXFSZ, SIG_IGN);
    static const rlim_t limits[] = {0, 1, 4095, 4096, 4097, 100000, 199999, 200000};
    for (size_t i = 0; i < COUNT(limits); i++)
        for (int chunk = 1; chunk <= (int)sizeof big; chunk *= 50) {
            struct vd_file_out out;
            few.rlim_cur = limits[i];
            setrlimit(RLIMIT_FSIZE, &few);
            int rc_write = vd_file_write(p, big, sizeof big);
            char why[600];
            snprintf(why, sizeof why, "%s", rc_write ? vd_reason() : "");
            int rc = vd_file_out_open(&out, p);
            if (!rc) {
                for (size_t at = 0; at < sizeof big; at += (size_t)chunk) { /* a careless caller */
                    size_t n = sizeof big - at < (size_t)chunk ? sizeof big - at : (size_t)chunk;
                    fwrite(big + at, 1, n, out.stream);
                }
                rc = vd_file_out_commit(&out);
            }
            setrlimit(RLIMIT_FSIZE, &old);
            if (limits[i] < sizeof big) {
                assert_int_equal(rc_write, -ENOSPC);
                assert_non_null(strstr(why, "ulimit"));
                assert_true(rc == -ENOSPC || rc == -EIO);
                assert_true(temp_holds(p, "old", 3));
            } else {
                assert_int_equal(rc_write, 0);
                assert_int_equal(rc, 0);
                assert_true(temp_holds(p, big, sizeof big));
            }
            assert_int_equal(temp_dir_count(&dir), 1);
        }
    signal(SIGXFSZ, SIG_DFL);
}

static void test_stream(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "out");
    struct vd_file_out out = {0};
    vd_file_out_abort(&out);
    int fds = open_fds();
    assert_int_equal(vd_file_out_open(&out, p), 0);
    assert_string_equal(out.path, p);
    assert_true(strncmp(out.temp, temp_path(&dir, ".out."), strlen(dir.path) + 6) == 0);
    assert_int_equal(strlen(out.temp), strlen(dir.path) + 12);
    assert_int_equal(fputs("gone", out.stream), 1);
    assert_int_equal(access(p, F_OK), -1); /* nothing to see before the commit */
    assert_int_equal(temp_dir_count(&dir), 1);
    vd_file_out_abort(&out);
    assert_int_equal(temp_dir_count(&dir), 0);
    vd_file_out_abort(&out);

    assert_int_equal(vd_file_out_open(&out, p), 0);
    assert_int_equal(fprintf(out.stream, "%06d", 0), 6);
    assert_int_equal(fseek(out.stream, 2, SEEK_SET), 0);
    assert_int_equal(fputs("12", out.stream), 1);
    assert_int_equal(vd_file_out_commit(&out), 0);
    assert_null(out.stream);
    assert_null(out.temp);
    assert_true(temp_holds(p, "001200", 6));
    assert_int_equal(temp_dir_count(&dir), 1);

    assert_int_equal(vd_file_out_open(&out, p), 0); /* the temporary vanishes meanwhile */
    assert_int_equal(unlink(out.temp), 0);
    assert_int_equal(vd_file_out_commit(&out), -ENOENT);
    assert_true(temp_holds(p, "001200", 6));

    assert_int_equal(vd_file_out_open(&out, p), 0); /* a folder takes the name meanwhile */
    assert_int_equal(unlink(p), 0);
    assert_int_equal(mkdir(p, 0755), 0);
    assert_int_equal(vd_file_out_commit(&out), -EINVAL);
    assert_int_equal(temp_dir_count(&dir), 1);
    assert_int_equal(open_fds(), fds);
}

enum { SIZE = 50000, ROUNDS = 60 };

static void *writer(void *path)
{
    char buf[SIZE];
    long bad = 0;
    for (int i = 0; i < ROUNDS; i++) {
        memset(buf, 'a' + i % 26, sizeof buf);
        bad += vd_file_write(path, buf, sizeof buf) != 0;
    }
    return bad ? path : NULL;
}

/* Two writers of one path: whoever reads gets all of one version. */
static void test_concurrent(void **state)
{
    (void)state;
    static char p[600];
    snprintf(p, sizeof p, "%s/out", dir.path);
    char first[SIZE];
    memset(first, 'z', sizeof first);
    assert_int_equal(vd_file_write(p, first, sizeof first), 0);
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, writer, p), 0);
    for (int i = 0; i < 3 * ROUNDS; i++) {
        uint8_t *data;
        size_t size;
        assert_int_equal(vd_file_read(p, SIZE, &data, &size), 0);
        assert_int_equal(size, SIZE);
        for (size_t k = 1; k < SIZE; k++)
            assert_true(data[k] == data[0]);
        vd_free(data);
    }
    for (int i = 0; i < 2; i++) {
        void *bad = NULL;
        pthread_join(t[i], &bad);
        assert_null(bad);
    }
    assert_int_equal(temp_dir_count(&dir), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_write),       WITH_DIR(test_write_links),    WITH_DIR(test_write_names),
        WITH_DIR(test_write_refusals), WITH_DIR(test_write_faults), WITH_DIR(test_write_nomem),
        WITH_DIR(test_full_disk),   WITH_DIR(test_stream),         WITH_DIR(test_concurrent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
