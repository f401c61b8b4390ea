"""Every way of preparing a picture that differs from a contract in one thing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.images import read_image
from toolkit.preprocess import Preprocess, Region

__all__ = ["Variant", "decode", "has_orientation", "joint_variants_of", "variants_of"]

_ORIENTATION = 0x0112
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PIXEL = 1.0 / 255.0
_RANGES: dict[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    "0 to 1": (_PIXEL, (0.0,) * 3, (1.0,) * 3),
    "0 to 255": (1.0, (0.0,) * 3, (1.0,) * 3),
    "-1 to 1": (_PIXEL, (0.5,) * 3, (0.5,) * 3),
    "0 to 1, ImageNet mean and deviation": (_PIXEL, _MEAN, _STD),
    "0 to 1, mean 0.5": (_PIXEL, (0.5,) * 3, (1.0,) * 3),
    "0 to 1, mean 0.5, deviation 0.25": (_PIXEL, (0.5,) * 3, (0.25,) * 3),
    "0 to 1, ImageNet mean": (_PIXEL, _MEAN, (1.0,) * 3),
    "0 to 1, ImageNet deviation": (_PIXEL, (0.0,) * 3, _STD),
    "0 to 255, ImageNet mean": (1.0, tuple(255.0 * m for m in _MEAN), (1.0,) * 3),
    "0 to 255, ImageNet mean and deviation": (
        1.0,
        tuple(255.0 * m for m in _MEAN),
        tuple(255.0 * s for s in _STD),
    ),
}
"""(scale, mean, std) in the order R, G, B."""


@dataclass(frozen=True)
class _RoundedDown(Preprocess):
    """Rounds the crop's offset down, and the long side to nearest, as OpenCV recipes do."""

    def region(self, width: int, height: int) -> Region:
        """Return which part of the picture the crop keeps."""
        if self.resize == "squash":
            return super().region(width, height)
        ratio = 1.0 if self.resize == "none" else self.resize_size / min(width, height)
        resized_w, resized_h = round(width * ratio), round(height * ratio)
        left, top = (resized_w - self.width) // 2, (resized_h - self.height) // 2
        across, down = width / resized_w, height / resized_h
        return Region(
            left * across, top * down, (left + self.width) * across, (top + self.height) * down
        )


@dataclass(frozen=True)
class Variant:
    """One way to prepare pictures. `decoder` is "plain", "exif" or "draft" (`decode`)."""

    preprocess: Preprocess
    decoder: str = "plain"

    @property
    def geometry(self) -> tuple[object, ...]:
        """Return what decides the pixels before they are normalised: alike here, alike there."""
        chosen = self.preprocess
        return (
            type(chosen),
            self.decoder,
            chosen.resize,
            chosen.resize_size,
            chosen.interpolation,
            chosen.antialias,
        )

    def aspects(self) -> dict[str, str]:
        """Return what can differ, in words, by aspect."""
        chosen = self.preprocess
        size = f" to {chosen.resize_size}" if chosen.resize == "shorter" else ""
        return {
            "colour order": chosen.colour,
            "value range": _range_name(chosen),
            "resize": f"{chosen.resize}{size}",
            "interpolation": chosen.interpolation,
            "antialias": "on" if chosen.antialias else "off",
            "rounding": "down" if isinstance(chosen, _RoundedDown) else "as torchvision",
            "EXIF orientation": "applied" if self.decoder == "exif" else "ignored",
            "decoder": "JPEG at reduced size" if self.decoder == "draft" else "full size",
        }

    def changes_from(self, other: Variant) -> dict[str, tuple[str, str]]:
        """Return the aspects that differ, each with the other's words and these."""
        before, after = other.aspects(), self.aspects()
        return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def variants_of(start: Variant) -> tuple[Variant, ...]:
    """Return all variants that differ from `start` in one aspect, and no two alike."""
    found: dict[tuple[str, ...], Variant] = {}
    own = tuple(start.aspects().values())
    for variant in _all(start):
        found.setdefault(tuple(variant.aspects().values()), variant)
    return tuple(variant for key, variant in found.items() if key != own)


