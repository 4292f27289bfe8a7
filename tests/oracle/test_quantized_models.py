# SPDX-License-Identifier: BSD-2-Clause
"""What ONNX Runtime's quantiser writes runs here: a MobileNet, U-Nets and the filter of model/tiny (quantized_models.py), quantised
dynamically and statically in both forms, against ONNX Runtime with its graph optimiser off ("plain"), on ("tuned"), and on and told
that int8 is as good as uint8 ("tuned8").

Dynamic: equal float bits. Static: at least 99.9 % of the output bytes equal, none more than one step apart. Which of the three a
form is held to, and why another may be further away, is in docs/numerics.md. And on every model: the same bits for 1, 2
and 5 threads; for the int8 ones for every kernel set too, unless products in them were left in fp32: those may be on the other side of a rounding
with another set (docs/numerics.md). Float ones within the bound of the second engine with every set."""
import re
import subprocess

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper as nh

import engine
import op_table
import quantized_models as models
from vmaf_dnn import Refused, Session

FRAMES = 8
LEVELS = {"plain": (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, "0"), "tuned": (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, "0"),
          "tuned8": (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, "1")}
TINY = models.FILTER.parent
# Equal bits, or bytes by the rule above: what each form is held to.
HELD_TO = {"dynamic": ("plain", "tuned"), "qdq": ("tuned8",), "qoperator": ("plain",)}
PAIRS = [(net, way) for net in models.NETS for way in models.WAYS]


def kernel_sets():
    """Those of run's --help that this CPU has, by asking for them."""
    text = subprocess.run([op_table.os.environ["VMAF_DNN_BIN"], "run", "--help"], capture_output=True, text=True, check=True).stdout
    names = re.search(r"--kernels NAME +kernel set: ([a-z0-9, ]+)", text)[1].replace(" ", "").strip(",").split(",")
    here = []
    for name in names:
        try:
            Session(TINY / "smoke_v0.onnx", name, 1).close()
            here.append(name)
        except Refused as e:
            assert e.name == "ENOTSUP", e
    assert "c" in here
    return here


KERNELS = kernel_sets()


def runtime(path, level, feeds):
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.log_severity_level, o.graph_optimization_level = 1, 4, LEVELS[level][0]
    o.add_session_config_entry("session.qdqisint8allowed", LEVELS[level][1])
    if "-s8-" not in path.stem:  # for CPUs without VNNI: sums that do not saturate; of int8 activations they do not anyway
        o.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])
    return [session.run(None, f) for f in feeds]


def steps(model):
    """The step of each output's DequantizeLinear; None where a float operator ends it."""
    made, stored = {o: n for n in model.graph.node for o in n.output}, {t.name: t for t in model.graph.initializer}
    ends = [made[o.name] for o in model.graph.output]
    return [float(nh.to_array(stored[n.input[1]])) if n.op_type == "DequantizeLinear" else None for n in ends]


def apart(got, want, step):
    """Of all frames of one output: the share of values that differ, and the greatest difference in steps."""
    worst, differ, count = 0.0, 0, 0
    for g, w in zip(got, want):
        assert g.dtype == w.dtype == np.float32 and g.shape == w.shape
        d = np.abs(g.astype(np.float64) - w)
        worst, differ, count = max(worst, d.max() / (step or 1)), differ + np.count_nonzero(d), count + d.size
    return differ / count, worst


@pytest.fixture(scope="module")
def table(request):
    lines = []
    yield lines
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\nkernel sets:", " ".join(KERNELS))
        print("\n".join(lines))


