/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate_report.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* --- layers and activations */

static json_t *layer(const struct vd_explain *e, const struct vd_cost *c)
{
    json_t *o = json_object(), *in = json_array();
    vd_json_set(o, "name", json_string(c->layer->name));
    vd_json_set(o, "op", json_string(c->layer->op));
    vd_json_set(o, "output", json_string(e->layers.point[c->layer->out].fp32));
    for (int i = 0; i < c->layer->n_in; i++)
        vd_json_append(in, json_string(e->layers.point[c->layer->in[i]].fp32));
    vd_json_set(o, "inputs", in);
    vd_json_set(o, "int8_name", json_string(c->layer->int8_name));
    vd_json_set(o, "int8_op", json_string(c->layer->int8_op));
    vd_json_set(o, "elements", json_integer((json_int_t)c->elements));
    vd_json_number(o, "sqnr_db", c->has_alone ? vd_sqnr(&c->alone) : NAN);
    vd_json_number(o, "drop", c->has_alone ? 1 - vd_compare_plcc(&c->alone) : NAN);
    vd_json_number(o, "sqnr_db_cumulative", c->has_cumulative ? vd_sqnr(&c->cumulative) : NAN);
    vd_json_number(o, "drop_cumulative", c->has_cumulative ? 1 - vd_compare_plcc(&c->cumulative) : NAN);
    vd_json_number(o, "output_drop", vd_cost_drop(c));
    if (c->has_effect)
        vd_json_set(o, "output_lost", json_boolean(isinf(vd_cost_drop(c))));
    vd_json_number(o, "output_sqnr_db", c->has_effect ? vd_sqnr(&c->effect) : NAN);
    if (c->why)
        vd_json_set(o, "why", json_string(c->why));
    return o;
}

static json_t *activation(const struct vd_range *r)
{
    json_t *o = json_object(), *bins = json_array();
    vd_json_set(o, "tensor", json_string(r->rounded->fp32));
    vd_json_set(o, "dynamic", json_boolean(r->rounded->dynamic));
    vd_json_number(o, "min", r->n ? r->lo : NAN);
    vd_json_number(o, "max", r->n ? r->hi : NAN);
    vd_json_number(o, "range_lo", r->rounded->dynamic ? NAN : r->rounded->lo);
    vd_json_number(o, "range_hi", r->rounded->dynamic ? NAN : r->rounded->hi);
    vd_json_number(o, "clipped", r->n ? (double)r->outside / (double)r->n : NAN);
    vd_json_number(o, "clipped_noise", r->noise_n ? (double)r->noise_outside / (double)r->noise_n : NAN);
    vd_json_number(o, "histogram_lo", r->bin_lo);
    vd_json_number(o, "histogram_hi", r->bin_hi);
    for (int i = 0; i < VD_BINS; i++)
        vd_json_append(bins, json_integer((json_int_t)r->bin[i]));
    vd_json_set(o, "histogram", bins);
    return o;
}

void vd_explain_json(json_t *o, const struct vd_explain *e)
{
    json_t *layers = json_array(), *activations = json_array();
    for (int i = 0; i < e->n_cost; i++)
        vd_json_append(layers, layer(e, &e->cost[i]));
    for (int i = 0; i < e->n_range; i++)
        vd_json_append(activations, activation(&e->range[i]));
    vd_json_set(o, "explained_samples", json_integer(e->n_sample));
    vd_json_set(o, "layers", layers);
    vd_json_set(o, "activations", activations);
}

json_t *vd_node_data(const struct vd_gate_result *r, const struct vd_explain *e)
{
    static const struct { double stop; const char *color; } scale[] = {{0, "#b3261e"}, {0.5, "#f2e2b6"}, {1, "#1b6e53"}};
    json_t *o = json_object(), *results = json_object(), *gradient = json_array();
    char name[300];
    for (int i = 0; i < e->n_cost; i++) {
        const double sqnr = e->cost[i].has_alone ? vd_sqnr(&e->cost[i].alone) : NAN;
        if (!isfinite(sqnr))
            continue;
        json_t *v = json_object();
        vd_json_set(v, "value", json_real(sqnr));
        vd_json_set(results, e->layers.point[e->cost[i].layer->out].fp32, v);
    }
    for (size_t i = 0; i < sizeof scale / sizeof *scale; i++) {
        json_t *g = json_object();
        vd_json_set(g, "stop", json_real(scale[i].stop));
        vd_json_set(g, "bgColor", json_string(scale[i].color));
        vd_json_append(gradient, g);
    }
    snprintf(name, sizeof name, "%.200s: SQNR in dB, each layer alone", r->id);
    vd_json_set(o, "name", json_string(name));
    vd_json_set(o, "results", results);
    vd_json_set(o, "gradient", gradient);
    return o;
}

/* --- trace */

static json_t *event(const char *category, const char *name, double start, double duration)
{
    json_t *o = json_object();
    vd_json_set(o, "cat", json_string(category));
    vd_json_set(o, "pid", json_integer((json_int_t)getpid()));
    vd_json_set(o, "tid", json_integer((json_int_t)getpid()));
    vd_json_set(o, "dur", json_integer((json_int_t)(duration + 0.5)));
    vd_json_set(o, "ts", json_integer((json_int_t)(start + 0.5)));
    vd_json_set(o, "ph", json_string("X"));
    vd_json_set(o, "name", json_string(name));
    return o;
}

static void put_size(json_t *o, const char *key, size_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", v); /* ONNX Runtime has these numbers as strings */
    vd_json_set(o, key, json_string(text));
}

static json_t *shape(int type, int rank, const int64_t *dim)
{
    json_t *o = json_object(), *d = json_array();
    for (int i = 0; i < rank; i++)
        vd_json_append(d, json_integer((json_int_t)dim[i]));
    vd_json_set(o, type == VD_F32 ? "float" : vd_type_name(type), d);
    return o;
}

json_t *vd_trace_json(const struct vd_trace *t)
{
    json_t *list = json_array(), *o = event("Session", "model_run", 0, t->run_duration);
    double zero = t->run_duration;
    vd_json_set(o, "args", json_object());
    vd_json_append(list, o);
    for (int i = 0; i < t->n_event; i++) {
        const struct vd_trace_event *v = &t->event[i];
        json_t *args = json_object(), *in = json_array(), *out = json_array();
        char name[1200], index[16];
        snprintf(name, sizeof name, "%s_kernel_time", v->name);
        snprintf(index, sizeof index, "%d", v->index);
        /* One after the other: what lies between them is preparing the next. */
        o = event("Node", name, zero, v->duration);
        zero += v->duration;
        vd_json_set(args, "op_name", json_string(v->op));
        vd_json_set(args, "provider", json_string("CPUExecutionProvider"));
        vd_json_set(args, "node_index", json_string(index));
        put_size(args, "activation_size", v->in_bytes);
        put_size(args, "parameter_size", v->weight_bytes);
        put_size(args, "output_size", v->out_bytes);
        for (int k = 0; k < v->n_in; k++)
            vd_json_append(in, shape(v->in[k].type, v->in[k].rank, v->in[k].dim));
        vd_json_append(out, shape(v->out.type, v->out.rank, v->out.dim));
        vd_json_set(args, "input_type_shape", in);
        vd_json_set(args, "output_type_shape", out);
        vd_json_set(args, "layer", json_string(v->layer->name));
        vd_json_set(args, "layer_op", json_string(v->layer->op));
        vd_json_set(o, "args", args);
        vd_json_append(list, o);
    }
    return list;
}
