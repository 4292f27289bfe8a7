# SPDX-License-Identifier: BSD-2-Clause
"""A second engine: slow, clear, after the texts of the ONNX operators, to hold the first one to.

    y, = run(model, {"x": x})     Value: y.x the exact result, y.e how far a right float32 result may be from it

Floats are computed in float64. e is a bound and not a guess: every operator adds the rounding errors of a float32 evaluation in
any order of summation (bound() for sums) to what the errors of its inputs become. e = 0 asks for the very value: integers, data
that moves, and float32 operations that round once. Integers that come of a rounding (QuantizeLinear) have e = 1 step where the
error of the input reaches the next step. Where ONNX leaves something open, or ONNX Runtime differs, the code says so; ONNX
Runtime is followed, as docs/numerics.md has it.

In this order: engine_values.py (values and their errors), engine_elementwise.py, engine_moving.py (reductions, and data that
moves), engine_products.py (products, windows, quantising), engine_norms.py (normalisation, Resize); here, whole graphs."""
import numpy as np
from onnx import numpy_helper as nh

import engine_elementwise  # noqa: F401 (these four fill OPS)
import engine_moving  # noqa: F401
import engine_norms  # noqa: F401
import engine_products  # noqa: F401
from engine_values import OPS, Node, U, Value, attribute, exact, outside  # noqa: F401 (the tests' names for them)


def name(proto):
    """The operator's name, with its domain when it is not ONNX's own."""
    return proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}:{proto.op_type}"


def run_node(proto, opset, inputs):
    """Values (None: omitted) to the list of output Values."""
    n = Node(proto.op_type, opset, {a.name: attribute(a) for a in proto.attribute}, len(inputs), len(proto.output))
    with np.errstate(all="ignore"):
        out = OPS[name(proto)](n, *inputs)
    return list(out) if isinstance(out, (tuple, list)) else [out]


def knows(model):
    return all(name(n) in OPS for n in model.graph.node)


def run_nodes(nodes, opset, known):
    """known, with what the nodes make of it: Values by name."""
    known = dict(known)
    for proto in nodes:
        outs = run_node(proto, opset, [known[i] if i else None for i in proto.input])
        known.update((o, v) for o, v in zip(proto.output, outs) if o)
    return known


def run(model, feeds):
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    known = {t.name: exact(nh.to_array(t)) for t in model.graph.initializer}
    known.update((k, v if isinstance(v, Value) else exact(v)) for k, v in feeds.items())
    known = run_nodes(model.graph.node, opset, known)
    return [known[o.name] for o in model.graph.output]
