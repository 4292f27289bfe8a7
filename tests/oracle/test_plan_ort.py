# SPDX-License-Identifier: BSD-2-Clause
"""Convolutions and what is fused to them, against ONNX Runtime: integers and the dynamic-int8 pattern in every bit, fp32
within the bound of its sums. Each case is a small random model; VD_SEED reproduces a run."""
import os
import subprocess

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

BIN = os.environ["VMAF_DNN_BIN"]
SEED = int(os.environ.get("VD_SEED", "20261124"))
WAYS = [("c", 1), ("c", 2), ("auto", 1), ("auto", 2)]


class Net:
    """A model in the making; v is the name of the value that comes next."""

    def __init__(self, rng, opset=17):
        self.rng, self.opset = rng, opset
        self.nodes, self.inits, self.count = [], [], 0

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def const(self, array):
        name = self.name()
        self.inits.append(nh.from_array(np.asarray(array), name))
        return name

    def node(self, op, inputs, n_out=1, **attrs):
        outs = [self.name() for _ in range(n_out)]
        self.nodes.append(h.make_node(op, inputs, outs, **attrs))
        return outs[0] if n_out == 1 else outs

    def model(self, inputs, outputs):
        graph = h.make_graph(self.nodes, "g", inputs, outputs, self.inits)
        m = h.make_model(graph, opset_imports=[h.make_opsetid("", self.opset)], ir_version=8)
        onnx.checker.check_model(m)
        return m


def geometry(rng, spatial=2):
    k = [int(v) for v in rng.integers(1, 5, spatial)]
    return dict(
        kernel_shape=k,
        strides=[int(v) for v in rng.integers(1, 4, spatial)],
        dilations=[int(v) for v in rng.integers(1, 3, spatial)],
        pads=[int(v) for v in rng.integers(0, 4, 2 * spatial)],
    )


def sizes(rng, attrs, spatial=2):
    """A picture that is at least as large as the kernel after padding."""
    out = []
    for i in range(spatial):
        need = (attrs["kernel_shape"][i] - 1) * attrs["dilations"][i] + 1 - attrs["pads"][i] - attrs["pads"][i + spatial]
        out.append(int(rng.integers(max(1, need), max(1, need) + 60)))
    return out


def reference(model, feeds):
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"]).run(None, feeds)


