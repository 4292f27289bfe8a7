# SPDX-License-Identifier: BSD-2-Clause
"""A full-reference metric, two pictures in and one number out: the graph of LPIPS on SqueezeNet (models_lpips.py) through
vmaf_dnn_session_run, against ONNX Runtime and against the same graph in float64."""
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto as T
from onnx import numpy_helper as nh
from onnx.reference import ReferenceEvaluator

from models_lpips import lpips
from vmaf_dnn import Refused, Session

EPS = 2.0**-24
# The longest sum that a result passes (3x3 of 64 channels) with the length of all others behind one another; features of unit length
# are compared, so the relative error of each is bounded by the errors of its sums, which are of random sign: their root counts.
SUMS = [27] + [n for s, e, c in ((16, 64, 64), (16, 64, 128), (32, 128, 128), (32, 128, 256), (48, 192, 256), (48, 192, 384), (64, 256, 384), (64, 256, 512))
               for n in (c, 9 * s)]
BOUND = EPS * sum(np.sqrt(n) for n in SUMS)  # relative


def pictures(seed, height, width, noise):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    ref = np.stack([np.sin(x * k + y) * np.cos(y / k) for k in (1, 2, 3)])[None] * 0.8
    return ref.astype(np.float32), np.clip(ref + noise * rng.standard_normal(ref.shape), -1, 1).astype(np.float32)


def in_float64(model):
    m = onnx.ModelProto()
    m.CopyFrom(model)
    for t in m.graph.initializer:
        if t.data_type == T.FLOAT:
            t.CopyFrom(nh.from_array(nh.to_array(t).astype(np.float64), t.name))
    for v in (*m.graph.input, *m.graph.output):
        v.type.tensor_type.elem_type = T.DOUBLE
    return ReferenceEvaluator(m)


@pytest.mark.parametrize("opset,height,width", [(18, 48, 64), (13, 61, 45), (18, 224, 224)])
def test_two_pictures(opset, height, width, tmp_path):
    model = lpips(7 + height, opset=opset)
    path = tmp_path / "lpips.onnx"
    path.write_bytes(model.SerializeToString())
    reference = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    exact = in_float64(model) if height * width < 10000 else None
    for noise in (0.02, 0.3):
        ref, dist = pictures(opset, height, width, noise)
        feeds = {"ref": ref, "dist": dist}
        want = float(reference.run(None, feeds)[0].item())
        got = [Session(path, kernels, threads).run(feeds)[0] for kernels, threads in ((None, 1), (None, 2), (None, 5), ("c", 1), ("c", 3))]
        assert all(g.shape == (1, 1, 1, 1) for g in got)
        assert got[0] == got[1] == got[2] and got[3] == got[4], "the number of threads changes the score"
        true = float(exact.run(None, {k: v.astype(np.float64) for k, v in feeds.items()})[0].item()) if exact else want
        assert true > 1e-3
        for who, value in (("the best kernels", got[0]), ("the C kernels", got[3]), ("ONNX Runtime", want)):
            off = abs(float(np.asarray(value).item()) - true) / true
            assert off <= BOUND * (1 if exact else 2), f"{who}: {off / EPS:.1f} units off, {BOUND / EPS:.1f} are allowed"
    assert Session(path).run({"ref": ref, "dist": ref})[0].item() == 0
    assert Session(path).run({"dist": ref, "ref": dist})[0].item() == pytest.approx(got[0].item(), rel=BOUND)


def test_fixed_size_and_wrong_inputs(tmp_path):
    path = tmp_path / "lpips.onnx"
    path.write_bytes(lpips(3, 32, 48).SerializeToString())
    s = Session(path)
    assert [name for name, _ in s.inputs] == ["ref", "dist"]
    ref, dist = pictures(1, 32, 48, 0.1)
    assert s.run({"dist": dist, "ref": ref})[0].item() == s.run({"ref": ref, "dist": dist})[0].item()  # by name, in any order
    for feeds, word in (({"ref": ref}, "input"), ({"ref": ref, "dist": dist[..., :40]}, "dist"), ({"ref": ref, "disc": dist}, "disc")):
        with pytest.raises(Refused, match=word):
            s.run(feeds)
