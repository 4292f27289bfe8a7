#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_man.py BINARY > man/vmaf-dnn.1: the man page, its command sections from what --help prints.

check_readme.py fails when the committed page is not this script's output."""
import re
import subprocess
import sys

BIN = sys.argv[1]

HEAD = r'''.\" Made by scripts/make_man.py; edit that, or the help texts in tools/.
.TH VMAF\-DNN 1 "" "vmaf\-dnn @VERSION@" "User Commands"
.SH NAME
vmaf\-dnn \- train, quantise, gate, pin and run tiny ONNX models on video
.SH SYNOPSIS
.B vmaf\-dnn
.I COMMAND
.RI [ OPTION ]...
.RI [ ARGUMENT ]...
.SH DESCRIPTION
A tiny ONNX model (a learned luma filter, a quality metric) is taken through its life on video: quantised to int8,
its accuracy held to a budget, pinned by SHA\-256, and run on clips, on the CPU, in C.
.PP
.I MODEL
is the path of a .onnx file, or an id from a registry. Where registry or sidecar say quant_mode dynamic (or static, or qat), the
int8 file beside the model is what runs: when it is missing, refused, or not the one that was pinned, the command fails, and
the fp32 file is not run instead. A clip named \- is standard input or standard output.
'''

TAIL = r'''.SH ENVIRONMENT
.TP
.B VMAF_DNN_REGISTRY
Registry in which ids are looked up; without it model/tiny/registry.json in the current folder, then the installed one.
.TP
.B VMAF_TINY_MODEL_DIR
When set, model files must lie below this folder, links resolved.
.TP
.B VMAF_DNN_TRUSTED_KEYS
Folder of public keys (X.pub, minisign's). When set, no model opens but through a registry that one of them signed.
.TP
.B XDG_STATE_HOME
The highest registry_version that was opened under each key is kept in vmaf\-dnn below it (default: ~/.local/state).
.SH FILES
.TP
.I X.onnx, X.int8.onnx, X.json
A model, its int8 form, its sidecar.
.TP
.I registry.json
The trust root of a folder of models: rows with digests, quant_mode and budget.
.TP
.I registry.json.minisig
Its signature.
.SH EXIT STATUS
0 done; 1 a verdict said no; 2 usage, or a file that is not there; 3 a clip or array that is broken, ends early, or is of a kind that is
not taken; 4 a model that was refused; 5 no room, no memory, a failed read or write, or nobody reads the output.
.B vmaf\-dnn gate
has its own: 0 inside the budget, 1 over it, 2 anything else.
.SH SEE ALSO
.BR ffmpeg (1),
.BR minisign (1)
'''


def out(*argv):
    return subprocess.run([BIN, *argv], stdout=subprocess.PIPE, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def roff(line):
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + line if line[:1] in (".", "'") else line


top = out("--help")
commands = re.findall(r"^  ([a-z]+) +(\S.*)", top.split("Commands:")[-1].split("\n\n")[0], re.M)
sys.stdout.write(HEAD.replace("@VERSION@", out("--version").split()[-1]))
print(".SH COMMANDS")
for name, summary in commands:
    print(f".SS {name}\n{roff(summary[0].upper() + summary[1:])}.\n.PP\n.nf")
    for line in out(name, "--help").rstrip("\n").split("\n"):
        print(roff(line))
    print(".fi")
sys.stdout.write(TAIL)