def ours(tmp, model, feeds, kernels, threads):
    path = tmp / "m.onnx"
    path.write_bytes(model.SerializeToString())
    cmd = [BIN, "run", str(path), "--kernels", kernels, "--threads", str(threads), "-f"]
    for name, value in feeds.items():
        np.save(tmp / f"{name}.npy", value)
        cmd += ["--in", f"{name}={tmp / name}.npy"]
    for o in model.graph.output:
        cmd += ["--out", f"{o.name}={tmp / o.name}.npy"]
    r = subprocess.run(cmd, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return [np.load(tmp / f"{o.name}.npy") for o in model.graph.output]


def check(tmp, model, feeds, exact, bound=0.0):
    want = reference(model, feeds)
    for kernels, threads in WAYS:
        got = ours(tmp, model, feeds, kernels, threads)
        for g, w, o in zip(got, want, model.graph.output):
            assert g.shape == w.shape and g.dtype == w.dtype
            where = f"seed {SEED}, output {o.name}, kernels {kernels}, {threads} threads"
            if exact:
                assert g.tobytes() == w.tobytes(), f"{where}: {np.count_nonzero(g != w)} of {g.size} differ"
            else:
                assert np.max(np.abs(g.astype(np.float64) - w), initial=0) <= bound, where


def rng_of(case):
    print(f"seed {SEED} case {case}")
    return np.random.default_rng([SEED, case])


def random_conv(rng):
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    ic, oc = int(rng.integers(1, 7)) * groups, int(rng.integers(1, 7)) * groups
    return groups, ic, oc


@pytest.mark.parametrize("case", range(24))
def test_conv_f32(tmp_path, case):
    rng = rng_of(case)
    spatial = 1 if case % 8 == 7 else 2
    groups, ic, oc = random_conv(rng)
    attrs = geometry(rng, spatial)
    if case % 6 == 5:
        del attrs["pads"]
        attrs["auto_pad"] = ["SAME_UPPER", "SAME_LOWER", "VALID"][case // 6 % 3]
        attrs["dilations"] = [1] * spatial
        size = [int(v) for v in rng.integers(5, 60, spatial)]
    else:
        size = sizes(rng, attrs, spatial)
    n = Net(rng)
    w = rng.standard_normal((oc, ic // groups, *attrs["kernel_shape"])).astype(np.float32)
    inputs = ["x", n.const(w)]
    if case % 2:
        inputs.append(n.const(rng.standard_normal(oc).astype(np.float32)))
    y = n.node("Conv", inputs, group=groups, **attrs)
    if case % 3 == 0:
        y = n.node("Relu", [y])
    n.nodes.append(h.make_node("Identity", [y], ["y"]))
    shape = [int(rng.integers(1, 3)), ic, *size]
    m = n.model([h.make_tensor_value_info("x", T.FLOAT, shape)], [h.make_tensor_value_info("y", T.FLOAT, [None] * (2 + spatial))])
    x = rng.standard_normal(shape).astype(np.float32)
    terms = w[0].size + 2
    check(tmp_path, m, {"x": x}, False, 2 * terms * 2.0**-23 * terms * np.abs(w).max() * np.abs(x).max())


@pytest.mark.parametrize("case", range(24))
def test_conv_integer(tmp_path, case):
    """Alone: u8 and s8 in any mixture, zero points, groups, weights that are a graph input."""
    rng = rng_of(100 + case)
    groups, ic, oc = random_conv(rng)
    attrs = geometry(rng)
    xt, wt = [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)][case % 3]
    bits = lambda t, shape: rng.integers(np.iinfo(t).min, np.iinfo(t).max + 1, shape).astype(t)
    n = Net(rng)
    shape = [int(rng.integers(1, 3)), ic, *sizes(rng, attrs)]
    w = bits(wt, (oc, ic // groups, *attrs["kernel_shape"]))
    feeds, graph_in = {"x": bits(xt, shape)}, [h.make_tensor_value_info("x", h.np_dtype_to_tensor_dtype(np.dtype(xt)), shape)]
    inputs = ["x"]
    if case % 4 == 3:
        feeds["w"] = w
        graph_in.append(h.make_tensor_value_info("w", h.np_dtype_to_tensor_dtype(np.dtype(wt)), w.shape))
        inputs.append("w")
    else:
        inputs.append(n.const(w))
    if case % 2:
        inputs += [n.const(bits(xt, ())), n.const(bits(wt, ()))]
    n.nodes.append(h.make_node("ConvInteger", inputs, ["y"], group=groups, **attrs))
    m = n.model(graph_in, [h.make_tensor_value_info("y", T.INT32, [None] * 4)])
    check(tmp_path, m, feeds, True)


@pytest.mark.parametrize("case", range(32))
def test_qlinear_conv(tmp_path, case):
    """8 bits in and out: u8 and s8 activations and weights, one scale or one a channel, bias, saturation at both ends."""
    rng = rng_of(500 + case)
    groups, ic, oc = random_conv(rng)
    attrs = geometry(rng)
    xt, wt, yt = [(np.uint8, np.uint8, np.uint8), (np.uint8, np.int8, np.uint8), (np.int8, np.int8, np.int8)][case % 3]
    bits = lambda t, shape: rng.integers(np.iinfo(t).min, np.iinfo(t).max + 1, shape).astype(t)
    n = Net(rng)
    w = bits(wt, (oc, ic // groups, *attrs["kernel_shape"]))
    per_channel = case % 2
    ws = rng.uniform(0.001, 0.02, oc if per_channel else ()).astype(np.float32)
    wz = np.zeros(oc, wt) if per_channel else bits(wt, ())
    shape = [int(rng.integers(1, 3)), ic, *sizes(rng, attrs)]
    y_scale = np.float32(0.01 * float(ws.max()) * 128 * 30 * np.sqrt(w[0].size) * rng.uniform(0.1, 2))
    inputs = ["x", n.const(np.float32(0.01)), n.const(bits(xt, ())), n.const(w), n.const(ws), n.const(wz), n.const(y_scale), n.const(bits(yt, ()))]
    if case % 4 > 1:
        inputs.append(n.const(rng.integers(-5000, 5000, oc).astype(np.int32)))
    n.nodes.append(h.make_node("QLinearConv", inputs, ["y"], group=groups, **attrs))
    m = n.model([h.make_tensor_value_info("x", h.np_dtype_to_tensor_dtype(np.dtype(xt)), shape)],
                [h.make_tensor_value_info("y", h.np_dtype_to_tensor_dtype(np.dtype(yt)), [None] * 4)])
    check(tmp_path, m, {"x": bits(xt, shape)}, True)


def dynamic_conv(n, dql, w, bias, attrs, form):
    """ONNX Runtime's tail in one of the orders that files have."""
    wt = [np.uint8, np.int8][form % 2]
    oc = w.shape[0]
    scale = (np.abs(w).reshape(oc, -1).max(1) / 127).astype(np.float32)
    if form & 2:
        scale = np.full(oc, scale.max(), np.float32)
    q = np.clip(np.rint(w / scale[:, None, None, None]), -127, 127) + (128 if wt == np.uint8 else 0)
    q8, sx, zp = dql
    acc = n.node("ConvInteger", [q8, n.const(q.astype(wt)), zp, n.const(np.array(128 if wt == np.uint8 else 0, wt))], **attrs)
    f = n.node("Cast", [acc], to=T.FLOAT)
    ws = n.const(scale[0] if form & 2 else scale.reshape(1, oc, 1, 1) if form & 4 else scale.reshape(oc, 1, 1))
    scales = n.node("Mul", [sx, ws] if form & 8 else [ws, sx])
    y = n.node("Mul", [f, scales] if form & 16 else [scales, f])
    if bias is not None:
        b = n.node("Reshape", [n.const(bias), n.const(np.array([1, -1, 1, 1], np.int64))])
        y = n.node("Add", [y, b])
    return y


@pytest.mark.parametrize("case", range(48))
def test_dynamic_pattern(tmp_path, case):
    """Every bit: shared quantisers, residuals, clamps before and after, values with a second reader, constant pictures."""
    rng = rng_of(200 + case)
    ch = int(rng.integers(1, 8))
    same = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    size = [1, ch, int(rng.integers(1, 50)), ch if case % 16 == 6 else int(rng.integers(1, 90))]
    n = Net(rng)
    weights = lambda: rng.standard_normal((ch, ch, 3, 3)).astype(np.float32)
    bias = lambda: rng.standard_normal(ch).astype(np.float32) if rng.integers(3) else None
    form = case % 32
    dql = n.node("DynamicQuantizeLinear", ["x"], 3)
    a = dynamic_conv(n, dql, weights(), bias(), same, form)
    outs = ["y"]
    if case % 3 == 0:
        a = n.node("Relu", [a])
    if case % 3 == 1:
        a = n.node("Clip", [a, n.const(np.float32(-0.5)), n.const(np.float32(1.25))])
    b = dynamic_conv(n, n.node("DynamicQuantizeLinear", [a], 3), weights(), bias(), same, form ^ 5)
    if case % 5 == 0:
        b = n.node("Relu", [b])
    kind = case % 8
    if kind < 2:
        b = n.node("Add", [b, "x"])
    elif kind == 2:
        b = n.node("Add", [dynamic_conv(n, dql, weights(), bias(), same, form), b])  # two convolutions, one Add; dql has two readers
    elif kind == 3:
        b = n.node("Add", [b, b])
    elif kind == 4:
        b = n.node("Add", [b, n.const(rng.standard_normal((1, ch, 1, size[3])).astype(np.float32))])  # broadcasts: not a residual
    elif kind == 5:
        b = n.node("Add", [n.node("Relu", [b]), b])  # the value before Relu has a second reader
    elif kind == 6:
        b = n.node("Add", [b, n.const(rng.standard_normal(size[3]).astype(np.float32))])  # along the row, also where W is C
    if case % 2:
        b = n.node("Clip", [b, n.const(np.float32(0)), n.const(np.float32(1))])
    if case % 11 == 0:
        n.nodes.append(h.make_node("Identity", [a], ["mid"]))  # a fused value that is also asked for
        outs.append("mid")
    n.nodes.append(h.make_node("Identity", [b], ["y"]))
    m = n.model([h.make_tensor_value_info("x", T.FLOAT, size)], [h.make_tensor_value_info(o, T.FLOAT, [None] * 4) for o in outs])
    x = rng.standard_normal(size).astype(np.float32) if case % 8 else np.full(size, [0, 0.25, -3][case // 8 % 3], np.float32)
    check(tmp_path, m, {"x": x}, True)


def static_product(n, q, zp, w, wz, scale, attrs):
    return n.node("Mul", [n.node("Cast", [n.node("ConvInteger", [q, w, zp, wz], **attrs)], to=T.FLOAT), n.const(scale)])


@pytest.mark.parametrize("case", range(40))
def test_static_products(tmp_path, case):
    """ConvInteger with constant scales, one product or two: the second of what rounding left (finer steps, or coarse ones that have only what lies
    outside the first's range), or of another tensor; with bias, clamps, residual. Bits of the operators one by one."""
    rng = rng_of(700 + case)
    n = Net(rng)
    xt = [np.uint8, np.uint8, np.int8][case % 3]
    ch, oc = [(1, 16), (16, 1), (3, 5), (16, 16), (20, 20), (8, 8)][case % 6]
    attrs = geometry(rng) if case % 4 == 1 else dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    if case % 6 == 5:
        attrs["group"] = ch
    size = [1 + case % 5 // 4, ch, *(sizes(rng, attrs) if case % 4 == 1 else [int(rng.integers(1, 30)), int(rng.integers(1, 200))])]
    byte = lambda t: n.const(np.array(rng.integers(np.iinfo(t).min, np.iinfo(t).max + 1), t))
    w = n.const(rng.integers(-127, 128, (oc, 1 if "group" in attrs else ch, *attrs["kernel_shape"])).astype(np.int8))
    wz, zp, step = n.const(np.int8(0)), byte(xt), np.float32(0.02)
    scales = (rng.uniform(0.5, 1, (1, oc, 1, 1) if case % 7 else ()) * 0.001).astype(np.float32)
    q = n.node("QuantizeLinear", ["x", n.const(step), zp])
    if case % 3 == 2:
        zp = n.const(nh.to_array(next(i for i in n.inits if i.name == zp)).copy())  # the same number by another name
        q = n.node("QuantizeLinear", ["x", n.const(step), zp])
    y = static_product(n, q, zp, w, wz, scales, attrs)
    if case % 2:
        y = n.node("Add", [y, n.const(rng.standard_normal((oc, 1, 1)).astype(np.float32))])
    ratio = [16, 16, 1 / 255, 4, 64, 1][case // 3 % 6]
    kind = case % 5
    if kind:
        zp2 = n.const(np.array(128 if xt == np.uint8 else 0, xt)) if case % 8 else byte(xt)
        other = "x2" if kind == 4 else n.node("Sub", ["x", n.node("DequantizeLinear", [q, n.const(step), zp])])
        if kind != 4:
            dq = n.nodes[-2]
            dq.input[1] = next(m for m in n.nodes if m.op_type == "QuantizeLinear" and m.output[0] == q).input[1]
        q2 = n.node("QuantizeLinear", [other, n.const(np.float32(step * ratio)), zp2])
        w2 = w if case % 10 < 6 else n.const(rng.integers(-127, 128, (oc, 1 if "group" in attrs else ch, *attrs["kernel_shape"])).astype(np.int8))
        second = static_product(n, q2, zp2, w2, wz, scales * np.float32(ratio) * np.float32(-1 if case == 33 else 1), attrs)
        y = n.node("Add", [y, second] if case % 4 else [second, y])
    outs = ["y"]
    if case % 3 == 0:
        y = n.node("Relu", [y])
    if case % 9 == 4:
        n.nodes.append(h.make_node("Identity", [y], ["mid"]))
        outs.append("mid")
    if ch == oc and case % 4 != 1:
        y = n.node("Add", [y, "x"] if case % 2 else ["x", y])
        if case % 3 == 1:
            y = n.node("Clip", [y, n.const(np.float32(-0.5)), n.const(np.float32(1.25))])
    n.nodes.append(h.make_node("Identity", [y], ["y"]))
    x2 = ["x2"] if kind == 4 else []
    m = n.model([h.make_tensor_value_info(i, T.FLOAT, size) for i in ["x", *x2]], [h.make_tensor_value_info(o, T.FLOAT, [None] * 4) for o in outs])
    feeds = {i: rng.standard_normal(size).astype(np.float32) * np.where(rng.random(size) < 0.01, 20, 0.5).astype(np.float32) for i in ["x", *x2]}
    check(tmp_path, m, feeds, True)
    steps = subprocess.run([BIN, "inspect", str(tmp_path / "m.onnx")], capture_output=True, text=True).stdout
    assert ", 1 step," in steps or len(outs) > 1, steps


@pytest.mark.parametrize("case", range(8))
def test_conv_f16(tmp_path, case):
    """Stored in float16, computed in float32, rounded once: at most one step of float16 from ONNX Runtime's."""
    rng = rng_of(300 + case)
    n = Net(rng)
    w = (rng.standard_normal((5, 3, 3, 3)) / 5).astype(np.float16)
    y = n.node("Conv", ["x", n.const(w), n.const(rng.standard_normal(5).astype(np.float16))], pads=[1, 1, 1, 1])
    n.nodes.append(h.make_node("Relu", [y], ["y"]))
    shape = [1, 3, int(rng.integers(1, 20)), int(rng.integers(1, 40))]
    m = n.model([h.make_tensor_value_info("x", T.FLOAT16, shape)], [h.make_tensor_value_info("y", T.FLOAT16, [None] * 4)])
    x = rng.standard_normal(shape).astype(np.float16)
    check(tmp_path, m, {"x": x}, False, 2.0**-8)


def quantised(n, x, scale, zero):
    """QuantizeLinear and DequantizeLinear."""
    q = [n.const(np.float32(scale)), n.const(zero)]
    return n.node("DequantizeLinear", [n.node("QuantizeLinear", [x, *q]), *q])


@pytest.mark.parametrize("case", range(40))
def test_qdq(tmp_path, case):
    """DequantizeLinear, operator, perhaps clamps, QuantizeLinear: the integers of ONNX Runtime's optimised graph, where it has them; where
    something is in the way (a bias of another scale, a second reader of the float value), still the right values."""
    rng = rng_of(600 + case)
    n = Net(rng)
    xt = [np.uint8, np.int8][case % 2]
    zero = lambda: np.array(rng.integers(np.iinfo(xt).min, np.iinfo(xt).max + 1), xt)
    ch, oc = int(rng.integers(1, 20)), int(rng.integers(1, 20))
    size = [1, ch, int(rng.integers(1, 30)), int(rng.integers(1, 40))]
    sx = 0.01
    a = quantised(n, "x", sx, zero())
    kind, broken = case % 5, case % 10 == 9
    if kind in (0, 1, 4):
        w = rng.integers(-127, 128, (oc, ch, 3, 3)).astype(np.int8)
        ws = rng.uniform(0.001, 0.01, oc if case % 3 else ()).astype(np.float32)
        axis = dict(axis=0) if ws.ndim else {}
        inputs = [a, n.node("DequantizeLinear", [n.const(w), n.const(ws), n.const(np.zeros(ws.shape, np.int8))], **axis)]
        if case % 4:
            bs = (np.float32(sx) * ws * np.float32(1.5 if broken else 1)).astype(np.float32)
            bias = n.const(rng.integers(-3000, 3000, oc).astype(np.int32))
            inputs.append(n.node("DequantizeLinear", [bias, n.const(bs), n.const(np.zeros(bs.shape, np.int32))], **axis))
        y, sy = n.node("Conv", inputs, pads=[1, 1, 1, 1]), np.float32(0.01 * float(ws.max()) * 60 * 40 * np.sqrt(ch))
    elif kind == 2:
        y, sy = n.node("Add", [a, quantised(n, "x2", 0.02, zero())]), np.float32(0.023)
    else:
        y, sy = n.node("Concat", [a, quantised(n, "x2", 0.02, zero())], axis=1), np.float32(0.017)
    outs = []
    if case % 7 == 3:
        n.nodes.append(h.make_node("Identity", [y], ["mid"]))  # a second reader of the float value
        outs.append("mid")
    if case % 3 == 0:
        y = n.node("Relu", [y])
    if case % 3 == 1:
        y = n.node("Clip", [y, n.const(np.float32(-12.3 * sy)), n.const(np.float32(31.7 * sy))])
    y = n.node("QuantizeLinear", [y, n.const(sy), n.const(zero())])
    n.nodes.append(h.make_node("Identity", [y], ["y"]))
    inputs = [h.make_tensor_value_info(i, T.FLOAT, size) for i in (["x", "x2"] if kind in (2, 3) else ["x"])]
    m = n.model(inputs, [h.make_tensor_value_info("y", h.np_dtype_to_tensor_dtype(np.dtype(xt)), [None] * 4)] +
                [h.make_tensor_value_info(o, T.FLOAT, [None] * 4) for o in outs])
    feeds = {i.name: rng.uniform(-2, 2, size).astype(np.float32) for i in inputs}
    o = ort.SessionOptions()
    o.log_severity_level = 3
    o.add_session_config_entry("session.qdqisint8allowed", "1")
    want = ort.InferenceSession(m.SerializeToString(), o, providers=["CPUExecutionProvider"]).run(None, feeds)[0].astype(int)
    plain = reference(m, feeds)[0].astype(int)  # float: the reading of the text, and no clamp is lost
    for kernels, threads in WAYS:
        got = ours(tmp_path, m, feeds, kernels, threads)[0].astype(int)
        where = f"seed {SEED}, kernels {kernels}, {threads} threads"
        assert np.abs(got - plain).max() <= 1 and np.count_nonzero(got != plain) <= 2 + 0.02 * got.size, where
        assert np.abs(got - want).max() <= 1 and np.count_nonzero(got != want) <= 0.001 * got.size, f"{where}: {np.count_nonzero(got != want)} of {got.size}"
    r = subprocess.run([BIN, "inspect", str(tmp_path / "m.onnx")], capture_output=True, text=True)
    if kind in (0, 1, 4):
        whole = not (broken and case % 4) and not outs
        assert f"int8       {int(whole)} of 1 " in r.stdout, r.stdout


@pytest.mark.parametrize("k,fits", [(33024, True), (33026, False)])
def test_sums_fit_32_bits(tmp_path, k, fits):
    """255 * 255 * 33025 is the last multiple below 2^31."""
    n = Net(None)
    w = np.full((1, k, 1, 1), 255, np.uint8)
    n.nodes.append(h.make_node("ConvInteger", ["x", n.const(w)], ["y"]))
    shape = [1, k, 1, 2]
    m = n.model([h.make_tensor_value_info("x", T.UINT8, shape)], [h.make_tensor_value_info("y", T.INT32, [None] * 4)])
    x = np.full(shape, 255, np.uint8)
    if fits:
        check(tmp_path, m, {"x": x}, True)
        return
    (tmp_path / "m.onnx").write_bytes(m.SerializeToString())
    np.save(tmp_path / "x.npy", x)
    r = subprocess.run([BIN, "run", str(tmp_path / "m.onnx"), "--in", f"x={tmp_path}/x.npy"], capture_output=True, text=True)
    assert r.returncode == 4 and "32 bits" in r.stderr, r.stderr


def test_the_filter_is_streams(tmp_path):
    """The shipped filters are one stream, in fp32 and in static int8 with its tails, and one a convolution in dynamic int8, where a range is needed in
    between."""
    for name, steps in (("model/tiny/learned_filter_v1.onnx", 1), ("model/tiny/learned_filter_v1.int8.onnx", 1),
                        ("model/tiny/learned_filter_x264_v1.int8.onnx", 1), ("tests/data/dynamic/learned_filter_v1.int8.onnx", 10)):
        r = subprocess.run([BIN, "inspect", os.path.join(os.environ["VMAF_DNN_SOURCE"], name)], capture_output=True, text=True)
        assert r.returncode == 0 and f", {steps} step{'s' * (steps != 1)}," in r.stdout, r.stdout + r.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30], ids=str)
def test_the_static_filter_goes_on_where_values_are_not_finite(tmp_path, value):
    """As ONNX Runtime does, bit for bit; dynamic int8 fails there (tests/test_session.c)."""
    x = rng_of(18).random((1, 1, 24, 24)).astype(np.float32)
    x[0, 0, 12, 12] = value
    name = os.path.join(os.environ["VMAF_DNN_SOURCE"], "model/tiny/learned_filter_v1.int8.onnx")
    np.save(tmp_path / "x.npy", x)
    r = subprocess.run([BIN, "run", name, "--in", f"degraded={tmp_path}/x.npy", "--out", f"filtered={tmp_path}/y.npy"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), ort.InferenceSession(name).run(None, {"degraded": x})[0])


def test_weights_and_bias_from_the_graph(tmp_path):
    rng = rng_of(400)
    n = Net(rng)
    n.nodes.append(h.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1], group=2))
    shapes = {"x": [1, 4, 9, 11], "w": [6, 2, 3, 3], "b": [6]}
    m = n.model([h.make_tensor_value_info(k, T.FLOAT, s) for k, s in shapes.items()], [h.make_tensor_value_info("y", T.FLOAT, [None] * 4)])
    feeds = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    check(tmp_path, m, feeds, False, 1e-4)
