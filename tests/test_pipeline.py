"""The command line from data to report, as a script would drive it: one JSON object per verb."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EDGEKIT = Path(sys.executable).parent / "edgekit"
Run = Callable[..., dict[str, Any]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not EDGEKIT.exists(), reason="edgekit is not installed as a command here"),
]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what every verb printed, in the order of the pipeline."""
    pytest.importorskip("torch", reason="the chain begins with training")
    pytest.importorskip("tensorrt_rtx", reason="the chain builds for an RTX card")
    from toolkit.datasets.signs import make_signs

    folder = tmp_path_factory.mktemp("chain")
    make_signs(folder / "signs", train=600, val=120)
    said: dict[str, dict[str, Any]] = {"folder": {"path": str(folder)}}

    def run(verb: str, *arguments: str, name: str = "") -> None:
        done = subprocess.run(
            [EDGEKIT, verb, *arguments, "--json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"edgekit {verb}: {done.stdout}{done.stderr}"
        said[name or verb] = json.loads(done.stdout)  # exactly one JSON object

    images = ("--images", "signs/train", "--samples", "64", "--effort", "fast")
    run("train", "signs", "--arch", "signs-cnn", "--epochs", "1", "--out", "model.pt")
    run("export", "model.pt", "--out", "model.onnx")
    run("import", "model.pt", "--out", "again.onnx", "--arch", "signs-cnn")
    run("calibrate", "model.onnx", *images, "--target", "cpu", "--out", "model.int8.onnx")
    run("calibrate", "model.onnx", *images, "--out", "model.gpu.int8.onnx", name="for gpu")
    run("build", "model.onnx", "--target", "cpu", "--out", "fp32.cpu.onnx", name="build fp32")
    run("build", "model.int8.onnx", "--target", "cpu", "--out", "int8.cpu.onnx")
    run("build", "model.gpu.int8.onnx", "--target", "rtx-4090", name="build gpu")
    run("live", "int8.cpu.onnx", "--camera", "synthetic://640x480@60", "--frames", "30")
    run("measure", "fp32.cpu.onnx", "int8.cpu.onnx", "--samples", "50")
    run("score", "int8.cpu.onnx", "--images", "signs/val", "--out", "a.accuracy.json")
    swept = ("--corruptions", "gaussian_noise,jpeg_compression", "--out", "c.comparison.json")
    run("compare", "fp32.cpu.onnx", "int8.cpu.onnx", "--images", "signs/val", *swept)
    run("report", ".", "--out", "report.html")
    run("targets")
    run("doctor")
    run("inspect", "model.int8.onnx")
    return said


PROMISED = {
    "train": {"checkpoint", "top1", "epochs", "seconds"},
    "export": {"model", "max_abs_diff", "digest"},
    "import": {"model", "source", "classes", "input_shape", "digest"},
    "calibrate": {
        *("model", "table", "samples", "method", "effort", "quantized", "float"),
        *("int8_mac_share", "seconds"),
    },
    "build": {
        *("engine", "target", "backend", "precision", "int8_convs", "float_convs", "kernels"),
        *("bytes", "seconds"),
    },
    "live": {
        *("frames", "dropped", "fps", "capture_to_result_ms", "frame_age_ms"),
        *("timestamp_origin", "stages_ms", "conditions"),
    },
    "measure": {"runs"},
    "score": {"n", "top1", "top5", "top1_interval"},
    "compare": {
        *("n", "top1_a", "top1_b", "drop_points", "drop_interval", "agreement", "mcnemar_p"),
        "flips",
    },
    "report": {"report"},
}


@pytest.mark.parametrize("verb", sorted(PROMISED))
def test_a_verb_prints_the_keys_that_scripts_rely_on(
    verb: str, chain: dict[str, dict[str, Any]]
) -> None:
    assert PROMISED[verb] <= set(chain[verb])


def test_every_run_of_measure_has_its_percentiles_and_conditions(
    chain: dict[str, dict[str, Any]],
) -> None:
    for run in chain["measure"]["runs"]:
        assert {"engine", "p50_ms", "p95_ms", "p99_ms", "samples", "warmup", "conditions"} <= set(
            run
        )
        assert run["samples"] >= 50


def test_int8_runs_where_it_was_placed(chain: dict[str, dict[str, Any]]) -> None:
    assert chain["calibrate"]["int8_mac_share"] >= 0.95
    assert chain["build"]["int8_convs"] > 0
    assert chain["build"]["float_convs"] == 0
    assert chain["build gpu"]["int8_convs"] > 0
    assert chain["build fp32"]["int8_convs"] == 0


def test_parents_are_named_by_digest(chain: dict[str, dict[str, Any]]) -> None:
    folder = Path(chain["folder"]["path"])
    manifest = json.loads((folder / "int8.cpu.onnx.json").read_text(encoding="utf-8"))
    from toolkit.artifacts import digest_of_file

    assert manifest["onnx_digest"] == digest_of_file(folder / "model.int8.onnx")
    assert manifest["contract"]["parent"] == chain["export"]["digest"]


def test_nothing_temporary_is_left_behind(chain: dict[str, dict[str, Any]]) -> None:
    assert not list(Path(chain["folder"]["path"]).rglob(".*"))


def test_both_engines_lose_accuracy_on_noise_and_the_report_shows_the_curves(
    chain: dict[str, dict[str, Any]],
) -> None:
    scores = chain["compare"]["robustness"]["scores"]
    noise = [score for score in scores if score["corruption"] in ("clean", "gaussian_noise")]
    assert [score["severity"] for score in noise] == [0, 1, 2, 3, 4, 5]
    for key in ("top1_a", "top1_b"):
        assert noise[-1][key] < noise[0][key]
    page = Path(chain["folder"]["path"]) / "report.html"
    assert 'id="robustness"' in page.read_text(encoding="utf-8")
