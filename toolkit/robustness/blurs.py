"""Defocus and motion blur of the ImageNet-C benchmark, in numpy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["defocused", "moved"]

_Picture = NDArray[np.float64]
"""(height, width, channels), any range."""


def defocused(picture: _Picture, *, radius: int, softness: float) -> _Picture:
    """Return the picture under a disk of `radius` pixels whose edge is softened by a Gaussian."""
    kernel = _disk(radius, softness)
    reach = kernel.shape[0] // 2
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    shape = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, s=shape)[..., None]
    blurred = np.fft.irfft2(spectrum, s=shape, axes=(0, 1))
    return np.asarray(blurred[2 * reach :, 2 * reach :], dtype=np.float64)


def _disk(radius: int, softness: float) -> NDArray[np.float64]:
    reach = max(8, radius)
    along = np.arange(-reach, reach + 1)
    disk = (along[:, None] ** 2 + along**2 <= radius**2).astype(np.float64)
    steps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    soft = np.exp(-(steps**2) / (2.0 * softness**2))
    soft /= soft.sum()
    for axis in (0, 1):
        disk = np.apply_along_axis(np.convolve, axis, disk, soft, mode="same")
    return np.asarray(disk / disk.sum(), dtype=np.float64)


def moved(picture: _Picture, *, radius: int, sigma: float, degrees: float) -> _Picture:
    """Return the picture moved along a line, fading like a half Gaussian (ImageMagick's blur)."""
    width = 2 * radius + 1
    weights = np.exp(-(np.arange(width) ** 2) / (2.0 * sigma**2))
    weights /= weights.sum()
    angle = math.radians(degrees)
    height, across = picture.shape[:2]
    # Beyond the edge its last pixel goes on.
    padded = np.pad(picture, ((width, width), (width, width), (0, 0)), mode="edge")
    blurred = np.zeros_like(picture)
    for step, weight in enumerate(weights):
        top = width + math.ceil(step * math.cos(angle) - 0.5)
        left = width + math.ceil(step * math.sin(angle) - 0.5)
        blurred += weight * padded[top : top + height, left : left + across]
    return blurred
