"""From a calibrated recipe to the same recipe with weights and ranges that learned to round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch
from torch import nn

from calibration.choose import grid_for
from calibration.emit import Quantized, Recipe, emit, recentred_groups
from calibration.execute import logits_of
from calibration.graph import Graph
from calibration.network import Network, rounded_model
from calibration.table import Range
from toolkit.errors import ModelError
from toolkit.preprocess import Preprocess
from toolkit.progress import ProgressCallback
from toolkit.sample_inputs import sample_inputs
from toolkit.training.evaluate import evaluate
from toolkit.training.guards import memory_errors, seeded
from toolkit.training.history import Epoch, best_of
from toolkit.training.loop import Task, train_epochs
from toolkit.training.options import TrainingOptions
from toolkit.training.pictures import Pictures
from toolkit.training.qat.network import FLOAT, GraphNetwork, Rounding
from toolkit.training.qat.origin import QAT, Origin
from toolkit.training.resume import Keeper, recipe_of
from toolkit.training.workers import lone_worker

__all__ = ["Learned", "check_graph", "learn", "network_from_recipe", "recipe_from_network"]

_AGREES = 1e-3


@dataclass(frozen=True)
class Learned:
    """`result` is the calibrated model itself where no epoch beat it (`gained` is False).

    Top-1 on the validation pictures, shares of 1: of the float model, of the calibrated one and
    of `result`, the last two with their rounding.
    """

    result: Quantized
    gained: bool
    top1_float: float
    top1_before: float
    top1: float
    epochs: tuple[Epoch, ...]


def check_graph(model: onnx.ModelProto, preprocess: Preprocess) -> None:
    """Raise ModelError unless PyTorch computes a prepared float graph as ONNX Runtime does.

    Pictures are generated; the largest difference may be a thousandth of the largest logit.
    """
    images = sample_inputs(preprocess, 2)
    wanted = logits_of(model, images)
    with torch.no_grad():
        found = GraphNetwork(model, FLOAT)(torch.from_numpy(images)).numpy()
    apart = float(abs(found - wanted).max() / max(abs(wanted).max(), 1e-30))
    if not apart <= _AGREES:
        raise ModelError(
            f"PyTorch and ONNX Runtime differ by {apart:.1e} of the largest logit on this graph, "
            "so that fine-tuning would not learn from the model that runs.",
            next_command="edgekit calibrate MODEL.onnx --images DIR --effort best",
        )


def network_from_recipe(recipe: Recipe) -> GraphNetwork:
    """Return a network that computes, and rounds, as the model does that `recipe` describes."""
    network, scheme = recipe.network, recipe.scheme
    placement = network.placement
    recentred = recentred_groups(network.graph, placement, scheme, recipe.explicit)
    spans: dict[str, Range] = {}
    for pair in placement.pairs:
        own = recipe.ranges[pair.tensor]
        other = spans.get(pair.group, own)
        low, high = min(own.low, other.low), max(own.high, other.high)
        spans[pair.group] = Range(low, high, own.method)
    grids = {
        group: grid_for(span, scheme, recentred=group in recentred) for group, span in spans.items()
    }
    rounding = Rounding(placement, grids, scheme.weight_bits)
    return GraphNetwork(rounded_model(network, recipe.gains), rounding)


def recipe_from_network(trained: GraphNetwork, recipe: Recipe, *, notes: tuple[str, ...]) -> Recipe:
    """Return the recipe whose emission computes and rounds as `trained` does.

    Its weights are rounded to nearest, and nothing is equalized or corrected: that was learned.
    """
    before, model = recipe.network, trained.trained_model()
    network = Network(model, Graph(model), before.placement, before.weight_bits, {}, {})
    return replace(
        recipe,
        network=network,
        ranges=trained.trained_ranges(),
        gains={},
        blank=replace(recipe.blank, method=QAT),
        notes=(*notes, *recipe.notes),
    )


def learn(
    start: Quantized,
    train: Pictures,
    val: Pictures,
    *,
    classes: int,
    options: TrainingOptions,
    name: str,
    position: Path,
    minutes: float,
    resume: bool,
    progress: ProgressCallback,
) -> Learned:
    """Fine-tune `start` on `train`; the best epoch on `val` is kept if it beats the start.

    The best is that of lowest validation loss among those whose top-1 is not under the start's.
    The loss is the cross-entropy with the labels plus that with the answers of the float network
    (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). Where the run stands is
    kept in `position`; `name` says there which model it is. Raises InputError when the loss
    diverges, MachineError when memory runs out.
    """
    here = lone_worker()
    with seeded(options.seed, options.threads, here), memory_errors(options.batch_size):
        network = network_from_recipe(start.recipe).to(here.device)
        teacher = _frozen(GraphNetwork(start.recipe.network.model, FLOAT)).to(here.device)
        before = evaluate(network, val, classes, here)
        top1_float = evaluate(teacher, val, classes, here).top1
        kept = replace(options, patience=options.patience or options.epochs)
        task = Task(train, val, classes, kept, here, progress, teacher, before.top1)
        recipe = recipe_of(name, start.table.digest, kept, train, val)
        keeper = Keeper(position, recipe, minutes=minutes, resume=resume)
        epochs = train_epochs(network, task, keeper)
    best = epochs[best_of(epochs, least_top1=before.top1)]
    if best.val_top1 < before.top1 or best.val_loss >= before.loss:
        return Learned(start, False, top1_float, before.top1, before.top1, epochs)
    count, calibrated = len(epochs), start.table
    origin = Origin(count, calibrated.method, calibrated.effort)
    result = emit(recipe_from_network(network.cpu(), start.recipe, notes=(origin.note(),)))
    return Learned(result, True, top1_float, before.top1, best.val_top1, epochs)


def _frozen(network: nn.Module) -> nn.Module:
    return network.requires_grad_(False).eval()
