/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cpu.h"
#include "common/mem.h"
#include "common/status.h"
#include "common/workers.h"

static bool same_signals(const sigset_t *a, const sigset_t *b)
{
    for (int s = 1; s < NSIG; s++)
        if (sigismember(a, s) != sigismember(b, s))
            return false;
    return true;
}

static int thread_count(void)
{
    int n = -2;
    DIR *d = opendir("/proc/self/task");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* A joined thread is listed for a moment longer. */
static bool threads_become(int n)
{
    for (int i = 0; i < 2000 && thread_count() != n; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return thread_count() == n;
}

enum { MOST = 5000 };

struct job {
    pthread_t caller;
    int workers;
    unsigned char done[MOST]; /* each task its own byte, without atomics: the pool orders them */
    atomic_int inside[VD_MAX_THREADS], errors;
};

static void mark(void *arg, size_t task, int worker)
{
    struct job *j = arg;
    int bad = worker < 0 || worker >= j->workers || (worker == 0) != (pthread_equal(pthread_self(), j->caller) != 0);
    if (!bad) {
        bad = atomic_fetch_add(&j->inside[worker], 1) != 0; /* a worker's number is one thread's at a time */
        j->done[task]++;
        atomic_fetch_sub(&j->inside[worker], 1);
    }
    atomic_fetch_add(&j->errors, bad);
}

static void check_run(struct vd_workers *w, size_t n)
{
    static struct job j;
    memset(j.done, 0, sizeof j.done);
    j.caller = pthread_self();
    j.workers = vd_workers_count(w);
    size_t allocated = vd_mem_count();
    vd_workers_run(w, mark, &j, n);
    assert_int_equal(vd_mem_count(), allocated);
    for (size_t i = 0; i < MOST; i++)
        if (j.done[i] != (i < n))
            fail_msg("task %zu of %zu ran %d times", i, n, j.done[i]);
    assert_int_equal(j.errors, 0);
}

static void test_each_once(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 4, 7, 16, 64};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct vd_workers *w;
        assert_int_equal(vd_workers_create(counts[c], &w), 0);
        assert_int_equal(vd_workers_count(w), counts[c]);
        for (size_t n = 0; n < 40; n++)
            check_run(w, n);
        check_run(w, 1000);
        check_run(w, MOST);
        vd_workers_free(w);
    }
    assert_int_equal(vd_workers_count(NULL), 1);
    check_run(NULL, 0);
    check_run(NULL, 100);
}

/* Many short jobs one after the other: a worker that wakes late must not run a
 * task of the next job with the arguments of the last. */
struct tagged {
    size_t n, tag;
    size_t sum;
    atomic_int wrong;
};

static _Atomic size_t now;

static void tagged_task(void *arg, size_t task, int worker)
{
    struct tagged *t = arg;
    (void)worker;
    if (t->tag != atomic_load_explicit(&now, memory_order_relaxed) || task >= t->n)
        atomic_fetch_add(&t->wrong, 1);
}

static void test_many_jobs(void **state)
{
    (void)state;
    struct vd_workers *w;
    assert_int_equal(vd_workers_create(4, &w), 0);
    struct tagged jobs[8] = {0};
    for (size_t i = 1; i <= 20000; i++) {
        struct tagged *t = &jobs[i % 8];
        t->n = i % 7;
        t->tag = i;
        atomic_store(&now, i);
        vd_workers_run(w, tagged_task, t, t->n);
        assert_int_equal(t->wrong, 0);
    }
    vd_workers_free(w);
}

/* Plain writes of one job are there for the next, whoever reads them. */
struct chain {
    uint32_t *in, *out;
    size_t n;
};

static void chain_task(void *arg, size_t task, int worker)
{
    const struct chain *c = arg;
    (void)worker;
    c->out[task] = c->in[(task * 37 + 11) % c->n] * 1664525u + c->in[task] + 1;
}

static void test_order(void **state)
{
    (void)state;
    enum { N = 257 };
    static uint32_t a[N], b[N], x[N], y[N];
    struct vd_workers *w;
    assert_int_equal(vd_workers_create(3, &w), 0);
    for (uint32_t i = 0; i < N; i++)
        a[i] = x[i] = i;
    for (int i = 0; i < 500; i++) {
        struct chain many = {i % 2 ? b : a, i % 2 ? a : b, N}, one = {i % 2 ? y : x, i % 2 ? x : y, N};
        vd_workers_run(w, chain_task, &many, N);
        vd_workers_run(NULL, chain_task, &one, N);
    }
    assert_memory_equal(a, x, sizeof a);
    assert_memory_equal(b, y, sizeof b);
    vd_workers_free(w);
}

/* All of them at once: n tasks on n workers that wait for one another. */
struct meeting {
    pthread_barrier_t all;
    atomic_int blocked, named;
    int seen[8];
};

static void meet(void *arg, size_t task, int worker)
{
    struct meeting *m = arg;
    (void)task;
    m->seen[worker]++;
    if (worker > 0) {
        sigset_t s;
        char name[16] = "", want[32];
        pthread_sigmask(SIG_SETMASK, NULL, &s);
        if (sigismember(&s, SIGINT) && sigismember(&s, SIGTERM) && sigismember(&s, SIGALRM) && sigismember(&s, SIGUSR1))
            atomic_fetch_add(&m->blocked, 1);
        snprintf(want, sizeof want, "vd-worker-%d", worker);
        pthread_getname_np(pthread_self(), name, sizeof name);
        atomic_fetch_add(&m->named, strcmp(name, want) == 0);
    }
    pthread_barrier_wait(&m->all);
}

