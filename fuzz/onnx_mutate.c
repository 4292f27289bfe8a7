/* SPDX-License-Identifier: BSD-2-Clause */
/* libFuzzer's mutator for ONNX files: fields are changed, not bytes, so that the lengths of all messages around stay right. A file that
 * is no protobuf, and one in eight others, gets libFuzzer's own changes. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "graph/graph.h"
#include "onnx/onnx_proto.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, uint8_t *out, size_t max_size, unsigned seed);

enum { NONE, MODEL, GRAPH, NODE, ATTR, TENSOR, VALUE, TYPE, TENSOR_TYPE_, SHAPE, DIM, OPSET, KV };

static const struct { uint8_t parent; uint8_t field; uint8_t kind; } messages[] = {
    {MODEL, MODEL_GRAPH, GRAPH}, {MODEL, MODEL_OPSET, OPSET}, {MODEL, MODEL_META, KV}, {GRAPH, GRAPH_NODE, NODE}, {GRAPH, GRAPH_INIT, TENSOR},
    {GRAPH, GRAPH_INPUT, VALUE}, {GRAPH, GRAPH_OUTPUT, VALUE}, {GRAPH, GRAPH_VALUE_INFO, VALUE}, {NODE, NODE_ATTR, ATTR}, {ATTR, ATTR_T, TENSOR},
    {VALUE, VALUE_TYPE, TYPE}, {TYPE, TYPE_TENSOR, TENSOR_TYPE_}, {TENSOR_TYPE_, TYPE_TENSOR_SHAPE, SHAPE}, {SHAPE, SHAPE_DIM, DIM},
};

struct item {
    uint8_t kind, in;   /* of this message, NONE for a leaf; of the message around */
    uint8_t wire;
    uint32_t number;
    uint64_t v;         /* wire 0, 1, 5 */
    const uint8_t *p;   /* a leaf of wire 2 */
    size_t n;
    int child, next, parent; /* -1: none */
};
enum { MOST = 8192, SPARE = 1 << 16 };
static struct item item[MOST];
static int items;
static uint8_t spare[SPARE]; /* bytes of new leaves */
static size_t spared;
static uint64_t state;

static uint32_t below(uint32_t n) { return n ? fuzz_random(&state) % n : 0; }

static int add(struct item it)
{
    if (items == MOST)
        return -1;
    item[items] = it;
    return items++;
}

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    *v = 0;
    for (int shift = 0; *p < end && shift < 70; shift += 7) {
        const uint8_t b = *(*p)++;
        if (shift < 64)
            *v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return true;
    }
    return false;
}

static int parse(int kind, int parent, const uint8_t *p, const uint8_t *end) /* first child, -1: none, -2: not protobuf */
{
    int first = -1, last = -1;
    while (p < end) {
        uint64_t tag, n;
        struct item it = {.in = (uint8_t)kind, .child = -1, .next = -1, .parent = parent};
        if (!varint(&p, end, &tag) || tag >> 3 == 0 || tag >> 32)
            return -2;
        it.number = (uint32_t)(tag >> 3);
        it.wire = tag & 7;
        if (it.wire == 0) {
            if (!varint(&p, end, &it.v))
                return -2;
        } else if (it.wire == 1 || it.wire == 5) {
            const size_t bytes = it.wire == 1 ? 8 : 4;
            if ((size_t)(end - p) < bytes)
                return -2;
            memcpy(&it.v, p, bytes);
            p += bytes;
        } else if (it.wire == 2) {
            if (!varint(&p, end, &n) || n > (size_t)(end - p))
                return -2;
            it.p = p;
            it.n = (size_t)n;
            p += it.n;
            for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
                if (messages[i].parent == kind && messages[i].field == it.number)
                    it.kind = messages[i].kind;
        } else {
            return -2;
        }
        const int at = add(it);
        if (at < 0)
            return -2;
        if (it.kind) {
            const int child = parse(it.kind, at, it.p, it.p + it.n);
            if (child == -2)
                item[at].kind = NONE; /* stays bytes */
            else
                item[at].child = child;
        }
        if (last < 0)
            first = at;
        else
            item[last].next = at;
        last = at;
    }
    return first;
}

