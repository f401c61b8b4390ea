"""A small network with its pairs, and what calibration measured on it."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.collect import Statistics, collect
from calibration.graph import Graph
from calibration.network import Network
from calibration.placement import place
from calibration.repair.bias import needs_mean_image, window_means
from calibration.schemes import Scheme

__all__ = ["measured"]


def measured(
    model: onnx.ModelProto, images: NDArray[np.float32], scheme: Scheme, *, keep: int = 0
) -> tuple[Network, Statistics]:
    """Return the network of a prepared model and the statistics of its pairs over `images`."""
    graph, placement = Graph(model), place(model, scheme)
    layers = [graph.node(pair.use.node) for pair in placement.weights]
    statistics = collect(
        model,
        [images],
        tensors=[pair.tensor for pair in placement.pairs],
        mean_images=[node.input[0] for node in layers if needs_mean_image(graph, node)],
        keep=keep,
    )
    means = {n.name: window_means(graph, n, statistics.tensors[n.input[0]]) for n in layers}
    return Network(model, graph, placement, scheme.weight_bits, means, {}), statistics
