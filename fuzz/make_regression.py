#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_regression.py: writes regression/TARGET/NAME, one file for each way in which other programs of this kind were attacked or
broke, named after it. All are to be refused, but for names that begin with "ok", which are to be taken. What the fuzzer finds here is
added to the folder by hand and stays."""
from pathlib import Path

from onnx_bytes import FLOAT, INT64, UINT8, attr, floats, graph, int64s, model, node, num, raw, relu, tensor, value, varint

OUT = Path(__file__).resolve().parent / "regression"


def put(target, name, data):
    path = OUT / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def external(*pairs):
    """An initialiser whose bytes are said to be in another file."""
    return relu([num(1, 2) + num(2, FLOAT) + raw(8, "w") + b"".join(raw(13, raw(1, k) + raw(2, v)) for k, v in pairs) + num(14, 1)])


def conv(w_dims, *attrs, x=(1, 1, 8, 8), w_bytes=None):
    count = 1
    for d in w_dims:
        count *= d
    data = floats(*[0.5] * count) if w_bytes is None else w_bytes
    return model(graph([node("Conv", ["x", "w"], ["y"], *attrs)], [tensor("w", w_dims, data)], [value("x", x)]))


def onnx():
    # Paths out of a model.
    put("onnx", "CVE-2022-25882-external-parent", external(("location", "../../../etc/passwd")))
    put("onnx", "CVE-2024-27318-external-inner-parent", external(("location", "junk/../../x")))
    put("onnx", "CVE-2026-27489-external-link-in-parent", external(("location", "link/x")))
    put("onnx", "CVE-2026-34446-external-hardlink", external(("location", "x.bin")))
    put("onnx", "CVE-2025-51480-external-absolute", external(("location", "/tmp/x")))
    put("onnx", "CVE-2026-34445-external-odd-keys", external(("location", "x"), ("__class__", "y"), ("offset", "-1"), ("length", str(1 << 50))))
    put("onnx", "ORT-26776-external-without-location-field", relu([tensor("w", [2], b"", more=raw(13, raw(1, "location") + raw(2, "x")))]))
    put("onnx", "ORT-sparse-external", relu(more=raw(15, raw(1, tensor("w", [1], floats(1.0)) + raw(13, raw(1, "location") + raw(2, "x"))))))
    # Ranks that do not go together.
    put("onnx", "ORT-28731-dilations-of-another-rank", conv([1, 1, 3, 3], attr("dilations", [1, 1, 1, 1])))
    put("onnx", "ORT-21507-kernel-shape-of-another-rank", conv([1, 1, 3, 3], attr("kernel_shape", [3, 3, 3])))
    put("onnx", "ONNX-6195-pool-kernel-of-another-rank", model(graph([node("MaxPool", ["x"], ["y"], attr("kernel_shape", [2]))])))
    put("onnx", "ORT-28175-arity", model(graph([node("Conv", ["x"], ["y"])])))
    put("onnx", "ORT-27699-pads-shorter-than-said", conv([1, 1, 3, 3], attr("pads", [1, 1, 1])))
    put("onnx", "ORT-27265-negative-index", model(graph([node("Gather", ["w", "i"], ["y"])], [
        tensor("w", [2], floats(1.0, 2.0)), tensor("i", [1], int64s(-3), INT64)], [])))
    put("onnx", "TF-124982-new-shape-longer-than-any-rank", model(graph([node("Reshape", ["x", "s"], ["y"])], [
        tensor("s", [16], int64s(*[1] * 16), INT64)])))
    put("onnx", "CVE-2022-23558-shape-wraps", model(graph([node("Reshape", ["x", "s"], ["y"])], [
        tensor("s", [3], int64s(1 << 32, 1 << 32, 16), INT64)])))
    # Depth.
    deep = node("Relu", ["x"], ["y"])
    for _ in range(40):
        deep = node("If", ["c"], ["y"], raw(5, raw(1, "then_branch") + raw(6, graph([deep], ins=[])) + num(20, 5)))
    put("onnx", "ORT-32344-graphs-in-graphs", model(graph([deep])))
    put("onnx", "ORT-28187-function-that-calls-itself", model(
        graph([node("F", ["x"], ["y"], domain="d")]), more=raw(25, raw(1, "F") + raw(4, "x") + raw(5, "y") + raw(7, node("F", ["x"], ["y"], domain="d")) + raw(10, "d"))))
    put("onnx", "protobuf-25067-groups", relu() + b"".join(varint(60 << 3 | 3) for _ in range(200)) + b"".join(varint(60 << 3 | 4) for _ in range(200)))
    nest = b""
    for _ in range(400):
        nest = raw(60, nest)
    put("onnx", "ok-protobuf-28834-unknown-fields-in-each-other", relu() + nest)  # skipped whole, never entered
    # Numbers that are no element type, and sizes that wrap.
    for v in (0, 14, 16, 17, 255, 0x7fffffff, 0x80000000, (1 << 64) - 1):
        put("onnx", f"ORT-4585-element-type-{v:x}", relu([tensor("w", [1], floats(1.0), v)]))
    put("onnx", "gguf-tools-25-rank-over-the-array", relu([tensor("w", [1] * 9, floats(1.0))]))
    put("onnx", "CVE-2024-21802-dims-product-wraps-to-0", relu([tensor("w", [1 << 32, 1 << 32], b"")]))
    put("onnx", "CVE-2025-53630-bytes-wrap-to-4", relu([tensor("w", [(1 << 62) + 1], floats(1.0))]))
    put("onnx", "CVE-2026-27940-dims-product-wraps-to-1", relu([tensor("w", [0xaaaaaaaaaaaaaaab, 3], floats(1.0))]))
    put("onnx", "CVE-2026-33298-exabytes-in-a-small-file", relu([tensor("w", [(1 << 42) + 1, 1 << 20], floats(1.0))]))
    put("onnx", "llama-26318-size-that-padding-wraps", relu([tensor("w", [(1 << 63) - 1], b"", UINT8)]))
    put("onnx", "CVE-2024-21825-negative-dim", relu([tensor("w", [-1], floats(1.0))]))
    put("onnx", "CVE-2026-7482-shape-larger-than-bytes", relu([tensor("w", [1024], floats(1.0))]))
    put("onnx", "CVE-2024-27319-name-without-end", relu([tensor(b"\xff" * 2000, [1], floats(1.0))]))
    put("onnx", "CVE-2023-21836-name-longer-than-the-file", relu()[:-2] + varint(3 << 3 | 2) + varint((1 << 63) - 1))
    # The wire.
    put("onnx", "TF-115308-eight-bytes", b"\x20\0\0\0TFL3")
    put("onnx", "CVE-2022-33070-varint-of-eleven-bytes", num(1, 8) + varint(5 << 3) + b"\xff" * 10 + b"\x01")
    put("onnx", "CVE-2022-33070-varint-over-64-bits", num(1, 8) + varint(5 << 3) + b"\xff" * 9 + b"\x7f")
    put("onnx", "CVE-2022-48468-empty-messages", num(1, 8) + raw(7, raw(1, b"") + raw(5, b"") + raw(11, b"")) + raw(8, b""))
    put("onnx", "protobuf-merge-of-two-graphs", relu() + raw(7, graph([node("Neg", ["x"], ["y"])])))
    put("onnx", "ggml-709-no-such-operator", model(graph([node("Attack", ["x"], ["y"])])))


def quant():
    put("quant", "CVE-2026-7482-weights-larger-than-bytes", conv([64, 1, 3, 3], w_bytes=floats(1.0)))
    put("quant", "OpenVINO-weights-not-finite", conv([1, 1, 1, 2], w_bytes=floats(float("nan"), float("inf"))))
    put("quant", "ok-ONNX-8437-weights-all-zero", conv([2, 1, 1, 1], w_bytes=floats(0.0, 0.0)))
    put("quant", "ok-weights-denormal", conv([2, 1, 1, 1], w_bytes=floats(1e-45, -1e-42)))
    taken = graph([node("Conv", ["x", "w"], ["x_scale"]), node("Conv", ["x_scale", "w"], ["w_quantized"]), node("Add", ["w_quantized", "x_quantized"], ["y"])],
                  [tensor("w", [1, 1, 1, 1], floats(0.5)), tensor("x_quantized", [1], floats(1.0))])
    put("quant", "ok-names-that-the-quantiser-gives-are-taken", model(taken))


def run():
    pair = bytes([255]) * 16
    put("run", "ok-oneDNN-u8s8-pairs-that-saturate", model(graph(
        [node("ConvInteger", ["x", "w"], ["y"])], [tensor("w", [1, 4, 1, 1], bytes([127] * 4), 3)],
        [value("x", [1, 4, 4, 4], UINT8)], [value("y", [1, 1, 4, 4], 6)])))
    put("run", "ok-ONNX-5879-cast-of-what-is-not-finite", model(graph(
        [node("Div", ["x", "z"], ["q"]), node("Cast", ["q"], ["y"], attr("to", 3))], [tensor("z", [1], floats(0.0))], outs=[value("y", (1, 1, 4, 4), 3)])))
    put("run", "ok-ONNX-8437-range-of-zero", model(graph(
        [node("Sub", ["x", "x"], ["z"]), node("DynamicQuantizeLinear", ["z"], ["q", "s", "zp"]), node("DequantizeLinear", ["q", "s", "zp"], ["y"])])))
    put("run", "accumulator-that-does-not-fit", model(graph(
        [node("ConvInteger", ["x", "w"], ["y"])], [tensor("w", [1, 70000, 1, 1], pair[:1] * 70000, UINT8)],
        [value("x", [1, 70000, 1, 1], UINT8)], [value("y", [1, 1, 1, 1], 6)])))


HEX = "0123456789abcdef" * 4


def documents():
    def both(name, text):
        put("registry", name, text)
        put("sidecar", name, text)

    def row(**more):
        fields = {"id": "x_v1", "kind": "filter", "onnx": "x_v1.onnx", "opset": 17, "sha256": HEX} | more
        return "{" + ",".join(f'"{k}":' + (v if isinstance(v, str) and v[:1] in '"[{-' else f'"{v}"' if isinstance(v, str) else str(v)) for k, v in fields.items()) + "}"

    def rows(*r):
        return '{"schema_version":1,"models":[' + ",".join(r) + "]}"

    both("CVE-2016-4425-arrays-in-arrays", "[" * 5000)
    both("CVE-2016-4425-objects-in-objects", '{"a":' * 5000)
    both("CVE-2016-4303-escape-without-end", '{"schema_version":1,"models":"\\u12')
    both("cJSON-800-ends-after-a-comma", '{"1":1,')
    both("cJSON-30-bad-escape", '{"\\x41":1}')
    both("CVE-2020-36325-zero-byte", '{"id":"a\0b"}')
    both("not-utf-8", b'{"id":"\xff\xfe"}')
    both("key-twice", '{"schema_version":1,"schema_version":1,"models":[],"id":"a","id":"b"}')
    both("number-over-64-bits", '{"schema_version":18446744073709551617,"models":[],"opset":18446744073709551617}')
    both("something-after-the-end", '{"schema_version":1,"models":[]} {}')
    both("empty", "")
    for i, name in enumerate(("../x.onnx", "a/../../x.onnx", "./x.onnx", "a//x.onnx", "/etc/x.onnx", "a\\\\..\\\\x.onnx", ".x.onnx", "x.onnx/", "x\\u0000.onnx", "", "x.int8.onnx")):
        put("registry", f"CVE-2024-27318-file-name-{i}", rows(row(onnx=f'"{name}"')))
        put("sidecar", f"CVE-2024-27318-file-name-{i}", row(onnx=f'"{name}"', input='{"name":"x"}', output='{"name":"y"}'))
    put("registry", "CVE-2026-28500-no-digest", rows(row()[:-len(f',"sha256":"{HEX}"}}')] + "}"))
    put("registry", "int8-without-its-digest", rows(row(quant_mode='"dynamic"')))
    put("registry", "digest-of-63-digits", rows(row(sha256=HEX[1:])))
    put("registry", "digest-in-capitals", rows(row(sha256=HEX.upper())))
    put("registry", "id-twice", rows(row(), row(onnx='"z.onnx"')))
    put("registry", "file-twice", rows(row(), row(id='"z"')))
    put("registry", "a-later-schema", '{"schema_version":2,"models":[]}')
    put("sidecar", "about-another-model", row(onnx='"z.onnx"', input='{"name":"x"}', output='{"name":"y"}'))
    put("sidecar", "size-over-16-bits", row(input='{"name":"x","width":65536,"height":1}', output='{"name":"y"}'))
    put("sidecar", "digest-of-an-int8-file-that-nothing-runs", row(int8_sha256=HEX, input='{"name":"x"}', output='{"name":"y"}'))


def y4m():
    """The first byte is the target's own: how many bytes a read gives."""
    long = "YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED XMORE=0123456789\nFRAME\nabcdef"
    put("y4m", "ok-VMAF-889-header-over-80-bytes", b"\x00" + long.encode())
    put("y4m", "ok-xeve-135-header-of-86-bytes", b"\x00YUV4MPEG2 W2 H2 F30000:1001 Ip A1:1 C420p10 XYSCSS=420P10 XCOLORRANGE=LIMITED\nFRAME\nabcdefghijkl")
    put("y4m", "VMAF-825-header-without-end", b"\x07YUV4MPEG2 W2 H2 X" + b"A" * 5000)
    put("y4m", "Daala-frame-line-without-end", b"\x07YUV4MPEG2 W2 H2\nFRAME X" + b"A" * 5000)
    for i, (w, h) in enumerate(((0, 1), (-1, 1), (65537, 1), (1 << 31, 1), (1 << 32, 1), ((1 << 32) + 2, 2), (1 << 64, 1), (65536, 65536), ("2x", 2), ("0x2", 2), ("", 2), ("+2", 2))):
        put("y4m", f"FFmpeg-strtol-size-{i}", b"\x07" + f"YUV4MPEG2 W{w} H{h}\nFRAME\nabcdef".encode())
    put("y4m", "FFmpeg-last-frame-cut", b"\x07YUV4MPEG2 W2 H2\nFRAME\nabcdefFRAME\nabcde")
    put("y4m", "chroma-of-no-kind", b"\x07YUV4MPEG2 W2 H2 C411\nFRAME\nabcdef")
    put("y4m", "chroma-depth-of-no-kind", b"\x07YUV4MPEG2 W2 H2 C420p17\nFRAME\nabcdef")
    put("y4m", "width-twice", b"\x07YUV4MPEG2 W2 W4 H2\nFRAME\nabcdef")
    put("y4m", "no-height", b"\x07YUV4MPEG2 W2\nFRAME\nabcdef")
    put("y4m", "line-ends-of-text", b"\x07YUV4MPEG2 W2 H2\r\nFRAME\nabcdef")
    put("y4m", "another-magic", b"\x07YUV4MPEG3 W2 H2\nFRAME\nabcdef")
    put("y4m", "no-FRAME", b"\x07YUV4MPEG2 W2 H2\nFRAMS\nabcdef")
    put("y4m", "interlaced", b"\x07YUV4MPEG2 W2 H2 It\nFRAME\nabcdef")


