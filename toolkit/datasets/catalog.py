"""Data sets that `edgekit dataset fetch` knows: a row each, with the address and its checksums."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from toolkit.errors import InputError

__all__ = ["CATALOG", "SHORT_NAMES", "Published", "find_published"]


@dataclass(frozen=True)
class Published:
    """An archive (.tgz) at `url`; its bytes must have one of `checksums`.

    Each is "md5:HEX" or "sha256:HEX". Several are versions that the same address has served.
    """

    url: str
    checksums: tuple[str, ...]


_FASTAI = "https://s3.amazonaws.com/fast-ai-imageclas/"

# fast.ai publishes no checksums. Imagenette's are those that torchvision.datasets.Imagenette
# checks. ImageWoof's are those of Catalyst (two versions of its table) and of FastAI.jl (the
# SHA-256): which of them the address serves today is not known, so any is accepted.
CATALOG = {
    "imagenette2-160": Published(
        _FASTAI + "imagenette2-160.tgz", ("md5:e793b78cc4c9e9a4ccc0c1155377a412",)
    ),
    "imagenette2-320": Published(
        _FASTAI + "imagenette2-320.tgz", ("md5:3df6f0d01a2c9592104656642f5e78a3",)
    ),
    "imagewoof2-160": Published(
        _FASTAI + "imagewoof2-160.tgz",
        (
            "md5:3d200a7be99704a0d7509be2a9fbfe15",
            "md5:fcd23cc7dfce8837c95a8f9d63a128b7",
            "sha256:663c22f69c2802d85e2a67103c017e047096702ffddf9149a14011b7002539bf",
        ),
    ),
    "imagewoof2-320": Published(
        _FASTAI + "imagewoof2-320.tgz",
        ("md5:0f46d997ec2264e97609196c95897a44", "md5:af65be7963816efa949fa3c3b4947740"),
    ),
}

SHORT_NAMES = {"imagenette": "imagenette2-320", "imagewoof": "imagewoof2-320"}
"""320 pixels on the shorter side: enough for a network that takes 224."""


def find_published(name: str) -> tuple[str, Published]:
    """Return the full name and the row of a data set. Raises InputError for an unknown name."""
    full = SHORT_NAMES.get(name, name)
    if full not in CATALOG:
        known = [*SHORT_NAMES, *CATALOG]
        close = difflib.get_close_matches(name, known, n=1) or ["imagenette"]
        raise InputError(
            f"No data set {name!r} can be fetched, only {', '.join(known)}.",
            next_command=f"edgekit dataset fetch {close[0]} --out {close[0]}",
        )
    return full, CATALOG[full]