struct out { uint8_t *p; size_t n, most; bool over; };

static void put(struct out *o, const void *p, size_t n)
{
    if (n > o->most - o->n) {
        o->over = true;
        return;
    }
    if (n)
        memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void put_varint(struct out *o, uint64_t v)
{
    uint8_t b[10];
    size_t n = 0;
    for (; v > 127; v >>= 7)
        b[n++] = (uint8_t)(v | 128);
    b[n++] = (uint8_t)v;
    put(o, b, n);
}

static size_t width(uint64_t v) { return v > 127 ? 1 + width(v >> 7) : 1; }

static size_t size_of(int at) /* of the fields from at on */
{
    size_t n = 0;
    for (; at >= 0; at = item[at].next) {
        const struct item *it = &item[at];
        n += width((uint64_t)it->number << 3);
        if (it->wire == 2) {
            const size_t body = it->kind ? size_of(it->child) : it->n;
            n += width(body) + body;
        } else {
            n += it->wire == 0 ? width(it->v) : it->wire == 1 ? 8 : 4;
        }
    }
    return n;
}

static void write_fields(struct out *o, int at)
{
    for (; at >= 0 && !o->over; at = item[at].next) {
        const struct item *it = &item[at];
        put_varint(o, (uint64_t)it->number << 3 | it->wire);
        if (it->wire == 0)
            put_varint(o, it->v);
        else if (it->wire != 2)
            put(o, &it->v, it->wire == 1 ? 8 : 4);
        else if (it->kind) {
            put_varint(o, size_of(it->child));
            write_fields(o, it->child);
        } else {
            put_varint(o, it->n);
            put(o, it->p, it->n);
        }
    }
}

/* One of the items for which ok holds; -1: there is none. */
static int pick(bool (*ok)(const struct item *it))
{
    int n = 0, at = -1;
    for (int i = 0; i < items; i++)
        if (ok(&item[i]) && below((uint32_t)++n) == 0)
            at = i;
    return at;
}

static bool is_any(const struct item *it) { return it->number != 0; }
static bool is_varint(const struct item *it) { return it->wire == 0; }
static bool is_leaf(const struct item *it) { return it->wire == 2 && !it->kind; }
static bool is_message(const struct item *it) { return it->kind != NONE; }
static bool is_node(const struct item *it) { return it->kind == NODE; }
static bool is_tensor(const struct item *it) { return it->kind == TENSOR; }
static bool is_number(const struct item *it) { return it->wire == 1 || it->wire == 5; }
static bool is_packed(const struct item *it)
{
    return is_leaf(it) && ((it->in == TENSOR && (it->number == TENSOR_RAW_DATA || it->number == TENSOR_FLOAT_DATA)) ||
                           (it->in == ATTR && it->number == ATTR_FLOATS));
}
static bool is_name(const struct item *it) /* of a value */
{
    return is_leaf(it) && ((it->in == NODE && (it->number == NODE_INPUT || it->number == NODE_OUTPUT)) ||
                           (it->in == VALUE && it->number == VALUE_NAME) || (it->in == TENSOR && it->number == TENSOR_NAME));
}
static bool is_type(const struct item *it)
{
    return it->wire == 0 && ((it->in == TENSOR && it->number == TENSOR_TYPE) || (it->in == TENSOR_TYPE_ && it->number == TYPE_TENSOR_ELEM));
}
static bool is_op_type(const struct item *it) { return is_leaf(it) && it->in == NODE && it->number == NODE_OP_TYPE; }

static const uint64_t boundary[] = {
    0, 1, 2, 3, 4, 7, 8, 9, 12, 13, 23, 24, 127, 128, 255, 256, 1023, 1024, 65535, 65536, 0x7fffffff, 0x80000000u, 0x80000001u, 0xffffffffu,
    0x100000000u, 0x100000001u, (uint64_t)1 << 42, ((uint64_t)1 << 42) + 1, 0x7fffffffffffffffu, 0x8000000000000000u, 0x8000000000000001u,
    0xfffffffffffffffeu, 0xffffffffffffffffu, (uint64_t)1 << 40, (uint64_t)1 << 31 | 1, 0xaaaaaaaaaaaaaaabu, 0x4000000000000000u,
};
enum { BOUNDARIES = sizeof boundary / sizeof boundary[0] };

static uint64_t some_number(uint64_t was)
{
    switch (below(5)) {
    case 0: return was + 1;
    case 1: return was - 1;
    case 2: return below(9);
    case 3: return (uint64_t)0 - below(9);
    default: return boundary[below(BOUNDARIES)];
    }
}

static void unlink_item(int at)
{
    for (int i = 0; i < items; i++) {
        if (item[i].child == at)
            item[i].child = item[at].next;
        if (item[i].next == at)
            item[i].next = item[at].next;
    }
    item[at].number = 0; /* no longer picked, but may still be a sibling's child */
    item[at].next = -1;
}

static int insert_after(int at, struct item it)
{
    const int to = add(it);
    if (to >= 0) {
        item[to].parent = item[at].parent;
        item[to].next = item[at].next;
        item[at].next = to;
    }
    return to;
}

static int append(int message, struct item it)
{
    it.in = item[message].kind;
    it.parent = message;
    it.next = item[message].child;
    const int to = add(it);
    if (to >= 0)
        item[message].child = to;
    return to;
}

static const uint8_t *keep(const void *p, size_t n)
{
    if (n > SPARE - spared)
        return NULL;
    uint8_t *to = spare + spared;
    if (n)
        memcpy(to, p, n);
    spared += n;
    return to;
}

static void set_leaf(int at, const void *p, size_t n)
{
    const uint8_t *kept = keep(p, n);
    if (kept) {
        item[at].p = kept;
        item[at].n = n;
    }
}

static const struct vd_op *some_op(void)
{
    int n = 0;
    while (vd_op_row(n))
        n++;
    return vd_op_row((int)below((uint32_t)n));
}

static int field_of(int message, unsigned number)
{
    for (int i = item[message].child; i >= 0; i = item[i].next)
        if (item[i].number == number)
            return i;
    return -1;
}

/* An attribute of the node's own operator, else of any. */
static void new_attribute(int node)
{
    char name[64];
    const struct vd_op *op = NULL;
    const int type = field_of(node, NODE_OP_TYPE);
    if (type >= 0 && item[type].p && item[type].n < sizeof name && below(8)) {
        memcpy(name, item[type].p, item[type].n);
        name[item[type].n] = 0;
        op = vd_op_find(name, 13);
    }
    if (!op)
        op = some_op();
    const char *s = op->attrs ? op->attrs : "", *word = NULL;
    for (uint32_t n = 0; *s;) { /* "axis:i pads:I" */
        if (below(++n) == 0)
            word = s;
        s += strcspn(s, " ");
        s += strspn(s, " ");
    }
    if (!word)
        return;
    const size_t n = strcspn(word, ":");
    const int at = append(node, (struct item){.kind = ATTR, .wire = 2, .number = NODE_ATTR, .child = -1});
    if (at < 0 || !keep(word, n))
        return;
    append(at, (struct item){.wire = 2, .number = ATTR_NAME, .p = spare + spared - n, .n = n, .child = -1});
    static const float floats[] = {0, 1, -1, 0.5f, 1e-30f, 1e30f, -0.0f, 3.5f};
    uint32_t bits;
    memcpy(&bits, &floats[below(8)], sizeof bits);
    switch (word[n + 1]) {
    case 'i': append(at, (struct item){.number = ATTR_I, .v = some_number(0), .child = -1}); break;
    case 'f': append(at, (struct item){.wire = 5, .number = ATTR_F, .v = bits, .child = -1}); break;
    case 'I':
        for (uint32_t k = below(6); k; k--)
            append(at, (struct item){.number = ATTR_INTS, .v = below(4) ? below(4) : some_number(1), .child = -1});
        append(at, (struct item){.number = ATTR_TYPE, .v = VD_ATTR_INTS, .child = -1});
        break;
    case 'F':
        for (uint32_t k = below(6); k; k--)
            append(at, (struct item){.wire = 5, .number = ATTR_FLOATS, .v = bits, .child = -1});
        append(at, (struct item){.number = ATTR_TYPE, .v = VD_ATTR_FLOATS, .child = -1});
        break;
    case 's': {
        static const char *const words[] = {"SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "constant", "reflect", "edge", "wrap", "LEFT", "RIGHT",
                                            "DCR", "CRD", "none", "tanh", ""};
        const char *w = words[below(sizeof words / sizeof words[0])];
        append(at, (struct item){.wire = 2, .number = ATTR_S, .p = (const uint8_t *)w, .n = strlen(w), .child = -1});
        break;
    }
    default: { /* a tensor */
        const int t = append(at, (struct item){.kind = TENSOR, .wire = 2, .number = ATTR_T, .child = -1});
        if (t < 0)
            return;
        append(t, (struct item){.number = TENSOR_TYPE, .v = 1 + below(13), .child = -1});
        append(t, (struct item){.wire = 2, .number = TENSOR_RAW_DATA, .p = (const uint8_t *)boundary, .n = (size_t)1 << below(4), .child = -1});
        append(t, (struct item){.number = TENSOR_DIMS, .v = 1, .child = -1});
    }
    }
}

/* Other dims, and as many bytes as they ask for, made of those that were there. */
static void reshape(int tensor)
{
    const int type = field_of(tensor, TENSOR_TYPE);
    size_t n = type < 0 ? 0 : vd_type_size((int)item[type].v), old = 0;
    const uint8_t *from = (const uint8_t *)boundary;
    if (!n)
        return;
    for (int i = item[tensor].child, next; i >= 0; i = next) {
        next = item[i].next;
        const unsigned f = item[i].number;
        if (f == TENSOR_RAW_DATA && item[i].n) {
            from = item[i].p;
            old = item[i].n;
        }
        if (f == TENSOR_DIMS || f == TENSOR_RAW_DATA || f == TENSOR_FLOAT_DATA || f == TENSOR_INT32_DATA || f == TENSOR_INT64_DATA)
            unlink_item(i);
    }
    if (!old)
        old = sizeof boundary;
    for (uint32_t rank = below(6); rank; rank--) {
        const uint64_t d = below(8) ? 1 + below(4) : 0;
        append(tensor, (struct item){.number = TENSOR_DIMS, .v = d, .child = -1});
        n *= (size_t)d;
    }
    if (n > SPARE - spared)
        return;
    uint8_t *to = spare + spared;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i % old];
    spared += n;
    append(tensor, (struct item){.wire = 2, .number = TENSOR_RAW_DATA, .p = to, .n = n, .child = -1});
}

