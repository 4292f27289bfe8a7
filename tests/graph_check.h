/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GRAPH_CHECK_H
#define GRAPH_CHECK_H

/* Nets of net_build.h made into graphs. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/status.h"
#include "graph/graph.h"
#include "net_build.h"

static inline void builds(struct vd_graph *g, struct net *n)
{
    if (vd_graph_build(g, &n->m))
        fail_msg("%s", vd_reason());
}

static inline int count(const struct vd_graph *g, const char *op)
{
    int found = 0;
    for (int i = 0; i < g->n_node; i++)
        found += !strcmp(g->node[i].op->name, op);
    return found;
}

static inline void fails_everywhere(struct net *n)
{
    for (size_t k = 1;; k++) {
        struct vd_graph g;
        const size_t before = vd_mem_count();
        vd_mem_fail_at(k, 0);
        const int rc = vd_graph_build(&g, &n->m);
        vd_mem_fail_at(0, 0);
        if (!rc)
            vd_graph_free(&g);
        if (vd_mem_count() - before < k) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
    }
    net_end(n);
}

#endif
