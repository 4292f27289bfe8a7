#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench_train_torch.py [--bench BUILD/bench/bench_train] [--threads N] [--rounds N] [--steps N]

Speed of training against PyTorch, in crops a second: learned_filter_v1's net (18,865 weights) on 32 crops of 64x64, L1, gradient norm clipped, AdamW.
Both run in turn, as often as --rounds says, since machines are shared: this trainer (bench_train), PyTorch in fp32, PyTorch in bf16 autocast; in
the default layout and channels last. PyTorch's figure is its best layout. Prints the rounds, the medians, and the median of the rounds' ratios.

Wants Debian's python3-torch: scripts/setup.sh torch; and: ninja -C build bench/bench_train"""
import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

try:
    import torch
except ImportError:
    sys.exit("no PyTorch for this Python: scripts/setup.sh torch, then /usr/bin/python3 bench/bench_train_torch.py")

BATCH, SIDE = 32, 64


class Block(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a = torch.nn.Conv2d(channels, channels, 3, padding=1)
        self.b = torch.nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))


class Net(torch.nn.Module):
    """Without the Clip at its end, as it is trained."""

    def __init__(self, channels=16, blocks=4):
        super().__init__()
        self.head = torch.nn.Conv2d(1, channels, 3, padding=1)
        self.body = torch.nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.tail = torch.nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x):
        return x + self.tail(self.body(self.head(x)))


class Torch:
    def __init__(self, bf16, last, steps):
        torch.manual_seed(1)
        self.bf16, self.steps, self.net = bf16, steps, Net()
        self.target = torch.rand(BATCH, 1, SIDE, SIDE)
        self.x = 0.9 * self.target + 0.05
        if last:
            self.net, self.x, self.target = (v.to(memory_format=torch.channels_last) for v in (self.net, self.x, self.target))
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=1e-3, weight_decay=1e-4)
        self.weights = sum(p.numel() for p in self.net.parameters())

    def step(self):
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            y = self.net(self.x)
        torch.nn.functional.l1_loss(y.float(), self.target).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()

    def run(self):
        self.step()
        start = time.monotonic()
        for _ in range(self.steps):
            self.step()
        return self.steps * BATCH / (time.monotonic() - start)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench", type=Path, default=Path(__file__).resolve().parent.parent / "build/bench/bench_train")
    p.add_argument("--threads", type=int, default=len(__import__("os").sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, default=20)
    o = p.parse_args()
    if not o.bench.exists():
        sys.exit(f"no {o.bench}: ninja -C build bench/bench_train")
    torch.set_num_threads(o.threads)

    def own():
        out = subprocess.run([o.bench, str(o.threads), str(o.steps)], check=True, capture_output=True, text=True).stdout
        return float(re.search(r"([0-9.]+) crops/s", out)[1])

    contenders = {"this trainer": own}
    for name, bf16 in (("fp32", False), ("bf16", True)):
        for layout, last in (("", False), (", channels last", True)):
            t = Torch(bf16, last, o.steps)
            contenders[f"PyTorch {name}{layout}"] = t.run
    print(f"PyTorch {torch.__version__}, {t.weights} weights, {o.threads} threads, {o.rounds} rounds of {o.steps} steps; crops/s\n")
    results = {name: [] for name in contenders}
    for _ in range(o.rounds):
        for name, go in contenders.items():
            results[name].append(go())
    print("| | " + " | ".join(f"round {k + 1}" for k in range(o.rounds)) + " | median | this trainer is faster by (median of rounds) |")
    print("|---" * (o.rounds + 3) + "|")
    for name, r in results.items():
        ratio = statistics.median(a / b for a, b in zip(results["this trainer"], r))
        print(f"| {name} | " + " | ".join(f"{v:.0f}" for v in r) + f" | {statistics.median(r):.0f} | {'' if r is results['this trainer'] else f'{ratio:.2f}'} |")


if __name__ == "__main__":
    main()