static void test_together(void **state)
{
    (void)state;
    sigset_t before, after;
    sigemptyset(&before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    struct vd_workers *w;
    assert_int_equal(vd_workers_create(8, &w), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(same_signals(&before, &after));
    alarm(60); /* else one worker too few waits for ever */
    for (int i = 0; i < 100; i++) {
        struct meeting m = {0};
        int n = 2 + i % 7, seen = 0; /* fewer tasks than workers wake enough of them, too */
        pthread_barrier_init(&m.all, NULL, (unsigned)n);
        vd_workers_run(w, meet, &m, (size_t)n);
        for (int k = 0; k < 8; k++) {
            assert_in_range(m.seen[k], 0, 1);
            seen += m.seen[k];
        }
        assert_int_equal(seen, n);
        assert_int_equal(m.blocked, n - m.seen[0]);
        assert_int_equal(m.named, n - m.seen[0]);
        pthread_barrier_destroy(&m.all);
    }
    alarm(0);
    vd_workers_free(w);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void doze(void *arg, size_t task, int worker)
{
    (void)task;
    nanosleep(&(struct timespec){.tv_nsec = worker == 0 ? 200000000 : 0}, arg);
}

static void test_idle_sleeps(void **state)
{
    (void)state;
    struct vd_workers *w;
    assert_int_equal(vd_workers_create(8, &w), 0);
    check_run(w, 100);
    double before = cpu_seconds();
    doze(NULL, 0, 0);
    assert_true(cpu_seconds() - before < 0.1); /* eight that spin take 0.2 on one CPU, more on more */
    before = cpu_seconds();
    vd_workers_run(w, doze, NULL, 100); /* nor while the caller is still at work */
    assert_true(cpu_seconds() - before < 0.1);
    vd_workers_free(w);
}

static void test_create(void **state)
{
    (void)state;
    struct vd_workers *w;
    int threads = thread_count();
    static const int bad[] = {-1, -1000000, VD_MAX_THREADS + 1, 1 << 30};
    for (size_t i = 0; i < 4; i++) {
        w = (void *)&threads;
        assert_int_equal(vd_workers_create(bad[i], &w), -EINVAL);
        assert_null(w);
        assert_non_null(strstr(vd_reason(), "threads"));
    }
    assert_int_equal(vd_workers_create(0, &w), 0);
    int cpus = vd_cpu_count();
    assert_int_equal(vd_workers_count(w), cpus < VD_MAX_THREADS ? cpus : VD_MAX_THREADS);
    assert_true(threads_become(threads + vd_workers_count(w) - 1));
    vd_workers_free(w);
    assert_true(threads_become(threads));
    assert_int_equal(vd_workers_create(1, &w), 0);
    assert_true(threads_become(threads));
    vd_workers_free(w);
    vd_workers_free(NULL);
    for (int i = 0; i < 100; i++) { /* gone before a worker has begun to wait */
        assert_int_equal(vd_workers_create(5, &w), 0);
        if (i % 2)
            check_run(w, 3);
        vd_workers_free(w);
    }
    assert_true(threads_become(threads));
}

static void test_create_faults(void **state)
{
    (void)state;
    int threads = thread_count();
    struct vd_workers *w;
    for (size_t k = 1; k <= 3; k++) {
        vd_mem_fail_at(k, 0);
        int rc = vd_workers_create(4, &w);
        vd_mem_fail_at(0, 0);
        assert_int_equal(rc, k <= 2 ? -ENOMEM : 0);
        assert_true((w == NULL) == (rc != 0));
        vd_workers_free(w);
        assert_true(threads_become(threads));
    }
}

/* Replaces libc's: the k-th creation fails, as where a limit on processes is reached. */
static int creations_left = -1;

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    if (!symbol)
        abort();
    memcpy(&next, &symbol, sizeof next);
    if (creations_left == 0)
        return EAGAIN;
    creations_left -= creations_left > 0;
    return next(t, attr, start, arg);
}

static void test_no_thread(void **state)
{
    (void)state;
    int threads = thread_count();
    for (int k = 0; k < 7; k++) {
        struct vd_workers *w = (void *)&threads;
        sigset_t before, after;
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        creations_left = k;
        int rc = vd_workers_create(8, &w);
        creations_left = -1;
        assert_int_equal(rc, -EAGAIN);
        assert_null(w);
        char want[64];
        snprintf(want, sizeof want, "thread %d of 8", k + 2);
        assert_non_null(strstr(vd_reason(), want));
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        assert_true(same_signals(&before, &after));
        assert_true(threads_become(threads));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once), cmocka_unit_test(test_many_jobs),  cmocka_unit_test(test_order),
        cmocka_unit_test(test_together),  cmocka_unit_test(test_idle_sleeps), cmocka_unit_test(test_create),
        cmocka_unit_test(test_create_faults), cmocka_unit_test(test_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
