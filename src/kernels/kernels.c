/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "common/cpu.h"
#include "common/status.h"
#include "kernels/kernels_impl.h"

/* Weakest first. A set is its own ladder piece on top of all those above it;
 * one that is not built here (init NULL) keeps its name, so that asking for it says what is wrong. */
static const struct set {
    const char *name;
    unsigned cpu; /* flags that it needs, all of them */
    void (*init)(struct vd_kernels *k);
} sets[] = {
    {"c", 0, vd_kernels_init_c},
#if defined(__x86_64__)
    {"avx2", VD_CPU_AVX2, vd_kernels_init_avx2},
#if defined(VD_HAVE_AVXVNNI)
    {"avxvnni", VD_CPU_AVX2 | VD_CPU_AVXVNNI, vd_kernels_init_avxvnni},
#else
    {"avxvnni", 0, NULL},
#endif
    {"avx512vnni", VD_CPU_AVX2 | VD_CPU_AVX512VNNI, vd_kernels_init_avx512vnni},
#else
    {"avx2", 0, NULL},
    {"avxvnni", 0, NULL},
    {"avx512vnni", 0, NULL},
#endif
#if defined(VD_HAVE_NEON)
    {"neon", VD_CPU_NEON, vd_kernels_init_neon},
    {"dotprod", VD_CPU_NEON | VD_CPU_DOTPROD, vd_kernels_init_dotprod},
#if defined(VD_HAVE_I8MM)
    {"i8mm", VD_CPU_NEON | VD_CPU_DOTPROD | VD_CPU_I8MM, vd_kernels_init_i8mm},
#else
    {"i8mm", 0, NULL},
#endif
#else
    {"neon", 0, NULL},
    {"dotprod", 0, NULL},
    {"i8mm", 0, NULL},
#endif
};
enum { N_SETS = sizeof(sets) / sizeof(sets[0]) };

static struct vd_kernels ready[N_SETS];
static int usable[N_SETS], n_usable; /* indices into sets */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_all(void)
{
    const unsigned cpu = vd_cpu_flags();
    struct vd_kernels k = {0};

    for (int i = 0; i < N_SETS; i++) {
        if (!sets[i].init || (sets[i].cpu & ~cpu) != 0)
            continue;
        sets[i].init(&k);
        k.name = sets[i].name;
        ready[i] = k;
        usable[n_usable++] = i;
    }
}

const char *vd_kernels_name(int i)
{
    pthread_once(&once, init_all);
    return i >= 0 && i < n_usable ? sets[usable[i]].name : NULL;
}

/* "auto, c, avx2": every name that there is, or those that this CPU runs. */
static const char *list_names(char *buf, size_t size, int only_usable)
{
    size_t used = (size_t)snprintf(buf, size, "auto");

    for (int i = 0; i < N_SETS && used < size; i++)
        if (!only_usable || ready[i].name)
            used += (size_t)snprintf(buf + used, size - used, ", %s", sets[i].name);
    return buf;
}

int vd_kernels_get(const char *name, const struct vd_kernels **out)
{
    char names[128];

    *out = NULL;
    pthread_once(&once, init_all);
    if (!name || strcmp(name, "auto") == 0) {
        *out = &ready[usable[n_usable - 1]];
        return 0;
    }
    for (int i = 0; i < N_SETS; i++) {
        if (strcmp(name, sets[i].name) != 0)
            continue;
        if (!ready[i].name)
            return vd_fail(ENOTSUP, "this CPU has no %s: use one of %s", name, list_names(names, sizeof(names), 1));
        *out = &ready[i];
        return 0;
    }
    return vd_fail(EINVAL, "kernel set '%s' is unknown: %s", name, list_names(names, sizeof(names), 0));
}

void vd_kernels_init_c(struct vd_kernels *k)
{
    k->conv_f32 = vd_conv_f32_c;
    k->conv_s16 = vd_conv_s16_c;
    k->range_f32 = vd_range_f32_c;
    k->quantize_pair = vd_quantize_pair_c;
    k->u8_to_f32 = vd_u8_to_f32_c;
    k->u16_to_f32 = vd_u16_to_f32_c;
    k->f32_to_u8 = vd_f32_to_u8_c;
    k->f32_to_u16 = vd_f32_to_u16_c;
    vd_conv_u8_row_c(&k->row);
    vd_conv_f32_row_c(&k->row);
    vd_pool_row_c(&k->row);
    vd_rows_c(&k->row);
}
