# SPDX-License-Identifier: BSD-2-Clause
"""Small files that ask for much: each is refused, in a bounded multiple of its size. The bound is asserted on memory; the time is printed,
as CPU time, because machines differ."""
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
sys.path.append(str(SOURCE / "fuzz"))
from onnx_bytes import (FLOAT, INT32, INT64, UINT8, attr, floats, graph, int64s, model, node, num, raw, relu, tensor, value, varint)  # noqa: E402

PROBE = Path(os.environ["VMAF_DNN_TESTS"]) / "bomb_probe"
ROOM = 8 << 20  # bytes, besides four times the file
MANY = 1 << 20
LIMIT = 1 << 17  # VD_ONNX_MAX_COUNT
BOMBS = {}

os.environ.pop("MALLOC_PERTURB_", None)  # would write over memory that is reserved and never used


def bomb(kind, name, make):
    assert (kind, name) not in BOMBS
    BOMBS[kind, name] = make


def nest(field, depth, inner=b""):
    for _ in range(depth):
        inner = raw(field, inner)
    return inner


def graphs(depth):
    g = graph([node("Relu", ["x"], ["y"])])
    for _ in range(depth):
        g = graph([node("If", ["x"], ["y"], raw(5, raw(1, "body") + raw(6, g) + num(20, 5)))])
    return model(g)


def one(*parts):
    """A node that is refused, with these fields."""
    return model(graph([node("Relu", ["x"], ["y"]) + b"".join(parts)]))


def shaped(op, dims, *attrs, kind=INT64, opset=13, more=()):
    """op(x, dims) or op(dims): a result as large as a constant says."""
    ins = ["s"] if op in ("ConstantOfShape",) else ["x", "s"]
    return model(graph([node(op, ins, ["y"], *attrs)], [tensor("s", [len(dims)], int64s(*dims), kind), *more], None if "x" in ins else []), opset)


def doubling(times, constant):
    nodes = [node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}"], attr("axis", 0)) for i in range(times)]
    first = [tensor("v0", [1024], floats(*[1.0] * 1024))] if constant else []
    return model(graph(nodes, first, [] if constant else [value("v0", (1024,))], [value(f"v{times}", (1,))]))


def chain(n, op, last):
    nodes = b"".join(raw(1, node(op, [f"v{i}"], [f"v{i + 1}"])) for i in range(n))
    return model(nodes + raw(1, node(last, [f"v{n}"], ["y"])) + raw(2, "g") + raw(11, value("v0")) + raw(12, value("y")))