def npy():
    def array(text, data=b"", major=1, length=None):
        text = text.encode() + b"\n"
        n = len(text) if length is None else length
        return b"\x93NUMPY" + bytes([major, 0]) + n.to_bytes(2 if major == 1 else 4, "little") + text + data

    def header(shape, descr="'<f4'", order="False"):
        return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"

    put("npy", "ggml-709-shape-product-wraps", array(header("(4294967296, 4294967296)")))
    put("npy", "CVE-2025-53630-bytes-wrap", array(header("(4611686018427387905,)"), b"abcd"))
    put("npy", "dimension-over-64-bits", array(header("(18446744073709551617,)"), b"abcd"))
    put("npy", "dimension-below-0", array(header("(-1,)"), b"abcd"))
    put("npy", "gguf-tools-25-rank-over-the-array", array(header("(1, 1, 1, 1, 1, 1, 1, 1, 1)"), b"abcd"))
    put("npy", "pickle-objects", array(header("(1,)", "'|O'"), b"\x80\x04K\x01."))
    put("npy", "records", array(header("(1,)", "[('a', '<f4')]"), b"abcd"))
    put("npy", "code-for-a-value", array(header("__import__('os').abort()"), b"abcd"))
    put("npy", "CVE-2026-7482-shape-larger-than-bytes", array(header("(1024,)"), b"abcd"))
    put("npy", "header-longer-than-the-file", array(header("(1,)"), b"abcd", length=60000))
    put("npy", "header-of-4-GiB", array(header("(1,)"), b"abcd", 2, 0xffffffff))
    put("npy", "bool-of-2", array(header("(1,)", "'|b1'"), b"\2"))
    put("npy", "parentheses", array(header("(" * 500 + ")" * 500), b"abcd"))
    put("npy", "key-twice", array("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", b"abcd"))
    put("npy", "Fortran-order", array(header("(1, 1)", order="True"), b"abcd"))


