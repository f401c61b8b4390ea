"""The control of `qat`: the same steps without rounding, on the same pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibration.graph import prepare
from toolkit.artifacts import OnnxModel
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.progress import silent
from toolkit.training.guards import seeded
from toolkit.training.loop import Task, train_epochs
from toolkit.training.options import TrainingOptions
from toolkit.training.pictures import open_pictures, open_splits
from toolkit.training.qat.network import FLOAT, GraphNetwork
from toolkit.training.resume import Keeper, recipe_of
from toolkit.training.workers import lone_worker

__all__ = ["learn_in_float"]


def learn_in_float(model: Path, data: Path, out: Path, *, options: TrainingOptions) -> OnnxModel:
    """Write to `out` what `finetune` would learn from `data` if nothing were rounded.

    Loss, teacher and steps are those of `toolkit.training.qat.learn`; of the epochs the one with
    the lowest validation loss, in float, is kept.
    """
    source = open_model(model)
    graph, preprocess = prepare(read_onnx(model)), source.contract.preprocess
    network, teacher = GraphNetwork(graph, FLOAT), GraphNetwork(graph, FLOAT)
    train, val = (
        open_pictures(folder, preprocess, step="read", threads=options.threads, progress=silent)
        for folder in open_splits(data, contract=source.contract)
    )
    kept, here = replace(options, patience=options.epochs), lone_worker()
    classes = len(source.contract.labels)
    frozen = teacher.requires_grad_(False).eval()
    task = Task(train, val, classes, kept, here, silent, frozen)
    recipe = recipe_of("in float", source.digest, kept, train, val)
    with seeded(options.seed, options.threads, here):
        train_epochs(network, task, Keeper(None, recipe, minutes=60.0, resume=False))
    contract = source.contract.with_changes(parent=source.digest)
    return write_onnx(network.trained_model(), out, contract)
