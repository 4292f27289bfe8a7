# SPDX-License-Identifier: BSD-2-Clause
"""ONNX's own conformance data, as Debian packs it: every case is run, and nothing may fail. A case passes, or is refused for an
operator, attribute, output, type or opset that the op table does not list.

* Where a case gives as a graph input what vmaf-dnn must know before the run (the new shape of a Reshape, the training mode of a
  Dropout, say), that input is made a constant of the model first.
* Models of opsets 1 to 6 are refused by their opset. They are converted to opset 13 by onnx.version_converter, as the reason
  advises, and then counted apart."""
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper as nh
from onnx import version_converter

import op_table
from vmaf_dnn import Refused, Session

DATA = Path("/usr/share/libonnx-testdata/data")
SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator")
CASES = 1072
PASSED = 684  # at least: this only grows
CONVERTED = 131
WAYS = ((None, 1), ("c", 2))
ROUGH = re.compile(r"test_(blackman|hamming|hann)window")  # their data was made with 3.1415 for pi


def opset_of(model):
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def tensor(path):
    return nh.to_array(onnx.load_tensor(str(path)))


def feeds_of(model, folder):
    held = {t.name for t in model.graph.initializer}
    names = [i.name for i in model.graph.input]
    files = sorted(folder.glob("input_*.pb"), key=lambda p: int(p.stem[6:]))
    if len(files) < len(names):  # until IR version 3 initialisers are inputs as well
        names = [n for n in names if n not in held]
    return {n: tensor(f) for n, f in zip(names, files)}


def with_constants(model, feeds, names):
    m = onnx.ModelProto()
    m.CopyFrom(model)
    for i in [i for i in m.graph.input if i.name in names]:
        m.graph.input.remove(i)
    m.graph.initializer.extend(nh.from_array(np.asarray(feeds[n]), n) for n in sorted(names))
    return m