def archives():
    """Each with one thing wrong, in front of it a byte that says in what pieces it is read."""
    import io
    import zipfile

    def archive(method=zipfile.ZIP_STORED, zip64=False, data=bytes(range(200))):
        f = io.BytesIO()
        with zipfile.ZipFile(f, "w", method) as z:
            for name in ("x.npy", "y.npy"):
                info = zipfile.ZipInfo(name)
                info.compress_type = method
                with z.open(info, "w", force_zip64=zip64) as m:
                    m.write(data)
        return f.getvalue()

    def wrong(name, mark, at, value, **how):
        b = bytearray(archive(**how))
        i = b.index(mark) + at
        b[i:i + len(value)] = value
        put("zip", name, b"\3" + b)

    put("zip", "ok-stored", b"\3" + archive())
    put("zip", "ok-deflated-zip64", b"\3" + archive(zipfile.ZIP_DEFLATED, True))
    central, end = b"PK\1\2", b"PK\5\6"
    wrong("directory-behind-the-end", end, 16, b"\xff\xff\xff\x7f")
    wrong("directory-larger-than-the-file", end, 12, b"\0\0\xff\0")
    wrong("more-members-than-the-directory", end, 10, b"\xff\3")
    wrong("name-with-a-NUL", central, 46, b"\0")
    wrong("name-longer-than-the-directory", central, 28, b"\xff\xff")
    wrong("encrypted", central, 8, b"\1")
    wrong("CVE-2019-9674-sizes-that-lie", central, 24, b"\xff\xff\xff\x7f", method=zipfile.ZIP_DEFLATED)
    wrong("packed-bytes-behind-the-end", central, 20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f")
    wrong("member-behind-the-end", central, 42, b"\xff\xff\xff\x7f")
    wrong("member-that-is-the-directory", central, 42, (archive().index(central)).to_bytes(4, "little"))
    wrong("another-checksum", central, 16, b"\1\2\3\4")
    put("zip", "cut-in-the-directory", b"\3" + archive()[:-60])
    put("zip", "no-archive", b"\3" + b"\x93NUMPY\1\0" + bytes(100))
    b = bytearray(archive(zip64=True))
    i = b.index(central)
    b[i + 42:i + 46] = b"\xff" * 4
    b[i + 30:i + 32] = (len(b) - i).to_bytes(2, "little")
    put("zip", "extra-field-to-the-end", b"\3" + b)


def calibrations():
    import json
    t = {"name": "x", "min": 1.0, "max": 1.0, "frame_min": "0", "frame_max": "4", "exponent": -12, "first": 4096, "counts": [7], "channels": [[1.0, 1.0, "-1f"]]}
    c = {"format": "vmaf_dnn.calibration", "version": 1, "model_sha256": "a" * 64, "frames": 2, "sources": [
        {"name": "a", "sha256": "0" * 64, "frames": 1}, {"name": "b", "sha256": "0" * 64, "frames": 1}], "equalization": [], "tensors": [t]}

    def save(name, whole):
        put("calibration", name, json.dumps(whole, separators=(",", ":")))

    def tensor(file, **change):
        save(file, {**c, "tensors": [{**t, **change}]})

    save("ok-one-tensor", c)
    tensor("sum-of-over-124-bits", frame_min="f" * 32)
    tensor("sum-of-a-minus", frame_min="-")
    tensor("count-below-0", counts=[-1])
    tensor("counts-of-nothing", counts=[0])
    tensor("counts-that-wrap", counts=[1 << 62])
    tensor("bins-without-counts", counts=[])
    tensor("bins-of-another-range", exponent=-11)
    tensor("infinite-range", max=1e39)
    tensor("range-from-behind", min=2.0)
    tensor("channel-of-two", channels=[[1.0, 1.0]])
    tensor("channel-from-behind", channels=[[2.0, 1.0, "0"]])
    tensor("unknown-key-that-begins-a-known-one", **{"nam": 1})
    tensor("unknown-key-of-nothing", **{"": 1})
    tensor("name-with-an-escape", name="x\x1b[2J")
    save("two-tensors-of-one-name", {**c, "tensors": [t, t]})
    save("sources-from-behind", {**c, "sources": c["sources"][::-1]})
    save("a-source-twice", {**c, "sources": [c["sources"][0]] * 2})
    save("frames-that-do-not-add-up", {**c, "frames": 3})
    save("scale-of-nothing", {**c, "equalization": [{"tensors": ["x"], "scale": [0]}]})
    save("another-version", {**c, "version": 2})
    save("a-registry", {"schema_version": 1, "models": []})


def signature():
    """The one signature that fuzz_signature.c's key made, and what is nearly it."""
    import base64
    _, sig, trusted, seal, _ = (OUT.parent / "corpus/signature/the-one-signature").read_text().split("\n")
    head, b = "\x01untrusted comment: x", base64.b64decode(sig)

    def text(*lines):
        return "\n".join((head, *lines)) + "\n"

    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(b[42:], "little")
    put("signature", "ok-another-untrusted-comment", text(sig, trusted, seal).replace(": x\n", ": nothing signs this\n"))
    put("signature", "RFC-8032-s-plus-order", text(base64.b64encode(b[:42] + (s + order).to_bytes(32, "little")).decode(), trusted, seal))
    put("signature", "minisign-legacy-Ed", text(base64.b64encode(b"Ed" + b[2:]).decode(), trusted, seal))
    put("signature", "another-key-id", text(base64.b64encode(b[:2] + b"FUZZ-KEY" + b[10:]).decode(), trusted, seal))
    put("signature", "all-zero", text(base64.b64encode(b[:10] + bytes(64)).decode(), trusted, base64.b64encode(bytes(64)).decode()))
    put("signature", "39C3-control-characters-in-the-comment", text(sig, trusted + "\x1b[2K", seal))
    put("signature", "39C3-another-trusted-comment", text(sig, trusted + "s", seal))
    put("signature", "39C3-a-fifth-line", text(sig, trusted, seal, "x"))
    put("signature", "line-ends-of-text", text(sig, trusted, seal).replace("\n", "\r\n"))
    put("signature", "no-last-line-end", text(sig, trusted, seal)[:-1])
    put("signature", "base64-without-padding", text(sig.rstrip("="), trusted, seal))
    put("signature", "base64-with-bits-behind-the-end", text(sig[:-2] + chr(ord(sig[-2]) + 1) + "=" if sig[-2] != "=" else sig[:-3] + chr(ord(sig[-3]) + 1) + "==", trusted, seal))
    put("signature", "base64-of-URLs", text(sig.replace("+", "-").replace("/", "_"), trusted, seal))
    put("signature", "empty", "\x01")
    key = base64.b64encode(b"Ed" + b[2:10] + bytes(range(32))).decode()
    put("signature", "ok-public-key", "\x02untrusted comment: x\n" + key + "\n")
    put("signature", "public-key-of-another-algorithm", "\x02untrusted comment: x\n" + base64.b64encode(b"ED" + b[2:10] + bytes(32)).decode() + "\n")
    put("signature", "public-key-too-long", "\x02untrusted comment: x\n" + key + "AAAA\n")


for write in (onnx, quant, run, documents, y4m, npy, archives, calibrations, signature):
    write()
