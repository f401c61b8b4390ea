"""What the comparison with other quantizers says, checked on rows and graphs made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.ptq_peers import page
from benchmarks.ptq_peers.combinations import COMBINATIONS, EDGEKIT, PINS, TOOLS, matching
from benchmarks.ptq_peers.environments import NotInstalledError, python_of
from benchmarks.ptq_peers.mac_share import int8_mac_share
from benchmarks.ptq_peers.making import Places, make_row
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from tests.unit.calibration.nets import Net


def _row(key: str, **changes: Any) -> dict[str, Any]:
    figures = {
        "key": key,
        "tool": key.partition("/")[0],
        "samples": 512,
        "load_1min_before": 0.2,
        "process_seconds": 12.0,
        "seconds": 10.0,
        "peak_rss_mib": 500.0,
        "n": 100,
        "top1_a": 0.8,
        "top1_b": 0.79,
        "drop_points": 1.0,
        "drop_interval": [-1.0, 3.0],
        "agreement": 0.95,
        "sqnr_db": 20.0,
        "mean_kl": 0.01,
        "int8_mac_share": 1.0,
        "rtx": {"target": "rtx-4090", "int8_convs": 5, "float_convs": 1, "kernels": 9},
    }
    return {**figures, **changes}


OURS = _row("edgekit/tensorrt/balanced/512")


def _page(monkeypatch: pytest.MonkeyPatch, folder: Path, *rows: dict[str, Any]) -> str:
    monkeypatch.setattr(page, "PAGE", folder / "page.md")
    page.write_page({"net": rows}, [])
    return (folder / "page.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-rtx", "onnxruntime-x86"])
def test_the_share_read_from_a_graph_is_the_share_that_was_placed(scheme: str) -> None:
    net = Net()
    x = net.add("Relu", net.conv("input", 8, 3))
    x = net.add("Relu", net.conv(x, 8, 3, group=8))
    x = net.add("Flatten", net.add("GlobalAveragePool", net.conv(x, 4)))
    images = np.random.default_rng(1).normal(size=(8, 3, 8, 8)).astype(np.float32)
    made = quantize(
        net.model(net.gemm(x, 4, 3)),
        lambda: [images],
        scheme=SCHEMES[scheme],
        effort="fast",
        model_digest="m",
    )
    assert int8_mac_share(made.model) == pytest.approx(made.int8_mac_share_all)


def test_a_float_graph_has_no_share_in_int8() -> None:
    net = Net()
    assert int8_mac_share(net.model(net.conv("input", 8, 3))) == 0.0


def test_the_page_says_where_a_peer_is_ahead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = _page(monkeypatch, tmp_path, OURS, _row("nncf/full/all", sqnr_db=21.5, agreement=0.9))
    assert "- SQNR 20.0 dB: nncf full (all images) 21.5 dB." in said
    assert "- same answer" not in said


def test_the_page_ranks_no_seconds_from_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = _page(monkeypatch, tmp_path, OURS, _row("nncf/full/all", seconds=1.0))
    assert "- seconds 10: nncf full (all images) 1." in said
    busy = _row("nncf/full/all", seconds=1.0, load_1min_before=3.0)
    said = _page(monkeypatch, tmp_path, OURS, busy)
    assert "- seconds" not in said
    assert "| ~1 | ~12 |" in said


def test_the_page_claims_nothing_before_a_peer_was_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "ahead" not in _page(monkeypatch, tmp_path, OURS)


def test_a_row_that_could_not_be_made_shows_its_reason_and_no_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed = {
        "key": "onnxruntime/percentile/all",
        "tool": "onnxruntime",
        "load_1min_before": 0.1,
        "failed": "needs more than the 8 GiB of memory it may use",
    }
    said = _page(monkeypatch, tmp_path, OURS, failed)
    assert "| onnxruntime percentile | all | not made: needs more than the 8 GiB" in said


def test_the_engine_counts_where_one_was_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = {**OURS, "top1_b": 0.7777}
    said = _page(monkeypatch, tmp_path, _row("edgekit/cpu/fast/512", engine=engine))
    assert "77.77" in said


def test_a_peer_that_cannot_be_installed_gives_a_row_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = str(tmp_path / "no-such-wheel.whl")
    monkeypatch.setitem(PINS, "nncf", (missing,))
    with pytest.raises(NotInstalledError, match="cannot be installed"):
        python_of("nncf", tmp_path / "peers")
    nowhere = tmp_path / "nowhere"
    places = Places(
        model=nowhere,
        train=nowhere,
        val=nowhere,
        peers=tmp_path / "peers",
        work=tmp_path,
        memory_gib=1.0,
        threads=1,
    )
    row = make_row(matching("nncf/full/all")[0], places)
    assert row["failed"].startswith(f"{missing} cannot be installed: ")


def test_a_tool_that_crashes_gives_a_row_with_its_last_words(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.onnx"
    places = Places(
        model=nowhere,
        train=tmp_path,
        val=tmp_path,
        peers=tmp_path,
        work=tmp_path,
        memory_gib=2.0,
        threads=1,
    )
    row = make_row(matching("edgekit/tensorrt/fast/512")[0], places)
    assert "nowhere.onnx" in row["failed"]
    assert row["peak_rss_mib"] > 0


def test_every_combination_has_a_tool_and_a_key_of_its_own() -> None:
    assert len({each.key for each in COMBINATIONS}) == len(COMBINATIONS)
    assert {each.tool for each in COMBINATIONS} == set(TOOLS)
    assert set(PINS) == set(TOOLS) - {EDGEKIT}


def test_a_network_that_learnt_nothing_is_named_but_not_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    rows = [
        _row(f"{name}/edgekit/tensorrt/balanced/256", network=name, trained={"top1": top1})
        for name, top1 in (("good", 0.9), ("poor", 0.1))
    ]
    page.write_page({}, rows)
    said = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| good | 90.0 | edgekit tensorrt balanced | 95.0 | 20.0 |" in said
    assert "| poor |" not in said
    assert "mean nothing: poor (10%)." in said
