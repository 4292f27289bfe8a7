# SPDX-License-Identifier: BSD-2-Clause
"""registry.schema.json and sidecar.schema.json against the rules in C: what is shipped passes both, and a file with one
rule broken is refused by jsonschema (draft 2020-12) and by `vmaf-dnn verify`, which says so in words. Then what only verify
can see: digests, graphs, order, contradictions."""
import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
TINY = SOURCE / "model" / "tiny"
SCHEMA = {name: json.loads((TINY / f"{name}.schema.json").read_text()) for name in ("registry", "sidecar")}
HEX = "0123456789abcdef" * 4
GONE = object()


def validator(name):
    cls = jsonschema.validators.validator_for(SCHEMA[name])
    assert cls is jsonschema.Draft202012Validator
    return cls(SCHEMA[name])


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def verify(*argv, cwd=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("VMAF_")}
    r = subprocess.run([BIN, "verify", *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                       cwd=cwd, env=env)
    assert r.returncode in (0, 1, 2), (r.returncode, r.stdout, r.stderr)
    return r


def put(path, data):
    Path(path).write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


@pytest.fixture
def shop(tmp_path):
    """A registry with one fp32 and one quantised model, in a folder of its own."""
    return make_shop(tmp_path)


def tiny_net(path, dynamic, name="x"):
    w = np.arange(-4, 5, dtype=np.float32).reshape(1, 1, 3, 3)
    shape = ["N", 1, "H", "W"]
    ins = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    if dynamic:
        nodes = [
            helper.make_node("DynamicQuantizeLinear", [name], ["q", "s", "z"]),
            helper.make_node("ConvInteger", ["q", "w", "z", "wz"], ["i"], **pads),
            helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["s", "ws"], ["m"]),
            helper.make_node("Mul", ["f", "m"], ["y"]),
        ]
        init = [numpy_helper.from_array((w + 128).astype(np.uint8), "w"), numpy_helper.from_array(np.uint8(128), "wz"),
                numpy_helper.from_array(np.float32(1), "ws")]
    else:
        nodes = [helper.make_node("Conv", [name, "w"], ["y"], **pads)]
        init = [numpy_helper.from_array(w, "w")]
    m = helper.make_model(helper.make_graph(nodes, "g", ins, outs, init), opset_imports=[helper.make_opsetid("", 17)])
    m.ir_version = 8
    onnx.checker.check_model(m, full_check=True)
    Path(path).write_bytes(m.SerializeToString(deterministic=True))


def make_shop(d):
    tiny_net(d / "a.onnx", False)
    tiny_net(d / "b.onnx", False)
    tiny_net(d / "b.int8.onnx", True)
    rows = [
        {"id": "a_v1", "kind": "nr", "onnx": "a.onnx", "opset": 17, "sha256": digest(d / "a.onnx")},
        {"id": "b_v1", "kind": "filter", "onnx": "b.onnx", "opset": 17, "sha256": digest(d / "b.onnx"), "quant_mode": "dynamic",
         "int8_sha256": digest(d / "b.int8.onnx")},
    ]
    gate = {key: 0.5 for key in SCHEMA["registry"]["$defs"]["model"]["properties"]["quant_gate"]["properties"]}
    extra = {"quant_accuracy_budget_plcc": 0.01, "quant_gate": gate, "quant_calibration_set": "none", "license": "MIT", "smoke": False, "description": "d",
             "license_url": "https://example.org/l", "sigstore_bundle": "b.sigstore.json", "notes": "n"}
    put(d / "registry.json", {"$schema": "./registry.schema.json", "schema_version": 1, "models": [rows[0], {**rows[1], **extra}]})
    for row in rows:
        put(d / row["onnx"].replace(".onnx", ".json"), {**row, "input": {"name": "x", "range": [0, 1], "width": 8, "height": 6, "resize": "area"},
                                                        "output": {"name": "y", "range": [-1.5, 2]},
                                                        "degradation": {"blur_sigma": 0.5, "jpeg_quality": 50}, "notes": "n"})
    return d


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    put(path, data)
    return data


def at(data, where, value):
    """Set, or with GONE delete, what the path of keys leads to."""
    for key in where[:-1]:
        data = data[key]
    if value is GONE:
        del data[where[-1]]
    else:
        data[where[-1]] = copy.deepcopy(value)


