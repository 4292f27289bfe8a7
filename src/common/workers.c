/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/cpu.h"
#include "common/mem.h"
#include "common/status.h"

struct seat {
    struct vd_workers *pool;
    pthread_t thread;
    int worker;
};

struct vd_workers {
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    /* under lock */
    vd_task_fn *fn; /* NULL: no job is open */
    void *arg;
    size_t n;
    uint64_t job;   /* number of the job, so that a worker joins each once */
    int busy;       /* workers inside the open job, the caller not counted */
    bool quit;
    /* only create and free */
    int count, started;
    struct seat *seat;
    _Alignas(64) atomic_size_t next; /* first task that nobody has taken */
};

static void work(struct vd_workers *w, vd_task_fn *fn, void *arg, size_t n, int worker)
{
    /* relaxed: the tasks' inputs and results travel with the lock */
    for (size_t t; (t = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed)) < n;)
        fn(arg, t, worker);
}

static void *worker_main(void *p)
{
    struct seat *seat = p;
    struct vd_workers *w = seat->pool;
    uint64_t seen = 0;
    char name[16];
    snprintf(name, sizeof name, "vd-worker-%d", seat->worker);
    pthread_setname_np(pthread_self(), name);

    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->quit && (!w->fn || w->job == seen))
            pthread_cond_wait(&w->wake, &w->lock);
        if (w->quit)
            break;
        seen = w->job;
        w->busy++;
        vd_task_fn *fn = w->fn;
        void *arg = w->arg;
        size_t n = w->n;
        pthread_mutex_unlock(&w->lock);
        work(w, fn, arg, n, seat->worker);
        pthread_mutex_lock(&w->lock);
        if (--w->busy == 0)
            pthread_cond_signal(&w->idle);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int vd_workers_create(int threads, struct vd_workers **out)
{
    *out = NULL;
    if (threads < 0 || threads > VD_MAX_THREADS)
        return vd_fail(EINVAL, "%d threads: use 1 to %d, or 0 for one on each CPU", threads, VD_MAX_THREADS);
    if (threads == 0) {
        threads = vd_cpu_count();
        if (threads > VD_MAX_THREADS)
            threads = VD_MAX_THREADS;
    }

    struct vd_workers *w = vd_aligned(sizeof *w);
    if (!w)
        return vd_nomem(sizeof *w);
    memset(w, 0, sizeof *w);
    atomic_init(&w->next, 0);
    w->count = threads;
    pthread_mutex_init(&w->lock, NULL); /* these three cannot fail with default attributes on Linux */
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->idle, NULL);
    int rc = 0;
    w->seat = vd_calloc((size_t)threads, sizeof *w->seat);
    if (!w->seat) {
        rc = vd_nomem((size_t)threads * sizeof *w->seat);
        goto fail;
    }

    /* workers take the mask of their creator: signals stay with the threads of the host program */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = 0;
    for (int i = 1; i < threads && !err; i++) {
        w->seat[i] = (struct seat){.pool = w, .worker = i};
        err = pthread_create(&w->seat[i].thread, NULL, worker_main, &w->seat[i]);
        w->started += !err;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err) {
        rc = vd_fail(EAGAIN, "thread %d of %d could not be started (%s): use fewer threads", w->started + 2, threads,
                     strerror(err));
        goto fail;
    }
    *out = w;
    return 0;

fail:
    vd_workers_free(w);
    return rc;
}

int vd_workers_count(const struct vd_workers *w) { return w ? w->count : 1; }

void vd_workers_free(struct vd_workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    assert(!w->fn);
    w->quit = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (int i = 1; i <= w->started; i++)
        pthread_join(w->seat[i].thread, NULL);
    pthread_cond_destroy(&w->idle);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    vd_free(w->seat);
    vd_free(w);
}

void vd_workers_run(struct vd_workers *w, vd_task_fn *fn, void *arg, size_t n)
{
    if (!w || w->count == 1 || n <= 1) {
        for (size_t t = 0; t < n; t++)
            fn(arg, t, 0);
        return;
    }
    /* each worker takes one number past the end, and the counter must not wrap */
    assert(n <= SIZE_MAX - VD_MAX_THREADS);

    pthread_mutex_lock(&w->lock);
    assert(!w->fn && w->busy == 0);
    w->fn = fn;
    w->arg = arg;
    w->n = n;
    w->job++;
    atomic_store_explicit(&w->next, 0, memory_order_relaxed);
    if (n >= (size_t)w->count)
        pthread_cond_broadcast(&w->wake);
    else
        for (size_t i = 1; i < n; i++)
            pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);

    work(w, fn, arg, n, 0);

    /* Every task is taken. Who has not joined by now finds no job and sleeps on,
     * so only those are waited for that still hold a task. */
    pthread_mutex_lock(&w->lock);
    w->fn = NULL;
    while (w->busy > 0)
        pthread_cond_wait(&w->idle, &w->lock);
    pthread_mutex_unlock(&w->lock);
}
