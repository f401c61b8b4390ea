"""`torchvision:NAME[@WEIGHTS]`: an image classifier of torchvision.

WEIGHTS is a file, the name of published weights (IMAGENET1K_V2), or `random` (untrained, for
tests); without it torchvision's default weights are downloaded.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import torch

from toolkit.checkpoint import Weights, read_weights
from toolkit.errors import InputError
from toolkit.networks.torchvision_networks import (
    build,
    names,
    preprocess_of,
    preprocess_of_weights,
    pretrained,
    weights_of,
)
from toolkit.progress import Progress
from toolkit.sources import Imported, Request
from toolkit.sources.fitting_networks import load_or_explain
from toolkit.sources.from_network import classes_in, imported_network, part_of

__all__ = ["imported_file", "open_source"]


def open_source(request: Request) -> Imported:
    """Return the graph of a torchvision classifier with the preprocessing of its weights.

    Raises InputError for unknown names and failed downloads, CheckpointError for weights that
    do not fit, ModelError when it cannot be exported.
    """
    name, weights = request.name, request.weights
    _check_name(name)
    request.progress(Progress("read the network", 0, 1, name))
    published = weights_of(name)
    if weights == "random":
        torch.manual_seed(0)
        network = build(name, 1000)
        return imported_network(
            request,
            network,
            preprocess_of(name),
            source=f"torchvision:{name}, RANDOM weights (seed 0): untrained",
        )
    if weights and weights not in published:
        path = Path(weights)
        return imported_file(request, name, path, read_weights(path))
    chosen = published[weights] if weights else next(iter(published.values())).DEFAULT
    network = pretrained(
        name,
        chosen,
        next_command=f"edgekit import torchvision:{name}@WEIGHTS.pth --out model.onnx",
    )
    return imported_network(
        request,
        network,
        preprocess_of_weights(chosen),
        source=f"torchvision:{name}, weights and preprocessing {chosen.name}",
        imagenet=True,
    )


def imported_file(request: Request, name: str, path: Path, weights: Weights) -> Imported:
    """Return the graph of the torchvision classifier `name` with the weights of a file.

    The preprocessing is that of its first published weights, and `source` says so.
    """
    _check_name(name)
    auxiliary = any(key.startswith(("aux1.", "AuxLogits.")) for key in weights.state)
    network = build(name, classes_in(weights.state), auxiliary=auxiliary)
    load_or_explain(
        network,
        weights.state,
        arch=f"torchvision:{name}",
        where=str(path),
        progress=request.progress,
    )
    first = next(iter(weights_of(name)))
    return imported_network(
        request,
        network,
        preprocess_of(name),
        source=f"torchvision:{name}, weights {path.name}{part_of(weights)}, "
        f"preprocessing of its {first}",
        parent=weights.digest,
        imagenet=True,
    )


def _check_name(name: str) -> None:
    if name in names():
        return
    close = difflib.get_close_matches(name, names(), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(
        f"torchvision has no classifier {name!r}.{hint}",
        next_command=f"edgekit import torchvision:{close[0] if close else 'NAME'} --out model.onnx",
    )
