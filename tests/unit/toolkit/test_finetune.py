from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from calibration.errors import CalibrationError
from calibration.table import table_from_json
from toolkit.artifacts import Checkpoint, digest_of_file
from toolkit.cli.app import app
from toolkit.datasets.signs import make_signs
from toolkit.errors import InputError, LabelsError
from toolkit.export import export
from toolkit.finetune import finetune
from toolkit.onnx_model.file import open_model
from toolkit.train import train
from toolkit.training.options import TrainingOptions

_FAST: dict[str, Any] = {"method": "minmax", "effort": "fast", "samples": 16}


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_signs(tmp_path_factory.mktemp("data") / "signs", train=60, val=20, size=32).root


@pytest.fixture(scope="module")
def checkpoint(signs: Path) -> Checkpoint:
    return train(signs, out=signs.parent / "model.pt", arch="lenet5", epochs=1, threads=1)


def test_the_command_writes_an_int8_model_no_worse_than_the_calibrated_one(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "m.int8.onnx"
    arguments = ["train", str(signs), "--qat", str(checkpoint.path), "--target", "rtx-4090"]
    arguments += ["--epochs", "2", "--method", "minmax", "--effort", "fast", "--samples", "16"]
    run = CliRunner().invoke(app, [*arguments, "--threads", "1", "--out", str(out), "--json"])
    assert run.exit_code == 0, run.output
    values = json.loads(run.stdout)
    assert values["top1"] >= values["top1_calibrated"]
    contract = open_model(out).contract
    assert (contract.precision, contract.scheme) == ("int8", "tensorrt-rtx")
    assert contract.parent == open_model(tmp_path / "m.onnx").digest
    assert Path(values["table"]).exists()
    assert not list(tmp_path.glob("*.resume.pt"))


def test_a_model_that_no_epoch_improves_is_written_as_it_was_calibrated(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    ruinous = TrainingOptions(epochs=1, learning_rate=5.0, threads=1)
    out = tmp_path / "m.int8.onnx"
    made = finetune(signs, start=checkpoint.path, out=out, options=ruinous, **_FAST)
    assert (made.gained, made.top1) == (False, made.top1_calibrated)
    assert "minmax" in made.table.read_text(encoding="utf-8")


def test_classes_that_the_model_does_not_know_are_named(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    other = make_signs(tmp_path / "other", train=20, val=10, size=32).root
    next(iter(sorted((other / "train").iterdir()))).rename(other / "train" / "zebra")
    with pytest.raises(LabelsError, match="zebra"):
        finetune(other, start=checkpoint.path, out=tmp_path / "m.int8.onnx", **_FAST)
    assert not (tmp_path / "m.int8.onnx").exists()


def test_a_float_model_of_another_network_is_not_replaced(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"m\.onnx exists and was not exported from"):
        finetune(signs, start=checkpoint.path, out=tmp_path / "m.int8.onnx", **_FAST)


def test_an_export_that_is_there_is_used_with_what_it_was_exported_with(
    signs: Path, tmp_path: Path
) -> None:
    start = train(signs, out=tmp_path / "m.pt", arch="signs-cnn", epochs=1, threads=1).path
    mine = export(start, out=tmp_path / "m.onnx", opset=17, cam=True).model
    options = TrainingOptions(epochs=1, threads=1)
    made = finetune(signs, start=start, options=options, **_FAST)
    assert made.float_model == mine.path
    assert digest_of_file(mine.path) == mine.digest == made.model.contract.parent
    assert made.model.contract.activation_map


@pytest.mark.parametrize(
    ("exported", "words"),
    [
        ({"precision": "fp16"}, "is an fp16 model; fine-tuning needs a float32 one"),
        ({"batch": 2}, "takes batches of 2 only; fine-tuning needs an open batch"),
    ],
    ids=["fp16", "fixed batch"],
)
def test_an_export_that_cannot_be_fine_tuned_is_refused_and_kept(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path, exported: dict[str, Any], words: str
) -> None:
    mine = export(checkpoint.path, out=tmp_path / "m.onnx", **exported).model
    for start in (checkpoint.path, mine.path):
        with pytest.raises(InputError, match=rf"m\.onnx {words}"):
            finetune(signs, start=start, out=tmp_path / "m.int8.onnx", **_FAST)
    assert list(tmp_path.iterdir()) == [mine.path]
    assert digest_of_file(mine.path) == mine.digest


def test_an_export_that_the_target_cannot_read_is_refused_and_kept(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    mine = export(checkpoint.path, out=tmp_path / "m.onnx", opset=20).model
    out, target = tmp_path / "m.int8.onnx", "jetson-xavier-nx-8gb"
    with pytest.raises(CalibrationError, match="opset 20"):
        finetune(signs, start=checkpoint.path, out=out, target=target, **_FAST)
    assert digest_of_file(mine.path) == mine.digest


@pytest.mark.parametrize(
    "option", ["--target=cpu", "--samples=8", "--method=mse", "--explicit-shifts"]
)
def test_options_of_fine_tuning_are_refused_without_it(signs: Path, option: str) -> None:
    run = CliRunner().invoke(app, ["train", str(signs), option])
    assert run.exit_code == 1
    assert f"{option.partition('=')[0]} is read with --qat alone" in run.output


def test_explicit_shifts_are_refused_where_zero_points_do_the_same(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "m.int8.onnx"
    arguments = ["train", str(signs), "--qat", str(checkpoint.path), "--target", "cpu"]
    run = CliRunner().invoke(app, [*arguments, "--explicit-shifts", "--out", str(out)])
    assert run.exit_code == 1
    assert "has zero-points" in run.output
    assert not list(tmp_path.iterdir())  # before the float model is exported


def test_shifts_that_were_asked_for_reach_the_table(
    signs: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "m.int8.onnx"
    options = TrainingOptions(epochs=1, threads=1)
    made = finetune(
        signs, start=checkpoint.path, out=out, options=options, explicit_shifts=True, **_FAST
    )
    assert table_from_json(made.table.read_text(encoding="utf-8"), where="t").explicit_shifts


def test_the_result_never_replaces_what_it_starts_from(tmp_path: Path) -> None:
    start = tmp_path / "model.onnx"
    start.write_bytes(b"kept")
    with pytest.raises(InputError, match="needs another name"):
        finetune(tmp_path, start=start, out=tmp_path / "model.onnx")
    assert start.read_bytes() == b"kept"
