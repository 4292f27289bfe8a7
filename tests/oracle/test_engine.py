# SPDX-License-Identifier: BSD-2-Clause
"""The second engine itself, on ONNX's conformance data: what it knows, it computes as ONNX does."""
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper as nh

import engine

DATA = Path("/usr/share/libonnx-testdata/data")
AGREE = 690  # at least so many cases; this only grows
# Where ONNX Runtime and these data part ways, and the engine goes with ONNX Runtime; or the data hold what the engine leaves out.
ELSEWHERE = {
    **dict.fromkeys([f"test_{name}window{kind}_expanded" for name in ("blackman", "hamming", "hann") for kind in ("", "_symmetric")],
                    "the data take 3.1415 for pi"),
    **dict.fromkeys(["test_batchnorm_epsilon_training_mode", "test_batchnorm_example_training_mode", "test_training_dropout",
                     "test_training_dropout_default", "test_training_dropout_default_mask", "test_training_dropout_mask"], "training"),
    **dict.fromkeys(["test_maxpool_with_argmax_2d_precomputed_pads", "test_maxpool_with_argmax_2d_precomputed_strides"], "indices"),
}


def tensors(folder, kind):
    return [nh.to_array(onnx.load_tensor(str(p))) for p in sorted(folder.glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))]


def tensor_only(model):
    return all(v.type.WhichOneof("value") == "tensor_type" and v.type.tensor_type.elem_type not in (8, 14, 15, 16)
               for v in [*model.graph.input, *model.graph.output])


def test_engine_agrees(capsys):
    assert DATA.is_dir(), "FAILED: no conformance data; apt-get install -y libonnx-testdata (scripts/setup.sh test does it)"
    wrong, agree, of = [], 0, Counter()
    for folder in sorted([*DATA.glob("node/*"), *DATA.glob("simple/*")]):
        model = onnx.load(folder / "model.onnx")
        if not tensor_only(model) or not engine.knows(model) or folder.name in ELSEWHERE:
            continue
        for data in folder.glob("test_data_set_*"):
            names = [i.name for i in model.graph.input]
            try:
                got = engine.run(model, dict(zip(names, tensors(data, "input"))))
            except Exception as e:  # of any kind: it is the engine's mistake
                wrong.append(f"{folder.name}: {type(e).__name__}: {e}")
                continue
            for k, (g, w) in enumerate(zip(got, tensors(data, "output"))):
                if g.dtype != w.dtype or g.shape != w.shape:
                    wrong.append(f"{folder.name}: output {k}: {g.dtype}{list(g.shape)} in place of {w.dtype}{list(w.shape)}")
                    continue
                # the data's own errors: those of a float32 evaluation, and of functions in a few steps
                room = engine.Value(g.x, 4 * g.e + (4 * engine.U * np.abs(g.x) if g.float else 0), g.dtype)
                bad = engine.outside(w, room)
                if np.any(bad):
                    wrong.append(f"{folder.name}: output {k}: {np.count_nonzero(bad)} of {bad.size}: {g.x[bad][:3]} +- {g.e[bad][:3]} for {w[bad][:3]}")
        agree += 1
        of.update({n.op_type for n in model.graph.node})
    with capsys.disabled():
        print(f"\n{agree} cases with {len(of)} operators of the {len(engine.OPS)} that the engine knows; "
              f"no case has: {' '.join(sorted(engine.OPS.keys() - of.keys()))}")
    assert not wrong, f"{len(wrong)} outputs differ:\n" + "\n".join(wrong)
    assert agree >= AGREE, f"{agree} cases; it was {AGREE}"
