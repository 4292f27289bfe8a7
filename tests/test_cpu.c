/* SPDX-License-Identifier: BSD-2-Clause */
/* Flags against the kernel's list, quotas against trees as Linux lays them out. */
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cpu.h"
#include "temp_dir.h"

static void test_flags(void **state)
{
    (void)state;
    unsigned flags = vd_cpu_flags();
    assert_int_equal(vd_cpu_flags(), flags);
#if defined(__aarch64__)
    /* What the CPU itself says, which the kernel lets programs read in its place: AdvSIMD of PFR0, DP of ISAR0, I8MM of ISAR1. */
    unsigned long pfr0, isar0, isar1;
    __asm__("mrs %0, S3_0_C0_C4_0" : "=r"(pfr0));
    __asm__("mrs %0, S3_0_C0_C6_0" : "=r"(isar0));
    __asm__("mrs %0, S3_0_C0_C6_1" : "=r"(isar1));
    const unsigned neon = (pfr0 >> 20 & 15) != 15 ? VD_CPU_NEON : 0, dot = neon && (isar0 >> 44 & 15) ? VD_CPU_DOTPROD : 0;
    assert_int_equal(flags, neon | dot | (dot && (isar1 >> 52 & 15) ? VD_CPU_I8MM : 0));
#elif defined(__x86_64__)
    assert_int_equal(flags & ~(unsigned)(VD_CPU_AVX2 | VD_CPU_AVX512VNNI | VD_CPU_AVXVNNI), 0);
    static const char *const avx2[] = {"avx2", "fma", "f16c"};
    static const char *const vnni[] = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"};
    char line[8192] = "", word[8200];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f) && strncmp(line, "flags", 5) != 0)
        ;
    if (!f || strncmp(line, "flags", 5) != 0)
        skip();
    fclose(f);
    line[strcspn(line, "\n")] = ' '; /* every word stands between blanks */
    unsigned want = VD_CPU_AVX2;
    for (size_t i = 0; i < 3; i++) {
        snprintf(word, sizeof word, " %s ", avx2[i]);
        want = strstr(line, word) ? want : 0;
    }
    unsigned more = want ? VD_CPU_AVX512VNNI : 0;
    for (size_t i = 0; i < 5; i++) {
        snprintf(word, sizeof word, " %s ", vnni[i]);
        more = strstr(line, word) ? more : 0;
    }
    assert_int_equal(flags & ~(unsigned)VD_CPU_AVXVNNI, want | more);
    assert_true(!(flags & VD_CPU_AVXVNNI) || want);
#else
    assert_int_equal(flags, 0);
#endif
}

static void test_affinity(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int count = vd_cpu_count(), quota = vd_cpu_quota("");
    assert_int_equal(count, quota < CPU_COUNT(&all) ? quota : CPU_COUNT(&all));
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
            assert_int_equal(vd_cpu_count(), 1);
        }
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(vd_cpu_count(), count);
}

struct file {
    const char *path, *text;
};

/* The quota in a tree of these files, each put in its folder under a root of its own. */
static int quota_in(const struct file *files)
{
    struct temp_dir d;
    assert_true(temp_dir_make(&d));
    for (; files->path; files++) {
        char path[1024];
        snprintf(path, sizeof path, "%s", temp_path(&d, files->path));
        for (char *p = path + strlen(d.path) + 1; (p = strchr(p, '/')); p++) {
            *p = 0;
            mkdir(path, 0755);
            *p = '/';
        }
        assert_true(temp_put(path, files->text, strlen(files->text)));
    }
    int q = vd_cpu_quota(d.path);
    temp_dir_remove(&d);
    return q;
}

#define QUOTA(...) quota_in((const struct file[]){__VA_ARGS__, {0}})
#define SELF "proc/self/cgroup"
#define MOUNTS "proc/self/mountinfo"
#define OTHERS "21 28 0:19 / /sys rw,nosuid - sysfs sysfs rw\n22 28 0:20 / /proc rw - proc proc rw\n"
#define MOUNT2 OTHERS "30 21 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define G "sys/fs/cgroup/"

static void test_v2(void **state)
{
    (void)state;
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", "150000 100000\n"}), 2);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", "200000 100000\n"}), 2);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", "200001 100000\n"}), 3);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", "1000 100000\n"}), 1);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", "max 100000\n"}), INT_MAX);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}), INT_MAX); /* the real root has no cpu.max */
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, OTHERS}, {G "cpu.max", "100000 100000\n"}), INT_MAX);
    /* the strictest of the group and those above it */
    assert_int_equal(QUOTA({SELF, "0::/a/b\n"}, {MOUNTS, MOUNT2}, {G "a/b/cpu.max", "max 100000\n"},
                           {G "a/cpu.max", "350000 50000\n"}, {G "cpu.max", "800000 100000\n"}), 7);
    assert_int_equal(QUOTA({SELF, "0::/a/b\n"}, {MOUNTS, MOUNT2}, {G "a/b/cpu.max", "300000 100000\n"},
                           {G "a/cpu.max", "700000 100000\n"}), 3);
    assert_int_equal(QUOTA({SELF, "0::/a/b\n"}, {MOUNTS, MOUNT2}, {G "a/b/c/cpu.max", "100000 100000\n"},
                           {"sys/fs/cpu.max", "100000 100000\n"}, {G "z/cpu.max", "100000 100000\n"}), INT_MAX);
}

