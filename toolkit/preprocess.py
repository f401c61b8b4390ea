"""The one definition of resize, crop, colour and normalisation that every step shares.

Rounding follows torchvision (`Resize`, `CenterCrop`), because a shift of one pixel already changes
inputs by up to 21/255. Pillow computes only the part of the resized picture that the crop keeps.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.errors import ContractError
from toolkit.field_types import check_types

__all__ = ["IMAGENET", "Preprocess", "Region", "Window", "cut_out", "preprocess_from_dict"]

_PILLOW_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

_REACH = {"nearest": 0.5, "bilinear": 1.0, "bicubic": 2.0}
"""How far Pillow's filters look, in output pixels (`support` in its Resample.c)."""


@dataclass(frozen=True)
class Region:
    """The part of the source picture that the network sees, in (fractional) source pixels."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Window:
    """Whole source pixels to cut out, and the Region inside the cut as Pillow's `box`."""

    left: int
    top: int
    right: int
    bottom: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Preprocess:
    """How an 8-bit picture becomes a network input.

    `resize`: "shorter" scales the shorter side to `resize_size` and keeps the aspect ratio,
    "squash" scales to exactly the crop size, "none" only crops.
    The result is `(pixel * scale - mean) / std` per channel, in `colour` order, float32 CHW.
    """

    height: int
    width: int
    resize: str = "shorter"
    resize_size: int = 256
    interpolation: str = "bilinear"
    antialias: bool = True
    colour: str = "rgb"
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        channels = 1 if self.colour == "gray" else 3
        known = (
            self.resize in ("shorter", "squash", "none")
            and self.interpolation in _PILLOW_FILTERS
            and self.colour in ("rgb", "bgr", "gray")
        )
        if not known or min(self.height, self.width) < 1 or self.resize_size < 1:
            raise ContractError(
                f"This preprocessing cannot be carried out: {self}.",
                next_command="edgekit inspect MODEL --json",
            )
        if len(self.mean) != channels or len(self.std) != channels or 0.0 in self.std:
            raise ContractError(
                f"Preprocessing for {self.colour} needs {channels} means and non-zero deviations, "
                f"got mean {self.mean} and std {self.std}.",
                next_command="edgekit inspect MODEL --json",
            )

    @property
    def channels(self) -> int:
        """Return the number of input channels."""
        return len(self.mean)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def region(self, width: int, height: int) -> Region:
        """Return which part of a `width` x `height` picture the crop keeps.

        Sizes and offsets are rounded as torchvision does: long side `int(size * long / short)`,
        offset `int(round((resized - crop) / 2))` with Python's round half to even.
        """
        if self.resize == "squash":
            return Region(0.0, 0.0, float(width), float(height))
        if self.resize == "none":
            resized_w, resized_h = width, height
        elif width <= height:
            resized_w, resized_h = self.resize_size, int(self.resize_size * height / width)
        else:
            resized_w, resized_h = int(self.resize_size * width / height), self.resize_size
        left = round((resized_w - self.width) / 2.0)
        top = round((resized_h - self.height) / 2.0)
        across, down = width / resized_w, height / resized_h
        return Region(
            left * across, top * down, (left + self.width) * across, (top + self.height) * down
        )

    def window(self, width: int, height: int) -> Window | None:
        """Return the pixels that the resize reads, or None where it is no plain resize.

        Every caller cuts the window out first: Pillow's rounding depends on the size of what it is
        given, and one definition must give one result.
        """
        region = self.region(width, height)
        inside = (
            min(region.left, region.top) >= 0
            and region.right <= width + 1e-6
            and region.bottom <= height + 1e-6
        )
        if not inside or not (self.antialias or self.interpolation == "nearest"):
            return None
        filter_reach = _REACH[self.interpolation]
        left, right = _reach(region.left, region.right, self.width, width, filter_reach)
        top, bottom = _reach(region.top, region.bottom, self.height, height, filter_reach)
        # Pillow keeps the box in 32-bit floats: round first, then moving by whole pixels is exact.
        edges = np.array(
            [region.left, region.top, region.right, region.bottom], dtype=np.float32
        ).tolist()
        box = (edges[0] - left, edges[1] - top, edges[2] - left, edges[3] - top)
        return Window(
            left,
            top,
            right,
            bottom,
            (*box[:2], min(box[2], right - left), min(box[3], bottom - top)),
        )

    def resize_window(self, cut: Image.Image, window: Window) -> Image.Image:
        """Return (height, width) pixels of the picture cut out at `window`.

        Rows first, then columns, each pass rounded to 8 bits: Pillow before 13 always did so, and
        13 turns the order round for tall pictures, which changes pixels by 1. The order is fixed
        here, so that inputs do not depend on Pillow's version (and match the GPU's kernel).
        """
        chosen = _PILLOW_FILTERS[self.interpolation]
        fewer = (cut.width - self.width, cut.height - self.height)
        if chosen is not Image.Resampling.NEAREST and fewer[1] > max(2 * fewer[0], 0):
            left, top, right, bottom = window.box
            cut = cut.resize((self.width, cut.height), chosen, box=(left, 0, right, cut.height))
            return cut.resize((self.width, self.height), chosen, box=(0, top, self.width, bottom))
        return cut.resize((self.width, self.height), chosen, box=window.box)

    def crop(self, image: Image.Image) -> Image.Image:
        """Return the resized and cropped 8-bit picture, RGB or L, (height, width)."""
        window = self.window(image.width, image.height)
        if window is not None:
            cut = image.crop((window.left, window.top, window.right, window.bottom))
            return self.resize_window(self._coloured(cut), window)
        # No antialiasing, or a crop larger than the picture, which torchvision pads with black.
        region = self.region(image.width, image.height)
        return self._coloured(image).transform(
            (self.width, self.height),
            Image.Transform.EXTENT,
            (region.left, region.top, region.right, region.bottom),
            resample=_PILLOW_FILTERS[self.interpolation],
        )

    def _coloured(self, image: Image.Image) -> Image.Image:
        """Return the picture as L or RGB; the same object if it is so already: no copy."""
        mode = "L" if self.colour == "gray" else "RGB"
        return image if image.mode == mode else image.convert(mode)

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 (..., C, H, W) from uint8 pixels (..., H, W, C) in RGB order."""
        if self.colour == "bgr":
            pixels = pixels[..., ::-1]
        factor = np.asarray(self.scale / np.asarray(self.std), dtype=np.float32)
        offset = np.asarray(np.asarray(self.mean) / np.asarray(self.std), dtype=np.float32)
        planes = np.moveaxis(pixels, -1, -3)
        result = np.empty(planes.shape, dtype=np.float32)
        for channel in range(self.channels):  # plane by plane: five times faster than broadcasting
            plane = result[..., channel, :, :]
            np.multiply(planes[..., channel, :, :], factor[channel], out=plane, dtype=np.float32)
            plane -= offset[channel]
        return result

    def pixels(self, image: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the cropped uint8 pixels (height, width, C), RGB order, of an RGB picture."""
        if isinstance(image, Image.Image):
            resized = self.crop(image)
        elif (window := self.window(image.shape[1], image.shape[0])) is not None:
            resized = self.resize_window(self._coloured(cut_out(image, window)), window)
        else:
            resized = self.crop(Image.fromarray(image))
        cropped = np.asarray(resized, dtype=np.uint8)
        return cropped[..., None] if cropped.ndim == 2 else cropped

    def __call__(self, image: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network input, float32 (C, height, width), of an RGB picture (H, W, 3)."""
        return self.normalise(self.pixels(image))


IMAGENET = Preprocess(224, 224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What torchvision's ImageNet weights expect (the original `IMAGENET1K_V1` recipe)."""


def cut_out(pixels: NDArray[np.uint8], window: Window) -> Image.Image:
    """Return the cut at `window` as a picture; Pillow copies only pixels that resizing reads."""
    cut = pixels[window.top : window.bottom, window.left : window.right]
    return Image.fromarray(np.ascontiguousarray(cut))  # Pillow's own copy of a view takes longer


def _reach(
    start: float, end: float, outputs: int, available: int, filter_reach: float
) -> tuple[int, int]:
    """Return the first pixel that the filter reads and one past the last; a few more do no harm."""
    margin = math.ceil(filter_reach * max((end - start) / outputs, 1.0)) + 2
    return max(int(start) - margin, 0), min(math.ceil(end) + margin, available)


def preprocess_from_dict(values: dict[str, Any]) -> Preprocess:
    """Return a Preprocess from the values of `to_dict`. Raises ContractError if they do not fit."""
    try:
        fields = dict(values)
        fields["mean"], fields["std"] = tuple(fields["mean"]), tuple(fields["std"])
        check_types(Preprocess, fields)
        return Preprocess(**fields)
    except (TypeError, KeyError, ValueError) as error:
        raise ContractError(
            f"The preprocessing in this contract is damaged ({error}).",
            next_command="edgekit import SOURCE --out model.onnx",
        ) from error