static void copy_of(int at, int from) { /* what from holds, in at's place */
    const int next = item[at].next, parent = item[at].parent;
    const uint8_t in = item[at].in;
    item[at] = item[from];
    item[at].next = next;
    item[at].parent = parent;
    item[at].in = in;
}

/* Another item of the same sort, from first on; kinds do not nest in themselves, so that no circle is made. */
static int like(int at, int first)
{
    int n = 0, found = -1;
    for (int i = first; i < items; i++)
        if (i != at && item[i].number == item[at].number && item[i].in == item[at].in && item[i].kind == item[at].kind &&
            item[i].wire == item[at].wire && below((uint32_t)++n) == 0)
            found = i;
    return found;
}

static void mutate_bytes(int at)
{
    const size_t n = item[at].n, room = n + 16;
    if (room > SPARE - spared)
        return;
    uint8_t *to = spare + spared;
    if (n)
        memcpy(to, item[at].p, n);
    item[at].n = LLVMFuzzerMutate(to, n, room);
    item[at].p = to;
    spared += item[at].n;
}

static void special_float(int at)
{
    static const uint32_t bits[] = {0, 0x80000000u, 0x3f800000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0x7f7fffffu, 1, 0x00800000u};
    const size_t n = item[at].n;
    if (n < 4)
        return;
    const uint8_t *was = item[at].p;
    set_leaf(at, was, n);
    if (item[at].p != was)
        memcpy(spare + spared - n + 4 * below((uint32_t)(n / 4)), &bits[below(10)], 4);
}

