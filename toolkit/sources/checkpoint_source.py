"""`file.pth --arch NAME`: weights in a file for a network known by name, or our own `model.pt`."""

from __future__ import annotations

from torch import nn

from toolkit.artifacts import digest_of_file
from toolkit.checkpoint import Trained, network_of, read_any, read_checkpoint
from toolkit.errors import CheckpointError
from toolkit.labels import Labels
from toolkit.networks import NETWORKS, build_network, preprocess_of
from toolkit.progress import Progress
from toolkit.shell import quoted
from toolkit.sources import Imported, Request
from toolkit.sources.fitting_networks import load_or_explain, network_that_fits
from toolkit.sources.from_network import classes_in, imported_network, part_of
from toolkit.sources.torchvision_source import imported_file

__all__ = ["open_checkpoint", "open_source"]


def open_source(request: Request) -> Imported:
    """Return the graph of the network `request.arch` with the weights of a file.

    A file from `edgekit train` names its own network, classes and preprocessing. For the rest,
    the preprocessing is the one the network is trained with, and stated in `source`. Raises
    CheckpointError for a file that does not fit, is damaged or holds code.
    """
    path = request.path
    request.progress(Progress("read the network", 0, 1, path.name))
    found = read_any(path)
    if isinstance(found, Trained):
        return _own(request, found)
    if request.arch is None:
        fitting = network_that_fits(found.state, progress=request.progress)
        raise CheckpointError(
            f"{path} holds weights ({len(found.state)} tensors) but does not say for which network"
            + (f"; {fitting} has weights of these names and shapes." if fitting else "."),
            next_command=f"edgekit import {quoted(path)} --arch {fitting or 'NAME'} "
            "--out model.onnx",
        )
    if request.arch not in NETWORKS:
        return imported_file(request, request.arch, path, found)
    network: nn.Module = build_network(request.arch, classes_in(found.state))
    load_or_explain(
        network, found.state, arch=request.arch, where=str(path), progress=request.progress
    )
    return imported_network(
        request,
        network,
        preprocess_of(request.arch),
        source=f"{path.name}{part_of(found)}, network and preprocessing {request.arch}",
        parent=found.digest,
    )


def open_checkpoint(request: Request) -> Imported:
    """Return the graph of a checkpoint that `edgekit train` wrote.

    Raises CheckpointError for any other file.
    """
    path = request.path
    request.progress(Progress("read the network", 0, 1, path.name))
    return _own(request, read_checkpoint(path))


def _own(request: Request, trained: Trained) -> Imported:
    path = request.path
    if request.arch not in (None, trained.arch):
        raise CheckpointError(
            f"{path} was trained as {trained.arch}, not {request.arch}.",
            next_command=f"edgekit export {quoted(path)} --out model.onnx",
        )
    return imported_network(
        request,
        network_of(trained, where=path),
        trained.preprocess,
        source=f"{path.name}, {trained.arch} trained by edgekit",
        parent=digest_of_file(path),
        labels=Labels(trained.classes, trained.classes, "its own labels"),
    )