@pytest.mark.parametrize("net,way", PAIRS)
def test_against_onnx_runtime(net, way, tmp_path, table):
    path = models.quantised(net, way, tmp_path)
    model = onnx.load(str(path))
    lacking = op_table.missing(model)
    if lacking:  # refused by name
        with pytest.raises(Refused) as refused:
            Session(path)
        assert op_table.named_by(refused.value, 17) in [f"operator {name}" for name in lacking]
        table.append(f"{net:20} {way:18} refused: {' '.join(lacking)}")
        return
    feeds = models.frames(models.float_model(net), FRAMES)
    with Session(path) as session:
        mine = [session.run(f) for f in feeds]
    text, wrong = [], []
    for level in LEVELS:
        theirs = runtime(path, level, feeds)
        for k, step in enumerate(steps(model)):
            share, worst = apart([m[k] for m in mine], [t[k] for t in theirs], step)
            text.append(f"{level} {share:.3%} {worst:.2g}")
            held = level in HELD_TO[way.split("-")[0]]
            if held and (share > 0 if way.startswith("dynamic") else share > 0.001 or worst > 1.001):
                wrong.append(f"output {k}: {share:.4%} of the values differ from ONNX Runtime's ({level}), at most by {worst:.3g} steps")
    table.append(f"{net:20} {way:18} " + "  ".join(text))
    assert not wrong, "\n".join(wrong)


def same_everywhere(path, feeds, kernels):
    """The outputs, which neither threads nor the kernel sets change."""
    with Session(path, kernels[0], 1) as session:
        first = [session.run(f) for f in feeds]
    for name in kernels:
        for threads in (1, 2, 5):
            with Session(path, name, threads) as session:
                for f, want in zip(feeds, first):
                    for k, (g, w) in enumerate(zip(session.run(f), want)):
                        assert g.dtype == w.dtype and g.tobytes() == w.tobytes(), \
                            f"output {k}: {np.count_nonzero(g != w)} of {g.size} values with kernels {name} on {threads} threads are not those of {kernels[0]} on 1"
    return first


@pytest.mark.parametrize("net,way", PAIRS)
def test_int8_bits_are_the_same_everywhere(net, way, tmp_path):
    path = models.quantised(net, way, tmp_path)
    if not op_table.missing(onnx.load(str(path))):  # else refused, which the test above sees
        same_everywhere(path, models.frames(models.float_model(net), 2), KERNELS)


def inside_the_bound(model, feeds, got):
    for f, outputs in zip(feeds, got):
        for k, (g, want) in enumerate(zip(outputs, engine.run(model, f))):
            bad = engine.outside(g, want)
            assert not bad.any(), f"output {k}: {np.count_nonzero(bad)} of {bad.size} values outside the bound, {g[bad][0]} for {want.x[bad][0]} +- {want.e[bad][0]}"


@pytest.mark.parametrize("net", models.NETS)
def test_float_nets_within_the_bound(net, tmp_path):
    model = models.float_model(net)
    if op_table.missing(model):
        return
    path, feeds = tmp_path / "model.onnx", models.frames(model, 1)
    onnx.save(model, path)
    for kernels in KERNELS:
        inside_the_bound(model, feeds, same_everywhere(path, feeds, [kernels]))


def products_in_float(model):
    """Whether a Conv, Gemm or MatMul has weights that are not integers, directly or behind a DequantizeLinear."""
    made = {o: n.op_type for n in model.graph.node for o in n.output}
    return any(n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") and made.get(n.input[1]) != "DequantizeLinear" for n in model.graph.node)


@pytest.mark.parametrize("path", sorted(TINY.glob("*.onnx")), ids=lambda p: p.stem)
def test_shipped_models(path):
    model = onnx.load(str(path))
    feeds = models.frames(model, 2)
    feeds = [{name: np.resize(x, [d.dim_value or s for d, s in zip(model.graph.input[0].type.tensor_type.shape.dim, x.shape)]).astype(
        onnx.helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)) for name, x in f.items()} for f in feeds]
    if ".int8" in path.name:
        if not products_in_float(model):
            same_everywhere(path, feeds, KERNELS)
            return
        got = [same_everywhere(path, feeds, [kernels]) for kernels in KERNELS]
        for other in got[1:]:
            np.testing.assert_allclose(other, got[0], rtol=1e-3)  # of scores to 100: twice what nr_metric_v1 differs by over 3,080 frames at most
        return
    for kernels in KERNELS:
        inside_the_bound(model, feeds, same_everywhere(path, feeds, [kernels]))
