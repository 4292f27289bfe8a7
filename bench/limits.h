/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_LIMITS_H
#define VD_LIMITS_H

/* What the multiplying instructions of a kernel set reach by themselves, in registers, on one thread: GMAC/s of fp32, of
 * 16-bit pairs, and of bytes. 0: not known (set "c", other machines). The CPU must have the set. */
struct vd_limits { double f32, s16, u8; };
void vd_limits_measure(const char *set, struct vd_limits *l);

/* Seconds of CPU that this thread has used. */
double vd_bench_now(void);
/* The best of `runs` runs of a millisecond or more, in seconds a call. */
double vd_bench_measure(void (*fn)(void *), void *arg, int runs);

#endif