/* Containers: the mount shows a part of the tree, or the namespace hides where it is. */
static void test_containers(void **state)
{
    (void)state;
    const char *bound = OTHERS "30 21 0:26 /pods/p1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    assert_int_equal(QUOTA({SELF, "0::/pods/p1/x\n"}, {MOUNTS, bound}, {G "x/cpu.max", "300000 100000\n"}), 3);
    assert_int_equal(QUOTA({SELF, "0::/pods/p1\n"}, {MOUNTS, bound}, {G "cpu.max", "300000 100000\n"}), 3);
    assert_int_equal(QUOTA({SELF, "0::/pods/p11\n"}, {MOUNTS, bound}, {G "cpu.max", "300000 100000\n"},
                           {G "1/cpu.max", "100000 100000\n"}), 3);
    assert_int_equal(QUOTA({SELF, "0::/../../other\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", "500000 100000\n"},
                           {"sys/other/cpu.max", "100000 100000\n"}), 5);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, "30 21 0:26 / /my\\040cg rw - cgroup2 cgroup rw\n"},
                           {"my cg/cpu.max", "400000 100000\n"}), 4);
}

static void test_v1(void **state)
{
    (void)state;
    const char *self = "12:cpuset:/set\n5:cpu,cpuacct:/a/b\n1:name=systemd:/s\n0::/s\n";
    const char *mounts = OTHERS "31 21 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                "33 21 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 master:1 - cgroup cgroup rw,cpu,cpuacct\n";
#define V1 G "cpu,cpuacct/"
    assert_int_equal(QUOTA({SELF, self}, {MOUNTS, mounts}, {V1 "a/b/cpu.cfs_quota_us", "250000\n"},
                           {V1 "a/b/cpu.cfs_period_us", "100000\n"}, {V1 "cpu.cfs_quota_us", "-1\n"},
                           {V1 "cpu.cfs_period_us", "100000\n"}), 3);
    assert_int_equal(QUOTA({SELF, self}, {MOUNTS, mounts}, {V1 "a/b/cpu.cfs_quota_us", "-1\n"},
                           {V1 "a/b/cpu.cfs_period_us", "100000\n"}, {V1 "a/cpu.cfs_quota_us", "20000\n"},
                           {V1 "a/cpu.cfs_period_us", "10000\n"}), 2);
    assert_int_equal(QUOTA({SELF, self}, {MOUNTS, mounts}, {V1 "a/b/cpu.cfs_quota_us", "-1\n"},
                           {V1 "a/b/cpu.cfs_period_us", "100000\n"}), INT_MAX);
    assert_int_equal(QUOTA({SELF, "12:cpuset,cpuacct:/set\n1:name=cpu:/set\n"}, {MOUNTS, mounts}, {V1 "set/cpu.cfs_quota_us", "1\n"},
                           {V1 "set/cpu.cfs_period_us", "1\n"}), INT_MAX);
}

/* Nonsense gives no quota rather than a wrong one. */
static void test_nonsense(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "max", "0 0\n", "100000\n", "100000 0\n", "-5 100000\n", "100000 -1\n",
                                        "max max\n", "x y\n", "999999999999999999999999 1\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, MOUNT2}, {G "cpu.max", texts[i]}), INT_MAX);
    static const char *const selfs[] = {"", "0", "0:", ":::", "no colons\n", "0::/"};
    for (size_t i = 0; i < sizeof selfs / sizeof *selfs; i++)
        assert_int_equal(QUOTA({SELF, selfs[i]}, {MOUNTS, "30 21 - cgroup2\n - \n1 2 3 4 5 -\nx - cgroup2 a b\n"},
                               {G "cpu.max", "100000 100000\n"}), INT_MAX);
    assert_int_equal(vd_cpu_quota("/nonexistent"), INT_MAX);
    static char huge[9000]; /* a line over any buffer is passed over, and the next one is read */
    memset(huge, 'o', 6000);
    memcpy(huge + 6000, "\n" MOUNT2, sizeof "\n" MOUNT2);
    assert_int_equal(QUOTA({SELF, "0::/\n"}, {MOUNTS, huge}, {G "cpu.max", "150000 100000\n"}), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags), cmocka_unit_test(test_affinity), cmocka_unit_test(test_v2),
        cmocka_unit_test(test_containers), cmocka_unit_test(test_v1), cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
