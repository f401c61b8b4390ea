"""The weights that training starts from: random ones, or those of a trained network."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torchvision.models import WeightsEnum

from toolkit.checkpoint import load_weights, read_weights
from toolkit.networks import NETWORKS
from toolkit.networks.torchvision_networks import preprocess_of_weights, pretrained, weights_of
from toolkit.preprocess import Preprocess

__all__ = ["load_start", "preprocess_of_start"]


def preprocess_of_start(arch: str, weights: str) -> Preprocess | None:
    """Return the preprocessing that published weights state; None for those of a file."""
    published = _published(arch)
    if weights in published:
        return preprocess_of_weights(published[weights])
    return None


def load_start(network: nn.Module, arch: str, weights: str, *, classes: int) -> None:
    """Copy `weights` into `network`, all but a last layer that has another number of classes.

    `weights` is a file, `default`, or the name of weights that torchvision publishes. Raises
    CheckpointError when they are those of another network, InputError when they cannot be had.
    """
    state = _state(arch, weights)
    own = network.state_dict()
    # Side outputs that only serve ImageNet training are not built here.
    side = ("aux1.", "aux2.", "AuxLogits.")
    state = {k: v for k, v in state.items() if not (k.startswith(side) and k not in own)}
    for name, value in own.items():
        if name in state and _is_other_head(state[name], value, classes):
            state[name] = value
    load_weights(network, state, arch=arch, where=weights)


def _is_other_head(given: Tensor, own: Tensor, classes: int) -> bool:
    return (
        given.ndim == own.ndim > 0
        and own.shape[0] == classes != given.shape[0]
        and given.shape[1:] == own.shape[1:]
    )


def _state(arch: str, weights: str) -> dict[str, Tensor]:
    published = _published(arch)
    if weights not in published:
        return dict(read_weights(Path(weights)).state)
    other = f"edgekit train DATA --arch {arch} --weights WEIGHTS.pth"
    return pretrained(arch, published[weights], next_command=other).state_dict()


def _published(arch: str) -> dict[str, WeightsEnum]:
    """Return the published weights of `arch` by name; none for the networks of ours."""
    if arch in NETWORKS:
        return {}
    named = weights_of(arch)
    return named | {"default": next(iter(named.values())).DEFAULT}
