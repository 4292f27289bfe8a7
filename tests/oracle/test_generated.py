# SPDX-License-Identifier: BSD-2-Clause
"""Generated models against ONNX Runtime and the second engine (engine.py): integers, data that moves and float operations of one
rounding must be equal to both; other floats stay within the bound that the engine computes. Every case runs with the best
kernels on one thread and with other kernels on another number; threads must not change a bit.

Case OP/K of a seed is always the same: VD_SEED=1 VD_CASE=Conv/17 runs one. VD_CASES scales their number. A case that fails is
made smaller as long as it fails, and kept as an .onnx file with its inputs; the failure names the folder."""
import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import cases_elementwise  # noqa: F401 (these three fill MAKERS)
import cases_moving  # noqa: F401
import cases_products  # noqa: F401
import engine
import op_table
from cases import F16, MAKERS, Draw
from cases_graphs import PATTERNS
from shrink import shrink
from vmaf_dnn import Refused, Session

SEED = int(os.environ.get("VD_SEED", "20261126"))
SCALE = float(os.environ.get("VD_CASES", "1"))
ONE = os.environ.get("VD_CASE", "")
LEAST = 3000  # judged, in all
SHARE = {"Conv": 400, "ConvInteger": 300, "QLinearConv": 300, "ConvTranspose": 300, "MaxPool": 150, "AveragePool": 150, "Gemm": 120, "MatMul": 120,
         "MatMulInteger": 120, "QuantizeLinear": 120, "DequantizeLinear": 120, "DynamicQuantizeLinear": 100, "Resize": 300, "conv_chain": 200,
         "dynamic_conv": 200, "qdq_conv": 200, "qdq_rest": 150}
COMMON, NOT_IN_TABLE = 60, 12  # of every other operator; of those that are not in the table, to see them refused and the judges of one mind
KEPT = Path(os.environ.get("VMAF_DNN_TESTS", ".")) / "failed"
BOTH, ALONE = "by ONNX Runtime and the engine", "by the engine alone"
WAYS = [("auto", 2), ("c", 1), ("auto", 5), ("c", 3)]


class Wrong(Exception):
    """The library's result, or its refusal."""


class Judges(Exception):
    """The judges disagree, or the maker made what ONNX does not allow: a mistake of the tests."""


OPTIONS = ort.SessionOptions()
OPTIONS.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.log_severity_level = 4
OPTIONS.intra_op_num_threads = 1


LACKS = ("NOT_IMPLEMENTED", "is not supported", "padding values must be non-negative",  # SAME, and strides over the kernel
         "IsScalarOr1ElementVector(a_zero_point)",  # MatMulInteger, zero points of rows
         "INVALID_GRAPH : This is an invalid model. Type Error: Type")  # a function whose parts do not take the type


def runtime(model, feeds):
    """ONNX Runtime's outputs; None where it has no implementation of its own of that type."""
    try:
        return ort.InferenceSession(model.SerializeToString(), OPTIONS, providers=["CPUExecutionProvider"]).run(None, feeds)
    except Exception as e:  # the type of ONNX Runtime's exceptions is not public
        if any(words in str(e) for words in LACKS):
            return None
        raise Judges(f"ONNX Runtime: {e}") from e


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def differ(got, want, mask, who):
    at = np.flatnonzero(mask)[0]
    return f"{np.count_nonzero(mask)} of {mask.size} values: {got.flat[at]} where {who} has {want.flat[at]}"


def compare_judges(theirs, want):
    """ONNX Runtime's own errors may be sixteen times the bound: some of its functions are approximations, in float64 some of float32."""
    for k, (t, exact) in enumerate(zip(theirs or [], want)):
        if t.dtype != exact.dtype or t.shape != exact.shape:
            raise Judges(f"output {k}: ONNX Runtime has {t.dtype}{list(t.shape)}, the engine {exact.dtype}{list(exact.shape)}")
        own = {F16: 2.0**-9, np.dtype(np.float64): 2.0**-22}.get(exact.dtype, 0)
        size = np.maximum(np.abs(np.where(np.isfinite(exact.x), exact.x, 0)), 1 if exact.dtype == np.float64 else 0)
        loose = engine.Value(exact.x, exact.e * 16 + own * size, exact.dtype)
        bad = engine.outside(t, loose)
        if np.any(bad):
            raise Judges(f"output {k}: {differ(t, exact.x, bad, 'the engine')} (ONNX Runtime against the engine)")


