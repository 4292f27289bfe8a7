# SPDX-License-Identifier: BSD-2-Clause
"""The op table as `vmaf-dnn inspect --operators` prints it, and whether it stands behind a refusal."""
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    op: str
    first: int
    last: int
    fewest: int
    most: float
    types: tuple  # of frozensets, one an input; the last holds for the rest
    attributes: frozenset

    def takes(self, i, type_name):
        return bool(self.types) and type_name in self.types[min(i, len(self.types) - 1)]


def read():
    out = subprocess.run([os.environ["VMAF_DNN_BIN"], "inspect", "--operators"], capture_output=True, text=True, check=True).stdout
    rows = []
    for line in out.splitlines()[2:]:
        op, opsets, inputs, types, attributes = (cell.strip() for cell in line.strip("|").split("|"))
        first, last = map(int, opsets.split(" to "))
        fewest, _, most = inputs.replace(" or more", " to 999").partition(" to ")
        kinds = tuple(frozenset(t.split()) for t in types.split(";")) if types else ()
        rows.append(Row(op, first, last, int(fewest), int(most or fewest), kinds, frozenset(attributes.split())))
    assert len(rows) > 50, out
    return rows


ROWS = read()
OPERATORS = sorted({row.op for row in ROWS})
OPSETS = range(min(row.first for row in ROWS), max(row.last for row in ROWS) + 1)


def find(op, opset):
    """The row of an operator at an opset, or None."""
    return next((row for row in ROWS if row.op == op and row.first <= opset <= row.last), None)


def missing(model):
    """Operators of a model that the table does not list at its opset, those of other domains as DOMAIN:OP."""
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    names = {f"{n.domain}:{n.op_type}" if n.domain not in ("", "ai.onnx") else n.op_type for n in model.graph.node}
    return sorted(n for n in names if not find(n, opset))


# What a refusal may name: the pattern of its reason, and whether the table (or the reader's own limits) bears it out.
# Groups: op, at (opset), attr, i (input), type.
BY_NAME = [
    (r"operator (?P<op>\w+) is not supported(?: at opset (?P<at>\d+))?$", lambda m, v: not find(m["op"], v), "operator {op}"),
    (r"operator (?P<op>[\w.]+:\w+) is not supported$", lambda m, v: not find(m["op"], v), "operator {op}"),
    (r"operator (?P<op>\w+) attribute (?P<attr>\w+) is not supported$", lambda m, v: m["attr"] not in find(m["op"], v).attributes,
     "attribute {op}.{attr}"),
    (r"operator (?P<op>\w+) output (?P<i>\d+) \(\S*\) is not supported$", lambda m, v: True, "output {i} of {op}"),
    (r"\((?P<op>\w+)\): input (?P<i>\d+) '.*' of type (?P<type>\w+) is not supported$",
     lambda m, v: not find(m["op"], v).takes(int(m["i"]), m["type"]), "type {type} of {op}"),
    (r": (?P<op>[\w.:]+)(?: \"[^\"]*\")?: attribute \"(?P<attr>\w+)\": attributes of type (?P<type>\w+) are not supported$",
     lambda m, v: m["type"] not in ("FLOAT", "INT", "STRING", "TENSOR", "FLOATS", "INTS"), "operator {op}"),
    (r"(?P<type>\w+) elements are not supported$", lambda m, v: not any(row.takes(0, m["type"]) for row in ROWS), "type {type}"),
    (r"an? (?P<type>sequence|optional|map|sparse tensor|opaque) type; only tensors are supported$", lambda m, v: True, "{type} type"),
    (r"opset (?P<at>\d+) is not supported, (?P<lo>\d+) to (?P<hi>\d+) are", lambda m, v: v not in OPSETS, "opset {at}"),
]

# Limits of operators that are in the table: docs/operators.md states each in these words.
LIMITS = [
    (r"\((?P<op>Conv|ConvInteger)\): a convolution over (?P<i>\d) spatial dimensions is not supported", "1 or 2 spatial dimensions",
     "{i} dimensions of {op}"),
    (r"\((?P<op>Dropout)\): input 2 \(training_mode\) is true", "training mode of BatchNormalization and Dropout", "training mode of {op}"),
    (r"^input '.*': dimension \d+ is 0$", "graph inputs have at least one element", "empty input"),
]
STATED = (Path(os.environ["VMAF_DNN_SOURCE"]) / "docs/operators.md").read_text(encoding="utf-8")


def named_by(refused, opset):
    """What a refusal names that the table does not list, such as "operator Loop"; None when it names nothing that holds."""
    for pattern, holds, text in BY_NAME:
        m = re.search(pattern, refused.reason)
        if m and refused.name == "EPERM" and holds(m, opset):
            return text.format(**m.groupdict())
    for pattern, words, text in LIMITS:
        m = re.search(pattern, refused.reason)
        if m and words in STATED:
            return text.format(**m.groupdict())
    if refused.name == "EBADMSG" and not opset and "no opset_import of the default domain" in refused.reason:
        return "no operator of ONNX's own domain"
    return None