def test_schemas_are_schemas():
    for name in SCHEMA:
        jsonschema.Draft202012Validator.check_schema(SCHEMA[name])


def test_shipped_files_pass_both():
    registry = json.loads((TINY / "registry.json").read_text())
    validator("registry").validate(registry)
    assert registry["models"], "no models"
    for row in registry["models"]:
        validator("sidecar").validate(json.loads((TINY / row["onnx"].replace(".onnx", ".json")).read_text()))
    r = verify("--all", "--registry", TINY / "registry.json")
    assert r.returncode == 0, r.stdout + r.stderr
    assert [line.split()[:2] for line in r.stdout.splitlines()] == [["[ok]", row["id"]] for row in registry["models"]]
    for row, line in zip(registry["models"], r.stdout.splitlines()):
        assert f"sha256={digest(TINY / row['onnx'])}" in line
        if row.get("quant_mode", "fp32") != "fp32":
            assert f"int8_sha256={digest(TINY / row['onnx'].replace('.onnx', '.int8.onnx'))}" in line


def test_every_json_file_has_a_row():
    """No sidecar without a model, no model without a row, no int8 file without a digest."""
    models = json.loads((TINY / "registry.json").read_text())["models"]
    rows = {row["onnx"][:-5] for row in models}
    assert {p.name[:-5] for p in TINY.glob("*.onnx") if not p.name.endswith(".int8.onnx")} == rows
    assert {p.name[:-10] for p in TINY.glob("*.int8.onnx")} == {row["onnx"][:-5] for row in models if "int8_sha256" in row}
    assert {p.name[:-5] for p in TINY.glob("*.json") if p.name != "registry.json" and not p.name.endswith(".schema.json")} == rows


def test_shop_passes_both(shop):
    validator("registry").validate(json.loads((shop / "registry.json").read_text()))
    for name in "ab":
        validator("sidecar").validate(json.loads((shop / f"{name}.json").read_text()))
    r = verify("--registry", shop / "registry.json")
    assert r.returncode == 0 and r.stdout.count("[ok]") == 2 and "b_v1 mode=dynamic" in r.stdout, r.stdout + r.stderr


