/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "graph/graph.h"
#include "model_parts.h"
#include "plan/plan.h"
#include "trust/trust.h"

extern const struct vd_cmd vd_cmd_inspect;

enum { DEFAULT_W = 1280, DEFAULT_H = 720 };

struct inspect {
    int w, h;
    bool layers;
    struct vd_run_opts run;
};

static void print_value(const char *label, const struct vd_onnx_value *v)
{
    printf("%s  %s  %s [", label, v->name, vd_type_name(v->type));
    if (v->rank < 0)
        printf("any shape");
    for (int i = 0; i < v->rank; i++) {
        printf("%s", i ? "," : "");
        if (v->dim[i] >= 0)
            printf("%" PRId64, v->dim[i]);
        else
            printf("%s", v->param[i] && *v->param[i] ? v->param[i] : "?");
    }
    printf("]\n");
}

/* "10 Conv, 4 Relu, ..." in order of first use. */
static void print_operators(const struct vd_onnx_model *m)
{
    printf("operators  ");
    for (int i = 0; i < m->n_node; i++) {
        int count = 0;
        bool seen = false;
        for (int k = 0; k < i && !seen; k++)
            seen = !strcmp(m->node[k].op_type, m->node[i].op_type);
        for (int k = i; k < m->n_node && !seen; k++)
            count += !strcmp(m->node[k].op_type, m->node[i].op_type);
        if (!seen)
            printf("%s%d %s", i ? ", " : "", count, m->node[i].op_type);
    }
    printf("%s\n", m->n_node ? "" : "none");
}

static int print_weights(const struct vd_onnx_model *m, bool layers)
{
    struct vd_parts p;
    const int rc = vd_parts_find(&p, m);
    if (rc)
        return rc;
    printf("weights    %zu in %d tensor%s, %zu byte%s\n", p.weights, p.weight_tensors, vd_s(p.weight_tensors), p.weight_bytes, vd_s((long long)p.weight_bytes));
    if (p.constant_tensors)
        printf("constants  %zu in %d tensor%s, %zu byte%s: bounds, shapes, scales, zero points\n", p.constants, p.constant_tensors, vd_s(p.constant_tensors),
               p.constant_bytes, vd_s((long long)p.constant_bytes));
    if (layers)
        vd_parts_print(&p, m);
    vd_parts_free(&p);
    return 0;
}

/* The lines of a refusal; the reason that building gave comes first where no line is that one. */
struct refusals {
    int n;
    const char *reason;
    bool has_reason;
};

static void find_reason(void *arg, const char *line)
{
    struct refusals *r = arg;
    r->has_reason = r->has_reason || !strcmp(line, r->reason);
}

static void say_refusal(void *arg, const char *line)
{
    struct refusals *r = arg;
    printf("%s%s\n", r->n++ ? "           " : "runs       no: ", line);
}

/* Symbolic dims: the last two of a picture are the asked size, the rest 1. */
static void shape_of(const struct vd_onnx_value *v, const struct inspect *o, struct vd_tensor *t)
{
    *t = (struct vd_tensor){.type = v->type, .rank = v->rank < 0 ? 4 : v->rank};
    for (int i = 0; i < t->rank; i++) {
        const int64_t d = v->rank < 0 ? -1 : v->dim[i];
        t->dim[i] = d >= 0 ? d : t->rank >= 3 && i == t->rank - 1 ? o->w : t->rank == 4 && i == 2 ? o->h : 1;
    }
}

static void print_refusals(const struct vd_onnx_model *m, const struct inspect *o)
{
    char reason[1024];
    struct refusals r = {.reason = reason};
    struct vd_tensor *shape = vd_calloc((size_t)m->n_in + 1, sizeof(*shape));
    snprintf(reason, sizeof(reason), "%s", vd_reason());
    for (int i = 0; shape && i < m->n_in; i++)
        shape_of(&m->in[i], o, &shape[i]);
    vd_graph_refusals(m, shape, find_reason, &r);
    if (!r.has_reason)
        say_refusal(&r, reason);
    vd_graph_refusals(m, shape, say_refusal, &r);
    vd_free(shape);
}

