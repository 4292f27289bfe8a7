# SPDX-License-Identifier: BSD-2-Clause
"""The ONNX reader and writer against the onnx package: real files, files of every typed data field, and random models, read
here and there, compared field by field, accepted by onnx.checker; and what the reader refuses, refused for that reason."""
import errno
import os
import struct
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
ROUNDTRIP = Path(os.environ["VMAF_DNN_TESTS"]) / "onnx_roundtrip"
TESTDATA = Path("/usr/share/libonnx-testdata/data")  # apt: libonnx-testdata
SHIPPED = sorted((SOURCE / "model/tiny").glob("*.onnx"))
SEED = int(os.environ.get("VMAF_DNN_SEED", int.from_bytes(os.urandom(4), "little")))

TYPES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}  # what is read: type, bytes
KEPT_ATTRIBUTES = {onnx.AttributeProto.FLOAT, onnx.AttributeProto.INT, onnx.AttributeProto.STRING, onnx.AttributeProto.TENSOR,
                   onnx.AttributeProto.FLOATS, onnx.AttributeProto.INTS}


def roundtrip(path):
    """(0, bytes) or (errno, reason). The program itself holds a second round trip to the same bytes."""
    r = subprocess.run([ROUNDTRIP, path], capture_output=True, timeout=60)
    assert r.returncode >= 0, f"{path}: killed by signal {-r.returncode}: {r.stderr.decode(errors='replace')}"
    if r.returncode == 0:
        assert not r.stderr, r.stderr
        return 0, r.stdout
    reason = r.stderr.decode()  # valid UTF-8, or this fails
    assert not r.stdout and reason.endswith("\n") and reason.count("\n") == 1 and len(reason) > 10, reason
    assert "Sanitizer" not in reason and "runtime error" not in reason, reason
    return r.returncode, reason.strip()


def read(tmp_path, model):
    """The same of a ModelProto or of bytes."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return roundtrip(path)


def accepted(tmp_path, model):
    code, out = read(tmp_path, model)
    assert code == 0, out
    return out


def refused(tmp_path, model, code, *words):
    got, reason = read(tmp_path, model)
    assert got == code, f"{errno.errorcode.get(got, got)}: {reason}"
    for w in words:
        assert w in reason, reason


def own(domain):
    return domain in ("", "ai.onnx")


def refusals(m):
    """Every (errno, word of the reason) that the file deserves, by the onnx package's reading of it."""
    out = set()
    if not 3 <= m.ir_version <= 13:
        out.add((errno.EPERM, "IR version"))
    mine = [o.version for o in m.opset_import if own(o.domain)]
    if len(mine) != 1:
        out.add((errno.EBADMSG, "operator set"))
    elif not 7 <= mine[0] <= 23:
        out.add((errno.EPERM, "opset"))
    if m.functions:
        out.add((errno.EPERM, "functions"))
    if m.training_info:
        out.add((errno.EPERM, "training_info"))
    g = m.graph
    if g.sparse_initializer:
        out.add((errno.EPERM, "sparse"))
    for v in list(g.input) + list(g.output):
        kind = v.type.WhichOneof("value")
        if kind != "tensor_type":
            out.add((errno.EPERM, "only tensors"))
        elif v.type.tensor_type.elem_type not in TYPES:
            out.add((errno.EPERM, "elements are not supported"))
        elif len(v.type.tensor_type.shape.dim) > 8:
            out.add((errno.EPERM, "rank"))
        elif any(d.dim_value < 0 for d in v.type.tensor_type.shape.dim):
            out.add((errno.EBADMSG, "dimension"))
    tensors = list(g.initializer)
    for n in g.node:
        for a in n.attribute:
            if a.type not in KEPT_ATTRIBUTES:
                out.add((errno.EPERM, onnx.AttributeProto.AttributeType.Name(a.type)))
            if a.type == onnx.AttributeProto.TENSOR:
                tensors.append(a.t)
    for t in tensors:
        if t.data_type not in TYPES:
            out.add((errno.EPERM, "elements are not supported"))
        if len(t.dims) > 8:
            out.add((errno.EPERM, "rank"))
        if t.external_data or t.data_location:
            out.add((errno.EPERM, "external"))
    return out


