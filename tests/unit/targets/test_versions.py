from __future__ import annotations

import pytest

from targets import TargetError
from targets.versions import VersionRange, ranges_from_text, text_from_version, version_from_text


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.2.1", (6, 2, 1)),
        ("6.2.1+b38", (6, 2, 1)),
        ("JetPack 5.1", (5, 1)),
        ("10.3.0.30-1+cuda12.5", (10, 3, 0, 30)),
        ("TensorRT 11.x", (11,)),
    ],
)
def test_a_version_is_its_leading_numbers(text: str, version: tuple[int, ...]) -> None:
    assert version_from_text(text, what="TensorRT") == version


@pytest.mark.parametrize("text", ["", "newest", "-1", ".5"])
def test_a_text_without_leading_numbers_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="is not a JetPack version such as"):
        version_from_text(text, what="JetPack")


def test_a_version_is_written_with_points() -> None:
    assert text_from_version((10, 16, 2)) == "10.16.2"


def test_ranges_are_read_as_the_catalog_writes_them() -> None:
    assert ranges_from_text("5.1.1-5.1.6, 6.0-6.2.2, 7.2+") == (
        VersionRange((5, 1, 1), (5, 1, 6)),
        VersionRange((6, 0), (6, 2, 2)),
        VersionRange((7, 2), None),
    )
    assert ranges_from_text("3.x-4.6.x (EOL; dropped in JP5)") == (VersionRange((3,), (4, 6)),)
    assert ranges_from_text("n/a") == ()


@pytest.mark.parametrize("text", ["soon", "5.1-", "5..1", "5.1 6.0", "+"])
def test_anything_else_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a range|invalid literal"):
        ranges_from_text(text)


def test_a_short_version_is_inside_when_one_of_its_releases_is() -> None:
    bounds = VersionRange((5, 1, 1), (5, 1, 6))
    assert bounds.holds((5, 1)) and bounds.holds((5,)) and bounds.holds((5, 1, 6))
    assert not bounds.holds((5, 0)) and not bounds.holds((5, 1, 7)) and not bounds.holds((6, 0))


def test_a_later_patch_of_the_newest_release_is_told_from_another_release() -> None:
    bounds = VersionRange((5, 1, 1), (5, 1, 6))
    assert bounds.is_newer_patch((5, 1, 7))
    assert not bounds.is_newer_patch((5, 2)) and not bounds.is_newer_patch((5, 1, 6))
