# SPDX-License-Identifier: BSD-2-Clause
"""The second engine (engine.py): values and the errors that they carry, and the list of operators."""
import itertools
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper as nh

U = 2.0**-24  # float32 rounds to nearest with at most this relative error
TINY = 2.0**-149
F32_MAX = float(np.finfo(np.float32).max)
F32, F16, F64, S32, S64, U8, BOOL = (np.dtype(t) for t in (np.float32, np.float16, np.float64, np.int32, np.int64, np.uint8, np.bool_))


def bound(k, magnitude):
    """At most so far is a float32 sum of k products from the exact one, whatever the order, with or without fused multiply-add;
    magnitude is the sum of the products' absolute values. (Higham, Accuracy and Stability of Numerical Algorithms, 3.1)"""
    return k * U / (1 - k * U) * magnitude + k * TINY



@dataclass
class Value:
    x: np.ndarray  # float64 where dtype is a float, else of that dtype
    e: np.ndarray  # the same shape
    dtype: np.dtype

    @property
    def shape(self):
        return self.x.shape

    @property
    def float(self):
        return self.dtype.kind == "f"

    def ints(self):
        return [int(v) for v in self.x.ravel()]


def exact(array, dtype=None):
    """A value that is what it is."""
    array = np.asarray(array)
    dtype = np.dtype(dtype or array.dtype)
    x = array.astype(dtype).astype(np.float64) if dtype.kind == "f" else array.astype(dtype)
    return Value(x, np.zeros(x.shape), dtype)


def near(x, e, dtype):
    """A float result with its error; a float16 result is rounded once more. Beyond the type's range it is infinite.
    A float64 result is judged as if all that led to it were float64: its error and this engine's own are 2^-29 times as large."""
    x = np.asarray(x, np.float64)
    e = np.broadcast_to(np.where(np.isfinite(x), e, 0.0), x.shape)
    if dtype == F64:
        return Value(x, e * 2.0**-28, dtype)
    if dtype == F16:
        e = e + (np.abs(x) + e) * 2.0**-11 + 2.0**-25
        x = np.where(np.abs(x) >= 65520, np.copysign(np.inf, x), x)
    return Value(np.where(np.abs(x) > F32_MAX * (1 + U / 2), np.copysign(np.inf, x), x), e, dtype)


def once(x, e, dtype):
    """The result of an operation that rounds once: from exact operands it is one certain value."""
    if np.any(e):
        return near(x, e + U * np.abs(x) + TINY, dtype)
    with np.errstate(over="ignore"):
        return exact(np.asarray(x).astype(F64 if dtype == F64 else F32), dtype)


def lift(f, *values, dtype=None):
    """f of the values, and how far f goes within their errors: f rises or falls in each argument, so the corners tell."""
    y = f(*(v.x for v in values))
    e = np.zeros(np.shape(y))
    if any(np.any(v.e) for v in values):
        for signs in itertools.product((-1, 1), repeat=len(values)):
            corner = f(*(v.x + s * v.e for v, s in zip(values, signs)))
            e = np.maximum(e, np.nan_to_num(np.abs(corner - y), nan=np.inf))
    return y, e


def moved(f, v):
    """Data goes elsewhere, with its error."""
    return Value(f(v.x), f(v.e), v.dtype)


def per_channel(t, rank):
    """A list along axis 1 of a tensor of that rank."""
    return np.reshape(t, [1, -1] + [1] * (rank - 2))


def outside(got, want):
    """Where an array leaves a Value."""
    if got.dtype.kind != "f":
        return (got != want.x) if not np.any(want.e) else ~(np.abs(got.astype(np.float64) - want.x) <= want.e)
    g = got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        fits = (g == want.x) | (np.isnan(g) & np.isnan(want.x)) | (np.abs(g - want.x) <= want.e)
        largest = float(np.finfo(got.dtype).max)
        fits |= np.isinf(g) & (np.sign(g) * want.x + want.e >= largest)  # may have overflown
        fits |= np.isinf(want.x) & (np.sign(want.x) * g + want.e >= largest)
    return ~fits


# --- operators ---


@dataclass
class Node:
    op: str
    opset: int
    attr: dict
    n_in: int
    n_out: int

    def __call__(self, name, default=None):
        return self.attr.get(name, default)

    def f32(self, name, default):
        return float(np.float32(self(name, default)))


OPS = {}


def op(*names):
    def put(f):
        OPS.update((name, f) for name in names)
        return f
    return put


def attribute(a):
    v = onnx.helper.get_attribute_value(a)
    return v.decode() if isinstance(v, bytes) else nh.to_array(v) if isinstance(v, onnx.TensorProto) else v