SHARED_RULES = [
    (["id"], GONE), (["id"], 7), (["id"], ""), (["id"], "B_v1"), (["id"], "b-v1"), (["id"], "b v1"), (["id"], "x" * 256), (["id"], None),
    (["kind"], GONE), (["kind"], "xr"), (["kind"], ["fr"]),
    (["onnx"], GONE), (["onnx"], "../b.onnx"), (["onnx"], "dir/b.onnx"), (["onnx"], ".b.onnx"), (["onnx"], "-b.onnx"), (["onnx"], "b.bin"),
    (["onnx"], "b.int8.onnx"), (["onnx"], ".onnx"), (["onnx"], "b b.onnx"), (["onnx"], "x" * 251 + ".onnx"), (["onnx"], True),
    (["opset"], GONE), (["opset"], 6), (["opset"], 24), (["opset"], 17.5), (["opset"], "17"), (["opset"], True), (["opset"], 10**18),
    (["sha256"], GONE), (["sha256"], ""), (["sha256"], HEX[1:]), (["sha256"], HEX + "0"), (["sha256"], HEX.upper()), (["sha256"], 0),
    (["sha256"], "g" + HEX[1:]),
    (["quant_mode"], "int8"), (["quant_mode"], "Dynamic"), (["quant_mode"], ""), (["quant_mode"], None),
    (["quant_mode"], "fp32"), (["quant_mode"], GONE),  # int8_sha256 stays
    (["int8_sha256"], GONE), (["int8_sha256"], ""), (["int8_sha256"], HEX[1:]), (["int8_sha256"], 1), (["int8_sha256"], None),
    (["notes"], 1), (["notes"], "\u00e9" * 1025), (["unknown"], 1), (["Id"], "x"),
]
ROW_RULES = [
    (["quant_accuracy_budget_plcc"], -0.001), (["quant_accuracy_budget_plcc"], 1.001), (["quant_accuracy_budget_plcc"], "0.01"),
    (["quant_accuracy_budget_plcc"], True), (["quant_calibration_set"], 1), (["quant_calibration_set"], "x" * 256), (["license"], 1),
    (["license"], "x" * 256), (["license_url"], "http://example.org"), (["license_url"], "https://"), (["license_url"], 1),
    (["sigstore_bundle"], "b.json"), (["sigstore_bundle"], "../b.sigstore.json"), (["sigstore_bundle"], ".sigstore.json"),
    (["sigstore_bundle"], 1), (["smoke"], "no"), (["smoke"], 0), (["description"], 1), (["description"], "x" * 1025),
    (["input"], {"name": "x"}), (["$schema"], "x"), (["quant_gate"], []), (["quant_gate"], 0.1), (["quant_gate"], {"max_slope": 0.1}),
    (["quant_gate"], {"max_slope_error": 1.1}), (["quant_gate"], {"max_slope_error": "0.1"}), (["quant_gate"], {"min_ssim": -0.1}),
    (["quant_gate"], {"max_offset": True}), (["degradation"], {"blur_sigma": 1}),
]
TOP_RULES = [
    (["schema_version"], GONE), (["schema_version"], 0), (["schema_version"], 2), (["schema_version"], "1"), (["schema_version"], True),
    (["models"], GONE), (["models"], {}), (["models"], None), (["models", 1], 7), (["models", 1], []), (["$schema"], 1), (["unknown"], 1),
]
SIDECAR_RULES = [
    (["input"], GONE), (["input"], []), (["input", "name"], GONE), (["input", "name"], ""), (["input", "name"], 1),
    (["input", "name"], "x" * 256), (["input", "range"], [0]), (["input", "range"], [0, 1, 2]), (["input", "range"], ["0", 1]),
    (["input", "range"], 1), (["input", "width"], 0), (["input", "width"], 65536), (["input", "width"], 8.5), (["input", "width"], GONE),
    (["input", "height"], GONE), (["input", "height"], "6"), (["input", "depth"], 1), (["input", "resize"], "bicubic"), (["input", "resize"], "Area"),
    (["input", "resize"], True), (["output", "resize"], "area"), (["output"], GONE), (["output"], "y"),
    (["output", "name"], GONE), (["output", "width"], 8), (["output", "range"], {}), (["license"], "MIT"), (["smoke"], True),
    (["quant_accuracy_budget_plcc"], 0.01), (["$schema"], 1), (["quant_gate"], {}),
    (["degradation"], 1), (["degradation"], {"blur": 1}), (["degradation"], {"blur_sigma": 0}), (["degradation"], {"blur_sigma": 3.5}),
    (["degradation"], {"jpeg_quality": 0}), (["degradation"], {"jpeg_quality": 35.5}),
]


def label(case):
    return ".".join(map(str, case[0])) + "-" + ("gone" if case[1] is GONE else json.dumps(case[1]))[:24]


def refused(name, data, shop, key):
    assert not validator(name).is_valid(data), "the schema lets it be"
    r = verify("--registry", shop / "registry.json")
    assert r.returncode == 1, f"verify: exit {r.returncode}\n{r.stdout}{r.stderr}"
    reasons = [line for line in r.stdout.splitlines() if line.startswith("[FAIL]")]
    assert any(str(key) in line for line in reasons), r.stdout


@pytest.mark.parametrize("case", SHARED_RULES + ROW_RULES, ids=label)
def test_broken_row(shop, case):
    data = edit(shop / "registry.json", lambda d: at(d, ["models", 1] + case[0], case[1]))
    refused("registry", data, shop, case[0][0] if case[0][0] != "Id" else "no such key")


@pytest.mark.parametrize("case", TOP_RULES, ids=label)
def test_broken_registry(shop, case):
    data = edit(shop / "registry.json", lambda d: at(d, case[0], case[1]))
    refused("registry", data, shop, case[0][0] if len(case[0]) == 1 else "row 2")


@pytest.mark.parametrize("case", SHARED_RULES + SIDECAR_RULES, ids=label)
def test_broken_sidecar(shop, case):
    data = edit(shop / "b.json", lambda d: at(d, case[0], case[1]))
    refused("sidecar", data, shop, "b.json")


def fails(shop, *words, ids=("b_v1",), args=None):
    r = verify(*(args or ("--registry", shop / "registry.json")))
    assert r.returncode == 1, r.stdout + r.stderr
    for word in words:
        assert word in r.stdout, f"{word!r} is not in\n{r.stdout}"
    bad = {line.split()[1].rstrip(":") for line in r.stdout.splitlines() if line.startswith("[FAIL]")}
    assert bad == set(ids), r.stdout
    return r.stdout


