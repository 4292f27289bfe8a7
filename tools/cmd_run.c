/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/checked.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/npy.h"
#include "io/stream.h"
#include "onnx/onnx.h"
#include "ops/op.h" /* float16 */

enum { MAX_SLOTS = 64 };

/* What --in or --out said, and then what came of it. */
struct binding {
    const char *arg, *path; /* path: behind "NAME=", or all of arg */
    int slot;               /* -1: not bound yet */
};

struct job {
    /* What was asked for. */
    const char *model;
    struct binding in[MAX_SLOTS], out[MAX_SLOTS];
    size_t n_in, n_out;
    bool force, quiet;
    struct vd_run_opts run;
    /* What is open. */
    vmaf_dnn_session *session;
    vmaf_dnn_info info;
    struct vd_npy array[MAX_SLOTS];     /* of in[i] */
    vmaf_dnn_input input[MAX_SLOTS];
    vmaf_dnn_output output[MAX_SLOTS];  /* of out[i], or of every output when there is no --out */
    size_t n_output;
    struct vd_sink sink[MAX_SLOTS];
};

static const char help[] =
    "Usage: vmaf-dnn run MODEL|ID --in [NAME=]X.npy ... [--out [NAME=]Y.npy ...] [OPTION]...\n"
    "\n"
    "Run a model once on NumPy arrays.\n"
    "\n"
    "  --in [NAME=]FILE    an array for the input NAME; without NAME, for the next input in the model's order\n"
    "  --out [NAME=]FILE   where the output NAME goes, likewise; without any --out, each output's\n"
    "                      shape, least, mean and largest value are printed\n"
    "  -f, --force         replace output files that exist\n"
    "  -q, --quiet         no closing line on standard error\n"
    VD_RUN_HELP
    "\n"
    "Arrays are .npy files in C order, of float32, float16, uint8, int8, int32, int64 or bool; float32 is also\n"
    "taken where the model wants float16. Outputs have the model's own type and are what numpy.save() writes.\n"
    "'vmaf-dnn inspect MODEL' lists inputs and outputs. The closing line says which file ran, in which\n"
    "precision, and whether its digest was checked.\n"
    "\n"
    "Example:\n"
    "  python3 -c \"import numpy; numpy.save('x.npy', numpy.random.rand(1, 1, 64, 64).astype('float32'))\"\n"
    "  vmaf-dnn run learned_filter_v1 --in degraded=x.npy --out filtered=y.npy\n"
    "\n"
    "Exit codes: 0 done, 2 usage, no such file, or an array that does not fit, 3 a broken .npy file, 4 the model\n"
    "was refused, 5 no room or no memory.\n";

const struct vd_cmd vd_cmd_run;

static int add(struct binding *list, size_t *n, const char *what, const char *arg)
{
    if (*n == MAX_SLOTS)
        return vd_usage(&vd_cmd_run, "more than %d times %s", MAX_SLOTS, what);
    list[(*n)++] = (struct binding){.arg = arg, .slot = -1};
    return VD_EXIT_OK;
}

static int parse(int argc, char **argv, struct job *j)
{
    enum { OPT_IN = 1, OPT_OUT };
    static const struct option longs[] = {
        {"in", required_argument, NULL, OPT_IN},
        {"out", required_argument, NULL, OPT_OUT},
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        VD_RUN_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_run;
    int opt, code = VD_EXIT_OK;

    while (!code && (opt = vd_getopt(c, argc, argv, "fq", longs)) != -1)
        switch (opt) {
        case OPT_IN: code = add(j->in, &j->n_in, "--in", optarg); break;
        case OPT_OUT: code = add(j->out, &j->n_out, "--out", optarg); break;
        case 'f': j->force = true; break;
        case 'q': j->quiet = true; break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &j->run) < 0)
                code = VD_EXIT_USAGE;
        }
    if (code)
        return code;
    if (optind == argc)
        return vd_usage(c, "no model: name a .onnx file or an id of the registry");
    if (argc - optind > 1)
        return vd_usage(c, "one model at a time, and '%s' is a second one; arrays go behind --in", argv[optind + 1]);
    if (!j->n_in)
        return vd_usage(c, "no input: give --in NAME=X.npy");
    j->model = argv[optind];
    return VD_EXIT_OK;
}