static void change(void)
{
    int at, from;
    switch (below(15)) {
    case 0: case 1:
        if ((at = pick(is_varint)) >= 0)
            item[at].v = some_number(item[at].v);
        break;
    case 2:
        if ((at = pick(is_any)) >= 0)
            unlink_item(at);
        break;
    case 3:
        if ((at = pick(is_any)) >= 0)
            insert_after(at, item[at]);
        break;
    case 4:
        if ((at = pick(is_any)) >= 0 && item[at].next >= 0) { /* swap with the next */
            const int next = item[at].next;
            const struct item it = item[at];
            copy_of(at, next);
            copy_of(next, items == MOST ? next : add(it));
        }
        break;
    case 5:
        if ((at = pick(is_any)) >= 0 && (from = like(at, 0)) >= 0)
            copy_of(at, from);
        break;
    case 6: /* a field of another message of the kind, here too */
        if ((from = pick(is_any)) >= 0) {
            const int around = item[from].parent;
            if (around >= 0 && (at = like(around, 0)) >= 0 && item[at].kind)
                append(at, (struct item){.kind = item[from].kind, .wire = item[from].wire, .number = item[from].number, .v = item[from].v,
                                         .p = item[from].p, .n = item[from].n, .child = item[from].child});
        }
        break;
    case 7: case 8:
        if ((at = pick(is_name)) >= 0 && (from = pick(is_name)) >= 0)
            set_leaf(at, item[from].p, item[from].n);
        break;
    case 9:
        if ((at = pick(is_op_type)) >= 0) {
            const char *name = some_op()->name;
            const char *colon = strrchr(name, ':');
            name = colon ? colon + 1 : name;
            set_leaf(at, name, strlen(name));
        }
        break;
    case 10:
        if ((at = pick(is_node)) >= 0)
            new_attribute(at);
        break;
    case 11:
        if ((at = pick(is_tensor)) >= 0)
            reshape(at);
        break;
    case 12:
        if ((at = pick(below(2) ? is_type : is_number)) >= 0)
            item[at].v = item[at].wire == 0 ? below(15) : boundary[below(BOUNDARIES)];
        break;
    case 13:
        if ((at = pick(is_packed)) >= 0)
            special_float(at);
        break;
    default:
        if ((at = pick(below(8) ? is_leaf : is_message)) >= 0) {
            item[at].kind = NONE; /* a message becomes bytes, and these change */
            item[at].child = -1;
            mutate_bytes(at);
        }
        break;
    }
}

