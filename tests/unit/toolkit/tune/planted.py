"""A classifier with one layer that INT8 ruins, and pictures that it names without a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

from tests.unit.calibration.nets import run
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.artifacts import OnnxModel
from toolkit.onnx_model.file import write_onnx

__all__ = ["HARD", "pictures", "planted_model"]

HARD = "conv2"


def planted_model(path: Path, *, opset: int = 20, factor: float = 300.0) -> OnnxModel:
    """Write a classifier whose `conv2` reads channels that differ in size by `factor`."""
    model = classifier(seed=3, opset=opset)
    _scale(model, "w1", 0, 1.0 / factor)
    _scale(model, "b1", 0, 1.0 / factor)
    _scale(model, "w2", 1, factor)
    return write_onnx(model, path, contract())


def _scale(model: onnx.ModelProto, name: str, axis: int, factor: float) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values[(slice(None),) * axis + (slice(0, None, 2),)] *= np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def pictures(root: Path, model: OnnxModel, *, count: int, seed: int) -> Path:
    """Write `count` pictures, each in the folder of the class that `model` gives it."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (count, 1, 1, 3))
    noise = rng.integers(-60, 61, (count, 16, 16, 3))
    pixels = np.clip(colours + noise, 0, 255).astype(np.uint8)
    logits = run(onnx.load(model.path), model.contract.preprocess.normalise(pixels))
    for index, (picture, answer) in enumerate(zip(pixels, logits.argmax(axis=1), strict=True)):
        folder = root / model.contract.ids[int(answer)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{seed}-{index}.png")
    return root
