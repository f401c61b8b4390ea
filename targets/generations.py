"""What each JetPack ships and what each TensorRT generation accepts. Add a release here.

Both tables are as of TABLE_DATE. Sources: NVIDIA's release notes and migration guides of TensorRT
8.5 to 11.4.1, the package lists of Jetson Linux 35 to 39, and docs/operators.md of onnx-tensorrt
for the opsets.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.errors import TargetError
from targets.versions import Version, text_from_version, version_from_text

__all__ = [
    "GENERATIONS",
    "JETPACKS",
    "TABLE_DATE",
    "Generation",
    "JetPack",
    "complete_tensorrt",
    "generation_of",
    "is_newer_tensorrt",
    "jetpack_from_l4t",
    "jetpack_of",
]

TABLE_DATE = "2026-11"


@dataclass(frozen=True)
class JetPack:
    """What a JetPack release and those after it brought, until the next row."""

    since: Version
    tensorrt: Version
    cuda: str
    python: str

    @property
    def runs_edgekit(self) -> bool:
        """Return whether its Python is new enough for Edgekit (3.10)."""
        return version_from_text(self.python, what="Python") >= (3, 10)


JETPACKS = (
    JetPack((4, 6), (8, 0, 1), "10.2", "3.6"),
    JetPack((4, 6, 1), (8, 2, 1), "10.2", "3.6"),
    JetPack((5, 0, 2), (8, 4, 1), "11.4", "3.8"),
    JetPack((5, 1), (8, 5, 2), "11.4", "3.8"),
    JetPack((6, 0), (8, 6, 2), "12.2", "3.10"),  # the one row that was not read in a source
    JetPack((6, 1), (10, 3, 0), "12.6", "3.10"),
    JetPack((7, 0), (10, 13, 3), "13.0", "3.12"),
    JetPack((7, 2), (10, 16, 2), "13.2", "3.12"),
)
NEWEST_JETPACK: Version = (7, 2, 2)

# /etc/nv_tegra_release names the Jetson Linux (L4T) release; this is the JetPack it belongs to.
L4T_RELEASES: tuple[tuple[Version, str], ...] = (
    ((32, 6, 1), "4.6"),
    ((32, 7, 1), "4.6.1"),
    ((32, 7, 2), "4.6.2"),
    ((32, 7, 3), "4.6.3"),
    ((32, 7, 4), "4.6.4"),
    ((32, 7, 5), "4.6.5"),
    ((32, 7, 6), "4.6.6"),
    ((35, 1), "5.0.2"),
    ((35, 2), "5.1"),
    ((35, 3), "5.1.1"),
    ((35, 4), "5.1.2"),
    ((35, 5), "5.1.3"),
    ((35, 6), "5.1.4"),
    ((35, 6, 1), "5.1.5"),
    ((35, 6, 2), "5.1.6"),
    ((36, 2), "6.0"),
    ((36, 4), "6.1"),
    ((36, 4, 3), "6.2"),
    ((36, 4, 4), "6.2.1"),
    ((36, 5), "6.2.2"),
    ((38, 2), "7.0"),
    ((38, 4), "7.1"),
    ((39, 2), "7.2"),
    ((39, 2, 1), "7.2.1"),
    ((39, 2, 2), "7.2.2"),
)


@dataclass(frozen=True)
class Generation:
    """What TensorRT takes from this version on, until the next row."""

    since: Version
    opset: int
    """The newest ONNX opset its parser takes."""
    scheme: str
    """The quantization scheme its INT8 graphs need."""
    strongly_typed: bool
    """Whether precision is read from the graph; else INT8 and FP16 are builder flags."""
    calibration_cache: bool
    """Whether INT8 from a calibration cache (implicit quantization) still exists."""


GENERATIONS = (
    # Q/DQ since 8.0, always with the INT8 flag; float weights behind Q and DQ.
    Generation((8, 0), 13, "tensorrt-8", False, True),
    Generation((8, 4), 17, "tensorrt-8", False, True),
    # INT8 weights behind DQ. 10.1 deprecates the calibrator, it works until 10.16.
    Generation((10, 0), 20, "tensorrt", False, True),
    # 10.12 deprecates the precision flags: strong typing is what lives on.
    Generation((10, 12), 20, "tensorrt", True, True),
    # 11.0 removes the flags, the calibrator and weak typing.
    Generation((11, 0), 20, "tensorrt", True, False),
)
# Known releases, to complete a version that was given short.
RELEASES: tuple[Version, ...] = (
    *((8, 0, 1), (8, 2, 1), (8, 4, 1), (8, 5, 2), (8, 6, 2)),
    *((10, 3, 0), (10, 7, 0), (10, 13, 3), (10, 16, 2)),
    *((11, 0, 0), (11, 4, 1), (11, 5, 0)),
)


def jetpack_of(version: Version) -> JetPack:
    """Return the row that holds for a JetPack release; the newest row for an unknown newer one.

    Raises TargetError for releases before 4.6 and for those that are between the rows' majors.
    """
    if version[0] > JETPACKS[-1].since[0]:
        return JETPACKS[-1]
    same = [row for row in JETPACKS if row.since[0] == version[0]]
    if len(version) == 1 and same:
        return same[-1]
    earlier = [row for row in same if row.since <= version]
    if earlier:
        return earlier[-1]
    if same and same[0].since[: len(version)] == version:  # "5.0" was written for 5.0.2
        return same[0]
    oldest = text_from_version((same or JETPACKS)[0].since)
    raise TargetError(
        f"JetPack {text_from_version(version)} is older than {oldest}, "
        "the oldest one Edgekit knows the TensorRT of.",
        next_command="edgekit targets",
    )


def jetpack_from_l4t(l4t: Version) -> Version | None:
    """Return the JetPack of a Jetson Linux release: (36, 4, 3) is 6.2. None when unknown."""
    same = [name for since, name in L4T_RELEASES if since[0] == l4t[0] and since <= l4t]
    return version_from_text(same[-1], what="JetPack") if same else None


def complete_tensorrt(version: Version) -> Version:
    """Return the newest known release that starts with `version`: (8, 6) gives (8, 6, 2)."""
    matching = [release for release in RELEASES if release[: len(version)] == version]
    return max(matching, default=version)


def generation_of(tensorrt: Version) -> Generation:
    """Return what `tensorrt` accepts; the newest row for an unknown newer version.

    Raises TargetError for versions before 8.0, which cannot read Q/DQ.
    """
    earlier = [row for row in GENERATIONS if row.since <= tensorrt]
    if not earlier:
        raise TargetError(
            f"TensorRT {text_from_version(tensorrt)} is older than 8.0 and reads no Q/DQ.",
            next_command="edgekit targets",
        )
    return earlier[-1]


def is_newer_tensorrt(tensorrt: Version) -> bool:
    """Return whether the table has no row for `tensorrt`: newer than all, or TensorRT 9."""
    return tensorrt[:2] > RELEASES[-1][:2] or tensorrt[0] not in {row[0] for row in RELEASES}