def models():
    for depth in (10, 33, 100, 1000):
        bomb("model", f"graphs in attributes {depth} deep", lambda d=depth: graphs(d))
    for depth in (9, 100, 10000):
        bomb("model", f"sequences of sequences {depth} deep", lambda d=depth: model(graph([node("Relu", ["x"], ["y"])], ins=[raw(1, "x") + raw(2, nest(4, d))])))
    for n in (1, 1000, 100000):
        bomb("model", f"groups, {n}", lambda n=n: relu() + varint(99 << 3 | 3) * n)
    bomb("model", "unknown fields in each other, and the end is missing", lambda: relu() + nest(99, 2000)[:-1] + raw(99, b"x" * 100)[:-1])
    # A million of everything.
    g = {"nodes": 1, "initializers": 5, "graph inputs": 11, "graph outputs": 12}
    for name, field in g.items():
        bomb("model", f"a million empty {name}", lambda f=field: model(graph([node("Relu", ["x"], ["y"])], more=raw(f, b"") * MANY)))
    for name, field in {"value_info": 13, "quantization annotations": 14, "sparse initializers": 15, "metadata of the graph": 16}.items():
        bomb("model", f"a million {name}, and no operator", lambda f=field: model(graph([node("Nothing", ["x"], ["y"])], more=raw(f, b"") * MANY)))
    for name, field in {"opsets": 8, "metadata": 14, "training infos": 20, "functions": 25}.items():
        bomb("model", f"a million {name}", lambda f=field: relu() + raw(f, b"") * MANY)
    bomb("model", "a million unknown fields, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])])) + num(99, 1) * MANY)
    for name, field in {"inputs": 1, "outputs": 2, "attributes": 5}.items():
        bomb("model", f"a million {name} of one node", lambda f=field: one(raw(f, b"") * MANY))
    for name, data in {"ints": num(8, 1), "floats": b"\x3d\0\0\0\0", "strings": raw(9, b""), "tensors": raw(10, b""), "graphs": raw(11, b"")}.items():
        bomb("model", f"a million {name} of one attribute", lambda d=data: one(raw(5, raw(1, "a") + d * MANY)))
    bomb("model", "a million packed ints", lambda: one(raw(5, raw(1, "a") + raw(8, b"\1" * MANY) + num(20, 7))))
    bomb("model", "a million dims", lambda: relu([num(1, 1) * MANY + num(2, FLOAT) + raw(8, "w") + raw(9, floats(1.0))]))
    bomb("model", "a million packed dims", lambda: relu([raw(1, b"\1" * MANY) + num(2, FLOAT) + raw(8, "w") + raw(9, floats(1.0))]))
    bomb("model", "a million dims of an input", lambda: model(graph([node("Relu", ["x"], ["y"])], ins=[raw(1, "x") + raw(2, raw(1, num(1, FLOAT) + raw(2, raw(1, b"") * MANY)))])))
    for name, field, kind in (("int32_data", 5, INT32), ("int64_data", 7, INT64), ("uint8 in int32_data", 5, UINT8)):
        bomb("model", f"a million {name} too many", lambda f=field, k=kind: relu([num(1, 3) + num(2, k) + raw(8, "w") + raw(f, b"\1" * MANY)]))
    # As many as are taken, and what is wrong comes last.
    bomb("model", "as many nodes as are taken, the last is no operator", lambda: chain(LIMIT - 2, "Neg", "Nothing"))
    bomb("model", "as many initializers as are taken, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])], [tensor(f"w{i}", [1], b"abcd") for i in range(LIMIT - 1)])))
    bomb("model", "empty initializers, as many as are taken, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])], [tensor(f"{i:x}", [0]) for i in range(LIMIT - 1)])))
    bomb("model", "as many inputs as are taken, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])], ins=[value(f"x{i}", ()) for i in range(LIMIT - 1)])))
    bomb("model", "as many metadata as are taken, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])]), more=b"".join(raw(14, raw(1, f"k{i}")) for i in range(LIMIT - 1))))
    bomb("model", "as many ints as are taken in each of 64 attributes", lambda: model(graph([node("Nothing", ["x"], ["y"], *[
        raw(5, raw(1, f"a{i}") + raw(8, b"\1" * (LIMIT - 1)) + num(20, 7)) for i in range(64)])])))
    bomb("model", "int64_data of one byte each, 8 MiB of them, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])], [
        num(1, MANY) + num(2, INT64) + raw(8, f"w{i}") + raw(7, b"\1" * MANY) for i in range(8)])))
    bomb("model", "as many outputs of one node as are taken", lambda: model(graph([node("Split", ["x"], [f"y{i}" for i in range(LIMIT - 1)])], outs=["y0"])))
    bomb("model", "as many attributes of one node as are taken", lambda: one(*[raw(5, raw(1, f"a{i}") + num(3, 1)) for i in range(LIMIT - 1)]))
    bomb("model", "a cycle of 100000 nodes", lambda: model(b"".join(raw(1, node("Neg", [f"v{i}"], [f"v{(i + 1) % 100000}"])) for i in range(100000)) + raw(2, "g") + raw(12, value("v0"))))
    bomb("model", "100000 nodes, each before what it reads, and no operator", lambda: model(b"".join(raw(1, node("Neg", [f"v{i + 1}"], [f"v{i}"])) for i in range(100000)) + raw(1, node("Nothing", ["x"], ["v100000"])) + raw(2, "g") + raw(11, value("x")) + raw(12, value("v0"))))
    # Products that wrap, and dims that no machine has.
    wrap = ([1 << 32, 1 << 32], [1 << 16] * 4, [1 << 31, 1 << 31, 4], [(1 << 62) + 1, 4], [0xaaaaaaaaaaaaaaab, 3], [(1 << 42) + 1, 1 << 22], [1 << 63], [(1 << 64) - 1], [(1 << 63) - 1, 2],
            [3037000500, 3037000500], [641, 6700417, 1 << 32], [1 << 61, 2], [1 << 40])
    for i, dims in enumerate(wrap):
        bomb("model", f"an initializer whose dims wrap {i}", lambda d=dims: relu([tensor("w", d, floats(1.0))]))
        bomb("model", f"an input whose dims wrap {i}", lambda d=dims: model(graph([node("Neg", ["x"], ["t"]), node("Add", ["t", "t"], ["y"])], ins=[value("x", d)])))
    big = 1 << 40
    for i, dims in enumerate(([big, big], [1 << 62], [-1 & (1 << 64) - 1] * 3, [1 << 20, 1 << 20, 2])):
        bomb("model", f"Reshape {i}", lambda d=dims: shaped("Reshape", d))
        bomb("model", f"Expand {i}", lambda d=dims: shaped("Expand", d))
        bomb("model", f"ConstantOfShape {i}", lambda d=dims: shaped("ConstantOfShape", d))
    bomb("model", "Tile", lambda: shaped("Tile", [1, 1, 1 << 40, 1 << 40]))
    bomb("model", "Pad", lambda: shaped("Pad", [0, 0, 1 << 40, 1 << 40, 0, 0, 1 << 40, 1 << 40]))
    bomb("model", "Range", lambda: model(graph([node("Range", ["a", "b", "c"], ["y"])], [tensor("a", [], int64s(0), INT64), tensor("b", [], int64s((1 << 63) - 1), INT64), tensor("c", [], int64s(1), INT64)], [])))
    bomb("model", "OneHot", lambda: model(graph([node("OneHot", ["i", "d", "v"], ["y"])], [tensor("i", [1], int64s(0), INT64), tensor("d", [], int64s(1 << 62), INT64), tensor("v", [2], floats(0.0, 1.0))], [])))
    bomb("model", "Concat that doubles 50 times", lambda: doubling(50, False))
    bomb("model", "constants that double 50 times", lambda: doubling(50, True))
    for i, a in enumerate((attr("pads", [1 << 40] * 4), attr("pads", [(1 << 63) - 1] * 4), attr("strides", [1 << 62, 0]), attr("dilations", [1 << 62] * 2), attr("group", 1 << 40), attr("group", 0))):
        bomb("model", f"Conv {i}", lambda a=a: model(graph([node("Conv", ["x", "w"], ["y"], a)], [tensor("w", [1, 1, 3, 3], floats(*[1.0] * 9))])))
        bomb("model", f"MaxPool {i}", lambda a=a: model(graph([node("MaxPool", ["x"], ["y"], attr("kernel_shape", [1 << 40, 1 << 40]), a)])))
    bomb("model", "DepthToSpace", lambda: model(graph([node("DepthToSpace", ["x"], ["y"], attr("blocksize", 1 << 31))])))
    bomb("model", "ConvTranspose", lambda: model(graph([node("ConvTranspose", ["x", "w"], ["y"], attr("strides", [1 << 40, 1 << 40]))], [tensor("w", [1, 1, 3, 3], floats(*[1.0] * 9))])))
    # Constants that would take long to compute when the file is opened; the last node is refused, after them.
    def computed(nodes, *inits):
        last = node("Add", ["two", "three"], ["y"])
        more = [tensor("two", [2], floats(1.0, 2.0)), tensor("three", [3], floats(1.0, 2.0, 3.0))]
        return model(graph([*nodes, last], [*inits, *more], outs=["y"]))
    bomb("model", "ReduceSum of nothing along 65535 times 65535", lambda: computed([node("ReduceSum", ["w"], ["s"])], tensor("w", [65535, 65535, 1, 0], b"")))
    bomb("model", "ReduceMax of nothing, a quarter of a million of them", lambda: computed([node("ReduceMax", ["w"], ["s"], attr("axes", [1, 2]))], tensor("w", [1 << 18, 1 << 19, 0], b"")))
    for op in ("Concat", "Split", "Transpose", "Softmax", "Gather", "Flatten"):
        bomb("model", f"{op} of nothing", lambda op=op: computed([node(op, ["w", *(["i"] if op == "Gather" else [])], ["s"], *([attr("axis", 2)] if op not in ("Transpose", "Flatten") else []))],
                                                                 tensor("w", [1 << 18, 1 << 19, 0], b""), *([tensor("i", [0], b"", INT64)] if op == "Gather" else [])))
    bomb("model", "AveragePool whose window is the picture", lambda: computed([node("AveragePool", ["w"], ["s"], attr("kernel_shape", [999, 999]), attr("pads", [499] * 4))], tensor("w", [1, 1, 1000, 1000], bytes(4_000_000))))
    bomb("model", "MatMul of constants", lambda: computed([node("MatMul", ["w", "w"], [f"s{i}"]) for i in range(4)], tensor("w", [1500, 1500], bytes(9_000_000))))
    bomb("model", "30000 sums of one constant", lambda: computed([node("ReduceSum", ["w"], [f"s{i}"]) for i in range(30000)], tensor("w", [1 << 20], bytes(4 << 20))))
    # Names.
    long = "n" * MANY
    bomb("model", "a node's name of a million bytes", lambda: one(raw(3, long)))
    bomb("model", "an operator's name of a million bytes", lambda: model(graph([node(long, ["x"], ["y"])])))
    bomb("model", "a domain of a million bytes", lambda: one(raw(7, long)))
    bomb("model", "a tensor's name of a million bytes", lambda: relu([tensor(long, [1], floats(1.0))]))
    bomb("model", "an input's name of a million bytes", lambda: model(graph([node("Relu", ["x"], ["y"])], ins=[value(long)])))
    bomb("model", "a dimension's name of a million bytes", lambda: model(graph([node("Relu", ["x"], ["y"])], ins=[value("x", (long,))])))
    bomb("model", "an attribute's name of a million bytes", lambda: one(attr(long, 1)))
    bomb("model", "a producer of a million bytes, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])]), more=raw(2, long)))
    bomb("model", "documentation of four million bytes, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])]), more=raw(6, long * 4)))
    same = "n" * 1000
    bomb("model", "20000 names that differ in their last byte, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])], [tensor(same + str(i), [0]) for i in range(20000)])))
    bomb("model", "100000 initializers of one name", lambda: relu([tensor("w", [0])] * 100000))
    bomb("model", "100000 nodes that write one name", lambda: model(graph([node("Neg", ["x"], ["y"])] * 100000)))
    bomb("model", "100000 attributes of one name", lambda: one(*[attr("a", 1)] * 100000))
    bomb("model", "100000 metadata of one key", lambda: relu() + raw(14, raw(1, "k")) * 100000)
    bomb("model", "100000 domains, and no operator", lambda: model(graph([node("Nothing", ["x"], ["y"])]), more=b"".join(raw(8, raw(1, f"d{i}") + num(2, 1)) for i in range(100000))))


def documents():
    row = '{"id":"a","kind":"fr","onnx":"a.onnx","opset":17,"sha256":"' + "0" * 64 + '"}'
    texts = {
        "arrays in arrays": "[" * 500000,
        "objects in objects": '{"a":' * 200000,
        "arrays in arrays, all closed": "[" * 100000 + "]" * 100000,
        "a number of a million digits": '{"schema_version":' + "1" * 1000000 + "}",
        "an exponent of a million digits": '{"schema_version":1e' + "9" * 1000000 + "}",
        "a string of a million bytes": '{"schema_version":"' + "a" * 1000000 + '"}',
        "escapes": '{"schema_version":"' + "\\u0041" * 170000 + '"}',
        "half a million zeros": '{"schema_version":1,"models":[' + "0," * 500000 + "0]}",
        "a third of a million empty objects": '{"schema_version":1,"models":[' + "{}," * 340000 + "{}]}",
        "a third of a million empty arrays": '{"schema_version":1,"models":[' + "[]," * 340000 + "[]]}",
        "a hundred thousand keys": "{" + ",".join(f'"{i}":0' for i in range(100000)) + "}",
        "one key a hundred thousand times": "{" + ",".join(['"a":0'] * 100000) + "}",
        "a million spaces": " " * 1000000,
        "over a megabyte": " " * ((1 << 20) + 1),
        "six thousand rows, all one": '{"schema_version":1,"models":[' + ",".join([row] * 6000) + "]}",
        "six thousand rows without files": '{"schema_version":1,"models":[' + ",".join(f'{{"id":"a{i}","kind":"fr","onnx":"../a{i}","opset":17}}' for i in range(6000)) + "]}",
        "rows in rows": '{"schema_version":1,"models":[' + '{"a":' * 1000 + "0" + "}" * 1000 + "]}",
    }
    for kind in ("registry", "sidecar"):
        for name, text in texts.items():
            bomb(kind, name, lambda t=text: t.encode())


def clips():
    for i, head in enumerate(("W65536 H65536", "W65536 H65535", "W65535 H65536 C444p16", "W2147483648 H2", "W" + "9" * 4000 + " H1", "W16384 H16384 C444p16", "W16384 H16384", "W65536 H4096 Cmono16",
                              "W1 H65537", "W0 H0", "W-1 H-1", "W2 H2 C" + "4" * 4000)):
        bomb("y4m", f"header {i}", lambda h=head: f"YUV4MPEG2 {h}\nFRAME\n".encode() + b"x")
    bomb("y4m", "a header of ten million bytes", lambda: b"YUV4MPEG2 W2 H2 X" + b"a" * 10_000_000)
    bomb("y4m", "a FRAME line of ten million bytes", lambda: b"YUV4MPEG2 W2 H2\nFRAME X" + b"a" * 10_000_000)
    bomb("y4m", "two thousand tags", lambda: b"YUV4MPEG2 " + b"X " * 2000 + b"\n")
    bomb("y4m", "a hundred thousand frames, and the last is cut", lambda: b"YUV4MPEG2 W2 H2\n" + b"FRAME\nabcdef" * 100000 + b"FRAME\n")


def arrays():
    def a(text, data=b"", major=1, length=None):
        text = text.encode() + b"\n"
        n = len(text) if length is None else length
        return b"\x93NUMPY" + bytes([major, 0]) + n.to_bytes(2 if major == 1 else 4, "little") + text + data

    def h(shape):
        return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }"

    for i, shape in enumerate(("(4294967296, 4294967296)", "(4611686018427387905,)", "(9223372036854775807, 2)", "(65536, 65536, 65536, 65536)", "(3037000500, 3037000500)", "(1099511627776,)",
                               "(" + "9" * 60000 + ",)", "(" * 30000, "(" + "1," * 30000 + ")", "(" + " " * 60000 + ")")):
        bomb("npy", f"shape {i}", lambda s=shape: a(h(s), b"ab"))
    bomb("npy", "a header of 4 GiB", lambda: a(h("(1,)"), b"abcd", 2, 0xffffffff))
    bomb("npy", "a header of 64 MiB that is there", lambda: a(h("(1,)") + " " * (1 << 24), b"abcd", 2))
    bomb("npy", "ten million bytes too many", lambda: a(h("(1,)"), b"a" * 10_000_000))


def calibrations():
    def whole(sources="", tensors="", groups="", frames=1):
        return ('{"format":"vmaf_dnn.calibration","version":1,"model_sha256":"' + "a" * 64 + f'","frames":{frames},"sources":[{sources}],'
                f'"equalization":[{groups}],"tensors":[{tensors}]}}')

    def source(i):
        return f'{{"name":"{i:05x}","sha256":"{"0" * 64}","frames":1}}'

    def tensor(name, counts="[7]", channels="[]", exponent=-12, first=4096, least=1, most=1):
        return f'{{"name":"{name}","min":{least},"max":{most},"frame_min":"0","frame_max":"0","exponent":{exponent},"first":{first},"counts":{counts},"channels":{channels}}}'

    texts = {
        "sources from behind": whole(",".join(source(32000 - i) for i in range(32000)), frames=32000),
        "sources, and the last is twice": whole(",".join(source(min(i, 31998)) for i in range(32000)), frames=32000),
        "more sources than are read": whole(",".join(map(source, range(32769))), frames=32769),
        "tensors, and the last is twice": whole(source(0), ",".join(tensor(f"t{min(i, 4094)}") for i in range(4096))),
        "names of 1000 bytes that differ in the last": whole(source(0), ",".join(tensor("n" * 1000 + str(min(i, 4094))) for i in range(4096))),
        "a million counts": whole(source(0), tensor("x", "[" + "0," * 1000000 + "0]")),
        "a million channels": whole(source(0), tensor("x", channels="[" + "0," * 1000000 + "0]")),
        "a hundred thousand channels of nothing": whole(source(0), tensor("x", channels="[" + "[]," * 100000 + "[]]")),
        "a million scales": whole(source(0), groups='{"tensors":["x"],"scale":[' + "1," * 1000000 + "1]}"),
        "scales that are none, 4096 times": whole(source(0), groups=",".join('{"tensors":["x"],"scale":[1,1,0]}' for i in range(4096))),
        # As much as is taken, and what is wrong comes last.
        "half a million counts, and the last tensor is twice": whole(source(0), ",".join(
            tensor(f"t{min(i, 998)}", "[" + "0," * 511 + "1]", exponent=-8, first=-256, least=-1, most=0.998) for i in range(1000))),
        "a hundred thousand channels, and the last tensor is twice": whole(source(0), ",".join(
            tensor(f"t{min(i, 29)}", channels="[" + '[0,0,"0"],' * 4095 + '[0,0,"0"]]') for i in range(31))),
        "half a million names of equalised tensors, and the last scale is none": whole(source(0), groups=",".join(
            '{"tensors":[' + '"x",' * 4095 + f'"x"],"scale":[{int(i < 126)}]}}' for i in range(127))),
        "sources with names of 1000 bytes, and the last is twice": whole(",".join(
            source(min(i, 13998)).replace('"name":"', '"name":"' + "n" * 1000) for i in range(14000)), frames=14000),
        "a sum of a million digits": whole(source(0), tensor("x").replace('"frame_max":"0"', '"frame_max":"' + "1" * 1000000 + '"')),
        "arrays in arrays": "[" * 1000000,
        "sixteen million spaces": " " * (16 << 20),
        "over sixteen megabytes": " " * ((16 << 20) + 1),
    }
    for name, text in texts.items():
        bomb("calibration", name, lambda t=text: t.encode())


def archives():
    def archive(members, method=zipfile.ZIP_STORED, data=b"x"):
        f = io.BytesIO()
        with zipfile.ZipFile(f, "w", method) as z:
            for i in range(members):
                z.writestr(zipfile.ZipInfo(f"{i}.npy"), data, method)
        return f.getvalue()

    def lying(name, at, value, **how):
        def make():
            b = bytearray(archive(1, **how))
            i = b.rindex(b"PK\1\2") + at
            b[i:i + len(value)] = value
            return bytes(b)
        bomb("npz", name, make)

    bomb("npz", "more members than are read", lambda: archive(1025))
    bomb("npz", "sixty thousand members", lambda: archive(60000))
    bomb("npz", "a comment of 64 KiB of marks", lambda: archive(1)[:-2] + b"\xfe\xff" + b"PK\5\6" * 16383)
    lying("a size that lies", 24, b"\xff\xff\xff\x7f")
    lying("a deflated size that lies", 24, b"\xff\xff\xff\x7f", method=zipfile.ZIP_DEFLATED, data=bytes(10000))
    lying("a packed size that lies", 20, b"\xff\xff\xff\x7f", method=zipfile.ZIP_DEFLATED, data=bytes(10000))
    lying("five megabytes of zeros with another checksum", 16, b"\1\2\3\4", method=zipfile.ZIP_DEFLATED, data=bytes(5_000_000))
    lying("a member behind the end", 42, b"\xff\xff\xff\xfe")


models()
documents()
clips()
arrays()
calibrations()
archives()
MEASURED = {}


@pytest.mark.parametrize("kind", sorted({k for k, _ in BOMBS}))
def test_bombs(kind, tmp_path, capsys):
    worst = slow = (0, "", 0)
    names = [n for k, n in BOMBS if k == kind]
    wrong = []
    for name in names:
        path = tmp_path / {"model": "x.onnx", "registry": "registry.json", "sidecar": "x.json", "y4m": "x.y4m", "npy": "x.npy", "calibration": "c.json",
                           "npz": "x.npz"}[kind]
        path.write_bytes(BOMBS[kind, name]())
        size = path.stat().st_size
        r = subprocess.run([PROBE, kind, path], capture_output=True, text=True, timeout=120)
        if r.returncode:
            wrong.append(f"{name}: exit {r.returncode}: {r.stderr[-600:]}")
            continue
        rc, growth, cpu, why = r.stdout.split(" ", 3)
        if int(rc) >= 0 or len(why) < 10:
            wrong.append(f"{name}: was taken")
        share = int(growth) * 1024 / (ROOM + 4 * size)
        if share > 1:
            wrong.append(f"{name}: {growth} KiB for a file of {size // 1024} KiB ({why.strip()[-120:]})")
        worst = max(worst, (share, name, int(growth)))
        slow = max(slow, (int(cpu), name, size))
    with capsys.disabled():
        print(f"\n{kind}: {len(names)} bombs; most memory {worst[2]} KiB, {100 * worst[0]:.0f} % of the bound ({worst[1]}); most CPU {slow[0] / 1000:.1f} ms "
              f"for {slow[2] // 1024} KiB ({slow[1]})", end="")
    assert not wrong, "\n".join(wrong)


def test_there_are_enough():
    assert len(BOMBS) >= 100
