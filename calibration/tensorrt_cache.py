"""TensorRT's calibration cache: the text file that its INT8 calibrators write, up to TensorRT 10.

    TRT-8502-EntropyCalibration2
    input: 3caa54fc

One line per tensor: its name, and the bits of the float32 scale (amax / 127) in hexadecimal, most
significant byte first, leading zeros left out. Names may hold colons and spaces.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from calibration.errors import CalibrationError
from calibration.table import Range

__all__ = [
    "TensorRTCache",
    "cache_from_bytes",
    "cache_from_ranges",
    "header_for",
    "looks_like_cache",
    "ranges_from_cache",
]

_HEADER = re.compile(r"TRT-(\d+)-(\S+)")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,8})")
_ALGORITHM = "EntropyCalibration2"
"""The only calibrator whose caches the DLA takes."""
_MAKE = "edgekit calibrate MODEL.onnx --images DIR --target NAME --dla"


@dataclass(frozen=True)
class TensorRTCache:
    """`header` is the first line, `scales` the float32 scale of each tensor in file order.

    A scale may be 0 (a tensor that was never anything else) or infinite (NVIDIA/TensorRT#672).
    """

    header: str
    scales: dict[str, float]

    @property
    def tensorrt(self) -> str:
        """Return the TensorRT version in the header, "8.5.2"; "" where it names none."""
        match = _HEADER.fullmatch(self.header)
        if match is None:
            return ""
        number = int(match[1])
        step = 10_000 if number >= 100_000 else 1_000  # 8502 is 8.5.2, 101401 is 10.14.1
        return f"{number // step}.{number % step // 100}.{number % 100}"

    def to_text(self) -> str:
        """Return the file as TensorRT writes it. Every finite scale comes back bit for bit."""
        lines = [self.header, *(f"{name}: {_hex(scale)}" for name, scale in self.scales.items())]
        return "".join(f"{line}\n" for line in lines)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the text."""
        return hashlib.sha256(self.to_text().encode("utf-8", "surrogateescape")).hexdigest()


def header_for(tensorrt: str) -> str:
    """Return the first line for a TensorRT version such as "8.5.2"; TensorRT compares it."""
    major, minor, patch = (*(int(part) for part in tensorrt.split(".")[:3]), 0, 0)[:3]
    number = major * (10_000 if major >= 10 else 1_000) + minor * 100 + patch
    return f"TRT-{number}-{_ALGORITHM}"


def looks_like_cache(content: bytes) -> bool:
    """Return whether a file that starts with `content` means to be a calibration cache."""
    return content.removeprefix(b"\xef\xbb\xbf").startswith(b"TRT-")


def cache_from_bytes(content: bytes, *, where: str) -> TensorRTCache:
    """Return the cache in a file; `where` names it. Takes Windows line ends and empty lines.

    Raises CalibrationError, with the number of the line, for a header that is not TensorRT's, a
    line without name or scale, a scale that is no number or negative, and a name that comes twice.
    """
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = [line.rstrip("\r") for line in text.split("\n")]  # names may hold other separators
    if _HEADER.fullmatch(lines[0].strip()) is None:
        raise _error(where, 1, f"{_shown(lines[0])} is not a header such as {header_for('8.5.2')}")
    scales: dict[str, float] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        name, colon, bits = line.rpartition(":")
        if not colon:
            raise _error(where, number, f"{_shown(line)} is not `tensor: hex`")
        if not name.strip():
            raise _error(where, number, "the tensor has no name")
        if name in seen:
            raise _error(where, number, f"tensor {_shown(name)} stands in line {seen[name]} too")
        scales[name], seen[name] = _scale(bits.strip(), where, number), number
    return TensorRTCache(lines[0].strip(), scales)


def cache_from_ranges(
    ranges: Mapping[str, Range], *, tensors: Iterable[str], tensorrt: str
) -> TensorRTCache:
    """Return the cache of `tensors`, in their order, for one TensorRT version.

    Raises CalibrationError when a tensor has no range: TensorRT would run every layer that touches
    it in float and only warn.
    """
    wanted = tuple(tensors)
    missing = [name for name in wanted if name not in ranges]
    if missing:
        raise CalibrationError(
            f"{len(missing)} of {len(wanted)} tensors have no range ({missing[0]!r} is the first); "
            "TensorRT would run the layers around them in float.",
            next_command=_MAKE,
        )
    unwritable = [name for name in wanted if re.search(r"[\r\n]", name) or not name.strip()]
    if unwritable:
        raise CalibrationError(
            f"The tensor name {unwritable[0]!r} cannot stand in a calibration cache.",
            next_command="edgekit export model.pt --out model.onnx",
        )
    scales = {name: float(np.float32(ranges[name].scale)) for name in wanted}
    return TensorRTCache(header_for(tensorrt), scales)


def ranges_from_cache(cache: TensorRTCache, *, where: str) -> dict[str, Range]:
    """Return the symmetric range of every tensor. Raises CalibrationError for an infinite scale."""
    infinite = [name for name, scale in cache.scales.items() if math.isinf(scale)]
    if infinite:
        raise CalibrationError(
            f"{where} gives {len(infinite)} tensors an infinite scale ({infinite[0]!r} is one): "
            "the calibrator saw no usable values.",
            next_command=_MAKE,
        )
    # 127 times a float32 is exact in float64, so `Range.scale` gives back the same float32.
    return {
        name: Range(-127.0 * scale, 127.0 * scale, "TensorRT cache")
        for name, scale in cache.scales.items()
    }


def _hex(scale: float) -> str:
    return f"{struct.unpack('>I', struct.pack('>f', scale))[0]:x}"


def _scale(bits: str, where: str, number: int) -> float:
    match = _HEX.fullmatch(bits)
    if match is None:
        raise _error(where, number, f"{_shown(bits)} is not a float32 in hexadecimal")
    scale = float(struct.unpack(">f", bytes.fromhex(match[1].rjust(8, "0")))[0])
    if not scale >= 0.0:
        raise _error(where, number, f"{bits} is {scale:g}, and a scale is never that")
    return scale


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


def _error(where: str, number: int, what: str) -> CalibrationError:
    return CalibrationError(
        f"{where} is not a TensorRT calibration cache: line {number}: {what}.", next_command=_MAKE
    )