typedef int slot_fn(const vmaf_dnn_session *s, size_t i, vmaf_dnn_slot *slot);

static const char *slot_name(const struct job *j, slot_fn *get, size_t i)
{
    vmaf_dnn_slot slot;

    return get(j->session, i, &slot) < 0 || !slot.name ? "" : slot.name;
}

/* "'a', 'b'" */
static void list_names(const struct job *j, slot_fn *get, size_t n, char *dst, size_t size)
{
    size_t at = 0;

    dst[0] = 0;
    for (size_t i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(dst + at, size - at, "%s'%s'", i ? ", " : "", slot_name(j, get, i));
}

/* NAME=FILE where NAME is a slot's; FILE otherwise, when it has no '=' or is there. (Names may hold '=' as well as paths.) */
static int bind_name(const struct job *j, slot_fn *get, size_t n_slots, const char *what, struct binding *b)
{
    char names[400];
    size_t longest = 0;

    b->path = b->arg;
    for (size_t i = 0; i < n_slots; i++) {
        const char *name = slot_name(j, get, i);
        size_t len = strlen(name);
        if (len && len >= longest && !strncmp(b->arg, name, len) && b->arg[len] == '=') {
            longest = len;
            b->slot = (int)i;
            b->path = b->arg + len + 1;
        }
    }
    if (b->slot < 0 && strchr(b->arg, '=') && !vd_file_is_regular(b->arg)) {
        list_names(j, get, n_slots, names, sizeof(names));
        return vd_usage(&vd_cmd_run, "--%s %s: the model has no %sput of that name; it has %s", what, b->arg, what, names);
    }
    if (!b->path[0])
        return vd_usage(&vd_cmd_run, "--%s %s: no file behind the '='", what, b->arg);
    return VD_EXIT_OK;
}

/* Named ones first; the others take what is left, in order. No slot twice. */
static int bind_slots(const struct job *j, slot_fn *get, size_t n_slots, const char *what, struct binding *list, size_t n)
{
    bool taken[MAX_SLOTS] = {false};
    size_t next = 0;

    if (n_slots > MAX_SLOTS) {
        vd_say(&vd_cmd_run, "the model has %zu %sputs; at most %d are taken", n_slots, what, MAX_SLOTS);
        return VD_EXIT_REFUSED;
    }
    for (size_t i = 0; i < n; i++) {
        int code = bind_name(j, get, n_slots, what, &list[i]);
        if (code)
            return code;
        if (list[i].slot >= 0 && taken[list[i].slot])
            return vd_usage(&vd_cmd_run, "--%s %s: that %sput was given before", what, list[i].arg, what);
        if (list[i].slot >= 0)
            taken[list[i].slot] = true;
    }
    for (size_t i = 0; i < n; i++) {
        if (list[i].slot >= 0)
            continue;
        while (next < n_slots && taken[next])
            next++;
        if (next == n_slots)
            return vd_usage(&vd_cmd_run, "--%s %s: the model has %zu %sput%s, and all are given", what, list[i].arg, n_slots, what,
                            vd_s((long long)n_slots));
        taken[next] = true;
        list[i].slot = (int)next;
    }
    return VD_EXIT_OK;
}

static int bind_all(struct job *j)
{
    int code = bind_slots(j, vmaf_dnn_session_input, j->info.n_inputs, "in", j->in, j->n_in);

    if (!code)
        code = bind_slots(j, vmaf_dnn_session_output, j->info.n_outputs, "out", j->out, j->n_out);
    if (code)
        return code;
    bool given[MAX_SLOTS] = {false};
    for (size_t i = 0; i < j->n_in; i++)
        given[j->in[i].slot] = true;
    for (size_t i = 0; i < j->info.n_inputs; i++)
        if (!given[i])
            return vd_usage(&vd_cmd_run, "input '%s' is missing: give --in %s=X.npy", slot_name(j, vmaf_dnn_session_input, i),
                            slot_name(j, vmaf_dnn_session_input, i));
    for (size_t i = 0; i < j->n_out; i++) {
        int rc = vd_sink_check(j->out[i].path, j->force, -1);
        if (!rc)
            rc = vd_refuse_model_files(j->out[i].path, &j->run, j->model, j->info.file);
        if (rc)
            return vd_report_output(rc);
        for (size_t k = 0; k < j->n_in; k++)
            if (vd_file_same(j->out[i].path, j->in[k].path))
                return vd_usage(&vd_cmd_run, "%s is an input and an output: give the output another name", j->out[i].path);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(j->out[i].path, j->out[k].path))
                return vd_usage(&vd_cmd_run, "two outputs go to %s", j->out[i].path);
    }
    return VD_EXIT_OK;
}

