"""The good inputs that the tests spoil: a model, pictures, an engine and result files, all tiny."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.accuracy import write_accuracy
from toolkit.artifacts import manifest_path
from toolkit.build import build
from toolkit.latency import write_latency
from toolkit.measure import measure
from toolkit.onnx_model.file import write_onnx
from toolkit.score import score

__all__ = ["copy_engine", "make_checkpoint", "make_inputs"]

CLASSES = ("n1", "n2", "n3", "n4")


def make_inputs(folder: Path) -> None:
    """Write model.onnx, int8.onnx (for TensorRT), engine.onnx (for this CPU), train/ and val/."""
    model = write_onnx(classifier(), folder / "model.onnx", contract())
    int8 = contract(precision="int8", scheme="tensorrt", calibration="ab" * 32)
    write_onnx(quantized_classifier(), folder / "int8.onnx", int8)
    write_classes(folder / "train", dict.fromkeys(CLASSES, 3))
    write_classes(folder / "val", dict.fromkeys(reversed(CLASSES), 2), suffix=".bmp")
    build(model.path, target="cpu", out=folder / "engine.onnx")
    accuracy = score(folder / "engine.onnx", images=folder / "val", threads=1)
    write_accuracy(folder / "engine.accuracy.json", accuracy)
    runs = measure([folder / "engine.onnx"], samples=20, warmup=1, threads=1)
    write_latency(folder / "engine.latency.json", runs)


def make_checkpoint(path: Path) -> None:
    """Write an untrained lenet5 as `edgekit train` would have saved it."""
    from toolkit.checkpoint import Trained, save_trained
    from toolkit.networks import build_network, preprocess_of

    state = build_network("lenet5", len(CLASSES)).state_dict()
    trained = Trained("lenet5", CLASSES, preprocess_of("lenet5"), state, 0.25, 1, 0)
    save_trained(path, trained)


def copy_engine(folder: Path, name: str) -> Path:
    """Copy engine.onnx and its manifest to `name` and return the copy."""
    copy = folder / name
    shutil.copy(folder / "engine.onnx", copy)
    shutil.copy(manifest_path(folder / "engine.onnx"), manifest_path(copy))
    return copy
