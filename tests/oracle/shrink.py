# SPDX-License-Identifier: BSD-2-Clause
"""Make a failing case smaller while it fails: fewer nodes, inputs and attributes, shorter dimensions, plainer values."""
import itertools

import numpy as np
from onnx import helper as h

from cases import Case


def copy(case):
    nodes = []
    for n in case.nodes:
        m = type(n)()
        m.CopyFrom(n)
        nodes.append(m)
    return Case(case.opset, nodes, case.arrays, case.fixed, case.outputs)


def pruned(case):
    """Without the arrays that nothing reads."""
    read = {i for n in case.nodes for i in n.input}
    case.arrays = {n: v for n, v in case.arrays.items() if n in read}
    case.fixed &= case.arrays.keys()
    return case


def fewer_nodes(case):
    for k in range(len(case.nodes) - 1, -1, -1):
        node = case.nodes[k]
        if len(case.nodes) > 1:  # an output of an earlier node instead of the last one's
            small = copy(case)
            del small.nodes[k:]
            made = [o for n in small.nodes for o in n.output if o]
            if made and k:
                small.outputs = [o for o in small.outputs if o in made] or [made[-1]]
                yield pruned(small)
            for i in node.input:  # what it reads in place of what it writes
                small = copy(case)
                del small.nodes[k]
                for n in small.nodes:
                    for at, name in enumerate(n.input):
                        if name in node.output:
                            n.input[at] = i
                if not set(small.outputs) & set(node.output):
                    yield pruned(small)


def fewer_parts(case):
    for k, node in enumerate(case.nodes):
        for a in node.attribute:
            small = copy(case)
            small.nodes[k].attribute.remove(a)
            yield small
        if len(node.input) > 1:
            small = copy(case)
            del small.nodes[k].input[-1]
            yield pruned(small)
        for a in node.attribute:
            value = h.get_attribute_value(a)
            if isinstance(value, list) and value and isinstance(value[0], int):
                for i, v in enumerate(value):
                    for less in {0, 1, v // 2} - {v}:
                        if abs(less) < abs(v):
                            small = copy(case)
                            target = next(b for b in small.nodes[k].attribute if b.name == a.name)
                            target.ints[i] = less
                            yield small
            elif isinstance(value, int) and value > 1 and a.name != "to":
                small = copy(case)
                next(b for b in small.nodes[k].attribute if b.name == a.name).i = 1
                yield small


def cut(case, places, size):
    small = copy(case)
    for name, axis in places:
        small.arrays[name] = np.ascontiguousarray(np.take(small.arrays[name], range(size), axis))
    return small


def shorter(case):
    """Every axis alone, all of one length together, and pairs of axes."""
    axes = [(n, a) for n, v in case.arrays.items() for a in range(v.ndim) if v.shape[a] > 1]
    length = {place: case.arrays[place[0]].shape[place[1]] for place in axes}
    groups = [[p for p in axes if length[p] == size] for size in sorted(set(length.values()), reverse=True)]
    groups += [[p] for p in axes] + ([list(p) for p in itertools.combinations(axes, 2)] if len(axes) < 12 else [])
    for places in groups:
        least = min(length[p] for p in places)
        for size in sorted({1, least // 2, least - 1}):
            if 0 < size < least:
                yield cut(case, places, size)


def plainer(case):
    for n, v in case.arrays.items():
        if v.dtype.kind == "f" and np.all(np.isfinite(v)):
            for w in (np.zeros_like(v), np.ones_like(v), np.rint(v)):
                if not np.array_equal(v, w):
                    small = copy(case)
                    small.arrays[n] = w
                    yield small
        elif n not in case.fixed and v.size and v.any():
            small = copy(case)
            small.arrays[n] = np.zeros_like(v)
            yield small


def shrink(case, why, fails, tries=1500):
    """fails(case): why it fails, or None. Greedy, until nothing smaller fails or the tries are used up."""
    again = True
    while again and tries > 0:
        again = False
        for step in (fewer_nodes, fewer_parts, shorter, plainer):
            progress = True
            while progress and tries > 0:
                progress = False
                for small in step(case):
                    tries -= 1
                    try:
                        found = fails(small)
                    except Exception:  # what is left is no case
                        found = None
                    if found:
                        case, why, progress, again = small, found, True, True
                        break
                    if tries <= 0:
                        break
    return case, why