def tensor(t):
    a = numpy_helper.to_array(t)
    return t.name, t.data_type, tuple(t.dims), a.astype(a.dtype.newbyteorder("<")).tobytes()


def value(v):
    t = v.type.tensor_type
    dims = [(d.WhichOneof("value") if d.dim_value or d.dim_param or d.HasField("dim_value") else None, d.dim_value, d.dim_param)
            for d in t.shape.dim]
    return v.name, t.elem_type, t.HasField("shape"), dims


def attribute(a):
    what = onnx.AttributeProto.AttributeType.Name(a.type)
    v = {"FLOAT": lambda: struct.pack("<f", a.f), "INT": lambda: a.i, "STRING": lambda: a.s, "TENSOR": lambda: tensor(a.t),
         "FLOATS": lambda: [struct.pack("<f", f) for f in a.floats], "INTS": lambda: list(a.ints)}[what]()
    return a.name, what, v


def plain(m):
    """What the project promises to keep of a model, as nested tuples and lists."""
    init = {t.name for t in m.graph.initializer}
    return {
        "model": (m.ir_version, m.producer_name, m.producer_version, m.domain, m.model_version, m.doc_string),
        "opset": [o.version for o in m.opset_import if own(o.domain)],
        "meta": [(p.key, p.value) for p in m.metadata_props],
        "graph": (m.graph.name, m.graph.doc_string),
        "node": [(n.op_type, "" if own(n.domain) else n.domain, n.name, list(n.input), list(n.output), [attribute(a) for a in n.attribute]) for n in m.graph.node],
        "init": [tensor(t) for t in m.graph.initializer],
        "input": [value(v) for v in m.graph.input if v.name not in init],
        "output": [value(v) for v in m.graph.output],
    }


def check_same(original, out, checker=True):
    """out is what the project wrote for the original: same content, accepted, canonical protobuf."""
    ours = onnx.load_from_string(out)
    a, b = plain(original), plain(ours)
    for key in a:
        assert a[key] == b[key], key
    if checker:
        onnx.checker.check_model(ours)
    used = list(dict.fromkeys(n.domain for n in original.graph.node if not own(n.domain)))
    assert [o.domain for o in ours.opset_import] == ["", *used]
    if ours.ir_version < 4:  # every initialiser is an input there
        assert {t.name for t in ours.graph.initializer} <= {v.name for v in ours.graph.input}
    else:
        assert len(ours.graph.input) == len(b["input"])
    assert not ours.graph.value_info and not ours.graph.quantization_annotation
    assert all(t.HasField("raw_data") or 0 in t.dims for t in ours.graph.initializer)
    assert ours.SerializeToString(deterministic=True) == out, "not what protobuf itself would write"


def passes_checker(m):
    try:
        onnx.checker.check_model(m)
        return True
    except onnx.checker.ValidationError:
        return False


def test_shipped():
    assert SHIPPED
    for path in SHIPPED:
        code, out = roundtrip(path)
        assert code == 0, f"{path}: {out}"
        check_same(onnx.load(path), out)


def test_runs_the_same():
    """ONNX Runtime gives the same bits from the original and from what is written."""
    path = SOURCE / "model/tiny/learned_filter_v1.onnx"
    out = roundtrip(path)[1]
    x = np.random.default_rng(SEED).random((1, 1, 37, 51), dtype=np.float32)
    y = []
    for model in (path.read_bytes(), out):
        s = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        y.append(s.run(None, {s.get_inputs()[0].name: x})[0])
    assert y[0].tobytes() == y[1].tobytes()


