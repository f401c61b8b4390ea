"""What preprocess.cu must know about one frame size: which pixels, which weights, where to write.

Made on the host, once per frame size; the tables go to the device, the rest is the kernel's
argument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.preprocess import Preprocess, Window
from toolkit.runtime.cuda.taps import FILTERS, Taps, taps_for

__all__ = ["BLOCK", "PARAMETERS", "READ_BEHIND", "FramePlan", "plan_frame", "why_not_fused"]

BLOCK = (32, 8, 1)
"""TILE_W and TILE_H of preprocess.cu."""
READ_BEHIND = 16
"""The kernel reads up to this many bytes behind the last pixel: buffers must have them."""

PARAMETERS = np.dtype(
    [
        ("pixels", np.uint64),
        ("bounds_x", np.uint64),
        ("bounds_y", np.uint64),
        ("taps_x", np.uint64),
        ("taps_y", np.uint64),
        ("out", np.uint64),
        ("frame_bytes", np.int64),
        ("pitch", np.int32),
        ("width", np.int32),
        ("height", np.int32),
        ("stride_x", np.int32),
        ("stride_y", np.int32),
        ("reversed", np.int32),
        ("factor", np.float32, 3),
        ("offset", np.float32, 3),
        ("step", np.float32),
    ],
    align=True,
)
"""`struct Parameters` of preprocess.cu, byte for byte."""


@dataclass(frozen=True)
class FramePlan:
    """How frames of one size become network inputs.

    `tables` are the bounds and weights of both directions, in the order of `offsets` (bytes from
    the start of the tables to bounds_x, bounds_y, taps_x and taps_y).
    """

    preprocess: Preprocess
    window: Window
    bgr: bool
    tables: NDArray[np.int32]
    offsets: tuple[int, int, int, int]
    strides: tuple[int, int]

    @property
    def pitch(self) -> int:
        """Return the bytes of one row of the window."""
        return 3 * (self.window.right - self.window.left)

    @property
    def frame_bytes(self) -> int:
        """Return the bytes from one window to the next: a multiple of 4, as the kernel asks."""
        return -(-self.pitch * (self.window.bottom - self.window.top) // 4) * 4

    @property
    def grid(self) -> tuple[int, int, int]:
        """Return the blocks that one frame takes."""
        across = -(-self.preprocess.width // BLOCK[0])
        return (across, -(-self.preprocess.height // BLOCK[1]), 1)

    def parameters(self, *, pixels: int, tables: int, out: int, step: float = 1.0) -> bytes:
        """Return the kernel's argument for these device addresses.

        `step` is what the value 1 of an INT8 input stands for.
        """
        recipe = self.preprocess
        made = np.zeros((), PARAMETERS)
        made["pixels"], made["out"], made["step"] = pixels, out, step
        names = ("bounds_x", "bounds_y", "taps_x", "taps_y")
        for name, offset in zip(names, self.offsets, strict=True):
            made[name] = tables + offset
        made["frame_bytes"], made["pitch"] = self.frame_bytes, self.pitch
        made["width"], made["height"] = recipe.width, recipe.height
        made["stride_x"], made["stride_y"] = self.strides
        made["reversed"] = (recipe.colour == "bgr") != self.bgr
        made["factor"] = recipe.scale / np.asarray(recipe.std)
        made["offset"] = np.asarray(recipe.mean) / np.asarray(recipe.std)
        return made.tobytes()


def why_not_fused(preprocess: Preprocess, width: int, height: int) -> str:
    """Return why the kernel cannot prepare a `width` x `height` frame, or ""."""
    if preprocess.colour == "gray":
        return "the network takes grey pictures"
    if preprocess.interpolation not in FILTERS:
        return f"{preprocess.interpolation} has no kernel"
    if preprocess.window(width, height) is not None:
        return ""
    if not preprocess.antialias:
        return "resizing without antialias has no kernel"
    return f"the crop is larger than a {width} x {height} frame"


def plan_frame(preprocess: Preprocess, width: int, height: int, *, bgr: bool = True) -> FramePlan:
    """Return the plan for `width` x `height` frames. `why_not_fused` must have returned ""."""
    window = preprocess.window(width, height)
    if window is None or preprocess.interpolation not in FILTERS:
        raise ValueError(why_not_fused(preprocess, width, height))
    left, top, right, bottom = window.box
    across = taps_for(
        window.right - window.left,
        left,
        right,
        preprocess.width,
        interpolation=preprocess.interpolation,
    )
    down = taps_for(
        window.bottom - window.top,
        top,
        bottom,
        preprocess.height,
        interpolation=preprocess.interpolation,
    )
    tables, offsets = _packed(across, down)
    strides = (across.weights.shape[1], down.weights.shape[1])
    return FramePlan(preprocess, window, bgr, tables, offsets, strides)


def _packed(across: Taps, down: Taps) -> tuple[NDArray[np.int32], tuple[int, int, int, int]]:
    """Return the tables in one array, each at a multiple of 16 bytes, and where they begin."""
    parts = [
        np.stack([across.first, across.count], axis=1).ravel(),
        np.stack([down.first, down.count], axis=1).ravel(),
        across.weights.ravel(),
        down.weights.ravel(),
    ]
    padded = [np.pad(part, (0, -len(part) % 4)) for part in parts]
    starts = np.cumsum([0, *(part.nbytes for part in padded[:-1])])
    offsets = (int(starts[0]), int(starts[1]), int(starts[2]), int(starts[3]))
    return np.concatenate(padded).astype(np.int32), offsets