def wrong(got, want, rough=False):
    """What is wrong with an output, or None. Integers equal; floats as near as two orders of summation of the tests' short sums
    leave them, a hundred times nearer than the onnx package's own runner asks (rtol 1e-3, atol 1e-7); rough: as near as that."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{list(got.shape)} in place of {want.dtype}{list(want.shape)}"
    if got.dtype.kind != "f":
        bad = got != want
    else:
        g, w = got.astype(np.float64), want.astype(np.float64)
        size = np.abs(w[np.isfinite(w)]).max(initial=0)
        near = 1e-3 if rough else {2: 1e-3, 4: 1e-5, 8: 1e-12}[got.itemsize]
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(g - w) <= near * np.abs(w) + near / 10 * size) | (g == w) | (np.isnan(g) & np.isnan(w)))
    if bad.any():
        at = np.flatnonzero(bad)[0]
        return f"{np.count_nonzero(bad)} of {bad.size} values differ: {got.flat[at]} in place of {want.flat[at]}"
    return None


def run_sets(model, path, folder, tmp, fix):
    """All data sets of a case in all ways. Returns whether inputs were made constant; AssertionError: an output is wrong."""
    sets = sorted(folder.glob("test_data_set_*"))
    assert sets, "no test data"
    fixed = False
    try:
        Session(path, threads=1).close()
    except Refused as e:  # before the data is read: some of it is not of tensors
        if e.name != "ENOTSUP":
            raise
    for data in sets:
        feeds = feeds_of(model, data)
        want = [tensor(p) for p in sorted(data.glob("output_*.pb"), key=lambda p: int(p.stem[7:]))]
        for kernels, threads in WAYS:
            try:
                got = Session(path, kernels, threads).run(feeds)
            except Refused as e:
                small = {n for n, v in feeds.items() if v.dtype in (np.int64, np.int32) and v.ndim < 2 or v.ndim == 0 or n == "scales"}
                if not fix or not small or not re.search(r"computed at run time|^input '\w+': dimension 0 is 0$", e.reason):
                    raise
                fixed = True
                (tmp / "fixed.onnx").write_bytes(with_constants(model, feeds, small).SerializeToString())
                got = Session(tmp / "fixed.onnx", kernels, threads).run({n: v for n, v in feeds.items() if n not in small})
            assert len(got) == len(want), f"{len(got)} outputs, not {len(want)}"
            for k, (g, w) in enumerate(zip(got, want)):
                text = wrong(g, w, ROUGH.match(folder.name))
                assert not text, f"output {k}: {text} (kernels {kernels or 'auto'}, {threads} threads)"
    return fixed


def convert(model):
    """To opset 13. The slope of PRelu is one number a channel until opset 6 and broadcast from 7 on: the converter leaves it."""
    newer = version_converter.convert_version(model, 13)
    rank = {i.name: len(i.type.tensor_type.shape.dim) for i in newer.graph.input}
    held = {t.name: t for t in newer.graph.initializer}
    for n in newer.graph.node:
        if n.op_type == "PRelu" and n.input[1] in held and n.input[0] in rank:
            slope = held[n.input[1]]
            del slope.dims[1:]
            slope.dims.extend([1] * (rank[n.input[0]] - 2))
            for i in newer.graph.input:
                if i.name == slope.name:
                    newer.graph.input.remove(i)
                    break
    return newer


def judge(folder, tmp):
    """("passed" | "fixed" | "converted" | "refused" | "failed", what was named or went wrong)"""
    model = onnx.load(folder / "model.onnx")
    opset = opset_of(model)
    try:
        return ("fixed" if run_sets(model, folder / "model.onnx", folder, tmp, True) else "passed"), ""
    except AssertionError as e:
        return "failed", str(e)
    except Refused as e:
        refused = e
    name = op_table.named_by(refused, opset)
    if not name:
        return "failed", f"refused, and the op table does not say why: {refused}"
    if 0 < opset < op_table.OPSETS[0]:
        try:
            newer = convert(model)
        except Exception:  # the converter's own limits; its exceptions have no common type
            return "refused", name
        (tmp / "newer.onnx").write_bytes(newer.SerializeToString())
        try:
            run_sets(newer, tmp / "newer.onnx", folder, tmp, True)
            return "converted", ""
        except AssertionError as e:
            return "failed", f"converted to opset 13: {e}"
        except Refused as e:
            name = op_table.named_by(e, 13)
            return ("refused", f"{name} (converted)") if name else ("failed", f"converted to opset 13: {e}")
    return "refused", name


@pytest.fixture(scope="module")
def cases():
    assert DATA.is_dir(), "FAILED: no conformance data; apt-get install -y libonnx-testdata (scripts/setup.sh test does it)"
    found = [(suite, folder) for suite in SUITES for folder in sorted((DATA / suite).iterdir())]
    assert len(found) == CASES, f"{len(found)} cases in {DATA}, {CASES} were expected"
    return found


def unlocks(cases, verdicts):
    """For each operator that is not in the table: models that lack nothing else by name, and models that lack it among others."""
    alone, among = Counter(), Counter()
    for (suite, folder), (verdict, _) in zip(cases, verdicts):
        if verdict != "refused":
            continue
        lacks = op_table.missing(onnx.load(folder / "model.onnx"))
        (alone if len(lacks) == 1 else among).update(lacks)
    return sorted(alone.keys() | among.keys(), key=lambda op: (-alone[op], -among[op], op)), alone, among


def test_conformance(cases, tmp_path, capsys):
    verdicts = [judge(folder, tmp_path) for _, folder in cases]
    total = Counter(v for v, _ in verdicts)
    named = Counter(n for v, n in verdicts if v == "refused")
    with capsys.disabled():
        print(f"\n{'':20}{'cases':>7}{'passed':>8}{'of these with shapes made constant':>36}{'passed when converted':>23}{'refused by name':>17}{'failed':>8}")
        for suite in (*SUITES, "all"):
            n = Counter(v for (s, _), (v, _) in zip(cases, verdicts) if s == suite or suite == "all")
            print(f"{suite:20}{sum(n.values()):7}{n['passed'] + n['fixed']:8}{n['fixed']:36}{n['converted']:23}{n['refused']:17}{n['failed']:8}")
        print("\nrefused for: " + ", ".join(f"{name} {n}" for name, n in sorted(named.items(), key=lambda kv: (-kv[1], kv[0]))))
        order, alone, among = unlocks(cases, verdicts)
        print("\noperators that are not in the table, and the cases that lack nothing else (and that lack more): "
              + ", ".join(f"{op} {alone[op]} (+{among[op]})" for op in order))
    failed = [f"{s}/{f.name}: {text}" for (s, f), (v, text) in zip(cases, verdicts) if v == "failed"]
    assert not failed, f"{len(failed)} cases failed:\n" + "\n".join(failed)
    assert total["passed"] + total["fixed"] >= PASSED, f"{total['passed'] + total['fixed']} cases pass; it was {PASSED}"
    assert total["converted"] >= CONVERTED, f"{total['converted']} converted cases pass; it was {CONVERTED}"


def test_inspect_says_the_same(cases):
    """`inspect` on all models at once: whether each runs, and every operator that is in the way, not only the first."""
    paths = [str(folder / "model.onnx") for _, folder in cases]
    r = subprocess.run([os.environ["VMAF_DNN_BIN"], "inspect", *paths], capture_output=True, text=True, timeout=300)
    reports = re.split(r"^file       ", r.stdout, flags=re.M)[1:]
    assert len(reports) == len(paths) and r.returncode == 4, r.stderr
    wrong = []
    for path, report in zip(paths, reports):
        assert report.startswith(path + ", ")
        model = onnx.load(path)
        verdict = re.search(r"^runs       (yes|no: (?:.*(?:\n {11}.*)*))", report, flags=re.M)
        if not verdict:
            wrong.append(f"{path}: no verdict")
            continue
        try:
            Session(path, threads=1).close()
            opens = True
        except Refused:
            opens = False
        if (verdict[1] == "yes") != opens:
            wrong.append(f"{path}: inspect says {verdict[1]}; it {'opens' if opens else 'does not open'}")
        listed = set(re.findall(r"operator (\w+) is not supported(?: at opset \d+)?$", verdict[1], flags=re.M))
        if listed and listed != set(op_table.missing(model)):
            wrong.append(f"{path}: inspect lists {sorted(listed)}; {op_table.missing(model)} are in the way")
    assert not wrong, "\n".join(wrong)
