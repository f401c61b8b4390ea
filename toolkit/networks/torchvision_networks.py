"""torchvision's classifiers: names, construction, and the preprocessing of their weights."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.error import URLError

import torchvision
from torch import nn
from torchvision.models import WeightsEnum, get_model, get_model_weights, list_models

from toolkit.errors import InputError
from toolkit.preprocess import Preprocess

__all__ = ["build", "names", "preprocess_of", "preprocess_of_weights", "pretrained", "weights_of"]

# Their weights were ported from TensorFlow: the network itself undoes ImageNet's normalisation.
# `init_weights=False` skips a truncated normal that takes a minute and is overwritten anyway.
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the names of all image classifiers in torchvision."""
    return tuple(list_models(module=torchvision.models))


def build(name: str, classes: int, *, auxiliary: bool = False) -> nn.Module:
    """Return an untrained network with `classes` outputs.

    `auxiliary` keeps the training-time side outputs of GoogLeNet and Inception, for weights
    files that contain them.
    """
    options = dict(_OPTIONS.get(name, {}))
    if name in _OPTIONS:
        options["aux_logits"] = auxiliary
    if name.startswith("vit_"):  # its positions are learned for one size: that of its pictures
        options["image_size"] = preprocess_of(name).height
    network: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    return network


def weights_of(name: str) -> dict[str, WeightsEnum]:
    """Return the weights torchvision publishes for `name`, by their names."""
    return {str(entry.name): entry for entry in get_model_weights(name)}


def pretrained(name: str, weights: WeightsEnum, *, next_command: str) -> nn.Module:
    """Return `name` with published `weights`, downloaded unless they are in torch's cache.

    Raises InputError, with `next_command`, when they cannot be had.
    """
    try:
        network: nn.Module = get_model(name, weights=weights, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"The weights {weights.name} of {name} could not be downloaded from {weights.url} "
            f"({reason}).",
            next_command=next_command,
        ) from error
    return network


def preprocess_of(name: str) -> Preprocess:
    """Return the preprocessing of the first published weights of `name` (its `*_V1` entry)."""
    return preprocess_of_weights(next(iter(weights_of(name).values())))


def preprocess_of_weights(weights: WeightsEnum) -> Preprocess:
    """Return the preprocessing that `weights` state in their own metadata."""
    stated = weights.transforms()
    return Preprocess(
        height=int(stated.crop_size[0]),
        width=int(stated.crop_size[0]),
        resize_size=int(stated.resize_size[0]),
        interpolation=str(stated.interpolation.value),
        antialias=bool(stated.antialias),
        mean=tuple(float(value) for value in stated.mean),
        std=tuple(float(value) for value in stated.std),
    )