static int print_cost(const struct vd_onnx_model *m, struct vd_graph *g, const struct inspect *o)
{
    const struct vd_kernels *k;
    struct vd_workers *workers = NULL;
    struct vd_plan *plan = NULL;
    struct vd_tensor *shape = vd_calloc((size_t)m->n_in + 1, sizeof(*shape));
    int rc = shape ? vd_kernels_get(o->run.kernels, &k) : vd_nomem((size_t)m->n_in * sizeof(*shape));
    if (!rc)
        rc = vd_workers_create(o->run.threads, &workers);
    if (!rc)
        rc = vd_plan_create(&plan, g, k, workers);
    for (int i = 0; !rc && i < m->n_in; i++)
        shape_of(&m->in[i], o, &shape[i]);
    if (!rc)
        rc = vd_plan_shape(plan, shape);
    if (!rc) {
        struct vd_plan_info info;
        vd_plan_info(plan, &info);
        printf("int8       %d of %d convolution%s and matrix product%s\n", info.convs_int8, info.convs, vd_s(info.convs), vd_s(info.convs));
        printf("cost       ");
        for (int i = 0; i < m->n_in; i++) {
            printf("%s%s [", i ? ", " : "at ", m->in[i].name);
            for (int d = 0; d < shape[i].rank; d++)
                printf("%s%" PRId64, d ? "," : "", shape[i].dim[d]);
            printf("]");
        }
        printf(": %.3f GMAC, %d step%s, %.1f MB of tensors, %.1f MB of scratch for %d thread%s, %.1f kB of packed weights\n",
               (double)info.macs / 1e9, info.steps, vd_s(info.steps), (double)(info.arena_bytes - info.scratch_bytes) / 1e6, (double)info.scratch_bytes / 1e6,
               vd_workers_count(workers), vd_s(vd_workers_count(workers)), (double)info.packed_bytes / 1e3);
    }
    vd_plan_free(plan);
    vd_workers_free(workers);
    vd_free(shape);
    return rc;
}

/* What session_open does with this argument: which file, pinned or not, or why not. */
static int print_opens(const char *model, const struct inspect *o)
{
    const vmaf_dnn_settings set = {.threads = 1, .kernels = o->run.kernels, .baseline = o->run.baseline, .registry = o->run.registry,
                                   .trusted_keys = o->run.trusted_keys, .require_pinned = o->run.require_pinned};
    vmaf_dnn_session *s;
    const int rc = vmaf_dnn_session_open(&s, model, &set);
    if (rc) {
        printf("opens      no: %s\n", vmaf_dnn_last_error());
        return rc;
    }
    vmaf_dnn_info info;
    vmaf_dnn_session_info(s, &info);
    printf("opens      %s, quant_mode %s, %s%s\n", info.file, info.quant_mode, info.pinned ? "pinned" : "UNPINNED (no digest on record)",
           info.baseline ? ", as the fp32 baseline" : "");
    vmaf_dnn_session_close(s);
    return 0;
}

static int inspect_bytes(const char *path, const uint8_t *data, size_t size, const struct inspect *o)
{
    struct vd_onnx_model m = {0};
    struct vd_graph g = {0};
    char hex[65];
    int rc;
    vd_sha256_hex(data, size, hex);
    printf("file       %s, %zu byte%s\nsha256     %s\n", path, size, vd_s((long long)size), hex);
    rc = size ? vd_onnx_read(&m, data, size) : vd_fail(EBADMSG, "the file is empty");
    if (rc) {
        printf("runs       no: %s\n", vd_reason());
        goto done;
    }
    printf("format     ONNX IR %" PRId64 ", opset %d%s%s%s%s\n", m.ir_version, m.opset, *m.producer_name ? ", made by " : "", m.producer_name,
           *m.producer_version ? " " : "", m.producer_version);
    for (int i = 0; i < m.n_in; i++)
        print_value("input    ", &m.in[i]);
    for (int i = 0; i < m.n_out; i++)
        print_value("output   ", &m.out[i]);
    print_operators(&m);
    if ((rc = print_weights(&m, o->layers))) {
        printf("runs       no: %s\n", vd_reason());
        goto done;
    }
    if ((rc = vd_graph_build(&g, &m)) || (rc = print_cost(&m, &g, o)))
        print_refusals(&m, o);
    else
        printf("runs       yes\n");
done:
    vd_graph_free(&g);
    vd_onnx_free(&m);
    return rc;
}

static int inspect_file(const char *path, const struct inspect *o)
{
    uint8_t *data = NULL;
    size_t size;
    int rc = vd_file_read(path, VD_MAX_MODEL, &data, &size);
    if (!rc)
        rc = inspect_bytes(path, data, size, o);
    vd_free(data);
    return rc;
}

static bool is_file_name(const char *model)
{
    const size_t len = strlen(model);
    return strchr(model, '/') || (len > 5 && !strcmp(model + len - 5, ".onnx")) || vd_file_is_regular(model);
}

static int confine(struct inspect *o, char **model)
{
    struct vd_sandbox s = {0};
    for (; *model && o->run.sandbox != VD_SANDBOX_OFF; model++) {
        if (is_file_name(*model))
            vd_sandbox_read(&s, *model);
        vd_allow_model(&s, &o->run, *model);
    }
    return vd_confine(&vd_cmd_inspect, &s, &o->run);
}

/* "float32 int8" of a mask of element types. */
static void print_types(uint32_t mask, bool f16)
{
    const char *space = "";
    for (int t = 1; t < 32; t++)
        if (mask & VD_T(t) || (f16 && t == VD_F16 && mask & VD_T(VD_F32))) {
            printf("%s%s", space, vd_type_name(t));
            space = " ";
        }
}

