# SPDX-License-Identifier: BSD-2-Clause
"""Products, softmax and choice of bytes in ONNX Runtime's QOperator form against ONNX Runtime: QLinearMatMul, QGemm and QLinearWhere
equal; QLinearSoftmax, which ONNX Runtime makes of integer tables, within one step. VD_SEED and VD_CASES change a run."""
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper as h
from onnx import numpy_helper as nh

from test_axes_ort import run
from test_ops_ort import CASES, F32, S8, S32, SEED, U8, data, matrices

MS = "com.microsoft"


def model(op, inputs, out, given, domain, **attrs):
    """Arrays by name in order; those in `given` are graph inputs, None is one that is left out."""
    names = [n if v is not None else "" for n, v in inputs]
    while not names[-1]:
        names.pop()
    kind = h.np_dtype_to_tensor_dtype
    graph = h.make_graph([h.make_node(op, names, ["y"], domain=domain, **attrs)], "g",
                         [h.make_tensor_value_info(n, kind(v.dtype), v.shape) for n, v in inputs if n in given],
                         [h.make_tensor_value_info("y", kind(np.dtype(out[0])), out[1])],
                         [nh.from_array(np.asarray(v), n) for n, v in inputs if v is not None and n not in given])
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid(MS, 1)], ir_version=8)


def scale(rng, shape=()):
    return (rng.random(shape) * 0.05 + 0.001).astype(F32)


def matmul(rng):
    sa, sb = matrices(rng)
    ta, tb = ((U8, U8), (U8, S8), (S8, S8))[int(rng.integers(3))]
    a, b = data(rng, sa, ta), data(rng, sb, tb)
    k = a.shape[-1]
    per = b.ndim > 1 and rng.random() < 0.4 and b.ndim == 2
    sb_, zb = (scale(rng, b.shape[-1]), np.zeros(b.shape[-1], tb)) if per else (scale(rng), data(rng, [], tb))
    y = np.matmul(a.astype(F32), b.astype(F32))
    inputs = [("a", a), ("as", scale(rng)), ("az", data(rng, [], ta)), ("b", b), ("bs", sb_), ("bz", zb),
              ("ys", F32(0.002 * np.sqrt(k) * 5)), ("yz", data(rng, [], ta))]
    return model("QLinearMatMul", inputs, (ta, y.shape), ("a", "b")[: int(rng.integers(1, 3))], "")


def gemm(rng):
    m, k, n = (int(v) for v in rng.integers(1, 40, 3))
    ta, tb = ((U8, U8), (U8, S8), (S8, S8))[int(rng.integers(3))]
    tra, trb = (int(v) for v in rng.integers(0, 2, 2))
    a, b = data(rng, [k, m] if tra else [m, k], ta), data(rng, [n, k] if trb else [k, n], tb)
    per = rng.random() < 0.4
    c = None if rng.random() < 0.3 else rng.integers(-9999, 9999, [[n], [1, n], [m, 1], [m, n], [1]][int(rng.integers(5))]).astype(S32)
    quantised = rng.random() < 0.7
    inputs = [("a", a), ("as", scale(rng)), ("az", data(rng, [], ta)), ("b", b), ("bs", scale(rng, n) if per else scale(rng)),
              ("bz", np.zeros(n, tb) if per else data(rng, [], tb)), ("c", c), ("ys", F32(0.002 * np.sqrt(k) * 5) if quantised else None),
              ("yz", data(rng, [], ta) if quantised else None)]
    return model("QGemm", inputs, (ta if quantised else F32, [m, n]), ("a",), MS, transA=tra, transB=trb, alpha=float(F32(rng.choice([1, 0.5, 1.3]))))


def where(rng):
    t = rng.choice([U8, S8])
    full = [int(v) for v in rng.integers(1, 6, rng.integers(1, 5))]
    def part():
        return [1 if rng.random() < 0.3 else v for v in full]
    sc, sx, sy = part(), part(), part()
    inputs = [("c", rng.random(sc) < 0.5), ("x", data(rng, sx, t)), ("xs", scale(rng)), ("xz", data(rng, [], t)), ("y0", data(rng, sy, t)), ("y0s", scale(rng)),
              ("y0z", data(rng, [], t)), ("zs", scale(rng)), ("zz", data(rng, [], t))]
    return model("QLinearWhere", inputs, (t, np.broadcast_shapes(sc, sx, sy)), ("c", "x", "y0"), MS)


def softmax(rng):
    t = rng.choice([U8, S8])
    s = [int(v) for v in rng.integers(2, 9, rng.integers(2, 5))]
    opset = int(rng.choice([11, 13]))
    inputs = [("x", data(rng, s, t)), ("xs", scale(rng)), ("xz", data(rng, [], t)), ("ys", F32(1 / 256)), ("yz", np.asarray(0 if t == U8 else -128, t))]
    return model("QLinearSoftmax", inputs, (t, s), ("x",), MS, axis=int(rng.integers(len(s)) - len(s)), opset=opset)


MAKERS = {"QLinearMatMul": matmul, "QGemm": gemm, "QLinearWhere": where, "QLinearSoftmax": softmax}


@pytest.mark.parametrize("op", MAKERS)
def test_operator(op, tmp_path):
    print(f"VD_SEED={SEED}")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    differ = total = 0
    for k in range(4 * CASES):
        rng = np.random.default_rng([SEED, k, *op.encode()])
        m = MAKERS[op](rng)
        feeds = {}
        for i in m.graph.input:
            tt = i.type.tensor_type
            kind = h.tensor_dtype_to_np_dtype(tt.elem_type)
            feeds[i.name] = np.asarray(data(rng, [d.dim_value for d in tt.shape.dim], kind))
        want = ort.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        got, = run(tmp_path, m, feeds, 1 + k % 2)
        assert got.dtype == want.dtype and got.shape == want.shape
        if got.dtype == F32:
            assert np.array_equal(got, want), f"case {k}: {np.abs(got - want).max()}"
            continue
        off = np.abs(got.astype(int) - want.astype(int))
        differ, total = differ + np.count_nonzero(off), total + off.size
        assert off.max(initial=0) <= (op == "QLinearSoftmax"), f"case {k}, {onnx.printer.to_text(m.graph)[:600]}: {np.count_nonzero(off)} of {off.size} differ"
    assert differ <= total / 100, f"{differ} of {total} bytes differ"
