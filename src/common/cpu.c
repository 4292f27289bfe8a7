/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/cpu.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static unsigned detect(void)
{
    enum { ECX1 = 1 << 12 | 1 << 27 | 1 << 28 | 1 << 29 }; /* FMA, OSXSAVE, AVX, F16C */
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL in EBX of leaf 7 */
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & ECX1) != ECX1)
        return 0;
    unsigned xcr0, high;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    (void)high;
    if ((xcr0 & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 5))
        return 0;
    unsigned flags = VD_CPU_AVX2;
    if ((xcr0 & 0xe6) == 0xe6 && (b & avx512) == avx512 && (c & 1u << 11)) /* masks, ZMM; VNNI */
        flags |= VD_CPU_AVX512VNNI;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4)) /* a of leaf 7.0: the last subleaf */
        flags |= VD_CPU_AVXVNNI;
    return flags;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* The kernel's names for its bits (arch/arm64/include/uapi/asm/hwcap.h), which old headers lack. */
static unsigned detect(void)
{
    enum { ASIMD = 1 << 1, I8MM = 1 << 13 /* of the second word */ };
    const unsigned long dot = 1 << 7 | 1 << 8 | 1 << 12 | 1 << 20; /* CRC32, ATOMICS, ASIMDRDM; ASIMDDP */
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);

    if (!(first & ASIMD))
        return 0;
    if ((first & dot) != dot)
        return VD_CPU_NEON;
    return VD_CPU_NEON | VD_CPU_DOTPROD | (second & I8MM ? (unsigned)VD_CPU_I8MM : 0);
}
#else
static unsigned detect(void) { return 0; }
#endif

unsigned vd_cpu_flags(void)
{
    static atomic_uint known; /* CPUID is slow under a hypervisor; bit 31: asked */
    unsigned k = atomic_load_explicit(&known, memory_order_relaxed);
    if (!k) {
        k = detect() | 1u << 31;
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k & ~(1u << 31);
}

static int affinity(void)
{
    cpu_set_t fixed;
    if (sched_getaffinity(0, sizeof fixed, &fixed) == 0)
        return CPU_COUNT(&fixed);
    /* EINVAL: the kernel's mask is longer than 1024 CPUs */
    for (size_t cpus = 4096; errno == EINVAL && cpus <= 1 << 20; cpus *= 4) {
        size_t size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = vd_calloc(1, size);
        if (!set)
            break;
        int n = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        int saved = errno;
        vd_free(set);
        if (n)
            return n;
        errno = saved;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > INT_MAX ? INT_MAX : (int)n;
}

enum { LINE = 4096 };

/* One line without its newline; the rest of a longer one is dropped. */
static char *get_line(FILE *f, char line[LINE])
{
    if (!fgets(line, LINE, f))
        return NULL;
    size_t n = strlen(line);
    if (n && line[n - 1] == '\n')
        line[n - 1] = 0;
    else
        for (int c; (c = getc(f)) != EOF && c != '\n';)
            ;
    return line;
}

static FILE *open_under(const char *root, const char *dir, const char *name)
{
    char path[2 * LINE];
    int n = snprintf(path, sizeof path, "%s%s/%s", root, dir, name);
    return n < 0 || n >= (int)sizeof path ? NULL : fopen(path, "re");
}

/* Is word one of the comma-separated words of list? */
static int has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ',') && (p[n] == 0 || p[n] == ','))
            return 1;
    return 0;
}

/* The process's cgroup in the unified tree (v2) or in v1's cpu tree. */
static int own_group(const char *root, int v2, char group[LINE])
{
    char line[LINE];
    FILE *f = open_under(root, "/proc/self", "cgroup");
    int found = 0;
    while (f && !found && get_line(f, line)) { /* id:controllers:/path */
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        list++;
        if (v2 ? strcmp(line, "0:") == 0 : has_word(list, "cpu")) {
            memmove(group, path, strlen(path) + 1);
            found = 1;
        }
    }
    if (f)
        fclose(f);
    return found;
}

/* Octal escapes of mountinfo: space, tab, newline and backslash. */
static void unescape(char *s)
{
    char *out = s;
    for (; *s; s++)
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
            *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *out++ = *s;
        }
    *out = 0;
}

/* Where that tree is mounted, and which of its groups is at the mount point. */
static int mount_of(const char *root, int v2, char top[LINE], char at[LINE])
{
    char line[LINE];
    FILE *f = open_under(root, "/proc/self", "mountinfo");
    int found = 0;
    while (f && !found && get_line(f, line)) {
        /* id parent major:minor ROOT MOUNTPOINT options [tags] - TYPE source SUPEROPTIONS */
        char *sep = strstr(line, " - "), *field[5] = {0}, *tail[3] = {0}, *save = NULL;
        if (!sep)
            continue;
        *sep = 0;
        char *p = strtok_r(line, " ", &save);
        for (int i = 0; i < 5 && p; i++, p = strtok_r(NULL, " ", &save))
            field[i] = p;
        p = strtok_r(sep + 3, " ", &save);
        for (int i = 0; i < 3 && p; i++, p = strtok_r(NULL, " ", &save))
            tail[i] = p;
        if (!field[4] || !tail[2] || strcmp(tail[0], v2 ? "cgroup2" : "cgroup") != 0 || (!v2 && !has_word(tail[2], "cpu")))
            continue;
        unescape(field[3]);
        unescape(field[4]);
        memmove(top, field[3], strlen(field[3]) + 1);
        memmove(at, field[4], strlen(field[4]) + 1);
        found = 1;
    }
    if (f)
        fclose(f);
    return found;
}

/* CPUs that one group's quota is worth, rounded up; INT_MAX without a quota. */
static int quota_of(const char *root, const char *dir, int v2)
{
    char line[LINE];
    long long quota = 0, period = 0;
    FILE *f = open_under(root, dir, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (f && get_line(f, line)) { /* "max 100000", "150000 100000"; v1: "-1", "150000" */
        char *end = line;
        quota = strtoll(line, &end, 10);
        if (v2)
            period = strtoll(end, NULL, 10);
    }
    if (f)
        fclose(f);
    if (!v2 && quota > 0 && (f = open_under(root, dir, "cpu.cfs_period_us"))) {
        if (get_line(f, line))
            period = strtoll(line, NULL, 10);
        fclose(f);
    }
    if (quota <= 0 || period <= 0)
        return INT_MAX;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > INT_MAX ? INT_MAX : (int)cpus;
}

int vd_cpu_quota(const char *root)
{
    int best = INT_MAX;
    for (int v2 = 0; v2 < 2; v2++) {
        char group[LINE], top[LINE], at[LINE], dir[2 * LINE];
        if (!own_group(root, v2, group) || !mount_of(root, v2, top, at))
            continue;
        /* Below the group that the mount shows; in a container without its own
         * cgroup namespace, the host's path has nothing to do with the mount. */
        size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top), base = strlen(at);
        const char *below = strncmp(group, top, n) == 0 && (group[n] == '/' || group[n] == 0) ? group + n : "";
        if (strstr(below, "/..") || strcmp(below, "/") == 0)
            below = "";
        snprintf(dir, sizeof dir, "%s%s", at, below);
        for (;;) {
            int q = quota_of(root, dir, v2);
            best = q < best ? q : best;
            char *slash = strrchr(dir, '/');
            if (!slash || (size_t)(slash - dir) < base)
                break;
            *slash = 0;
        }
    }
    return best;
}

int vd_cpu_count(void)
{
    int n = affinity(), q = vd_cpu_quota("");
    n = q < n ? q : n;
    return n < 1 ? 1 : n;
}
