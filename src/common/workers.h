/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_WORKERS_H
#define VD_WORKERS_H

#include <stddef.h>

/* A pool of threads that take numbered tasks. The calling thread is worker 0
 * and works too, so a pool of one starts no thread. Idle workers sleep. */
struct vd_workers;

enum { VD_MAX_THREADS = 256 };

/* threads 0: vd_cpu_count(). -EINVAL out of 0..VD_MAX_THREADS, -ENOMEM,
 * -EAGAIN when a thread cannot be started. */
int vd_workers_create(int threads, struct vd_workers **out);
int vd_workers_count(const struct vd_workers *w); /* 1 for NULL */
void vd_workers_free(struct vd_workers *w);

/* Call fn(arg, task, worker) for each task 0..n-1, each once, in any order, on
 * any worker; returns when all are done. Allocates nothing. One caller at a
 * time. w may be NULL: everything on the calling thread. */
typedef void vd_task_fn(void *arg, size_t task, int worker);
void vd_workers_run(struct vd_workers *w, vd_task_fn *fn, void *arg, size_t n);

#endif
