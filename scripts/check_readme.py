#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check_readme.py BUILD: the documents against the product.

Every ```c block with a main() in README.md and docs/ compiles against the static library, and README.md's run on
model/tiny; every command and option in the documents' shell blocks is one of --help; every exported function has a
comment in the header or a word in docs/api.md; the man page and docs/operators.md are what the command prints; the card of every model has its
digests; relative links lead somewhere, headings included; the decisions are all in their index, and a page that speaks of ADR-0174 links to what that is."""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv[1]).resolve()
BIN = os.environ.get("VMAF_DNN_BIN", str(BUILD / "vmaf-dnn"))
CC = shlex.split(os.environ.get("CC", "cc"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
problems = []


def say(text):
    problems.append(text)


def run(argv, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, cwd=ROOT, **kw)


def blocks(text):
    """(language, line, body) of every fenced block."""
    for m in re.finditer(r"^```([a-z]*)[^\n]*\n(.*?)^```", text, re.M | re.S):
        yield m[1], text.count("\n", 0, m.start()) + 2, m[2]


def help_of(*command):
    r = run([BIN, *command, "--help"])
    if r.returncode:
        say(f"vmaf-dnn {' '.join(command)} --help: exit {r.returncode}")
    return r.stdout


top = help_of()
commands = re.findall(r"^  ([a-z]+) +\S", top.split("Commands:")[-1].split("\n\n")[0], re.M)
if not commands:
    say("vmaf-dnn --help lists no commands")
options = {c: set(re.findall(r"--[a-z][a-z0-9-]*", help_of(c))) | {"--help"} for c in commands}

# --- C examples
libs = shlex.split(run(["pkg-config", "--libs", "jansson", "libsodium"]).stdout)
examples = 0
with tempfile.TemporaryDirectory() as tmp:
    for page in filter(Path.is_file, PAGES):
        for lang, line, body in blocks(page.read_text(encoding="utf-8")):
            if lang != "c" or not re.search(r"\bmain\s*\(", body):
                continue
            where = f"{page.relative_to(ROOT)}:{line}"
            src, exe = Path(tmp) / "example.c", Path(tmp) / "example"
            src.write_text(body, encoding="utf-8")
            r = run([*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", str(src), str(BUILD / "libvmaf_dnn.a"),
                     *libs, "-lm", "-pthread", "-o", str(exe)])
            if r.returncode:
                say(f"{where}: the example does not compile:\n{r.stdout}")
                continue
            examples += page.name == "README.md"
            if page.name == "README.md":
                r = run([str(exe)])
                if r.returncode:
                    say(f"{where}: the example exits {r.returncode} in the source folder:\n{r.stdout}")
if not examples:
    say("README.md: no C example with a main() that compiles")

# --- commands in shell blocks
shell = 0
for page in filter(Path.is_file, PAGES):
    for lang, line, body in blocks(page.read_text(encoding="utf-8")):
        if lang not in ("", "sh", "console", "text"):
            continue
        joined = re.sub(r"\\\n", " ", body)
        for m in re.finditer(r"(?:^|[|;(] *|^\$ )(?:\S*/)?vmaf-dnn +([^\n|;#)]*)", joined, re.M):
            words = m[1].split()
            where = f"{page.relative_to(ROOT)}:{line}: vmaf-dnn {m[1].strip()}"
            if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z]+", words[0]):
                continue
            shell += 1
            if words[0] not in commands:
                say(f"{where}: no such command")
                continue
            for o in words[1:]:
                if o.startswith("--") and o.split("=")[0] not in options[words[0]]:
                    say(f"{where}: its --help has no {o}")
if not shell:
    say("README.md and docs/ show no command")

# --- exported functions
api = ROOT / "docs/api.md"
api = api.read_text(encoding="utf-8") if api.is_file() else ""
functions = 0
for header in sorted((ROOT / "include/vmaf_dnn").glob("*.h")):
    text = header.read_text(encoding="utf-8")
    for m in re.finditer(r"VMAF_DNN_API[^;(]*?\b(vmaf_dnn_\w+)\(", text):
        functions += 1
        before = text[:m.start()].rstrip()
        # A comment above covers the declarations that follow it without an empty line between.
        block = text[:m.start()].split("\n\n")[-1]
        if m[1] not in api and not before.endswith("*/") and "/**" not in block:
            say(f"{header.name}: {m[1]} has no comment, and docs/api.md does not mention it")
if not functions:
    say("include/vmaf_dnn: no function found")

# --- man page
made = run([sys.executable, str(ROOT / "scripts/make_man.py"), BIN]).stdout
if (ROOT / "man/vmaf-dnn.1").read_text(encoding="utf-8") != made:
    say("man/vmaf-dnn.1 is not what scripts/make_man.py prints: run it again")

# --- the op table
if not (ROOT / "docs/operators.md").read_text(encoding="utf-8").endswith("\n\n" + run([BIN, "inspect", "--operators"]).stdout):
    say("docs/operators.md does not end with what `vmaf-dnn inspect --operators` prints")

# --- models' cards
index = (ROOT / "docs/models/README.md").read_text(encoding="utf-8")
for row in json.loads((ROOT / "model/tiny/registry.json").read_text(encoding="utf-8"))["models"]:
    if row.get("smoke"):
        continue
    card = ROOT / f"docs/models/{row['id']}.md"
    if not card.is_file():
        say(f"{row['id']} has no card, docs/models/{row['id']}.md")
        continue
    if f"({row['id']}.md)" not in index:
        say(f"docs/models/README.md does not name {row['id']}")
    for key in ("sha256", "int8_sha256"):
        if key in row and row[key] not in card.read_text(encoding="utf-8"):
            say(f"docs/models/{row['id']}.md does not have the {key} of model/tiny/registry.json")

# --- links
def anchors(path):
    """As they are made of headings: small letters, digits and _, with - for spaces."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in re.findall(r"^#+ +(.*)$", text, re.M)}


for page in filter(Path.is_file, PAGES):
    for m in re.finditer(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        to = page.parent / m[1] if m[1] else page
        if re.match(r"[a-z]+:", m[1]):
            continue
        if not to.exists():
            say(f"{page.relative_to(ROOT)}: a link to {m[1]}, which is not there")
        elif m[2] and m[2] not in anchors(to):
            say(f"{page.relative_to(ROOT)}: a link to {m[1]}#{m[2]}, and there is no such heading")

# --- decisions
adr = ROOT / "docs/adr"
index = (adr / "README.md").read_text(encoding="utf-8")
for page in sorted(adr.glob("[0-9]*.md")):
    if f"| [{page.name[:4]}]({page.name}) |" not in index:
        say(f"docs/adr/README.md does not have {page.name}")
numbers = {int(p.name[:4]) for p in adr.glob("[0-9]*.md")}
for n in set(range(1, max(numbers) + 1)) - numbers:
    if f"no {n:04}" not in index:
        say(f"docs/adr/README.md does not say why there is no {n:04}")
for page in filter(Path.is_file, PAGES):
    text = page.read_text(encoding="utf-8")
    if page.parent != adr and re.search(r"ADR-0174|\b[Tt]he record\b", text) and "README.md#adr-0174-the-record)" not in text:
        say(f"{page.relative_to(ROOT)}: speaks of ADR-0174, and does not link to what it is")

problems = list(dict.fromkeys(problems))
print("\n".join(problems) if problems else f"{examples} README example(s), {shell} commands, {functions} functions, {len(commands)} man sections: in step")
sys.exit(bool(problems))
