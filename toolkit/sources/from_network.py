"""What all PyTorch sources share: network and preprocessing in, checked graph out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.export import ExportedProgram

from toolkit.checkpoint import Weights
from toolkit.labels import Labels, choose_labels
from toolkit.preprocess import Preprocess
from toolkit.preprocess_names import named_preprocess
from toolkit.sources import Imported, Request
from toolkit.torch_export import graph_from_network

__all__ = ["classes_in", "imported_network", "part_of"]


def imported_network(
    request: Request,
    network: nn.Module | ExportedProgram,
    preprocess: Preprocess,
    *,
    source: str,
    parent: str = "",
    imagenet: bool = False,
    labels: Labels | None = None,
    batch: int = 0,
) -> Imported:
    """Return `network` as a graph; what the request asks for wins over what the source states.

    `labels` come with the source; without them, `imagenet` says that 1000 classes are ImageNet's.
    """
    if request.preprocess is not None:
        preprocess = named_preprocess(
            request.preprocess,
            height=preprocess.height,
            width=preprocess.width,
            channels=preprocess.channels,
        )
        source += f", preprocessing {request.preprocess} by request"
    graph = graph_from_network(
        network, preprocess, opset=request.opset, batch=batch, progress=request.progress
    )
    if labels is None or request.labels is not None:
        labels = choose_labels(request.labels, classes=graph.classes, imagenet=imagenet)
    return Imported(
        model=graph.model,
        preprocess=preprocess,
        labels=labels.names,
        ids=labels.ids,
        source=f"{source}, {labels.origin}",
        parent=parent,
        max_abs_diff=graph.max_abs_diff,
    )


def part_of(weights: Weights) -> str:
    """Return which part of their file the weights are, as words behind its name."""
    return f" ({weights.part})" if weights.part else ""


def classes_in(state: Mapping[str, Tensor]) -> int:
    """Return the number of classes of a classifier with these weights: its last layer's rows."""
    for name in reversed(list(state)):
        if name.endswith("weight") and state[name].ndim >= 2:
            return int(state[name].shape[0])
    return 1000