/* Does the array fit the input? What it says names file, slot, wanted and found. */
static int check_array(const struct vd_npy *a, const char *path, const vmaf_dnn_slot *s)
{
    char want[VD_SHAPE_TEXT], have[VD_SHAPE_TEXT];
    bool fits = s->rank < 0 || s->rank == a->rank;

    if (a->type != s->type && !(a->type == VMAF_DNN_F32 && s->type == VMAF_DNN_F16)) {
        vd_say(&vd_cmd_run, "%s: input '%s' is %s, the array %s: convert it with array.astype('%s')", path, s->name,
               vd_type_name(s->type), vd_type_name(a->type), vd_type_name(s->type));
        return VD_EXIT_USAGE;
    }
    for (int i = 0; fits && s->rank >= 0 && i < s->rank; i++)
        fits = s->shape[i] < 0 || s->shape[i] == a->shape[i];
    if (!fits || !a->count) {
        vd_say(&vd_cmd_run, "%s: input '%s' has the shape %s, the array %s%s", path, s->name, vd_shape_text(want, s->rank, s->shape),
               vd_shape_text(have, a->rank, a->shape), a->count ? "" : ": it has no elements");
        return VD_EXIT_USAGE;
    }
    return VD_EXIT_OK;
}

static int load_inputs(struct job *j)
{
    for (size_t i = 0; i < j->n_in; i++) {
        vmaf_dnn_slot slot;
        int rc = vmaf_dnn_session_input(j->session, (size_t)j->in[i].slot, &slot);
        if (rc)
            return vd_report(rc);
        rc = vd_npy_load(j->in[i].path, &j->array[i]);
        if (rc) {
            int code = vd_report(rc);
            return rc == -EBADMSG ? VD_EXIT_CLIP : code == VD_EXIT_REFUSED ? VD_EXIT_USAGE : code;
        }
        const struct vd_npy *a = &j->array[i];
        int code = check_array(a, j->in[i].path, &slot);
        if (code)
            return code;
        vmaf_dnn_input *in = &j->input[i];
        *in = (vmaf_dnn_input){.name = slot.name, .type = a->type, .rank = a->rank, .data = a->data, .count = a->count};
        memcpy(in->shape, a->shape, sizeof(in->shape));
    }
    return VD_EXIT_OK;
}

static int run_model(struct job *j)
{
    j->n_output = j->n_out ? j->n_out : j->info.n_outputs;
    for (size_t i = 0; i < j->n_output; i++) {
        vmaf_dnn_slot slot;
        int rc = vmaf_dnn_session_output(j->session, j->n_out ? (size_t)j->out[i].slot : i, &slot);
        if (rc)
            return vd_report(rc);
        if (!vd_npy_descr(slot.type)) {
            vd_say(&vd_cmd_run, "output '%s' is %s, which is not written to .npy", slot.name, vd_type_name(slot.type));
            return VD_EXIT_REFUSED;
        }
        j->output[i] = (vmaf_dnn_output){.name = slot.name, .type = slot.type};
    }
    /* Without room: nothing runs, and `written` is what each needs. */
    int rc = vmaf_dnn_session_run(j->session, j->input, j->n_in, j->output, j->n_output);
    if (rc && rc != -ENOSPC)
        return vd_report(rc);
    for (size_t i = 0; i < j->n_output; i++) {
        vmaf_dnn_output *o = &j->output[i];
        size_t size;
        if (!vd_mul(o->written, vd_type_size(o->type), &size) || !(o->data = vd_malloc(size ? size : 1)))
            return vd_report(vd_nomem(o->written));
        o->capacity = o->written;
    }
    return vd_report(vmaf_dnn_session_run(j->session, j->input, j->n_in, j->output, j->n_output));
}