def test_debian_files():
    """Every model.onnx of Debian's libonnx-testdata: written as it was read, or refused for what is in it."""
    files = sorted(TESTDATA.rglob("*.onnx"))
    assert len(files) > 1000, f"{len(files)} files under {TESTDATA}: apt-get install libonnx-testdata"
    count = Counter()
    for path in files:
        m = onnx.load(path)
        expect = refusals(m)
        code, out = roundtrip(path)
        if code:
            assert any(code == c and word in out for c, word in expect), f"{path}: {code} {out}; expected {expect}"
            word = next(w for c, w in expect if code == c and w in out)
            count[f"refused, {errno.errorcode[code]}: {word}"] += 1
        else:
            assert not expect, f"{path}: read, and should have been refused: {expect}"
            good = passes_checker(m)
            check_same(m, out, checker=good)
            count["read" if good else "read, the original already refused by onnx.checker"] += 1
    for what, n in sorted(count.items()):
        print(f"{n:5} {what}")
    assert count["read"] > 800


def tiny(nodes=(), init=(), inputs=None, outputs=None, opset=13, ir=8, **kw):
    x = helper.make_tensor_value_info("x", T.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", T.FLOAT, ["n", 2])
    g = helper.make_graph(list(nodes) or [helper.make_node("Relu", ["x"], ["y"])], "g", inputs or [x], outputs or [y], list(init))
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, **kw)


def test_debian_tensors(tmp_path):
    """The tensors that lie beside those models, as initialisers of one."""
    tensors = []
    for i, path in enumerate(sorted(TESTDATA.rglob("*.pb"))):
        t = onnx.TensorProto()
        try:
            t.ParseFromString(path.read_bytes())
            numpy_helper.to_array(t)
        except Exception:  # another message: a sequence, an optional
            continue
        if t.data_type in TYPES and len(t.dims) <= 8 and t.ByteSize() < 100_000:
            t.name = f"t{i}"
            tensors.append(t)
    assert len(tensors) > 1000
    m = tiny(init=tensors)
    check_same(m, accepted(tmp_path, m), checker=False)


