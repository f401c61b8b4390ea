"""Read a picture file as 8-bit RGB, refusing by name what must not or cannot be decoded.

Pixels are those torchvision's `ImageFolder` gives: decoded at full size (no JPEG draft mode, which
changes pixels), transparency dropped, and *no* rotation by EXIF, because networks were trained
without it. One difference is meant: 16-bit pictures keep their high byte, where torchvision clips
them to white.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from toolkit.errors import ImageError
from toolkit.shell import quoted

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "image_digest", "read_image"]

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""File names with these endings (in any case) are pictures; others in a data set are ignored."""

MAX_PIXELS = 100_000_000
"""A picture that claims more is refused before it is decoded (a decompression bomb)."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # never EPS: runs a program

# What Pillow's decoders raise on damaged bytes (met by fuzzing, or raised in their sources).
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    struct.error,
)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of `path`, uint8 (height, width, 3), RGB; the first frame of an animation.

    Raises ImageError for a missing, empty, truncated or damaged file, one that is not a picture,
    has floating-point pixels, or claims more than MAX_PIXELS pixels.
    """
    try:
        _check_regular(path)
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _refused(path, image.width, image.height)
            if image.mode == "F":
                raise ImageError(
                    f"{path} has floating-point pixels, whose range is unknown: "
                    "save it with 8 or 16 bits.",
                    next_command=f"file {quoted(path)}",
                )
            image.load()
            return _rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{path} claims too many pixels to be decoded safely ({error}).",
            next_command=f"file {quoted(path)}",
        ) from error
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def image_digest(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of the file's bytes."""
    try:
        _check_regular(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise _unreadable(path, error) from error


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        # Opening a pipe that nobody writes to would wait for ever.
        raise ImageError(
            f"{path} is a pipe or a device, not a picture.", next_command=f"ls -l {quoted(path)}"
        )


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # convert("RGB") would clip to white; libpng and OpenCV keep the high byte, so do we.
        wide = np.asarray(image).astype(np.int64)
        grey = np.clip(wide >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "P":
        # Straight to RGB gives the same pixels, but warns about palettes with transparency.
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _refused(path: Path, width: int, height: int) -> ImageError:
    return ImageError(
        f"{path} claims {width} x {height} pixels, over the limit of {MAX_PIXELS:,}: not decoded.",
        next_command=f"file {quoted(path)}",
    )


def _unreadable(path: Path, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path} does not exist.", next_command=f"ls -l {quoted(path)}")
    if isinstance(error, PermissionError):
        return ImageError(
            f"{path} cannot be read: {error.strerror}.", next_command=f"ls -l {quoted(path)}"
        )
    if path.is_dir():
        return ImageError(
            f"{path} is a folder, not a picture.", next_command=f"ls -l {quoted(path)}"
        )
    if path.is_file() and path.stat().st_size == 0:
        return ImageError(f"{path} is empty (0 bytes).", next_command=f"ls -l {quoted(path)}")
    if isinstance(error, UnidentifiedImageError):
        return ImageError(
            f"{path} is not a picture in a known format ({', '.join(_FORMATS)}).",
            next_command=f"file {quoted(path)}",
        )
    return ImageError(
        f"{path} is damaged or cut off and cannot be decoded ({error}).",
        next_command=f"file {quoted(path)}",
    )
