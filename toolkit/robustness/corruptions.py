"""Common corruptions of pictures at five severities.

After D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations", ICLR 2019, with the constants of their ImageNet-C code. As there, they change
the resized and cropped 8-bit picture. The constants are meant for 224 pixels: blurs are counted in
pixels, and so are harsher for smaller pictures.

Own code because the package `imagecorruptions` needs OpenCV, scikit-image, SciPy and Numba.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.errors import InputError
from toolkit.robustness.blurs import defocused, moved

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupted", "corruptions_named"]

SEVERITIES = (1, 2, 3, 4, 5)
_Pixels = NDArray[np.uint8]
_Corruption = Callable[[_Pixels, int, np.random.Generator], _Pixels]


def _gaussian_noise(pixels: _Pixels, severity: int, rng: np.random.Generator) -> _Pixels:
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return _pixels(pixels / 255.0 + rng.normal(0.0, deviation, pixels.shape))


def _defocus_blur(pixels: _Pixels, severity: int, _: np.random.Generator) -> _Pixels:
    radius, softness = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    return _pixels(defocused(pixels / 255.0, radius=radius, softness=softness))


def _motion_blur(pixels: _Pixels, severity: int, rng: np.random.Generator) -> _Pixels:
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    degrees = rng.uniform(-45.0, 45.0)
    return _pixels(moved(pixels / 255.0, radius=radius, sigma=sigma, degrees=degrees))


def _contrast(pixels: _Pixels, severity: int, _: np.random.Generator) -> _Pixels:
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = (pixels / 255.0).mean(axis=(0, 1), keepdims=True)
    return _pixels((pixels / 255.0 - mean) * kept + mean)


def _brightness(pixels: _Pixels, severity: int, _: np.random.Generator) -> _Pixels:
    """Raise V of HSV, which is the largest channel, and keep hue and saturation."""
    added = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1]
    value = pixels.max(axis=2, keepdims=True) / 255.0
    raised = np.minimum(value + added, 1.0)
    share = np.divide(pixels / 255.0, value, out=np.ones(pixels.shape), where=value > 0.0)
    return _pixels(share * raised)


def _jpeg_compression(pixels: _Pixels, severity: int, _: np.random.Generator) -> _Pixels:
    quality = (25, 18, 15, 10, 7)[severity - 1]
    stored = io.BytesIO()
    _image(pixels).save(stored, "JPEG", quality=quality)
    return _like(Image.open(stored), pixels)


def _pixelate(pixels: _Pixels, severity: int, _: np.random.Generator) -> _Pixels:
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    image = _image(pixels)
    coarse = (max(1, int(image.width * share)), max(1, int(image.height * share)))
    small = image.resize(coarse, Image.Resampling.BOX)
    return _like(small.resize(image.size, Image.Resampling.BOX), pixels)


CORRUPTIONS: dict[str, _Corruption] = {
    "gaussian_noise": _gaussian_noise,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}
"""Names are those of the paper's code. Each gives new pixels of the same shape."""


def corrupted(
    pixels: _Pixels, corruption: str, severity: int, *, image: str, seed: int = 0
) -> _Pixels:
    """Return the picture (height, width, C), uint8, with a row of CORRUPTIONS done to it.

    `image` is its digest in hex: with `seed` it fixes what is random, whatever the order of the
    pictures, and alike for every severity.
    """
    draw = [seed, int(image, 16), list(CORRUPTIONS).index(corruption)]
    return CORRUPTIONS[corruption](pixels, severity, np.random.default_rng(draw))


def corruptions_named(names: Sequence[str]) -> tuple[str, ...]:
    """Return the rows of CORRUPTIONS that are named, in its order; "all" is all of them.

    Raises InputError for a name that is not there.
    """
    wanted = [name.strip() for name in names if name.strip()]
    for name in wanted:
        if name != "all" and name not in CORRUPTIONS:
            near = [known for known in CORRUPTIONS if name.lower() in known]
            near = near or difflib.get_close_matches(name, CORRUPTIONS, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"Unknown corruption {name!r}.{hint} There are {', '.join(CORRUPTIONS)}.",
                next_command="edgekit compare A B --images DIR --corruptions all",
            )
    return tuple(name for name in CORRUPTIONS if name in wanted or "all" in wanted)


def _pixels(picture: NDArray[np.float64]) -> _Pixels:
    """Return 0..1 as 8 bits, cut off as the paper's code does it and not rounded."""
    return (np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)


def _image(pixels: _Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _like(image: Image.Image, pixels: _Pixels) -> _Pixels:
    return np.asarray(image, dtype=np.uint8).reshape(pixels.shape)
