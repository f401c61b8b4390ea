"""Classifiers whose every answer is known: they name the colour of a picture of one colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from toolkit.contract import Contract
from toolkit.onnx_model.file import write_onnx
from toolkit.preprocess import Preprocess

__all__ = ["IDS", "LABELS", "colour_contract", "make_folder", "make_model"]

LABELS = ("red", "green", "blue", "dark")
IDS = ("n1", "n2", "n3", "n4")
_COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "dark": (10, 10, 10)}
_SIZE = 8


def colour_contract(**changes: object) -> Contract:
    """The contract of `make_model`."""
    made = Contract(
        input_name="image",
        input_shape=(0, 3, _SIZE, _SIZE),
        preprocess=Preprocess(_SIZE, _SIZE, resize="squash"),
        labels=LABELS,
        ids=IDS,
        source="test",
    )
    return made.with_changes(**changes) if changes else made


def make_model(
    path: Path,
    *,
    answers: Sequence[int] = (0, 1, 2, 3),
    gain: float = 10.0,
    dark: float = 0.3,
    **changes: object,
) -> Path:
    """Write a model: mean of each channel -> Gemm -> logits. A picture of class i is named
    `answers[i]`; anything darker than `dark` is taken for class 3."""
    contract = colour_contract(**changes)
    weights = np.zeros((3, 4), np.float32)
    bias = np.zeros(4, np.float32)
    for truth, answer in enumerate(answers):
        if truth < 3:
            weights[truth, answer] += gain
        else:
            bias[answer] += gain * dark
    write_onnx(_graph(weights, bias, batch=contract.input_shape[0]), path, contract)
    return path


def _graph(
    weights: NDArray[np.float32], bias: NDArray[np.float32], *, batch: int
) -> onnx.ModelProto:
    n = batch or "batch"
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
        ],
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [n, 3, _SIZE, _SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [n, 4])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model


def make_folder(root: Path, *, each: int = 3, classes: Sequence[str] = LABELS) -> Path:
    """Write `each` pictures of every class, no two alike, into root/CLASS/."""
    for name in classes:
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(each):
            pixels = np.tile(np.array(_COLOURS[name], np.uint8), (_SIZE, _SIZE, 1))
            pixels[i % _SIZE, i // _SIZE] += np.uint8(1)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return root