def judge(case, tmp, way):
    """BOTH or ALONE: judged; the name of what is not in the op table: refused for it. Wrong or Judges otherwise."""
    try:
        known = engine.run_nodes(case.nodes, case.opset, {n: engine.exact(v) for n, v in case.arrays.items()})
        want = [known[n] for n in case.outputs]
    except Exception as e:  # of any kind: the maker's or the engine's mistake
        raise Judges(f"engine: {type(e).__name__}: {e}") from e
    model = case.model({n: known[n].dtype for n in case.outputs})
    path = tmp / "case.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        best, other = Session(path, None, 1).run(case.feeds), Session(path, *way).run(case.feeds)
    except Refused as e:
        name = op_table.named_by(e, case.opset)
        if name:  # the judges then judge each other
            compare_judges(runtime(model, case.feeds), want)
            return name
        if runtime(model, case.feeds) is None:
            raise Judges(f"refused ({e}), and ONNX Runtime does not take it either") from e
        raise Wrong(f"refused: {e}") from e
    theirs = runtime(model, case.feeds)
    for k, exact in enumerate(want):
        for who, got in (("best kernels, 1 thread", best[k]), (f"kernels {way[0]}, {way[1]} threads", other[k])):
            if got.dtype != exact.dtype or got.shape != exact.shape:
                raise Wrong(f"output {k} ({who}): {got.dtype}{list(got.shape)} in place of {exact.dtype}{list(exact.shape)}")
            bad = engine.outside(got, exact)
            if np.any(bad):
                if theirs is not None and not np.any(engine.outside(theirs[k], exact)[bad]):
                    raise Wrong(f"output {k} ({who}): {differ(got, exact.x, bad, 'the engine')} +- {exact.e[bad].flat[0]:.3g}; ONNX Runtime agrees with it")
                with_theirs = theirs is not None and not np.any((got != theirs[k]) & ~((got != got) & (theirs[k] != theirs[k])))
                raise (Judges if with_theirs else Wrong)(
                    f"output {k} ({who}): {differ(got, exact.x, bad, 'the engine')} +- {exact.e[bad].flat[0]:.3g}; ONNX Runtime "
                    + ("was not asked" if theirs is None else f"has {theirs[k][bad].flat[0]}"))
            if theirs is not None and exact.dtype.kind != "f" and case.nodes[0].domain and not same(got, theirs[k]):  # ONNX Runtime's to say
                raise Wrong(f"output {k} ({who}): {differ(got, theirs[k], got != theirs[k], 'ONNX Runtime')}")
        if way[0] == "auto" and not same(best[k], other[k]):
            raise Wrong(f"output {k}: 1 thread and {way[1]} threads give other bits")
    compare_judges(theirs, want)
    return ALONE if theirs is None else BOTH


def make(op, k, seed=None):
    return MAKERS[op](Draw(op, [SEED if seed is None else seed, k, *op.encode()]))


def keep(case, name, why):
    folder = KEPT / name.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    known = engine.run_nodes(case.nodes, case.opset, {n: engine.exact(v) for n, v in case.arrays.items()})
    onnx.save(case.model({n: known[n].dtype for n in case.outputs}), folder / "model.onnx")
    for n, v in case.feeds.items():
        np.save(folder / f"{n}.npy", v)
    ins = " ".join(f"--in {n}={folder}/{n}.npy" for n in case.feeds)
    outs = " ".join(f"--out {n}={folder}/{n}.npy" for n in case.outputs)
    (folder / "README").write_text(f"{why}\n{case}\nVD_SEED={SEED} VD_CASE={name}\nvmaf-dnn run -f {folder}/model.onnx {ins} {outs}\n")
    return folder


def report(case, name, e, tmp, way):
    kind, text = type(e), str(e)
    def fails(smaller):
        try:
            judge(smaller, tmp, way)
        except kind as found:
            return str(found) if str(found).split(" ")[0] == text.split(" ")[0] else None
        return None
    if text.startswith(("engine", "ONNX Runtime")):
        return f"VD_SEED={SEED} VD_CASE={name}: {kind.__name__}: {text}\n    {case}"
    small, why = shrink(case, text, fails)
    folder = keep(small, name, why)
    return f"VD_SEED={SEED} VD_CASE={name}: {kind.__name__}: {why}\n    {small}\n    kept in {folder}"


TOLD = {}  # by operator: how many cases of which verdict


def share(op):
    return max(1, int(SCALE * (SHARE.get(op, COMMON) if op in op_table.OPERATORS or op in PATTERNS else NOT_IN_TABLE)))


@pytest.mark.parametrize("op", MAKERS if not ONE else [ONE.split("/")[0]])
def test_generated(op, tmp_path):
    verdicts, failed = Counter(), []
    for k in range(share(op)) if not ONE else [int(ONE.split("/")[1])]:
        case, way = make(op, k), WAYS[k % len(WAYS)]
        try:
            verdict = judge(case, tmp_path, way)
        except (Wrong, Judges) as e:
            failed.append(report(case, f"{op}/{k}", e, tmp_path, way))
            if len(failed) == 5:
                break
            continue
        verdicts[verdict] += 1
    TOLD[op] = verdicts
    assert not failed, f"{len(failed)} cases of {op} failed:\n" + "\n".join(failed)


@pytest.mark.skipif(bool(ONE) or SCALE < 1, reason="not all cases ran")
def test_enough(capsys):
    all_of = sum(TOLD.values(), Counter())
    both, alone = all_of.pop(BOTH, 0), all_of.pop(ALONE, 0)
    with capsys.disabled():
        print(f"\nseed {SEED}: {both} cases of {sum(v[BOTH] > 0 for v in TOLD.values())} operators and patterns judged {BOTH}, {alone} {ALONE}; "
              "refused for: " + ", ".join(f"{name} {all_of[name]}" for name in sorted(all_of)))
    assert len(TOLD) < len(MAKERS) or both >= LEAST, f"{both} cases, not {LEAST}"


# Operators that have a generator of their own, and no maker here.
ELSEWHERE = {f"com.microsoft:{op}": "test_qoperator_ort.py" for op in ("QGemm", "QLinearSoftmax", "QLinearWhere")}


def test_every_operator_is_judged():
    """Each operator of the op table has a maker, and none that only makes what is refused."""
    assert not [op for op in op_table.OPERATORS if op not in MAKERS and op not in ELSEWHERE], "operators without a maker"
    assert all(op in op_table.OPERATORS and op not in MAKERS and (Path(__file__).parent / test).exists() for op, test in ELSEWHERE.items())
    assert not [op for op, v in TOLD.items() if op in op_table.OPERATORS and not v[BOTH] + v[ALONE]], "operators of which no case was judged"
