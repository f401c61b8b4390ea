"""`tune`, `calibrate --dla` and `inspect --diff` as commands: lines, JSON and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.toolkit.tune.planted import HARD, pictures, planted_model
from toolkit.artifacts import OnnxModel
from toolkit.cli.app import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxModel:
    made = planted_model(folder / "m.onnx")
    pictures(folder / "val", made, count=150, seed=1)
    pictures(folder / "train", made, count=32, seed=2)
    return made


def _tune(model: OnnxModel, *options: str) -> list[str]:
    beside = model.path.parent
    where = ("--images", str(beside / "val"), "--calibration-images", str(beside / "train"))
    return ["tune", str(model.path), *where, "--method", "minmax", "--threads", "1", *options]


def test_a_met_budget_ends_with_zero_and_one_json_object(model: OnnxModel) -> None:
    run = CliRunner().invoke(app, _tune(model, "--max-drop", "6", "--json"))
    assert run.exit_code == 0
    values = json.loads(run.stdout)
    assert values["verdict"] == "met"
    assert values["kept_in_float"] == [HARD]
    assert Path(values["model"]).name == "m.tuned.int8.onnx"


def test_an_undecided_budget_ends_with_three_and_says_what_would_decide(model: OnnxModel) -> None:
    run = CliRunner().invoke(app, _tune(model, "--max-drop", "0.5"))
    assert run.exit_code == 3
    assert "undecided" in run.stdout
    assert "images to judge on would decide" in run.stderr


def test_a_pair_is_written_for_a_dla_and_its_cache_compared(model: OnnxModel) -> None:
    beside = model.path.parent
    for_dla = ("--target", "jetson-agx-orin-64gb", "--dla", "--jetpack", "6")
    made = CliRunner().invoke(
        app,
        ["calibrate", str(model.path), "--images", str(beside / "train"), *for_dla, "--json"],
    )
    assert made.exit_code == 0
    values = json.loads(made.stdout)
    assert Path(values["cache"]).name == "m.dla.cache"
    against = ["--diff", values["table"], "--json"]
    run = CliRunner().invoke(app, ["inspect", values["cache"], *against])
    assert run.exit_code == 0
    assert json.loads(run.stdout)["diff"]["ratios"] == {}
