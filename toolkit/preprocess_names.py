"""Preprocessing by name, for models that do not carry their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from toolkit.errors import InputError
from toolkit.preprocess import Preprocess, preprocess_from_dict
from toolkit.shell import quoted

__all__ = ["PREPROCESSINGS", "named_preprocess"]


def _imagenet(height: int, width: int) -> Preprocess:
    return Preprocess(
        height,
        width,
        resize_size=round(max(height, width) * 256 / 224),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def _unit(height: int, width: int) -> Preprocess:
    return Preprocess(height, width, resize="squash", resize_size=max(height, width))


def _symmetric(height: int, width: int) -> Preprocess:
    half = (0.5, 0.5, 0.5)
    return Preprocess(
        height, width, resize="squash", resize_size=max(height, width), mean=half, std=half
    )


def _caffe(height: int, width: int) -> Preprocess:
    return Preprocess(
        height,
        width,
        resize_size=round(max(height, width) * 256 / 224),
        colour="bgr",
        scale=1.0,
        mean=(103.939, 116.779, 123.68),
    )


PREPROCESSINGS: dict[str, Callable[[int, int], Preprocess]] = {
    "imagenet": _imagenet,
    "unit": _unit,
    "symmetric": _symmetric,
    "caffe": _caffe,
}
"""By input height and width. imagenet: torchvision's recipe (shorter side to 256/224 of the crop,
ImageNet mean and deviation). unit: squashed, 0 to 1. symmetric: squashed, -1 to 1 (TensorFlow's
MobileNet, Inception). caffe: BGR 0 to 255 less the mean (Keras' ResNet and VGG)."""


def named_preprocess(name: str, *, height: int, width: int, channels: int = 3) -> Preprocess:
    """Return the preprocessing called `name`, or the one in the JSON file `name`, for an input.

    One channel means grey, with the mean of the three. Raises InputError for an unknown name, a
    damaged file, or a file for another input; ContractError for impossible values.
    """
    if name in PREPROCESSINGS:
        found = PREPROCESSINGS[name](height, width)
        return found if channels == 3 else _grey(found)
    path = Path(name)
    if path.suffix != ".json":
        raise InputError(
            f"Unknown preprocessing {name!r}: known are {', '.join(PREPROCESSINGS)}, "
            "or a .json file with the fields of the contract's preprocess.",
            next_command="edgekit import SOURCE --preprocess imagenet --out model.onnx",
        )
    try:
        found = preprocess_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is not a readable preprocessing file ({error}).",
            next_command=f"ls -l {quoted(path)}",
        ) from error
    if (found.channels, found.height, found.width) != (channels, height, width):
        raise InputError(
            f"{path} prepares ({found.channels}, {found.height}, {found.width}) pixels, the model "
            f"takes ({channels}, {height}, {width}).",
            next_command=f"edgekit inspect MODEL   (then correct {quoted(path)})",
        )
    return found


def _grey(found: Preprocess) -> Preprocess:
    mean, std = sum(found.mean) / 3, sum(found.std) / 3
    return Preprocess(
        found.height,
        found.width,
        resize=found.resize,
        resize_size=found.resize_size,
        colour="gray",
        scale=found.scale,
        mean=(mean,),
        std=(std,),
    )
