# SPDX-License-Identifier: BSD-2-Clause
"""Resize and Upsample against ONNX Runtime: every mode, way of placing the outputs, rounding, policy and type, by scales and by sizes.
nearest, and linear over two dims: equal. Cubic and the others: within the bound of float32 weights. VD_SEED and VD_CASES change a run."""
import numpy as np
import pytest

from test_axes_ort import run
from test_ops_ort import CASES, EPS, F32, MOVED, S8, S32, S64, SEED, U8, Case, check, data, opset, reference

COORDS = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"]


def sizes_of(rng, rank, scaled, most=9):
    s = [int(v) for v in rng.integers(1, 5, rank)]
    for d in scaled:
        s[d] = int(rng.integers(1, most))
    return s


def ratio(rng, size, whole=False):
    """A scale: a round one, or any; whole: one that makes a whole number of the size."""
    while True:
        k = float(F32(rng.choice([0.5, 2, 3, 1.5, 0.6, 0.75, 1, 1, 0.8, 4, rng.random() * 3 + 0.2])))
        length = F32(size) * F32(k)
        if k != 1 and np.floor(length) == size:  # what keeps its size ONNX Runtime copies
            continue
        if 1 <= np.floor(length) < 40 and (not whole or length == np.floor(length)):
            return k


def resize(mode):
    def make(rng):
        v = opset(rng, 11, 13, 18, 19)
        attrs = {"mode": mode}
        coord = str(rng.choice(COORDS + (["half_pixel_symmetric"] if v >= 19 else []) + (["tf_half_pixel_for_nn"] if v < 13 else [])))
        if rng.random() < 0.9:
            attrs["coordinate_transformation_mode"] = coord
        else:
            coord = "half_pixel"
        dtype = F32
        if mode == "nearest":
            dtype = rng.choice([F32, U8, S8, S32])
            attrs["nearest_mode"] = str(rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
            rank = int(rng.integers(1, 6))
            scaled = [int(k) for k in rng.permutation(rank)[: rng.integers(1, min(4, rank + 1))]]
        elif mode == "linear":
            dtype = rng.choice([F32, F32, U8, S8, S32])
            rank, scaled = (4, [2, 3]) if rng.random() < 0.7 else (2, [0, 1]) if rng.random() < 0.5 else (5, [2, 3, 4])
            dtype = F32 if rank == 5 else dtype
        else:
            rank, scaled = 4, [2, 3]
            attrs["cubic_coeff_a"] = float(F32(rng.choice([-0.75, -0.5])))
            attrs["exclude_outside"] = int(rng.integers(2))
        if mode != "nearest" and v >= 18 and rank == 4 and dtype is not S8 and rng.random() < 0.4 and coord != "tf_crop_and_resize":
            attrs["antialias"], dtype = 1, F32
        s = sizes_of(rng, rank, scaled)
        x = np.asarray(data(rng, s, dtype))
        named = list(range(rank))
        if v >= 18 and rng.random() < 0.5:
            named = scaled
            attrs["axes"] = [k - rank if rng.random() < 0.3 and coord != "tf_crop_and_resize" else k for k in named]
        roi = np.zeros(0, F32)
        if coord == "tf_crop_and_resize":
            roi = np.zeros((2, rank), F32)
            roi[1] = 1
            for d in scaled:
                roi[:, d] = rng.choice([0, 0.25, 0.5, -0.25]), rng.choice([1, 0.75, 1.5])
            roi = roi[:, named].reshape(-1)
            attrs["extrapolation_value"] = float(F32(rng.choice([0, 10.5])) if dtype == F32 else 10)
        if coord != "tf_crop_and_resize" and rng.random() < 0.5:  # scales
            scales = np.array([ratio(rng, s[d], coord == "align_corners") if d in scaled else 1 for d in named], F32)
            inputs = [x, roi, scales]
        else:
            # never the size that is there: of a dim of scale 1 ONNX Runtime forgets the roi
            sizes = np.array([s[d] + int(rng.choice([k for k in range(1 - s[d], 12) if k])) if d in scaled else s[d] for d in named], S64)
            if v >= 18 and "axes" in attrs and coord != "tf_crop_and_resize" and "antialias" not in attrs and rng.random() < 0.5:
                attrs["axes"] = named  # of negative ones ONNX Runtime makes something else
                attrs["keep_aspect_ratio_policy"] = str(rng.choice(["not_larger", "not_smaller"]))
            inputs = [x, roi, None if v >= 13 else np.zeros(0, F32), sizes]
        if v >= 13 and not roi.size:
            inputs[1] = None
        case = Case("Resize", v, inputs, fixed=(1, 2, 3)[: len(inputs) - 1], **attrs)
        if mode == "cubic" or "antialias" in attrs or len(scaled) == 3 and mode == "linear":
            near = reference(case.model()[0], {"i0": x})[0].astype(np.float64)
            case.bound = (near, 200 * EPS * np.abs(x).max() + 0 * near)
        return case
    return make


def upsample(rng):
    v = opset(rng, 7, 9, 10)
    if v > 10:
        v = 10
    mode = str(rng.choice(["nearest", "linear"]))
    s = sizes_of(rng, 4, [2, 3])
    x = data(rng, s, F32 if mode == "linear" else rng.choice([F32, U8]))
    scales = np.array([1, 1] + [max(1.0, ratio(rng, s[d])) if v < 10 else ratio(rng, s[d]) for d in (2, 3)], F32)
    if v < 9:
        return Case("Upsample", v, [x], scales=[float(k) for k in scales], mode=mode)
    return Case("Upsample" if v < 10 else "Resize", v, [x, scales], fixed=(1,), mode=mode)


MAKERS = {"nearest": resize("nearest"), "linear": resize("linear"), "cubic": resize("cubic"), "upsample": upsample}


@pytest.mark.parametrize("how", MAKERS)
def test_resize(how, tmp_path):
    print(f"VD_SEED={SEED}")
    for k in range(8 * CASES):
        rng = np.random.default_rng([SEED, k, *how.encode()])
        check(tmp_path, MAKERS[how](rng), threads=1 + k % 2, run=run)