/* The op table in Markdown: docs/operators.md is made of it. */
static void print_table(void)
{
    printf("| operator | opsets | inputs | types of the inputs | attributes |\n|---|---|---|---|---|\n");
    for (int i = 0; vd_op_row(i); i++) {
        const struct vd_op *op = vd_op_row(i);
        printf("| %s | %d to %d | %d", op->name, op->opset_min, op->opset_max, op->in_min);
        if (op->in_max == VD_ANY_ARITY)
            printf(" or more");
        else if (op->in_max > op->in_min)
            printf(" to %d", op->in_max);
        printf(" | ");
        for (int k = 0; k < VD_OP_MAX_IN && op->types[k]; k++) {
            printf("%s", k ? "; " : "");
            print_types(op->types[k], true);
        }
        printf(" | ");
        for (const char *p = op->attrs; *p;) { /* "name:t name:t!" */
            const size_t name = strcspn(p, ":"), word = strcspn(p, " ");
            printf("%s%.*s", p == op->attrs ? "" : " ", (int)name, p);
            p += word + strspn(p + word, " ");
        }
        printf(" |\n");
    }
}

static int run(int argc, char **argv)
{
    enum { OPT_SIZE = 1, OPT_OPERATORS, OPT_LAYERS };
    static const struct option longs[] = {{"size", required_argument, NULL, OPT_SIZE}, {"operators", no_argument, NULL, OPT_OPERATORS},
                                          {"layers", no_argument, NULL, OPT_LAYERS}, VD_RUN_OPTIONS, {NULL, 0, NULL, 0}};
    struct inspect o = {.w = DEFAULT_W, .h = DEFAULT_H};
    for (int opt; (opt = vd_getopt(&vd_cmd_inspect, argc, argv, "", longs)) != -1;) {
        if (opt == '?')
            return VD_EXIT_USAGE;
        if (opt == OPT_OPERATORS) {
            print_table();
            return VD_EXIT_OK;
        }
        if (opt == OPT_LAYERS)
            o.layers = true;
        if (opt == OPT_SIZE && !vd_parse_size(optarg, &o.w, &o.h))
            return vd_usage(&vd_cmd_inspect, "--size %s: give WIDTHxHEIGHT, each 1 to %d, as in 1920x1080", optarg, VD_MAX_SIDE);
        if (opt >= VD_OPT_THREADS && vd_run_option(&vd_cmd_inspect, opt, optarg, &o.run) < 0)
            return VD_EXIT_USAGE;
    }
    if (optind == argc)
        return vd_usage(&vd_cmd_inspect, "name a model: the path of a .onnx file, or a registry id");
    int code = confine(&o, argv + optind);
    if (code)
        return code;
    for (int i = optind; i < argc; i++) {
        const char *model = argv[i];
        int rc;
        if (i > optind)
            printf("\n");
        /* A path is looked at itself, also when it is not what opens; an id is what it resolves to. */
        if (is_file_name(model)) {
            rc = inspect_file(model, &o);
        } else {
            struct vd_resolved r;
            const struct vd_resolve_how how = {.baseline = o.run.baseline, .registry = o.run.registry,
                                               .trusted_keys = o.run.trusted_keys, .require_pinned = o.run.require_pinned};
            rc = vd_resolve(model, &how, &r);
            if (!rc) {
                rc = inspect_bytes(r.path, r.data, r.size, &o);
                vd_resolved_free(&r);
            } else {
                code = vd_report(rc);
                continue;
            }
        }
        if (rc == -ENOENT || rc == -EACCES || rc == -EIO || rc == -E2BIG) {
            code = vd_report(rc);
            continue;
        }
        const int opens = print_opens(model, &o);
        if (rc || opens)
            code = opens == -ENOMEM || rc == -ENOMEM ? VD_EXIT_ROOM : VD_EXIT_REFUSED;
    }
    return code;
}

const struct vd_cmd vd_cmd_inspect = {
    .name = "inspect",
    .summary = "say what is in a model, what it costs, and whether it will run",
    .help = "Usage: vmaf-dnn inspect [OPTION]... MODEL...\n"
            "\n"
            "Print a model's format, inputs, outputs, operators and weights, what one run costs at a\n"
            "size, and whether it runs here; if not, every operator that is in the way. The last line\n"
            "says which file opens when MODEL is given to another command, and whether its digest is on\n"
            "record. MODEL is the path of any .onnx file (that very file is looked at) or a registry id.\n"
            "\n"
            "  --layers            each layer by the name that quantize's --exclude, --two-bytes and --tails know it by, with\n"
            "                      its operator and weights\n"
            "  --operators         print the table of operators that run, and nothing else\n"
            "  --size WxH          picture size for the cost, where the model's is not fixed (1280x720)\n"
            VD_RUN_HELP
            "\n"
            "Exit codes: 0 it runs, 2 usage or no such file, 4 it is refused.\n"
            "\n"
            "Example:\n"
            "  vmaf-dnn inspect --size 1920x1080 model/tiny/learned_filter_v1.int8.onnx\n",
    .run = run,
};
