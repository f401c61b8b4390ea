"""`tune --max-latency` from end to end: measured on this CPU, predicted for a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.toolkit.tune.planted import HARD, pictures, planted_model
from tests.unit.toolkit.tune.timed import engine_of, timed
from toolkit.activation_map import ACTIVATION_MAP, add_activation_map
from toolkit.artifacts import OnnxModel
from toolkit.cli.app import app
from toolkit.errors import InputError
from toolkit.latency import write_latency
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.progress import Progress
from toolkit.tune import Tuned, tune
from toolkit.tune.result import journal_path, page_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    made = planted_model(tmp_path_factory.mktemp("model") / "m.onnx")
    pictures(made.path.with_name("val"), made, count=240, seed=1)
    pictures(made.path.with_name("train"), made, count=48, seed=2)
    return made


def _tuned(model: OnnxModel, out: Path, max_latency: float, **options: object) -> Tuned:
    chosen = {"method": "minmax", "threads": 1, "target": "cpu", "max_drop": 5.0, **options}
    return tune(
        model.path,
        images=model.path.with_name("val"),
        calibration_images=model.path.with_name("train"),
        out=out,
        max_latency=max_latency,
        **chosen,  # type: ignore[arg-type] # a table
    )


@pytest.fixture(scope="module")
def generous(model: OnnxModel, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return _tuned(model, tmp_path_factory.mktemp("out") / "t.int8.onnx", 1000.0)


def test_a_generous_budget_is_met_by_a_measurement(generous: Tuned) -> None:
    latency = generous.latency
    assert latency is not None
    assert generous.verdict == generous.accuracy_verdict == latency.verdict == "met"
    assert HARD in generous.kept
    assert latency.basis == "measured"
    assert latency.ratio is not None
    assert set(latency.times.added_ms) == {"conv1", "conv2", "fc"}
    assert 0.0 < latency.times.int8_share < 1.0
    assert "ms measured (" in generous.line()
    notes = " ".join(generous.notes)
    assert "times as long as plain INT8" in notes
    assert "changes of precision between layers are not predicted" in notes


def test_a_model_with_an_activation_map_is_timed_without_it(
    model: OnnxModel, tmp_path: Path
) -> None:
    mapped = add_activation_map(read_onnx(model.path), where="m")
    contract = model.contract.with_changes(activation_map=ACTIVATION_MAP)
    with_map = write_onnx(mapped, tmp_path / "m.onnx", contract)
    for name in ("val", "train"):
        (tmp_path / name).symlink_to(model.path.with_name(name))
    made = _tuned(with_map, tmp_path / "t.int8.onnx", 1000.0)
    assert made.latency is not None
    assert open_model(tmp_path / "t.int8.onnx").contract.activation_map == ACTIVATION_MAP


def test_json_and_page_show_latency_beside_accuracy(generous: Tuned) -> None:
    values = json.loads(json.dumps(generous.to_dict()))
    assert values["latency"]["verdict"] == "met"
    assert values["latency"]["measured_p50_interval_ms"][1] < 1000.0
    assert all(point["predicted_ms"] > 0.0 for point in values["curve"])
    page = page_path(generous.model.path).read_text()
    assert "p50 predicted, ms" in page
    assert "chosen, " in page
    assert "NaN" not in page


def test_the_layer_times_of_the_journal_keep_the_order_and_only_the_result_is_timed_again(
    generous: Tuned, model: OnnxModel
) -> None:
    steps: list[str] = []
    again = _tuned(
        model,
        generous.model.path,
        1000.0,
        progress=lambda progress: steps.append(f"{progress.step} {progress.total}"),
    )
    assert again.images_run == 0
    assert again.kept == generous.kept
    assert again.latency is not None
    assert generous.latency is not None
    assert again.latency.times == generous.latency.times
    assert steps.count("open engines 2") == 2  # once, for the result and plain INT8


def test_a_journal_with_damaged_layer_times_says_how_to_start_again(
    generous: Tuned, model: OnnxModel, tmp_path: Path
) -> None:
    out = tmp_path / "t.int8.onnx"
    text = journal_path(generous.model.path).read_text()
    journal_path(out).write_text(text.replace('"added_ms"', '"added"'))
    with pytest.raises(InputError, match="its layer times") as caught:
        _tuned(model, out, 1000.0)
    assert caught.value.next_command == f"rm {journal_path(out)}"


def test_an_interrupted_search_resumes_with_the_times_it_had(
    model: OnnxModel, tmp_path: Path
) -> None:
    out = tmp_path / "t.int8.onnx"

    def stop(progress: Progress) -> None:
        if progress.step == "search: 1 layers in float":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _tuned(model, out, 1000.0, progress=stop)
    assert not out.exists()
    kept = journal_path(out).read_text()
    resumed = _tuned(model, out, 1000.0)
    assert resumed.images_recalled > 0
    assert resumed.latency is not None
    assert json.dumps(resumed.latency.times.added_ms) in kept


def test_an_impossible_budget_ends_with_three_and_writes_the_fastest(
    model: OnnxModel, tmp_path: Path
) -> None:
    out = tmp_path / "t.int8.onnx"
    folders = ["--images", "val", "--calibration-images", "train"]
    folders = [
        word if word.startswith("--") else str(model.path.with_name(word)) for word in folders
    ]
    options = ["--method", "minmax", "--threads", "1", "--max-drop", "5", "--out", str(out)]
    line = ["tune", str(model.path), *folders, *options, "--target", "cpu"]
    run = CliRunner().invoke(app, [*line, "--max-latency", "0.0001", "--json"])
    assert run.exit_code == 3
    values = json.loads(run.stdout)
    assert values["verdict"] == values["accuracy_verdict"] == "not met"
    assert values["latency"]["verdict"] == "not met"
    assert values["latency"]["basis"] == "measured"
    assert out.exists()
    said = CliRunner().invoke(app, [*line, "--max-latency", "0.0001"])
    assert "latency not met: p50" in said.stdout
    assert "no choice of layers comes within 0.0001 ms" in said.stderr
    assert "nor does it fit the accuracy budget" in said.stderr


@pytest.fixture
def record(model: OnnxModel, tmp_path: Path) -> Path:
    """Records of a GPU on which `conv2`, which must be float, costs 2 ms more there."""
    runs = []
    for precision, p50, cost in (("fp16", 7.0, 3.0), ("int8", 4.0, 1.0)):
        path = tmp_path / f"{precision}.engine"
        digest = engine_of(path, model, precision)
        kernels = {"conv1 + relu1": 1.0, "conv2 + relu2": cost, "reformat": 0.5}
        runs.append(timed(p50, kernels, engine=str(path), digest=digest, precision=precision))
    write_latency(tmp_path / "x.latency.json", runs)
    return tmp_path / "x.latency.json"


def test_for_a_gpu_the_latency_is_predicted_from_records(
    model: OnnxModel, record: Path, tmp_path: Path
) -> None:
    made = _tuned(model, tmp_path / "t.int8.onnx", 6.5, target="rtx-4090", times=[record])
    assert made.verdict == "met"
    assert made.kept == (HARD,)
    assert made.latency is not None
    assert (made.latency.basis, made.latency.predicted_ms) == ("predicted", 6.0)
    assert "p50 6.000 ms predicted, not measured, budget 6.5 ms" in made.line()
    assert any("x.latency.json, measured on a board" in note for note in made.notes)


def test_where_both_budgets_cannot_be_met_latency_wins(
    model: OnnxModel, record: Path, tmp_path: Path
) -> None:
    made = _tuned(model, tmp_path / "t.int8.onnx", 5.0, target="rtx-4090", times=[record])
    assert made.verdict == made.accuracy_verdict == "not met"
    assert HARD not in made.kept
    assert made.latency is not None
    assert made.latency.verdict == "met"
    assert "no candidate within 5 ms fits the accuracy budget: latency wins" in made.advice()


def test_records_are_refused_before_anything_is_calibrated(
    model: OnnxModel, record: Path, tmp_path: Path
) -> None:
    steps: list[str] = []
    with pytest.raises(InputError, match="not on jetson-orin-nano-8gb"):
        _tuned(
            model,
            tmp_path / "t.int8.onnx",
            5.0,
            target="jetson-orin-nano-8gb",
            times=[record],
            progress=lambda progress: steps.append(progress.step),
        )
    assert steps == []
