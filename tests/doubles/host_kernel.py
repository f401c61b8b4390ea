"""preprocess.cu built with g++ and called through ctypes: its arithmetic, without a GPU."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.atomic import replace_file
from toolkit.runtime.cuda.frame_plan import READ_BEHIND, FramePlan

__all__ = ["HOST_COMPILER", "KINDS", "host_library", "run_on_host", "run_parameters"]

HOST_COMPILER = shutil.which("g++")
_KERNELS = Path(__file__).resolve().parents[2] / "toolkit" / "runtime" / "kernels"
_SOURCES = ("preprocess.cu", "host_cuda.h", "preprocess_host.cpp")
_WARNINGS = ["-Wall", "-Wextra", "-Werror"]
_FLAGS = ["-std=c++17", "-O2", *_WARNINGS, "-ffp-contract=off", "-shared", "-fPIC"]
KINDS = {"float32": (0, np.float32), "float16": (1, np.float16), "int8": (2, np.int8)}


@cache
def host_library() -> ctypes.CDLL:
    """The library, built once per content of its sources."""
    assert HOST_COMPILER is not None, "callers skip without g++"
    text = b"".join((_KERNELS / name).read_bytes() for name in _SOURCES)
    digest = hashlib.sha256(text + " ".join(_FLAGS).encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"edgekit-host-kernel-{digest}.so"
    if not library.exists():
        with replace_file(library) as built:  # other test processes may be building it too
            source = _KERNELS / "preprocess_host.cpp"
            subprocess.run([HOST_COMPILER, *_FLAGS, "-o", built, source], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.edgekit_preprocess.argtypes = [ctypes.c_char_p, *[ctypes.c_int] * 3]
    loaded.edgekit_half.argtypes = [ctypes.c_float]
    loaded.edgekit_half.restype = ctypes.c_ushort
    return loaded


def run_parameters(parameters: bytes, kind: str, *, frames: int = 1, falling: bool = False) -> None:
    """Run the kernel on the addresses in `parameters`, which are this process's own."""
    assert host_library().edgekit_preprocess(parameters, KINDS[kind][0], frames, falling) == 0


def run_on_host(
    plan: FramePlan,
    frames: NDArray[np.uint8],
    *,
    kind: str = "float32",
    step: float = 1.0,
    falling: bool = False,
) -> NDArray[np.generic]:
    """Network inputs (n, 3, height, width) of frames (n, H, W, 3)."""
    window = plan.window
    source = np.full(plan.frame_bytes * len(frames) + READ_BEHIND, 0xAB, np.uint8)
    for index, frame in enumerate(frames):
        cut = frame[window.top : window.bottom, window.left : window.right]
        source[index * plan.frame_bytes :][: cut.size] = cut.ravel()
    shape = (len(frames), 3, plan.preprocess.height, plan.preprocess.width)
    out = np.zeros(shape, KINDS[kind][1])
    parameters = plan.parameters(
        pixels=source.ctypes.data, tables=plan.tables.ctypes.data, out=out.ctypes.data, step=step
    )
    run_parameters(parameters, kind, frames=len(frames), falling=falling)
    return out
