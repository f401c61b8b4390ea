from __future__ import annotations

import math

import pytest

from tests.unit.toolkit.report.examples import built_only, measured
from toolkit.report.words import (
    NOTHING,
    by_target,
    drop,
    file_size,
    milliseconds,
    percent,
    plural,
    short_names,
    span,
    tail,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4123, "0.412"), (6.412, "6.41"), (14.16, "14.2"), (178.4, "178"), (None, NOTHING)],
)
def test_milliseconds_have_three_digits(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_a_figure_that_is_not_a_number_is_shown_as_missing() -> None:
    assert milliseconds(math.nan) == percent(math.nan) == drop(math.nan) == NOTHING


def test_p99_of_fewer_than_a_thousand_samples_carries_a_question_mark() -> None:
    assert tail(9.87, 99, samples=999) == "9.87?"
    assert tail(9.87, 99, samples=1000) == "9.87"


def test_a_drop_has_a_true_minus_and_no_negative_zero() -> None:
    assert drop(-0.31) == "\u22120.31"
    assert drop(-0.001) == "0.00"


def test_an_interval_with_an_open_end_says_so() -> None:
    assert span((None, 1.25), digits=2) == "… to 1.25"
    assert span(None) == ""


def test_more_images_carry_more_digits() -> None:
    assert percent(0.71819, images=653) == "71.8"
    assert percent(0.71819, images=50_000) == "71.82"


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (2048, "2 KiB"), (3_700_000, "3.5 MiB"), (None, NOTHING)]
)
def test_file_sizes_have_a_fitting_unit(count: int | None, text: str) -> None:
    assert file_size(count) == text


def test_one_is_not_plural() -> None:
    assert plural(1, "image") == "1 image"
    assert plural(1200, "image") == "1\u202f200 images"


def test_engine_names_are_cut_down_to_what_tells_them_apart() -> None:
    rows = [
        measured("runs/net.fp32.cpu-x86.onnx"),
        measured("runs/net.int8.cpu-x86.onnx", precision="int8"),
    ]
    assert list(short_names(rows).values()) == ["fp32", "int8"]


def test_an_engine_name_without_its_precision_gets_it() -> None:
    rows = [measured("net.cpu.onnx"), built_only("net.int8.rtx-4090.engine")]
    assert list(short_names(rows).values()) == ["cpu.fp32", "int8.rtx-4090"]


def test_engine_names_stay_whole_where_short_ones_would_be_equal() -> None:
    rows = [measured("a/net.onnx"), measured("b/net.onnx")]
    assert list(short_names(rows).values()) == ["a/net.onnx", "b/net.onnx"]


def test_measured_targets_stand_first_and_float_stands_before_int8() -> None:
    rows = [
        built_only("net.int8.agx.engine", target="agx"),
        measured("net.int8.cpu.onnx", precision="int8"),
        measured("net.fp32.cpu.onnx"),
    ]
    groups = by_target(rows)
    assert [target for (_, target), _ in groups] == ["cpu-x86", "agx"]
    assert [row.precision for row in groups[0][1]] == ["fp32", "int8"]
