# SPDX-License-Identifier: BSD-2-Clause
"""Random models of one operator or a few, for tests/oracle/test_generated.py: MAKERS has a function for each operator and for each
pattern that is worth its own. Opsets and types come from ONNX's schemas; each case is made of one stream of random numbers."""
import math

import numpy as np
import onnx
from onnx import helper as h
from onnx import numpy_helper as nh

import op_table

F32, F16, U8, S8, S32, S64, BOOL = (np.dtype(t) for t in (np.float32, np.float16, np.uint8, np.int8, np.int32, np.int64, np.bool_))
KINDS = {"float": F32, "float16": F16, "uint8": U8, "int8": S8, "int32": S32, "int64": S64, "bool": BOOL,
         **{str(t): t for t in map(np.dtype, (np.uint16, np.int16, np.uint32, np.uint64))}, "double": np.dtype(np.float64)}
LAST_OPSET = 23
MAKERS = {}


class Case:
    """Nodes, arrays by name (those in fixed are initialisers, the rest graph inputs), names of the outputs."""

    def __init__(self, opset, nodes, arrays, fixed, outputs):
        self.opset, self.nodes, self.arrays, self.fixed, self.outputs = opset, list(nodes), dict(arrays), set(fixed), list(outputs)

    @property
    def feeds(self):
        return {n: v for n, v in self.arrays.items() if n not in self.fixed}

    def model(self, types):
        """types: of the outputs, by name."""
        kind = h.np_dtype_to_tensor_dtype
        graph = h.make_graph(self.nodes, "g", [h.make_tensor_value_info(n, kind(v.dtype), v.shape) for n, v in self.feeds.items()],
                             [h.make_tensor_value_info(n, kind(types[n]), None) for n in self.outputs],
                             [nh.from_array(self.arrays[n], n) for n in self.arrays if n in self.fixed])
        domains = sorted({n.domain for n in self.nodes} - {""})
        opsets = [h.make_opsetid("", self.opset)] + [h.make_opsetid(domain, 1) for domain in domains]
        return h.make_model(graph, opset_imports=opsets, ir_version=8 if self.opset < 19 else 10)

    def __str__(self):
        text = lambda a: f"{a.name}={onnx.helper.get_attribute_value(a)}" if a.type != onnx.AttributeProto.TENSOR else f"{a.name}=..."
        given = ", ".join(f"{n}{'*' if n in self.fixed else ''} {v.dtype}{list(v.shape)}" for n, v in self.arrays.items())
        return "; ".join(f"{n.op_type}({', '.join(n.input)}) {' '.join(map(text, n.attribute))}" for n in self.nodes) + f"; opset {self.opset}; {given}"


class Draw:
    """What the makers draw: d.opset, and everything else at random."""

    def __init__(self, op, seed):
        self.rng, self.op = np.random.default_rng(seed), op
        self.opset = self.draw_opset(op) if op in SINCE else self.pick(13, 15, 17, 18, 21)

    def draw_opset(self, op):
        """A version at which the operator changed, or any after its first."""
        since = sorted({max(v, 7) for v in SINCE[op] if v <= LAST_OPSET})
        return self.pick(*since) if self.chance(0.6) else self.int(since[0], LAST_OPSET)

    def chance(self, p):
        return self.rng.random() < p

    def int(self, lo, hi):
        return int(self.rng.integers(lo, hi + 1))

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, things):
        things = list(things)
        return [things[i] for i in sorted(self.rng.permutation(len(things))[: self.int(1, len(things))])]

    def kind(self, param="T", but=(), only=KINDS.values()):
        """A type that ONNX lets the operator have at this opset; float32 most often, and seldom one that the op table does not take."""
        schema = onnx.defs.get_schema(self.op, max_inclusive_version=self.opset)
        constraint = next((c for c in schema.type_constraints if c.type_param_str == param), schema.type_constraints[0])
        kinds = [k for name, k in KINDS.items() if f"tensor({name})" in constraint.allowed_type_strs and k not in but and k in only]
        row = op_table.find(self.op, self.opset)
        at = next((i for i, v in enumerate(schema.inputs) if v.type_str == constraint.type_param_str), None)
        taken = [k for k in kinds if row and at is not None and row.takes(at, str(k))]
        kinds = taken if taken and self.chance(0.95) else kinds
        return F32 if F32 in kinds and self.chance(0.4) else self.pick(*kinds)

    def shape(self, lo=0, hi=5, most=6):
        """Mostly small; sometimes long enough that threads share it."""
        s = [self.int(1, most) for _ in range(self.int(lo, hi))]
        if s and self.chance(0.08):
            s[self.int(0, len(s) - 1)] = self.int(2000, 6000) // max(1, math.prod(s) // 4)
        return s

    def array(self, shape, kind=F32, scale=3.0, special=0.0):
        kind = np.dtype(kind)
        if kind.kind == "b":
            return np.asarray(self.rng.random(shape) < 0.5)
        if kind.kind != "f":
            info = np.iinfo(kind)
            lo, hi = (info.min, info.max) if self.chance(0.3) else (max(info.min, -100), min(info.max, 100))
            return np.asarray(self.rng.integers(lo, hi, shape, dtype=kind, endpoint=True))
        x = self.rng.standard_normal(shape) * scale
        if self.chance(0.2):
            x = np.rint(x * 2) / 2  # ties
        x = np.asarray(x).astype(kind)
        if x.size > 4 and self.chance(special):
            x.flat[:4] = [np.nan, np.inf, -np.inf, -0.0]
        return x

    def axis(self, rank, negative=True):
        return self.int(-rank if negative else 0, rank - 1)

    def axes(self, rank, negative=True):
        some = [int(v) for v in self.rng.permutation(rank)[: self.int(1, rank)]]
        return [a - rank if negative and self.chance(0.3) else a for a in some]

    def broadcasts(self, count, lo=0, hi=4):
        """Shapes that broadcast together."""
        full = self.shape(lo, hi)
        def part():
            t = [1 if self.chance(0.3) else v for v in full]
            return t[self.int(0, len(t)):] if self.chance(0.3) else t
        return [part() for _ in range(count)]

    def one(self, *inputs, fixed=(), n_out=1, **attrs):
        """One node; an input is an array, or None when it is left out; fixed: indices of constants."""
        inputs = list(inputs)
        while inputs and inputs[-1] is None:
            inputs.pop()
        names = ["" if v is None else f"i{k}" for k, v in enumerate(inputs)]
        outs = [f"o{k}" for k in range(n_out)]
        arrays = {n: np.ascontiguousarray(v) if np.ndim(v) else np.asarray(v) for n, v in zip(names, inputs) if n}
        domain, _, op = self.op.rpartition(":")
        return Case(self.opset, [h.make_node(op, names, outs, domain=domain, **{k: v for k, v in attrs.items() if v is not None})], arrays,
                    [names[k] for k in fixed if k < len(names) and names[k]], outs)


SINCE = {}
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == "" and not schema.deprecated:
        SINCE.setdefault(schema.name, set()).add(schema.since_version)


def maker(*names, **how):
    def put(f):
        for name in names:
            MAKERS[name] = (lambda d, f=f, name=name: f(d, name)) if how.get("named") else f
        return f
    return put
