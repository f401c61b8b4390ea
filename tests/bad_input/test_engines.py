"""Engines that are stale, altered, foreign or badly described, and targets that do not exist."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.command import Place
from tests.bad_input.inputs import copy_engine
from toolkit.artifacts import manifest_path


def _flip_a_bit(engine: Path) -> None:
    content = bytearray(engine.read_bytes())
    content[len(content) // 2] ^= 1
    engine.write_bytes(content)


def _cut(engine: Path) -> None:
    engine.write_bytes(engine.read_bytes()[:1000])


def _empty(engine: Path) -> None:
    engine.write_bytes(b"")


def _cut_manifest(engine: Path) -> None:
    manifest_path(engine).write_bytes(manifest_path(engine).read_bytes()[:200])


def _lose_manifest(engine: Path) -> None:
    manifest_path(engine).unlink()


def _lose_engine(engine: Path) -> None:
    engine.unlink()


def _change(**values: Any) -> Callable[[Path], None]:
    def change(engine: Path) -> None:
        manifest = json.loads(manifest_path(engine).read_text(encoding="utf-8"))
        manifest_path(engine).write_text(json.dumps({**manifest, **values}), encoding="utf-8")

    return change


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "one bit": (_flip_a_bit, "was altered or replaced"),
    "cut": (_cut, "was altered or replaced"),
    "empty": (_empty, "was altered or replaced"),
    "cut manifest": (_cut_manifest, "is damaged"),
    "no manifest": (_lose_manifest, "needs its .json beside it"),
    "no engine": (_lose_engine, "cannot be read"),
    "another cpu": (_change(isa="avx2-of-another-machine"), "was optimised for"),
    "another version": (_change(built_with="onnxruntime 1.2.3"), "onnxruntime 1.2.3"),
    "digest that is a number": (_change(engine_digest=5), "is damaged"),
    "contract that is a number": (_change(contract=3), "is damaged"),
    "contract of the future": (_change(contract={"version": 99}), "newer Edgekit"),
    "sms that are words": (_change(sms=["89"]), "is damaged"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_engine_is_not_run(place: Place, how: str) -> None:
    spoil, says = SPOILED[how]
    spoil(copy_engine(place.folder, "bad.onnx"))
    assert "edgekit" in place.refuses("measure", "bad.onnx", says=says) or how == "no engine"


@pytest.mark.parametrize("command", ["live", "score", "compare"])
def test_every_command_that_runs_engines_checks_them(place: Place, command: str) -> None:
    _flip_a_bit(copy_engine(place.folder, "bad.onnx"))
    options = {
        "live": ("bad.onnx", "--camera", "synthetic://64x48", "--results", "new.jsonl"),
        "score": ("bad.onnx", "--images", "val", "--out", "new.json"),
        "compare": ("model.onnx", "bad.onnx", "--images", "val", "--out", "new.json"),
    }
    place.refuses(command, *options[command], says="altered")


def test_a_report_is_not_made_of_an_engine_that_changed(place: Place) -> None:
    _flip_a_bit(copy_engine(place.folder, "bad.onnx"))
    place.refuses("report", "bad.onnx", "--out", "new.html", says="altered")


@pytest.mark.parametrize("name", ["engine.accuracy.json", "engine.latency.json"])
def test_a_report_is_not_made_of_a_record_that_was_cut_off(place: Place, name: str) -> None:
    record = place.folder / name
    record.write_bytes(record.read_bytes()[:300])
    place.refuses("report", name, "--out", "new.html", says="cut off")


def test_a_model_for_tensorrt_is_not_built_for_the_cpu(place: Place) -> None:
    says = "is quantized for TensorRT"
    assert "calibrate" in place.refuses("build", "int8.onnx", "--target", "cpu", says=says)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("rtx-490", "Did you mean 'rtx-4090'"),
        ("toaster", "Unknown target 'toaster'"),
        ("", "Unknown target ''"),
        ("cpu,rtx-4090", "rtx-4090 cannot share one engine"),
        ("rtx-4090,cpu", "cannot share one engine"),
        ("sm75,rtx-4090", "SM 7.5"),
    ],
)
def test_a_target_that_cannot_be_built_for_is_explained(
    place: Place, target: str, says: str
) -> None:
    if says == "SM 7.5":
        pytest.importorskip("tensorrt_rtx", reason="only its builder knows this rule")
    place.refuses("build", "model.onnx", "--target", target, says=says)


def test_an_unknown_target_is_explained_by_targets_and_calibrate_too(place: Place) -> None:
    place.refuses("targets", "rtx-490", says="Did you mean 'rtx-4090'")
    options = ("--images", "train", "--target", "rtx-490")
    place.refuses("calibrate", "model.onnx", *options, says="Did you mean 'rtx-4090'")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--batch", "4:2:1"), "not MIN:OPT:MAX"),
        (("--batch", "1:2:4"), "for GPU engines"),
        (("--precision", "int8"), "cannot change it"),
        (("--out", "model.onnx"), "is the model itself"),
    ],
)
def test_options_that_cannot_work_are_explained(
    place: Place, options: tuple[str, ...], says: str
) -> None:
    place.refuses("build", "model.onnx", "--target", "cpu", *options, says=says)
