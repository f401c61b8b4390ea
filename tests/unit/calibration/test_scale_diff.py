"""Differences of two sets of scales."""

from __future__ import annotations

import math

from calibration.scale_diff import diff_scales


def test_equal_scales_are_the_same() -> None:
    found = diff_scales({"a": 0.5, "b": 0.0}, {"b": 0.0, "a": 0.5})
    assert found.same
    assert found.lines() == ["2 equal"]


def test_ratios_stand_with_the_largest_change_first() -> None:
    found = diff_scales({"a": 1.0, "b": 1.0, "c": 0.0}, {"a": 2.0, "b": 0.1, "c": 1.0})
    assert [name for name, _ in found.ratios] == ["c", "b", "a"]
    assert found.to_dict()["ratios"] == {"c": None, "b": 0.1, "a": 2.0}


def test_a_tensor_with_the_same_scale_under_another_name_is_renamed_not_missing() -> None:
    found = diff_scales({"a": 1.0, "old": 0.25}, {"a": 1.0, "new": 0.25})
    assert found.renamed == (("old", "new"),)
    assert (found.only_a, found.only_b) == ((), ())
    assert not found.same


def test_equal_scales_are_renamed_in_file_order_only_where_the_counts_agree() -> None:
    found = diff_scales({"p": 1.0, "q": 1.0}, {"r": 1.0, "s": 1.0})
    assert found.renamed == (("p", "r"), ("q", "s"))
    found = diff_scales({"p": 1.0, "q": 1.0}, {"r": 1.0})
    assert found.renamed == ()
    assert (found.only_a, found.only_b) == (("p", "q"), ("r",))


def test_zero_and_infinity_name_no_tensor() -> None:
    found = diff_scales({"p": 0.0, "q": math.inf}, {"r": 0.0, "s": math.inf})
    assert found.renamed == ()
    assert (found.infinite_a, found.infinite_b) == (("q",), ("s",))


def test_an_infinite_scale_has_no_ratio_and_is_never_equal() -> None:
    found = diff_scales({"a": 1.0}, {"a": math.inf})
    assert found.ratios == ()
    assert found.equal == 0
    assert not found.same
    assert "  infinite in the second  a" in found.lines()
