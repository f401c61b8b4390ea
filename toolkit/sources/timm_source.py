"""`timm:NAME[@WEIGHTS]`: an image classifier of timm (pytorch-image-models).

WEIGHTS is a file or `random` (untrained, for tests); without it timm's own weights are downloaded.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config

from toolkit.checkpoint import load_weights, read_weights
from toolkit.errors import InputError
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress
from toolkit.sources import Imported, Request
from toolkit.sources.from_network import classes_in, imported_network, part_of

__all__ = ["open_source"]


def open_source(request: Request) -> Imported:
    """Return the graph of a timm classifier with the preprocessing of its own data config.

    Raises InputError for unknown names and failed downloads, CheckpointError for weights that
    do not fit, ModelError when it cannot be exported.
    """
    name, weights = request.name, request.weights
    known = timm.list_models()
    if name.split(".")[0] not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise InputError(
            f"timm has no classifier {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""),
            next_command='python -c "import timm; print(timm.list_models())"',
        )
    request.progress(Progress("read the network", 0, 1, name))
    parent = ""
    if weights == "random":
        torch.manual_seed(0)
        network = timm.create_model(name, pretrained=False)
        origin = "RANDOM weights (seed 0): untrained"
    elif weights:
        found = read_weights(Path(weights))
        network = timm.create_model(name, pretrained=False, num_classes=classes_in(found.state))
        load_weights(network, found.state, arch=f"timm:{name}", where=weights)
        origin, parent = f"weights {Path(weights).name}{part_of(found)}", found.digest
    else:
        network = _download(name)
        origin = f"weights {network.pretrained_cfg.get('tag') or 'default'}"
    preprocess, remark = _preprocess(resolve_model_data_config(network), name)
    return imported_network(
        request,
        network,
        preprocess,
        source=f"timm:{name}, {origin}, preprocessing of its data config{remark}",
        parent=parent,
        imagenet=weights != "random",
    )


def _download(name: str) -> Any:
    try:
        return timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"The weights of {name} could not be downloaded ({str(error).splitlines()[0]}).",
            next_command=f"edgekit import timm:{name}@WEIGHTS.pth --out model.onnx",
        ) from error


def _preprocess(config: dict[str, Any], name: str) -> tuple[Preprocess, str]:
    """Return timm's evaluation transform, and what cannot be said exactly."""
    _, height, width = config["input_size"]
    share, mode = float(config["crop_pct"]), str(config.get("crop_mode", "center"))
    interpolation = str(config["interpolation"])
    if interpolation not in ("nearest", "bilinear", "bicubic"):
        raise InputError(
            f"timm:{name} resizes with {interpolation!r}, which has no equal here.",
            next_command=f"edgekit import timm:{name} --preprocess FILE.json --out model.onnx",
        )
    if mode not in ("center", "squash"):
        raise InputError(
            f"timm:{name} crops in the mode {mode!r}, which has no equal here.",
            next_command=f"edgekit import timm:{name} --preprocess FILE.json --out model.onnx",
        )
    squash = mode == "squash" and share == 1.0
    return Preprocess(
        height,
        width,
        resize="squash" if squash else "shorter",
        resize_size=int(min(height, width) / share),
        interpolation=interpolation,
        mean=tuple(float(value) for value in config["mean"]),
        std=tuple(float(value) for value in config["std"]),
    ), ("" if squash or mode == "center" else ", centre crop instead of its squash")
