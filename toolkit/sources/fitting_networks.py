"""Which known network some weights belong to, told by their names and shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from toolkit.checkpoint import load_weights
from toolkit.errors import CheckpointError
from toolkit.networks import NETWORKS, build_network
from toolkit.networks.torchvision_networks import build, names
from toolkit.progress import Progress, ProgressCallback
from toolkit.shell import quoted
from toolkit.sources.from_network import classes_in

__all__ = ["load_or_explain", "network_that_fits"]


def network_that_fits(state: Mapping[str, Tensor], *, progress: ProgressCallback) -> str:
    """Return the name of a network with exactly these weights, ours first, "" if there is none.

    One after another is built, without memory for its weights: a quarter of a second each.
    """
    wanted = _shapes(state)
    classes = classes_in(state)
    auxiliary = any(key.startswith(("aux1.", "AuxLogits.")) for key in state)
    known = [*NETWORKS, *names()]
    with _without_memory():
        for done, name in enumerate(known):
            progress(Progress("look for the network", done, len(known), name))
            if name in NETWORKS:
                network = build_network(name, classes)
            else:
                network = build(name, classes, auxiliary=auxiliary)
            if _shapes(network.state_dict()) == wanted:
                return name
    return ""


def load_or_explain(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    arch: str,
    where: str,
    progress: ProgressCallback,
) -> None:
    """Copy `state` into `network` as `load_weights` does; its error says whose weights they are."""
    try:
        load_weights(network, state, arch=arch, where=where)
    except CheckpointError as error:
        fitting = network_that_fits(state, progress=progress)
        if not fitting:
            raise
        raise CheckpointError(
            f"{error.message} They are weights of {fitting}.",
            next_command=f"edgekit import {quoted(where)} --arch {fitting} --out model.onnx",
        ) from error


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(tensor.shape)
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")  # old files lack these counters
    }


@contextmanager
def _without_memory() -> Iterator[None]:
    """Make parameters that have a shape and nothing else; initializing them costs nothing.

    `torch.device("meta")` would do so for every tensor, and RegNet computes its widths with some.
    """

    def emptied(_: nn.Module, __: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None:
            return None
        return nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)

    hook = register_module_parameter_registration_hook(
        emptied  # type: ignore[arg-type]  # torch says -> None, and uses what is returned
    )
    try:
        yield
    finally:
        hook.remove()
