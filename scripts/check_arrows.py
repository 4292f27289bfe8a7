#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The arrows between the folders, and names that are there once.

Fails when a file includes what its folder may not (CONTRIBUTING.md draws the arrows), when an include is not
written from src/ or names no file, and when two files of src/, tools/, tests/, bench/ or fuzz/ have one name."""
import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)

# Folder of src/: the folders it may include besides itself. PUBLIC is include/vmaf_dnn.
PUBLIC = "vmaf_dnn"
GRAPH = {"common", "onnx", "ops", "graph"}
ARROWS = {
    "common": set(),
    "onnx": {"common"},
    "ops": {"common", "onnx"},
    "graph": {"common", "onnx", "ops"},
    "kernels": {"common"},
    "plan": GRAPH | {"kernels"},
    "trust": {"common"},
    "quant": GRAPH | {"plan"},
    "session": GRAPH | {"kernels", "plan", "trust", PUBLIC},
    "gate": GRAPH | {"kernels", "plan", "trust", "session", PUBLIC},
    "train": GRAPH | {"kernels", "plan", "quant"},
}
# Above the library: everything below is theirs.
ABOVE = ("tools", "tests", "bench", "fuzz", "examples")
NAMED_ONCE = ("src", "tools", "tests", "bench", "fuzz")
NOT_NAMES = {"meson.build", "README.md", "conftest.py", "__init__.py"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
problems = []


def say(path, text, line=None):
    where = path.relative_to(ROOT)
    problems.append(f"{where}:{line}: {text}" if line else f"{where}: {text}")


def sources(folder):
    return sorted(p for p in (ROOT / folder).rglob("*.[ch]") if p.is_file())


def layer(path):
    """The folder of src/ that a file belongs to; session.c and its headers are a layer of their own."""
    parts = path.relative_to(ROOT / "src").parts
    return parts[0] if len(parts) > 1 else "session"


def includes(path):
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    for m in INCLUDE.finditer(text):
        yield text.count("\n", 0, m.start()) + 1, m[1], m[2]


for path in sources("src"):
    own = layer(path)
    if own not in ARROWS:
        say(path, f"folder src/{own} has no line in {Path(__file__).name}: say what it may include")
        continue
    for line, mark, name in includes(path):
        if mark == "<":
            continue
        if name.startswith(PUBLIC + "/"):
            target, found = PUBLIC, ROOT / "include" / name
        else:
            found = ROOT / "src" / name
            target = layer(found) if found.is_file() else None
        if not found.is_file():
            say(path, f'"{name}" is no file of src/ or include/; write includes from there', line)
        elif target != own and target not in ARROWS[own]:
            say(path, f"{own} may not include {target}: the arrow points the other way", line)
for path in sources("include"):
    for line, mark, name in includes(path):
        if mark == '"' and not (name.startswith(PUBLIC + "/") and (ROOT / "include" / name).is_file()):
            say(path, f'a public header includes "{name}"; only <system> and "{PUBLIC}/..." headers are there for a user', line)
for path in (p for folder in ABOVE for p in sources(folder)):
    for line, mark, name in includes(path):
        roots = [path.parent, ROOT / "include", ROOT / "src", ROOT / "tools", ROOT / "tests", ROOT / "fuzz"]
        if mark == '"' and not any((r / name).is_file() for r in roots):
            say(path, f'"{name}" is no file of this tree', line)

seen = {}
for folder in NAMED_ONCE:
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and path.name not in NOT_NAMES and "__pycache__" not in path.parts and path.suffix in (".c", ".h", ".py", ".sh"):
            if path.name in seen:
                say(path, f"has the name of {seen[path.name].relative_to(ROOT)}; names are unique in the tree")
            seen.setdefault(path.name, path)

# No way round: what may be included must have no cycle.
def reach(folder, trail=()):
    for below in ARROWS.get(folder, ()):
        if below in trail:
            problems.append(f"arrows: {' -> '.join(trail + (below,))} is a circle")
        else:
            reach(below, trail + (below,))


for folder in ARROWS:
    reach(folder, (folder,))
if not seen:
    problems.append(f"{ROOT}: no source files here")
print("\n".join(problems) if problems else f"{len(seen)} files: every include follows the arrows, every name is there once")
sys.exit(bool(problems))
