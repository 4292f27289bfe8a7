# SPDX-License-Identifier: BSD-2-Clause
"""include/vmaf_dnn/vmaf_dnn.h for the tests: the shared library in this process, arrays in and arrays out.

    y, = Session(path).run({"x": x})

What the library will not open or run raises Refused, with its errno and its reason. VMAF_DNN_LIB is the path of the library."""
import ctypes as c
import errno
import os

import numpy as np

MAX_RANK = 8
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
         11: np.float64, 12: np.uint32, 13: np.uint64}
NUMBERS = {np.dtype(t): n for n, t in TYPES.items()}


class Refused(Exception):
    def __init__(self, code, reason):
        super().__init__(f"-{errno.errorcode.get(code, code)}: {reason}")
        self.code, self.reason = code, reason

    @property
    def name(self):
        return errno.errorcode.get(self.code, str(self.code))


class Settings(c.Structure):
    _fields_ = [("threads", c.c_int), ("kernels", c.c_char_p), ("baseline", c.c_int), ("registry", c.c_char_p), ("reserved", c.c_uint8 * 64)]


class Input(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int), ("rank", c.c_int), ("shape", c.c_int64 * MAX_RANK), ("data", c.c_void_p),
                ("count", c.c_size_t)]


class Output(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int), ("data", c.c_void_p), ("capacity", c.c_size_t), ("written", c.c_size_t),
                ("rank", c.c_int), ("shape", c.c_int64 * MAX_RANK)]


class Slot(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int), ("rank", c.c_int), ("shape", c.c_int64 * MAX_RANK)]


class Info(c.Structure):
    _fields_ = [("id", c.c_char_p), ("file", c.c_char_p), ("sha256", c.c_char_p), ("pinned", c.c_int), ("quant_mode", c.c_char_p),
                ("baseline", c.c_int), ("all_int8", c.c_int), ("kernels", c.c_char_p), ("threads", c.c_int), ("n_inputs", c.c_size_t),
                ("n_outputs", c.c_size_t)]


def load():
    lib = c.CDLL(os.environ["VMAF_DNN_LIB"])
    p = c.c_void_p
    for name, result, args in (
            ("settings_default", None, [c.POINTER(Settings)]), ("session_open", c.c_int, [c.POINTER(p), c.c_char_p, c.POINTER(Settings)]),
            ("session_close", None, [p]), ("session_run", c.c_int, [p, c.POINTER(Input), c.c_size_t, c.POINTER(Output), c.c_size_t]),
            ("session_info", c.c_int, [p, c.POINTER(Info)]), ("session_input", c.c_int, [p, c.c_size_t, c.POINTER(Slot)]),
            ("session_output", c.c_int, [p, c.c_size_t, c.POINTER(Slot)]), ("last_error", c.c_char_p, [])):
        f = getattr(lib, "vmaf_dnn_" + name)
        f.restype, f.argtypes = result, args
    return lib


LIB = load()


def check(rc):
    if rc < 0:
        raise Refused(-rc, LIB.vmaf_dnn_last_error().decode(errors="replace"))


class Session:
    """threads 0 and kernels None: the library's own choice."""

    def __init__(self, path, kernels=None, threads=0):
        settings, self.handle = Settings(), c.c_void_p()
        LIB.vmaf_dnn_settings_default(settings)
        settings.threads, settings.kernels = threads, kernels and kernels.encode()
        check(LIB.vmaf_dnn_session_open(self.handle, os.fsencode(path), settings))
        info = self.info()
        self.inputs = [self.slot(LIB.vmaf_dnn_session_input, i) for i in range(info.n_inputs)]
        self.outputs = [self.slot(LIB.vmaf_dnn_session_output, i) for i in range(info.n_outputs)]

    def info(self):
        info = Info()
        check(LIB.vmaf_dnn_session_info(self.handle, info))
        return info

    def slot(self, ask, i):
        slot = Slot()
        check(ask(self.handle, i, slot))
        return slot.name.decode(), TYPES[slot.type]

    def run(self, feeds):
        """Arrays by input name; the model's outputs in order."""
        n_in, n_out = len(feeds), len(self.outputs)
        given, want, keep = (Input * n_in)(), (Output * n_out)(), []
        for slot, (name, value) in zip(given, feeds.items()):
            value = np.require(value, requirements=["C", "A"])
            keep.append(value)
            slot.name, slot.type, slot.rank, slot.count = name.encode(), NUMBERS[value.dtype], value.ndim, value.size
            slot.shape[: value.ndim] = value.shape
            slot.data = value.ctypes.data
        for slot, (name, dtype) in zip(want, self.outputs):
            slot.name, slot.type = name.encode(), NUMBERS[np.dtype(dtype)]
        rc = LIB.vmaf_dnn_session_run(self.handle, given, n_in, want, n_out)  # tells the sizes
        if rc != -errno.ENOSPC:
            check(rc)
        outs = []
        for slot, (_, dtype) in zip(want, self.outputs):
            outs.append(np.full(list(slot.shape[: slot.rank]), 0x55, dtype))
            slot.data, slot.capacity = outs[-1].ctypes.data, outs[-1].size
        if rc:
            check(LIB.vmaf_dnn_session_run(self.handle, given, n_in, want, n_out))
        return outs

    def close(self):
        LIB.vmaf_dnn_session_close(self.handle)
        self.handle = c.c_void_p()

    __del__ = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