def typed_values(rng, kind, n):
    """n values of a type, its extremes among them; floats with infinities, NaNs and denormals."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    a = np.frombuffer(rng.bytes(n * dtype.itemsize), dtype="u1" if kind == T.BOOL else dtype).copy()
    if kind == T.BOOL:
        return (a & 1).astype(bool)
    if np.issubdtype(dtype, np.integer) and n > 1:
        a[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return a


FIELD = {1: "float_data", 11: "double_data", 7: "int64_data", 12: "uint64_data", 13: "uint64_data"}


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out + bytes([v]))


def field(number, wire, payload):
    return varint(number << 3 | wire) + (varint(len(payload)) if wire == 2 else b"") + payload


def split_packed(t):
    """The bytes of tensor t with its typed data not packed, half packed in two pieces, mixed."""
    name = FIELD.get(t.data_type, "int32_data")
    number, values = t.DESCRIPTOR.fields_by_name[name].number, list(getattr(t, name))
    encode = {4: (5, lambda v: struct.pack("<f", v)), 10: (1, lambda v: struct.pack("<d", v))}.get(number, (0, varint))
    rest = onnx.TensorProto()
    rest.CopyFrom(t)
    rest.ClearField(name)
    raw, (wire, enc) = rest.SerializeToString(), encode
    one = [field(number, wire, enc(v)) for v in values]
    h = len(values) // 2
    yield raw + b"".join(one)
    yield b"".join(one) + raw
    yield field(number, 2, b"".join(map(enc, values[:h]))) + raw + field(number, 2, b"".join(map(enc, values[h:])))
    yield b"".join(one[:h]) + raw + field(number, 2, b"".join(map(enc, values[h:]))) + field(number, 2, b"")


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_typed_data(tmp_path, kind):
    rng = np.random.default_rng([SEED, kind])
    for dims in ([], [1], [7], [3, 5], [0], [2, 0, 3], [2, 3, 1, 1, 2, 1, 1, 2]):
        a = typed_values(rng, kind, int(np.prod(dims, dtype=int))).reshape(dims)
        if kind in (T.FLOAT, T.FLOAT16, T.DOUBLE) and np.isnan(a).any():
            a = np.where(np.isnan(a), a.dtype.type(np.nan), a)  # Python floats do not carry every NaN's bits
        want = a.astype(a.dtype.newbyteorder("<")).tobytes()
        t = helper.make_tensor("w", kind, dims, a.flatten())
        assert not t.HasField("raw_data")
        forms = [(t.SerializeToString(), "packed")] + ([(b, f"form {i}") for i, b in enumerate(split_packed(t))] if kind != T.FLOAT16 else [])
        forms.append((numpy_helper.from_array(a, "w").SerializeToString(), "raw"))
        for data, form in forms:
            m = tiny(init=[])
            raw = m.graph.SerializeToString() + field(5, 2, data)
            m.ClearField("graph")
            out = accepted(tmp_path, m.SerializeToString() + field(7, 2, raw))
            got = onnx.load_from_string(out).graph.initializer[0]
            assert (list(got.dims), got.data_type, got.raw_data) == (dims, kind, want), (dims, form)


def test_typed_range(tmp_path):
    """One below and one above what a type holds."""
    for kind, lo, hi in ((T.UINT8, 0, 255), (T.INT8, -128, 127), (T.UINT16, 0, 65535), (T.INT16, -32768, 32767), (T.BOOL, 0, 1),
                         (T.FLOAT16, 0, 65535)):
        for v in (lo, hi, lo - 1, hi + 1, -2**31, 2**31 - 1):
            t = onnx.TensorProto(name="w", data_type=kind, dims=[2], int32_data=[lo, v])
            if lo <= v <= hi:
                accepted(tmp_path, tiny(init=[t]))
            else:
                refused(tmp_path, tiny(init=[t]), errno.EBADMSG, "int32_data", str(v), '"w"')
    for v, good in ((2**32 - 1, True), (2**32, False), (2**64 - 1, False)):
        t = onnx.TensorProto(name="w", data_type=T.UINT32, dims=[1], uint64_data=[v])
        (accepted if good else lambda p, m: refused(p, m, errno.EBADMSG, "uint64_data", "uint32"))(tmp_path, tiny(init=[t]))


def random_name(rng):
    pool = "abcXYZ019_./:-é€😀 "
    return "".join(rng.choice(list(pool)) for _ in range(rng.integers(1, 20)))


def random_model(rng):
    """Structure of every kind that is kept, with no meaning."""
    names = iter([f"{random_name(rng)}{i}" for i in range(1000)])
    ir = int(rng.integers(3, 14))

    def tens(name):
        kind = int(rng.choice(sorted(TYPES)))
        dims = [int(d) for d in rng.integers(0, 4, rng.integers(0, 6))]
        a = typed_values(rng, kind, int(np.prod(dims, dtype=int))).reshape(dims)
        if rng.random() < 0.5 or kind in (T.FLOAT, T.FLOAT16, T.DOUBLE):
            return numpy_helper.from_array(a, name)
        return helper.make_tensor(name, kind, dims, a.flatten())

    def val(name):
        shape = None if rng.random() < 0.1 else [rng.choice([0, 1, 7, 2**40, None, "N", "höhe"]) for _ in range(rng.integers(0, 9))]
        shape = shape and [int(d) if d not in (None, "N", "höhe") else d for d in shape]
        return helper.make_tensor_value_info(name, int(rng.choice(sorted(TYPES))), shape, doc_string="d" * int(rng.integers(0, 2)))

    def attr(name):
        v = [lambda: float(np.float32(rng.normal())), lambda: int(rng.integers(-2**63, 2**63 - 1)), lambda: random_name(rng), lambda: "",
             lambda: tens(""), lambda: [float(np.float32(f)) for f in rng.normal(size=rng.integers(1, 9))], lambda: 0, lambda: 0.0,
             lambda: [int(i) for i in rng.integers(-2**63, 2**63 - 1, rng.integers(1, 9))]][rng.integers(9)]()
        return helper.make_attribute(name, v, doc_string="doc" * int(rng.integers(0, 2)))

    init = [tens(next(names)) for _ in range(rng.integers(0, 5))]
    inputs = [val(next(names)) for _ in range(rng.integers(0, 4))]
    if ir < 4:
        for t in init:
            inputs.insert(rng.integers(len(inputs) + 1), helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)))
    known = [t.name for t in init] + [v.name for v in inputs] + [""]
    nodes = []
    for _ in range(rng.integers(1, 8)):
        outs = [next(names) for _ in range(rng.integers(1, 4))]
        n = helper.make_node(str(rng.choice(["Conv", "Relu", "Whatever"])), [str(rng.choice(known)) for _ in range(rng.integers(0, 5))], outs,
                             name=random_name(rng) if rng.random() < 0.5 else "", domain=str(rng.choice(["", "ai.onnx", "com.microsoft"])))
        n.attribute.extend(attr(next(names)) for _ in range(rng.integers(0, 5)))
        known += outs
        nodes.append(n)
    g = helper.make_graph(nodes, random_name(rng), inputs, [val(o) for o in nodes[-1].output], init,
                          doc_string=str(rng.choice(["", "two\nlines\tand more"])), value_info=[val(random_name(rng))])
    m = helper.make_model(g, ir_version=ir, producer_name=random_name(rng), producer_version="1", domain="a.b", doc_string=random_name(rng),
                          model_version=int(rng.choice([0, 1, 2**63 - 1])),
                          opset_imports=[helper.make_opsetid("com.microsoft", 1), helper.make_opsetid(str(rng.choice(["", "ai.onnx"])), int(rng.integers(7, 24)))])
    helper.set_model_props(m, {f"k{i}": random_name(rng) for i in range(rng.integers(0, 4))})
    return m


def test_random_models(tmp_path):
    print("seed", SEED)
    for i in range(60):
        m = random_model(np.random.default_rng([SEED, i]))
        check_same(m, accepted(tmp_path, m), checker=False)


def subgraph():
    return tiny().graph


def with_attribute(value, **kw):
    return tiny([helper.make_node("Odd", ["x"], ["y"], name="n0", the_attr=value, **kw)])


def external(**kw):
    t = onnx.TensorProto(name="w", data_type=T.FLOAT, dims=[1], data_location=kw.get("where", 1))
    t.external_data.add(key="location", value="../../etc/passwd")
    return t


def edit(m, fn):
    fn(m)
    return m


def sparse():
    return onnx.SparseTensorProto(values=helper.make_tensor("s", T.FLOAT, [1], [1.0]), indices=helper.make_tensor("i", T.INT64, [1], [0]), dims=[4])


def function():
    return helper.make_function("d", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 13)])


def ref_node():
    n = helper.make_node("Elu", ["x"], ["y"])
    n.attribute.add(name="alpha", ref_attr_name="outer", type=onnx.AttributeProto.FLOAT)
    return n


X, Y = helper.make_tensor_value_info("x", T.FLOAT, [1]), helper.make_tensor_value_info("y", T.FLOAT, [1])
SEQ = helper.make_tensor_sequence_value_info("q", T.FLOAT, [1])
W = helper.make_tensor("w", T.FLOAT, [1], [1.0])
RELU = helper.make_node("Relu", ["x"], ["y"])
EPERM, EBADMSG = errno.EPERM, errno.EBADMSG

REFUSED = {
    "external data": (lambda: tiny(init=[external()]), EPERM, "external", '"w"'),
    "external data, place not said": (lambda: tiny(init=[external(where=0)]), EPERM, "external", '"w"'),
    "data_location 2": (lambda: tiny(init=[onnx.TensorProto.FromString(onnx.TensorProto(name="w", data_type=1).SerializeToString() + field(14, 0, b"\x02"))]),
                        EBADMSG, "data_location 2"),
    "function": (lambda: edit(tiny(), lambda m: m.functions.append(function())), EPERM, "functions"),
    "training": (lambda: edit(tiny(), lambda m: m.training_info.add()), EPERM, "training_info"),
    "colon": (lambda: tiny([helper.make_node("com.microsoft:FusedConv", ["x"], ["y"])]), EBADMSG, "':'"),
    "overload": (lambda: tiny([helper.make_node("Relu", ["x"], ["y"], overload="v2")]), EPERM, "overload", "v2"),
    "sparse initializer": (lambda: edit(tiny(), lambda m: m.graph.sparse_initializer.append(sparse())), EPERM, "sparse"),
    "sparse attribute": (lambda: with_attribute(sparse()), EPERM, "Odd", '"the_attr"', "SPARSE_TENSOR"),
    "graph attribute": (lambda: with_attribute(subgraph()), EPERM, "Odd", '"the_attr"', "GRAPH"),
    "graphs attribute": (lambda: with_attribute([subgraph(), subgraph()]), EPERM, "Odd", '"the_attr"', "GRAPHS"),
    "strings attribute": (lambda: with_attribute(["a", "b"]), EPERM, "Odd", '"the_attr"', "STRINGS"),
    "tensors attribute": (lambda: with_attribute([W, W]), EPERM, "Odd", '"the_attr"', "TENSORS"),
    "type attribute": (lambda: with_attribute(X.type), EPERM, "Odd", '"the_attr"', "TYPE_PROTO"),
    "types attribute": (lambda: with_attribute([X.type, X.type]), EPERM, "Odd", '"the_attr"', "TYPE_PROTOS"),
    "attribute by reference": (lambda: tiny([ref_node()]), EPERM, "Elu", '"alpha"', "function"),
    "string tensor": (lambda: tiny(init=[helper.make_tensor("w", T.STRING, [1], [b"a"])]), EPERM, "string", '"w"'),
    "bfloat16": (lambda: tiny(init=[onnx.TensorProto(name="w", data_type=T.BFLOAT16, dims=[1], raw_data=b"ab")]), EPERM, "bfloat16"),
    "int4": (lambda: tiny(init=[onnx.TensorProto(name="w", data_type=T.INT4, dims=[2], raw_data=b"a")]), EPERM, "int4"),
    "type 99": (lambda: tiny(init=[onnx.TensorProto(name="w", data_type=99, dims=[1], raw_data=b"ab")]), EPERM, "type 99"),
    "type -1": (lambda: tiny(init=[onnx.TensorProto(name="w", data_type=-1, dims=[1], raw_data=b"ab")]), EPERM, "type -1"),
    "no type": (lambda: tiny(init=[onnx.TensorProto(name="w", dims=[1], raw_data=b"abcd")]), EBADMSG, '"w"', "no element type"),
    "segment": (lambda: tiny(init=[onnx.TensorProto(name="w", data_type=1, segment=onnx.TensorProto.Segment(begin=0, end=1))]), EPERM, "segment"),
    "rank 9": (lambda: tiny(init=[onnx.TensorProto(name="w", data_type=1, dims=[1] * 9, raw_data=b"abcd")]), EPERM, "rank 9", '"w"'),
    "input of rank 9": (lambda: tiny(inputs=[helper.make_tensor_value_info("x", T.FLOAT, [1] * 9)]), EPERM, "rank 9", '"x"'),
    "sequence input": (lambda: tiny(inputs=[X, SEQ]), EPERM, '"q"', "sequence"),
    "string input": (lambda: tiny(inputs=[helper.make_tensor_value_info("x", T.STRING, [1])]), EPERM, '"x"', "string"),
    "untyped output": (lambda: tiny(outputs=[onnx.ValueInfoProto(name="y")]), EBADMSG, '"y"', "no type"),
    "negative dim": (lambda: tiny(inputs=[helper.make_tensor_value_info("x", T.FLOAT, [-1])]), EBADMSG, '"x"', "dimension -1"),
    "opset 6": (lambda: tiny(opset=6), EPERM, "opset 6", "7 to 23"),
    "opset 24": (lambda: tiny(opset=24), EPERM, "opset 24", "7 to 23"),
    "two opsets": (lambda: edit(tiny(), lambda m: m.opset_import.add(domain="ai.onnx", version=13)), EBADMSG, "twice"),
    "no opset": (lambda: edit(tiny(), lambda m: m.ClearField("opset_import")), EBADMSG, "not imported"),
    "IR 2": (lambda: tiny(ir=2), EPERM, "IR version 2", "3 to 13"),
    "IR 14": (lambda: tiny(ir=14), EPERM, "IR version 14", "3 to 13"),
    "no graph": (lambda: edit(tiny(), lambda m: m.ClearField("graph")), EBADMSG, "no graph"),
    "no IR": (lambda: edit(tiny(), lambda m: m.ClearField("ir_version")), EBADMSG, "no ir_version"),
    "no output": (lambda: edit(tiny(), lambda m: m.graph.ClearField("output")), EBADMSG, "no output"),
    "two initializers": (lambda: tiny(init=[W, W]), EBADMSG, "initializers", '"w"'),
    "two inputs": (lambda: tiny(inputs=[X, X]), EBADMSG, "inputs", '"x"'),
    "two outputs": (lambda: tiny(outputs=[Y, Y]), EBADMSG, "outputs", '"y"'),
    "two writers": (lambda: tiny([RELU, RELU]), EBADMSG, '"y"', "node 0 (Relu)", "node 1 (Relu)"),
    "writes an input": (lambda: tiny([helper.make_node("Relu", ["x"], ["x"]), RELU]), EBADMSG, '"x"', "graph input"),
    "writes an initializer": (lambda: tiny([helper.make_node("Relu", ["x"], ["w"]), RELU], init=[W]), EBADMSG, '"w"', "initializer"),
    "writes one name twice": (lambda: tiny([helper.make_node("Split", ["x"], ["y", "y"])]), EBADMSG, '"y"'),
    "two attributes": (lambda: tiny([onnx.NodeProto(op_type="Elu", output=["y"], attribute=[helper.make_attribute("a", 1), helper.make_attribute("a", 2)])]),
                       EBADMSG, '"a"', "Elu"),
    "two metadata keys": (lambda: edit(tiny(), lambda m: m.metadata_props.extend([onnx.StringStringEntryProto(key="k")] * 2)), EBADMSG, '"k"'),
    "unnamed initializer": (lambda: tiny(init=[helper.make_tensor("", T.FLOAT, [1], [1.0])]), EBADMSG, "name", "initializer 0"),
    "no op_type": (lambda: tiny([onnx.NodeProto(output=["y"])]), EBADMSG, "op_type", "node 0"),
    "input and initializer of two types": (lambda: tiny(inputs=[X, helper.make_tensor_value_info("w", T.INT8, [1])], init=[W]), EBADMSG, '"w"', "int8", "float32"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(tmp_path, what):
    make, code, *words = REFUSED[what]
    refused(tmp_path, make(), code, *words)


def test_optional_initializers(tmp_path):
    """An input that an initialiser makes optional goes, and comes back where the IR version asks for it."""
    for ir in (3, 4):
        m = tiny(ir=ir, init=[W], inputs=[helper.make_tensor_value_info("w", T.FLOAT, [1]), helper.make_tensor_value_info("x", T.FLOAT, ["n", 2])])
        ours = onnx.load_from_string(accepted(tmp_path, m))
        assert [v.name for v in ours.graph.input] == (["x", "w"] if ir == 3 else ["x"])
        onnx.checker.check_model(ours)


def test_attribute_without_type(tmp_path):
    """Taken at its one value, and written with its type."""
    for a in (helper.make_attribute("a", v) for v in (1.5, 3, "s", W, [1.0, 2.0], [1, 2])):
        kind = a.type
        a.ClearField("type")
        got = onnx.load_from_string(accepted(tmp_path, tiny([onnx.NodeProto(op_type="Elu", output=["y"], attribute=[a])])))
        assert got.graph.node[0].attribute[0].type == kind
    both = onnx.AttributeProto(name="a", i=1, f=2.0)
    refused(tmp_path, tiny([onnx.NodeProto(op_type="Elu", output=["y"], attribute=[both])]), EBADMSG, "FLOAT", "INT", '"a"')
    refused(tmp_path, tiny([onnx.NodeProto(op_type="Elu", output=["y"], attribute=[onnx.AttributeProto(name="a")])]), EBADMSG, '"a"')
    wrong = onnx.AttributeProto(name="a", i=1, type=onnx.AttributeProto.FLOAT)
    refused(tmp_path, tiny([onnx.NodeProto(op_type="Elu", output=["y"], attribute=[wrong])]), EBADMSG, "FLOAT", "INT", '"a"')


def chain(messages, extra):
    """A good file with extra bytes in the innermost of nested messages, each given as (field in its parent, its own bytes)."""
    *outer, (number, inner) = messages
    data = field(number, 2, inner + extra) if number else inner + extra
    for number, own_bytes in reversed(outer):
        data = field(number, 2, own_bytes + data) if number else own_bytes + data
    return data


def pieces():
    """For every message that is looked into: its descriptor, and the way to it through a file that is otherwise good."""
    m = tiny()
    graph = m.graph.SerializeToString()
    m.ClearField("graph")
    model = (None, m.SerializeToString())
    node = (1, onnx.NodeProto(op_type="Elu", output=["z"]).SerializeToString())
    attr = (5, onnx.AttributeProto(name="a").SerializeToString())
    weight = (5, onnx.TensorProto(name="w", data_type=1).SerializeToString())
    value, typ, tens, shape, dim = (11, field(1, 2, b"v")), (2, b""), (1, field(1, 0, b"\x01")), (2, b""), (1, b"")
    g = (7, graph)
    return {
        onnx.ModelProto: [(None, m.SerializeToString() + field(7, 2, graph))],
        onnx.OperatorSetIdProto: [(None, field(7, 2, graph) + field(1, 0, b"\x08")), (8, b"")],
        onnx.StringStringEntryProto: [(None, model[1] + field(7, 2, graph)), (14, b"")],
        onnx.GraphProto: [model, g],
        onnx.NodeProto: [model, g, node],
        onnx.AttributeProto: [model, g, node, attr],
        onnx.TensorProto: [model, g, weight],
        onnx.ValueInfoProto: [model, g, value],
        onnx.TypeProto: [model, g, value, typ],
        onnx.TypeProto.Tensor: [model, g, value, typ, tens],
        onnx.TensorShapeProto: [model, g, value, typ, tens, shape],
        onnx.TensorShapeProto.Dimension: [model, g, value, typ, tens, shape, dim],
    }


def test_every_field(tmp_path):
    """Number, wire type and cardinality of every field, from the package's own descriptors."""
    wires = {1: 1, 2: 5, 3: 0, 5: 0, 9: 2, 11: 2, 12: 2, 14: 0, 4: 0}  # FieldDescriptor.TYPE_*
    dummy = {0: b"\x01", 1: bytes(8), 2: b"", 5: bytes(4)}
    tried = 0
    for cls, way in pieces().items():
        for f in cls.DESCRIPTOR.fields:
            wire, repeated = wires[f.type], f.is_repeated
            for other in set(dummy) - {wire} - ({2} if repeated else set()):
                refused(tmp_path, chain(way, field(f.number, other, dummy[other])), EBADMSG, f"has wire type {other} instead of {wire}")
            if repeated and wire == 2:
                refused(tmp_path, chain(way, field(f.number, 0, b"\x01")), EBADMSG, "has wire type 0 instead of 2")
            twice = chain(way, 2 * field(f.number, wire, dummy[wire]))
            if repeated:
                assert "there twice" not in str(read(tmp_path, twice)[1]), f.full_name
            else:
                refused(tmp_path, twice, EBADMSG, "is there twice")
            tried += 1
    assert tried > 80


def test_not_onnx(tmp_path):
    for data in (b"", b"\x00", b"\x08", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", b"<!DOCTYPE html><html>",
                 b"{\"a\": 1}", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x7fELF", bytes(1000), b"\xff" * 1000):
        refused(tmp_path, data, EBADMSG)
    refused(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", EBADMSG, "git lfs pull")
