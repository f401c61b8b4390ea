"""`tune`: a planted layer ends up in float, the verdict is honest, and nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from tests.unit.toolkit.tune.planted import HARD, pictures, planted_model
from toolkit.artifacts import OnnxModel
from toolkit.errors import InputError
from toolkit.golden import read_golden
from toolkit.inspect_file import inspect
from toolkit.onnx_model.file import open_model
from toolkit.progress import Progress
from toolkit.tune import Tuned, tune
from toolkit.tune.result import curve_path, journal_path, page_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return planted_model(tmp_path_factory.mktemp("model") / "m.onnx")


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory, model: OnnxModel) -> Path:
    return pictures(tmp_path_factory.mktemp("val"), model, count=240, seed=1)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, model: OnnxModel) -> Path:
    return pictures(tmp_path_factory.mktemp("train"), model, count=48, seed=2)


def _tuned(model: OnnxModel, val: Path, train: Path | None, out: Path, **options: object) -> Tuned:
    chosen = {"max_drop": 5.0, "method": "minmax", "threads": 1, "target": "rtx-4090", **options}
    return tune(
        model.path,
        images=val,
        calibration_images=train,
        out=out,
        **chosen,  # type: ignore[arg-type] # a table
    )


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, model: OnnxModel, val: Path, train: Path
) -> Tuned:
    return _tuned(model, val, train, tmp_path_factory.mktemp("out") / "t.int8.onnx")


def test_the_planted_layer_is_kept_in_float_and_the_budget_is_met(tuned: Tuned) -> None:
    assert tuned.kept == (HARD,)
    assert tuned.verdict == "met"
    assert tuned.ranking[0][0] == HARD
    assert tuned.curve[0].float_layers == 0
    assert tuned.curve[0].seen.drop > 0.05
    assert [point.float_layers for point in tuned.curve if point.chosen] == [1]
    assert tuned.advice() == ""


def test_the_graph_holds_fp16_and_int8_and_exactly_the_planted_layer_in_float(
    tuned: Tuned,
) -> None:
    facts = inspect(tuned.model.path).model
    assert facts is not None
    assert (facts.int8_convs, facts.float_convs) == (1, 1)
    assert "kept in float" in facts.float_reasons[HARD]
    graph = onnx.load(tuned.model.path).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    hard = next(node for node in graph.node if node.name == HARD)
    assert types[hard.input[1]] == onnx.TensorProto.FLOAT16
    assert open_model(tuned.model.path).contract.precision == "int8"
    assert read_golden(tuned.model).own.shape == (8, 4)


def test_the_images_that_judge_are_not_those_of_search_and_calibration(tuned: Tuned) -> None:
    assert tuned.judged.n == 160
    assert {point.seen.n for point in tuned.curve} == {80}
    assert len(tuned.model.contract.calibration_images) == 48
    assert "searched on 80 images, judged once on 160 others" in tuned.notes


def test_page_and_json_lie_beside_the_model(tuned: Tuned) -> None:
    values = json.loads(curve_path(tuned.model.path).read_text())
    assert values["verdict"] == "met"
    assert values["kept_in_float"] == [HARD]
    assert values["curve"][-1]["chosen"] is True
    page = page_path(tuned.model.path).read_text()
    assert "<svg" in page
    assert HARD in page
    assert "NaN" not in page


def test_a_second_run_recalls_every_evaluation(
    tuned: Tuned, model: OnnxModel, val: Path, train: Path
) -> None:
    again = _tuned(model, val, train, tuned.model.path)
    assert again.images_run == 0
    assert again.images_recalled == tuned.images_run
    assert again.to_dict() | {"seconds": 0, "images_run": 0, "images_recalled": 0} == (
        tuned.to_dict() | {"seconds": 0, "images_run": 0, "images_recalled": 0}
    )


def test_another_budget_reuses_what_it_can(
    tuned: Tuned, model: OnnxModel, val: Path, train: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.int8.onnx"
    journal_path(out).write_bytes(journal_path(tuned.model.path).read_bytes())
    generous = _tuned(model, val, train, out, max_drop=90.0)
    assert generous.kept == ()
    assert generous.images_run == 160  # the all-INT8 candidate was never judged before


def test_an_interrupted_search_loses_nothing(
    model: OnnxModel, val: Path, train: Path, tmp_path: Path, tuned: Tuned
) -> None:
    out = tmp_path / "t.int8.onnx"

    def stop(progress: Progress) -> None:
        if progress.step == "search: 1 layers in float":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _tuned(model, val, train, out, progress=stop)
    assert not out.exists()
    resumed = _tuned(model, val, train, out)
    assert resumed.images_recalled > 0
    assert resumed.images_run + resumed.images_recalled == tuned.images_run
    assert resumed.model.digest == tuned.model.digest


def test_an_unreachable_budget_writes_the_best_candidate_and_says_so(
    model: OnnxModel, val: Path, train: Path, tmp_path: Path
) -> None:
    worst = _tuned(model, val, train, tmp_path / "t.int8.onnx", max_drop=0.0, effort="fast")
    assert worst.verdict != "met"
    assert worst.model.path.exists()
    assert worst.images_to_decide is None or worst.images_to_decide > worst.judged.n
    assert "cannot show a drop within 0 points" in " ".join(worst.notes)


def test_without_a_folder_of_its_own_calibration_takes_images_that_are_not_scored(
    model: OnnxModel, val: Path, tmp_path: Path
) -> None:
    made = _tuned(model, val, None, tmp_path / "t.int8.onnx")
    assert len(made.model.contract.calibration_images) == 60
    assert made.judged.n + made.curve[0].seen.n == 180
    assert any("calibrated on 60 of the images" in note for note in made.notes)


def test_calibration_images_among_the_scored_ones_are_left_out(
    model: OnnxModel, val: Path, tmp_path: Path
) -> None:
    made = _tuned(model, val, val, tmp_path / "t.int8.onnx", samples=40)
    assert made.judged.n + made.curve[0].seen.n == 200
    assert any("40 images" in note and "not scored" in note for note in made.notes)


@pytest.mark.parametrize("target", ["cpu", "cpu-arm64"])
def test_on_a_cpu_the_float_layers_stay_fp32(
    model: OnnxModel, val: Path, train: Path, tmp_path: Path, target: str
) -> None:
    made = _tuned(model, val, train, tmp_path / "t.int8.onnx", target=target)
    graph = onnx.load(made.model.path).graph
    halves = [t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert halves == []
    assert made.model.contract.scheme.startswith("onnxruntime")


def test_below_opset_19_the_float_layers_stay_fp32_and_a_note_says_why(
    val: Path, train: Path, tmp_path: Path
) -> None:
    old = planted_model(tmp_path / "old.onnx", opset=17)
    made = _tuned(old, val, train, tmp_path / "t.int8.onnx", target="")
    assert "float layers stay FP32: opset 17 has no FP16 scales" in made.notes


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"max_drop": -1.0}, "A budget of -1"),
        ({"max_drop": float("nan")}, "A budget of nan"),
        ({"confidence": 0.5}, "A confidence of 0.5"),
        ({"confidence": 95.0}, "A confidence of 95"),
    ],
)
def test_a_budget_that_is_none_is_refused(
    model: OnnxModel, val: Path, train: Path, tmp_path: Path, options: dict[str, float], what: str
) -> None:
    with pytest.raises(InputError, match=what):
        _tuned(model, val, train, tmp_path / "t.int8.onnx", **options)


def test_too_few_images_are_refused(model: OnnxModel, train: Path, tmp_path: Path) -> None:
    few = pictures(tmp_path / "few", model, count=12, seed=9)
    with pytest.raises(InputError, match="12 different images: too few"):
        _tuned(model, few, train, tmp_path / "t.int8.onnx")
