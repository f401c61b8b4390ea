from __future__ import annotations

import pytest

pytest.importorskip("torchvision", reason="needs pip install 'edgekit[train]'")

from benchmarks.architectures import millions, table
from toolkit.networks.torchvision_networks import names

BUILT = {
    "network": "squeezenet1_1",
    "million_weights": 1.2,
    "int8": 26,
    "float": 0,
    "share": 1.0,
    "error": 0,
    "warning": 2,
    "engine_bytes": 3 << 20,
}
STOPPED = {
    "network": "vit_h_14",
    "million_weights": 633.5,
    "failed": "run",
    "reason": "not done after 15 minutes",
}


def test_what_fails_is_listed_with_its_reason_and_what_was_not_run_is_counted() -> None:
    text = table([BUILT, STOPPED])
    assert "| squeezenet1_1 | 1.2 | 26 | 0 | 100% | 0 errors, 2 warnings | 3 MiB |" in text
    assert "| vit_h_14 | 633.5 |  |  |  |  | fails: run |" in text
    assert "- vit_h_14, run: not done after 15 minutes" in text
    assert f"1 of {len(names())} build; {len(names()) - 2} were not run yet." in text


def test_every_classifier_has_a_known_size_so_that_the_smallest_can_come_first() -> None:
    sizes = {name: millions(name) for name in names()}
    assert min(sizes, key=lambda name: sizes[name]) in ("squeezenet1_0", "squeezenet1_1")
    assert min(sizes.values()) > 0
