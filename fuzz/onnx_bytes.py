# SPDX-License-Identifier: BSD-2-Clause
"""ONNX files by hand, right and wrong ones: each function returns the bytes of one message or of fields of it."""
import struct


def varint(v):
    v &= (1 << 64) - 1
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def num(field, v):
    return varint(field << 3) + varint(v)


def raw(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def f32(field, v):
    return varint(field << 3 | 5) + struct.pack("<f", v)


FLOAT, UINT8, INT8, INT32, INT64 = 1, 2, 3, 6, 7


def tensor(name, dims, data=b"", kind=FLOAT, more=b""):
    return b"".join(num(1, d) for d in dims) + num(2, kind) + raw(8, name) + raw(9, data) + more


def floats(*v):
    return struct.pack(f"<{len(v)}f", *v)


def int64s(*v):
    return struct.pack(f"<{len(v)}Q", *(x & (1 << 64) - 1 for x in v))


def attr(name, value):
    if isinstance(value, bytes):
        return raw(5, raw(1, name) + raw(5, value) + num(20, 4))  # a tensor
    if isinstance(value, str):
        return raw(5, raw(1, name) + raw(4, value) + num(20, 3))
    if isinstance(value, float):
        return raw(5, raw(1, name) + f32(2, value) + num(20, 1))
    if isinstance(value, int):
        return raw(5, raw(1, name) + num(3, value) + num(20, 2))
    return raw(5, raw(1, name) + b"".join(num(8, v) for v in value) + num(20, 7))


def node(op, ins, outs, *attrs, domain=""):
    return b"".join(raw(1, i) for i in ins) + b"".join(raw(2, o) for o in outs) + raw(4, op) + b"".join(attrs) + (raw(7, domain) if domain else b"")


def value(name, dims=(1, 1, 4, 4), kind=FLOAT):
    shape = b"".join(raw(1, num(1, d) if isinstance(d, int) else raw(2, d)) for d in dims)
    return raw(1, name) + raw(2, raw(1, num(1, kind) + raw(2, shape)))


def graph(nodes, inits=(), ins=None, outs=("y",), more=b""):
    ins = [value("x")] if ins is None else ins
    outs = [o if isinstance(o, bytes) else value(o) for o in outs]
    return (b"".join(raw(1, n) for n in nodes) + raw(2, "g") + b"".join(raw(5, t) for t in inits) + b"".join(raw(11, i) for i in ins)
            + b"".join(raw(12, o) for o in outs) + more)


def model(g, opset=13, ir=8, more=b""):
    return num(1, ir) + raw(7, g) + raw(8, num(2, opset)) + more


def relu(inits=(), more=b""):
    """A model that is right but for what is added."""
    return model(graph([node("Relu", ["x"], ["y"])], inits, more=more))