/* All are written before the first gets its name. */
static int write_outputs(struct job *j)
{
    char header[VD_NPY_HEADER_ROOM];
    int rc = 0;

    for (size_t i = 0; i < j->n_out && !rc; i++) {
        const vmaf_dnn_output *o = &j->output[i];
        rc = vd_sink_open(&j->sink[i], j->out[i].path);
        if (!rc)
            rc = vd_sink_write(&j->sink[i], header, vd_npy_header(header, o->type, o->rank, o->shape));
        if (!rc)
            rc = vd_sink_write(&j->sink[i], o->data, o->written * vd_type_size(o->type));
    }
    for (size_t i = 0; i < j->n_out && !rc; i++)
        rc = vd_sink_commit(&j->sink[i]);
    return rc ? vd_report_output(rc) : VD_EXIT_OK;
}

static double element(const vmaf_dnn_output *o, size_t i)
{
    switch (o->type) {
    case VMAF_DNN_F32: return ((const float *)o->data)[i];
    case VMAF_DNN_F16: return vd_f32_from_f16(((const uint16_t *)o->data)[i]);
    case VMAF_DNN_S8: return ((const int8_t *)o->data)[i];
    case VMAF_DNN_S32: return ((const int32_t *)o->data)[i];
    case VMAF_DNN_S64: return (double)((const int64_t *)o->data)[i];
    default: return ((const uint8_t *)o->data)[i]; /* uint8 and bool */
    }
}

static void print_outputs(const struct job *j)
{
    for (size_t i = 0; i < j->n_output; i++) {
        const vmaf_dnn_output *o = &j->output[i];
        double least = INFINITY, most = -INFINITY, sum = 0;
        size_t nans = 0;
        char shape[VD_SHAPE_TEXT];

        for (size_t k = 0; k < o->written; k++) {
            double v = element(o, k);
            if (isnan(v)) {
                nans++;
                continue;
            }
            least = v < least ? v : least;
            most = v > most ? v : most;
            sum += v;
        }
        printf("%s %s %s", o->name, vd_type_name(o->type), vd_shape_text(shape, o->rank, o->shape));
        if (o->written > nans)
            printf(" min %.9g mean %.9g max %.9g", least, sum / (double)(o->written - nans), most);
        if (nans)
            printf(" NaN %zu of %zu", nans, o->written);
        putchar('\n');
    }
}

/* Which part of NAME=FILE is a file only the model tells: behind any '=', or all of it. */
static void allow(struct vd_sandbox *s, const char *arg, void (*how)(struct vd_sandbox *, const char *))
{
    how(s, arg);
    while ((arg = strchr(arg, '=')))
        how(s, ++arg);
}

static int confine(struct job *j)
{
    struct vd_sandbox s = {0};

    if (j->run.sandbox != VD_SANDBOX_OFF) {
        vd_allow_model(&s, &j->run, j->model);
        for (size_t i = 0; i < j->n_in; i++)
            allow(&s, j->in[i].arg, vd_sandbox_read);
        for (size_t i = 0; i < j->n_out; i++)
            allow(&s, j->out[i].arg, vd_sandbox_write);
    }
    return vd_confine(&vd_cmd_run, &s, &j->run);
}

static int run_job(struct job *j)
{
    int code, rc;
    char what[512];

    if ((code = confine(j)))
        return code;
    if ((code = vd_open_session(j->model, &j->run, &j->session)))
        return code;
    if ((rc = vmaf_dnn_session_info(j->session, &j->info)))
        return vd_report(rc);
    if ((code = bind_all(j)) || (code = load_inputs(j)) || (code = run_model(j)))
        return code;
    if (j->n_out)
        code = write_outputs(j);
    else
        print_outputs(j);
    if (!code && !j->quiet) {
        vd_session_line(j->session, what, sizeof(what));
        vd_say(&vd_cmd_run, "%s", what);
    }
    return code;
}

static int run(int argc, char **argv)
{
    struct job j = {0};
    int code = parse(argc, argv, &j);

    if (!code)
        code = run_job(&j);
    for (size_t i = 0; i < MAX_SLOTS; i++) {
        vd_sink_abort(&j.sink[i]);
        vd_free(j.output[i].data);
        vd_npy_free(&j.array[i]);
    }
    vmaf_dnn_session_close(j.session);
    return code;
}

const struct vd_cmd vd_cmd_run = {"run", "run any model once on NumPy arrays", help, run};