def both(shop, change):
    """The same change to the row and to the sidecar of b."""
    edit(shop / "registry.json", lambda d: change(d["models"][1]))
    edit(shop / "b.json", change)


def test_order_and_duplicates(shop):
    edit(shop / "registry.json", lambda d: d["models"].reverse())
    fails(shop, "rows are sorted by id, and b_v1 stands before it", ids=["a_v1"])
    edit(shop / "registry.json", lambda d: d["models"].append(dict(d["models"][0])))
    fails(shop, "id: row 1 has b_v1 too", "onnx: row 1 has b.onnx too", ids=["a_v1", "b_v1"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version":1,"schema_version":1,"models":[]}', "\ufffe", '{"schema_version":01}'])
def test_no_json(shop, text):
    (shop / "registry.json").write_text(text)
    assert "registry.json" in fails(shop, ids=["registry"])
    make_shop(shop)
    (shop / "b.json").write_text(text)
    assert "b.json" in fails(shop, ids=["b_v1"])


@pytest.mark.parametrize("key,value", [("id", "b_v2"), ("kind", "nr"), ("opset", 18), ("sha256", HEX), ("int8_sha256", HEX),
                                       ("quant_mode", "static"), ("notes", "other")])
def test_row_against_sidecar(shop, key, value):
    edit(shop / "b.json", lambda d: d.update({key: value}))
    fails(shop, f"b.json: {key}: the registry says ", f"the sidecar {value}")


def test_sidecar_of_another_model(shop):
    shutil.copy(shop / "a.json", shop / "b.json")
    fails(shop, "b.json: onnx: it is about a.onnx, whose sidecar is called a.json")


def test_files(shop):
    for name, key in (("b.onnx", "sha256"), ("b.int8.onnx", "int8_sha256")):
        data = (shop / name).read_bytes()
        (shop / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        fails(shop, f"{name}: its sha256 is {digest(shop / name)}, and the recorded {key} is {hashlib.sha256(data).hexdigest()}")
        (shop / name).write_bytes(b"")
        fails(shop, f"{name}: empty")
        (shop / name).unlink()
        fails(shop, f"{name}: no such file")
        (shop / name).mkdir()
        fails(shop, f"{name}: is a folder")
        (shop / name).rmdir()
        (shop / name).write_bytes(data)
    assert verify("--registry", shop / "registry.json").returncode == 0


def test_all_reasons_are_given(shop):
    (shop / "a.onnx").unlink()
    both(shop, lambda d: d.update(opset=18, sha256=HEX))
    edit(shop / "b.json", lambda d: d.update(input={"name": "nope"}, output={"name": "nor"}, kind="nr"))
    edit(shop / "registry.json", lambda d: d["models"][1].update(extra=1))
    out = fails(shop, "b_v1: extra: no such key", "kind: the registry says filter, the sidecar nr", "b.onnx: its sha256 is",
                "b.onnx: opset is 18 in registry or sidecar, and 17 in the graph",
                "b.onnx: input.name is nope in the sidecar, and the graph has x", "b.onnx: output.name is nor", "b.int8.onnx: opset is 18", "b.int8.onnx: input.name is nope", "a.onnx: no such file",
                ids=["a_v1", "b_v1"])
    assert len(out.splitlines()) == 10, out


def pin(shop):
    """Record the files as they are now."""
    def change(d):
        d["sha256"] = digest(shop / "b.onnx")
        if "int8_sha256" in d:
            d["int8_sha256"] = digest(shop / "b.int8.onnx")
    both(shop, change)


def test_quantised_or_not(shop):
    shutil.copy(shop / "b.onnx", shop / "b.int8.onnx")
    pin(shop)
    fails(shop, "b.int8.onnx: quant_mode is dynamic, and the graph has no ConvInteger or MatMulInteger")
    both(shop, lambda d: d.update(quant_mode="static"))
    fails(shop, "b.int8.onnx: quant_mode is static, and the graph has no QuantizeLinear or DequantizeLinear")
    make_shop(shop)
    shutil.copy(shop / "b.int8.onnx", shop / "b.onnx")
    pin(shop)
    fails(shop, "b.onnx: the graph is quantised (it has ConvInteger), and this file is the fp32 one")
    both(shop, lambda d: (d.pop("quant_mode"), d.pop("int8_sha256")))
    fails(shop, "b.onnx: the graph is quantised")


def test_shapes(shop):
    edit(shop / "b.json", lambda d: d["input"].update(width=1, height=9))
    assert verify("--registry", shop / "registry.json").returncode == 0  # symbolic: any size
    m = onnx.load(shop / "b.onnx")
    for value in (m.graph.input[0], m.graph.output[0]):
        for i, n in ((2, 6), (3, 8)):
            value.type.tensor_type.shape.dim[i].dim_value = n
    onnx.save(m, shop / "b.onnx")
    pin(shop)
    fails(shop, "b.onnx: input.width is 1 in the sidecar, and 8 in the graph",
          "b.onnx: input.height is 9 in the sidecar, and 6 in the graph", "the inputs of the fp32 and of the int8 file differ", "the outputs of the fp32 and of the int8 file differ")


def test_twins(shop):
    tiny_net(shop / "b.int8.onnx", True, "other")
    pin(shop)
    fails(shop, "b.int8.onnx: input.name is x in the sidecar, and the graph has other",
          "the inputs of the fp32 and of the int8 file differ")


def test_what_does_not_open(shop):
    m = onnx.load(shop / "b.onnx")
    m.graph.node[0].op_type = "Scan"
    onnx.save(m, shop / "b.onnx")
    pin(shop)
    fails(shop, "b.onnx: ", "Scan")
    (shop / "b.onnx").write_bytes(b"not ONNX at all")
    pin(shop)
    fails(shop, "b.onnx: ")


def test_named_models(shop):
    r = verify(shop / "b.onnx")
    assert r.returncode == 0 and r.stdout.startswith("[ok]   b_v1 mode=dynamic"), r.stdout
    assert verify(shop / "b.int8.onnx").stdout == r.stdout
    assert verify("b_v1", "--registry", shop / "registry.json").stdout == r.stdout
    assert verify("b.onnx", cwd=shop).stdout == r.stdout
    # The row alone, the sidecar alone, neither.
    (shop / "b.json").unlink()
    assert verify(shop / "b.onnx").stdout == r.stdout
    make_shop(shop)
    (shop / "registry.json").unlink()
    alone = verify(shop / "b.onnx")
    assert alone.returncode == 0 and "mode=dynamic" in alone.stdout and "int8_sha256=" in alone.stdout
    (shop / "b.json").unlink()
    fails(shop, "neither a registry nor a sidecar speaks of it", ids=["b.onnx"], args=(shop / "b.onnx",))
    make_shop(shop)
    both_named = verify("a_v1", "b_v1", "--registry", shop / "registry.json")
    assert both_named.returncode == 0 and both_named.stdout.count("[ok]") == 2
    # Only what is named is judged.
    (shop / "a.onnx").unlink()
    assert verify("b_v1", "--registry", shop / "registry.json").returncode == 0
    assert verify("a_v1", "b_v1", "--registry", shop / "registry.json").returncode == 1


@pytest.mark.parametrize("argv", [["--all", "b_v1"], ["--nope"], ["--registry"], ["none_v1", "--registry", "registry.json"],
                                  ["--registry", "none.json"], ["none.onnx"], ["b.json"], []])
def test_usage(shop, argv):
    r = verify(*argv, cwd=shop)
    assert r.returncode == 2 and r.stderr.startswith("vmaf-dnn"), (r.returncode, r.stdout, r.stderr)
    assert "[ok]" not in r.stdout


def test_jail(shop):
    env = {**os.environ, "VMAF_TINY_MODEL_DIR": str(SOURCE)}
    r = subprocess.run([BIN, "verify", "--registry", shop / "registry.json"], capture_output=True, text=True, env=env, timeout=60)
    outside = re.findall(r"/([^/]+): outside VMAF_TINY_MODEL_DIR=", r.stdout)
    assert r.returncode == 1 and sorted(outside) == ["a.json", "a.onnx", "b.int8.onnx", "b.json", "b.onnx"], r.stdout


def test_hostile_text_does_not_reach_the_terminal(shop):
    edit(shop / "registry.json", lambda d: d["models"][1].update({"kind": "\x1b]0;x\x07", "\x1b[2J": 1}))
    r = verify("--registry", shop / "registry.json")
    assert r.returncode == 1 and not any(ord(c) < 32 and c != "\n" for c in r.stdout + r.stderr), repr(r.stdout)