static size_t save(int root, uint8_t *out, size_t max_size)
{
    struct out o = {out, 0, max_size, false};
    write_fields(&o, root);
    return o.over ? 0 : o.n;
}

static void begin(unsigned seed)
{
    items = 0;
    spared = 0;
    state = seed;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    begin(seed);
    const int top = add((struct item){.kind = MODEL, .child = -1, .next = -1, .parent = -1}); /* number 0: not picked */
    uint8_t *before = fuzz_copy(data, size);
    item[top].child = parse(MODEL, top, before, before + size);
    size_t n = 0;
    if (item[top].child >= 0 && below(8)) {
        for (uint32_t k = 1 + below(3); k; k--)
            change();
        n = save(item[top].child, data, max_size);
    }
    if (!n) {
        if (size)
            memcpy(data, before, size);
        n = LLVMFuzzerMutate(data, size, max_size);
    }
    free(before);
    return n;
}

/* Pieces of b in the places of like ones of a. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, uint8_t *out, size_t max_size, unsigned seed)
{
    begin(seed);
    const int top = add((struct item){.kind = MODEL, .child = -1, .next = -1, .parent = -1});
    item[top].child = parse(MODEL, top, a, a + na);
    const int own = items;
    const int other = item[top].child < 0 ? -1 : parse(MODEL, -1, b, b + nb);
    if (item[top].child < 0 || other < 0)
        return 0;
    for (uint32_t k = 1 + below(3); k; k--) {
        const int at = 1 + (int)below((uint32_t)own - 1), from = like(at, own);
        if (from < 0 || !item[at].number)
            continue;
        if (below(2) || item[at].wire == 0)
            copy_of(at, from);
        else {
            struct item it = item[from];
            it.in = item[at].in;
            insert_after(at, it);
        }
    }
    return save(item[top].child, out, max_size);
}