def joint_variants_of(start: Variant) -> tuple[Variant, ...]:
    """Return all variants with the other colour order and another value range.

    These two go wrong together, and alone neither change need bring the answers nearer.
    """
    if start.preprocess.channels != 3:
        return ()
    colour = {"rgb": "bgr", "bgr": "rgb"}[start.preprocess.colour]
    turned = replace(start, preprocess=replace(start.preprocess, colour=colour))
    both = {"colour order", "value range"}
    return tuple(v for v in variants_of(turned) if set(v.changes_from(start)) == both)


def _all(start: Variant) -> Iterator[Variant]:
    right = start.preprocess

    def changed(**values: Any) -> Variant:
        return replace(start, preprocess=replace(right, **values))

    if right.channels == 3:
        # A range belongs to colours, not to planes: the other order takes its means along.
        for swap in (False, True):
            colour = {"rgb": "bgr", "bgr": "rgb"}[right.colour]
            turned = {"mean": right.mean[::-1], "std": right.std[::-1]} if swap else {}
            yield changed(colour=colour, **turned)
    yield from (changed(**values) for values in _ranges(right))
    yield changed(resize="squash")
    yield changed(resize="none")
    for size in {max(right.height, right.width), round(max(right.height, right.width) * 256 / 224)}:
        yield changed(resize="shorter", resize_size=size)
    for name in ("nearest", "bilinear", "bicubic"):
        yield changed(interpolation=name)
    yield changed(antialias=not right.antialias)
    values = {field.name: getattr(right, field.name) for field in fields(Preprocess)}
    other = Preprocess if isinstance(right, _RoundedDown) else _RoundedDown
    yield replace(start, preprocess=other(**values))
    yield from (replace(start, decoder=name) for name in ("plain", "exif", "draft"))


def _ranges(right: Preprocess) -> Iterator[dict[str, Any]]:
    for scale, mean, std in _RANGES.values():
        if right.colour == "gray":
            mean, std = (sum(mean) / 3,), (sum(std) / 3,)
        elif right.colour == "bgr":
            mean, std = mean[::-1], std[::-1]
        yield {"scale": scale, "mean": mean, "std": std}
    yield {"scale": 1.0 if right.scale < 0.1 else _PIXEL}  # the other unit, own mean and deviation
    yield {"mean": (0.0,) * right.channels}
    yield {"std": (1.0,) * right.channels}
    if right.channels == 3:  # the means of one colour order behind the planes of the other
        yield {"mean": right.mean[::-1], "std": right.std[::-1]}


def _range_name(chosen: Preprocess) -> str:
    for order, suffix in ((1, ""), (-1, ", means in the order B, G, R")):
        values = (chosen.scale, *chosen.mean[::order], *chosen.std[::order])
        for name, (scale, mean, std) in _RANGES.items():
            known = (scale, *mean, *std)
            if len(values) == len(known) and np.allclose(values, known, rtol=1e-3, atol=1e-6):
                return f"{name}{suffix}"
    shown = [", ".join(f"{value:.4g}" for value in some) for some in (chosen.mean, chosen.std)]
    return f"scale {chosen.scale:.4g}, mean {shown[0]}, std {shown[1]}"


def decode(path: Path, decoder: str, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the pixels (height, width, 3), RGB, as a decoder gives them.

    "plain" is `read_image`; "exif" turns the picture as its orientation says; "draft" lets the
    JPEG decoder shrink by 2, 4 or 8 while it decodes, as fast loaders do. Raises ImageError.
    """
    if decoder == "plain":
        return read_image(path)
    pixels = read_image(path)  # it refuses what must not be decoded
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        if decoder == "exif":
            return _turned(pixels, image.getexif().get(_ORIENTATION, 1))
        size = preprocess.resize_size
        if image.format != "JPEG" or image.draft("RGB", (size, size)) is None:
            return pixels
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def has_orientation(path: Path) -> bool:
    """Return whether the picture says that it must be turned or mirrored."""
    with Image.open(path) as image:
        return bool(image.getexif().get(_ORIENTATION, 1) != 1)


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return the picture turned upright (EXIF 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
