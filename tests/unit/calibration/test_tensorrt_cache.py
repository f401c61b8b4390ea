"""TensorRT's calibration cache: what it writes is read, and what we write is what it reads."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import CalibrationError
from calibration.table import Range
from calibration.tensorrt_cache import (
    TensorRTCache,
    cache_from_bytes,
    cache_from_ranges,
    header_for,
    looks_like_cache,
    ranges_from_cache,
)

_FOUND = b"""TRT-8401-EntropyCalibration2
input: 3caa54fc
(Unnamed Layer* 64) [Shuffle]_output: 0
layer1.0/relu:0: 3e020821
"""
"""Lines as TensorRT writes them: unnamed tensors, colons in names, no leading zeros."""


def test_a_file_of_tensorrt_is_read() -> None:
    cache = cache_from_bytes(_FOUND, where="c.cache")
    assert cache.tensorrt == "8.4.1"
    assert list(cache.scales) == [
        "input",
        "(Unnamed Layer* 64) [Shuffle]_output",
        "layer1.0/relu:0",
    ]
    assert cache.scales["input"] == struct.unpack(">f", bytes.fromhex("3caa54fc"))[0]
    assert cache.to_text().encode() == _FOUND


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ("TRT-7103-EntropyCalibration2", "7.1.3"),
        ("TRT-8601-MinMaxCalibration", "8.6.1"),
        ("TRT-100300-EntropyCalibration2", "10.3.0"),
        ("TRT-101401-EntropyCalibration2", "10.14.1"),
    ],
)
def test_headers_of_other_versions_are_understood(header: str, version: str) -> None:
    cache = cache_from_bytes(f"{header}\nx: 3f800000\n".encode(), where="c")
    assert (cache.tensorrt, cache.header, cache.scales) == (version, header, {"x": 1.0})
    if header.endswith("Calibration2"):
        assert header_for(version) == header


def test_windows_line_ends_a_byte_order_mark_and_empty_lines_change_nothing() -> None:
    content = b"\xef\xbb\xbf" + _FOUND.replace(b"\n", b"\r\n") + b"\r\n\r\n"
    assert looks_like_cache(content)
    assert cache_from_bytes(content, where="c") == cache_from_bytes(_FOUND, where="c")


@pytest.mark.parametrize(
    ("body", "line", "what"),
    [
        ("a: 3f800000\nb: xyz\n", 3, "'xyz' is not a float32"),
        ("a: 3f8000001\n", 2, "not a float32"),
        ("a:\n", 2, "'' is not a float32"),
        ("a: 3f800000\n\na: 3f800000\n", 4, "stands in line 2 too"),
        (": 3f800000\n", 2, "no name"),
        ("  : 3f800000\n", 2, "no name"),
        ("a 3f800000\n", 2, "is not `tensor: hex`"),
        ("a: 7fc00000\n", 2, "is nan"),
        ("a: bf800000\n", 2, "is -1"),
    ],
)
def test_a_bad_line_is_named_by_its_number(body: str, line: int, what: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        cache_from_bytes(f"{header_for('8.5.2')}\n{body}".encode(), where="bad.cache")
    assert f"bad.cache is not a TensorRT calibration cache: line {line}: " in caught.value.message
    assert what in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"\x08\x07\x12", b"TRT-x-y\n", b"{}", b"\xff\xfe\x00T"])
def test_what_is_no_cache_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(CalibrationError, match=r"line 1: .* is not a header"):
        cache_from_bytes(content, where="x")


@given(st.binary(max_size=300))
def test_garbage_is_read_or_refused_in_one_sentence(garbage: bytes) -> None:
    for content in (garbage, b"TRT-8502-EntropyCalibration2\n" + garbage):
        try:
            cache = cache_from_bytes(content, where="x")
        except CalibrationError as error:
            assert "\n" not in error.message
            assert ": line " in error.message
        else:
            again = cache_from_bytes(cache.to_text().encode("utf-8", "surrogateescape"), where="x")
            assert again == cache


_SCALES = st.floats(min_value=0.0, width=32, allow_nan=False, allow_infinity=True)
_NAMES = st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: bool(name.strip()))


@given(st.dictionaries(_NAMES, _SCALES))
def test_every_cache_comes_back_from_its_text(scales: dict[str, float]) -> None:
    cache = TensorRTCache(header_for("8.5.2"), scales)
    assert cache_from_bytes(cache.to_text().encode(), where="x") == cache


@given(st.dictionaries(_NAMES, st.floats(min_value=0.0, max_value=2.0**80, width=32)))
def test_ranges_and_scales_are_the_same_to_the_bit(scales: dict[str, float]) -> None:
    cache = TensorRTCache(header_for("10.3.0"), scales)
    ranges = ranges_from_cache(cache, where="x")
    assert cache_from_ranges(ranges, tensors=scales, tensorrt="10.3.0") == cache


def test_the_scale_is_amax_over_127_of_either_side() -> None:
    ranges = {"x": Range(-2.54, 1.0, "t"), "y": Range(0.0, 6.0, "t")}
    cache = cache_from_ranges(ranges, tensors=["y", "x"], tensorrt="8.5.2")
    assert cache.scales == {"y": float(np.float32(6.0 / 127.0)), "x": float(np.float32(0.02))}
    assert cache.to_text().splitlines()[1].startswith("y: ")


def test_a_tensor_without_a_range_is_an_error() -> None:
    with pytest.raises(CalibrationError, match=r"1 of 2 tensors have no range \('b' is the first"):
        cache_from_ranges({"a": Range(-1.0, 1.0, "t")}, tensors=["a", "b"], tensorrt="8.5.2")


def test_a_name_that_would_break_the_file_is_refused() -> None:
    with pytest.raises(CalibrationError, match="cannot stand in a calibration cache"):
        cache_from_ranges({"a\nb": Range(-1.0, 1.0, "t")}, tensors=["a\nb"], tensorrt="8.5.2")


def test_an_infinite_scale_is_read_but_is_no_range() -> None:
    cache = cache_from_bytes(b"TRT-8502-EntropyCalibration2\na: 7f800000\n", where="x")
    assert math.isinf(cache.scales["a"])
    with pytest.raises(CalibrationError, match="infinite scale"):
        ranges_from_cache(cache, where="x")
