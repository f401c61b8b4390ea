"""The pages under docs/ say what the scripts beside them measure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.explain_int8 import (
    DOCS,
    PAGE,
    correction_gains,
    explained,
    explicit_gains,
    planted,
    sign_images,
    updated,
)
from tests.documents import blocks_of, run_block, why_not_run

TAGGED = re.compile(r"(-?\d+(?:\.\d+)?)<!--(\w+)-->")
TOLERANCE = {"db": 0.5, "codes": 3.0}
"""Another CPU sums in another order, which moves values at the edge of two steps."""


def _written(page: str) -> dict[str, float]:
    return {name: float(value) for value, name in TAGGED.findall(page)}


def _off(page: str, figures: dict[str, float]) -> set[str]:
    """Return the figures of the page that were not measured so."""
    written = _written(page)
    return {
        name
        for name, value in figures.items()
        if abs(written.get(name, float("inf")) - value) > TOLERANCE[name.rpartition("_")[2]]
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    images = sign_images()
    gains = {**correction_gains(images), **explicit_gains(images)}
    return {**explained(planted(), images).figures, **gains}


def test_the_figures_of_the_int8_page_are_those_that_its_script_measures(
    figures: dict[str, float],
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert _written(page).keys() == figures.keys()
    assert not _off(page, figures)


def test_a_page_with_another_figure_would_be_noticed(figures: dict[str, float]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    stale = updated(page, {**figures, "recentred_db": figures["recentred_db"] + 1.0})
    assert _off(stale, figures) == {"recentred_db"}
    assert not _off(updated(stale, figures), figures)


def test_the_int8_page_draws_the_conclusions_that_its_figures_bear(
    figures: dict[str, float],
) -> None:
    assert figures["symmetric_codes"] <= 128 < figures["recentred_codes"] <= 256
    assert figures["recentred_tensor_db"] > figures["symmetric_tensor_db"] + 4.0
    assert figures["recentred_db"] > figures["symmetric_db"] + 2.0
    assert figures["float_weights_db"] < figures["symmetric_db"] - 6.0
    assert figures["zero_padding_db"] < figures["float_weights_db"]
    assert figures["corrected_db"] > figures["weights_db"] + 1.0
    assert figures["gain_median_db"] > 1.0
    assert figures["silu_shifted_db"] > figures["silu_db"] + 4.0


def test_the_pictures_show_the_figures_of_the_page() -> None:
    picture = (DOCS / "int8-mistakes.svg").read_text(encoding="utf-8")
    for name, value in _written(PAGE.read_text(encoding="utf-8")).items():
        if name in ("symmetric_db", "recentred_db", "float_weights_db", "zero_padding_db"):
            assert f">{value:.1f}<" in picture, name


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_every_picture_and_link_of_a_page_exists(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), target


GUIDES = (
    "int8-lost-five-points",
    "bring-your-own-onnx",
    "why-accuracy-differs-from-training",
    "keras-through-tf2onnx",
    "folder-of-photos-to-a-jetson",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's signs and network, only fewer and trained for less time."""
    pytest.importorskip("torch", reason="the guides' network is trained with torch")
    from toolkit.datasets.signs import make_signs
    from toolkit.export import export
    from toolkit.train import train

    folder = tmp_path_factory.mktemp("guides") / "demo"
    data = make_signs(folder / "signs", train=600, val=200)
    checkpoint = train(data.root, out=folder / "model.pt", epochs=4)
    export(checkpoint.path, out=folder / "model.onnx")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs_as_written(guide: str, demo: Path, tmp_path: Path) -> None:
    if why_not_run():
        pytest.skip(why_not_run())
    (tmp_path / "demo").symlink_to(demo)
    (tmp_path / "keras").symlink_to(Path(__file__).parent / "keras")
    blocks = blocks_of((DOCS / f"{guide}.md").read_text(encoding="utf-8"))
    run = [block for block in blocks if not block.reason_not_run]
    assert sum(len(block.commands) for block in run) >= 3
    for block in run:
        run_block(block, tmp_path)
    if guide == "int8-lost-five-points":
        lost, kept = (
            json.loads((tmp_path / "runs" / f"{name}.comparison.json").read_text())["drop_points"]
            for name in ("fog", "int8")
        )
        assert lost > 5.0 > kept
