"""Networks by name: three of ours and every torchvision classifier, with the input each expects.

Add a network with one row: a function or class that takes the number of classes, and the
preprocessing it is trained with. Nothing here imports torch until a network is built.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import InputError
from toolkit.lazy import load
from toolkit.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "INSTALL_TRAIN",
    "NETWORKS",
    "Network",
    "build_network",
    "learning_rate_of",
    "preprocess_of",
]

INSTALL_TRAIN = "pip install 'edgekit[train]'"

_HALF = (0.5, 0.5, 0.5)
_QUARTER = (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class Network:
    """`row` ("module:function") builds it for a number of classes; `preprocess` is its input.

    `learning_rate` is the peak at which it learns with Adam and batches of 32.
    """

    row: str
    preprocess: Preprocess
    learning_rate: float


NETWORKS = {
    "signs-cnn": Network(
        "toolkit.networks.signs_cnn:SignsCnn",
        Preprocess(48, 48, resize_size=48, mean=_HALF, std=_QUARTER),
        4e-3,
    ),
    "simple-cnn": Network(
        "toolkit.networks.simple_cnn:SimpleCnn",
        Preprocess(224, 224, resize="squash", mean=_HALF, std=_QUARTER),
        1e-3,
    ),
    "lenet5": Network(
        "toolkit.networks.lenet5:LeNet5",
        # A quarter of the spread of grey within one picture: faint strokes then reach the bend of
        # tanh. On 20,000 signs, five epochs: top-1 0.889, with 0.5 and 0.25 at most 0.838.
        Preprocess(32, 32, resize="squash", colour="gray", mean=(0.45,), std=(0.04,)),
        3e-3,
    ),
}

_SLOW = ("alexnet", "convnext", "maxvit", "squeezenet", "swin", "vgg", "vit")
"""Families that a peak of 1e-3 breaks: no batch normalization steadies them."""

_TORCHVISION = "toolkit.networks.torchvision_networks"


def build_network(arch: str, classes: int) -> nn.Module:
    """Return an untrained network with `classes` outputs, in training mode.

    Raises InputError for an unknown name, MissingDependencyError without torch.
    """
    what = f"The network {arch!r}"
    if arch in NETWORKS:
        network: nn.Module = load(NETWORKS[arch].row, what=what, install=INSTALL_TRAIN)(classes)
        return network
    _check_name(arch)
    build = load(f"{_TORCHVISION}:build", what=what, install=INSTALL_TRAIN)
    built: nn.Module = build(arch, classes)
    return built


def preprocess_of(arch: str) -> Preprocess:
    """Return the preprocessing `arch` is trained with; torchvision's own for its networks."""
    if arch in NETWORKS:
        return NETWORKS[arch].preprocess
    _check_name(arch)
    what = f"The network {arch!r}"
    found: Preprocess = load(f"{_TORCHVISION}:preprocess_of", what=what, install=INSTALL_TRAIN)(
        arch
    )
    return found


def learning_rate_of(arch: str, *, pretrained: bool = False) -> float:
    """Return the peak learning rate that suits `arch`; a lower one where it starts from weights."""
    if arch in NETWORKS:
        rate = NETWORKS[arch].learning_rate
    else:
        rate = 1e-4 if arch.startswith(_SLOW) and not arch.endswith("_bn") else 1e-3
    return rate / 4 if pretrained else rate


def _check_name(arch: str) -> None:
    names = load(f"{_TORCHVISION}:names", what=f"The network {arch!r}", install=INSTALL_TRAIN)()
    if arch in names:
        return
    close = difflib.get_close_matches(arch, [*NETWORKS, *names], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(
        f"Unknown network {arch!r}.{hint} Known are {', '.join(NETWORKS)} and the "
        f"{len(names)} classifiers of torchvision ({names[0]} to {names[-1]}).",
        next_command='python -c "import torchvision; print(torchvision.models.list_models('
        'module=torchvision.models))"',
    )
