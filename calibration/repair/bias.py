"""Bias correction: gives back, in the bias, what rounding the weights takes from the mean output.

b' = b + E[(W - Wq) x], with x the float activation and the mean over images and positions,
padding included; one pass over the images serves all layers. M. Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2, with
measured instead of assumed means.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.collect import TensorStatistics
from calibration.graph import Graph
from calibration.window import Window, window_in

__all__ = ["correction", "needs_mean_image", "window_means"]


def correction(
    error: NDArray[np.float32], means: NDArray[np.float64], groups: int
) -> NDArray[np.float64]:
    """Return E[error * x] per output channel, for a weight error of shape (O, I / groups, ...)."""
    outputs = error.shape[0]
    per_group = error.reshape(groups, outputs // groups, -1).astype(np.float64)
    inputs = means.reshape(groups, -1)
    if inputs.shape[1] != per_group.shape[2]:
        raise ValueError(f"means {means.shape} do not fit a weight {error.shape}")
    return np.asarray(np.einsum("goi,gi->go", per_group, inputs).reshape(outputs))


def needs_mean_image(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return whether the mean input of a layer depends on where its kernel looks."""
    window = _window(graph, node)
    return window is not None and not window.pointwise


def window_means(
    graph: Graph, node: onnx.NodeProto, statistics: TensorStatistics
) -> NDArray[np.float64]:
    """Return the mean input that each weight of one kernel meets: (C, *kernel), zeros where padded.

    Without a mean image, or for other than two spatial axes, the mean per channel stands for
    every position.
    """
    window, image = _window(graph, node), statistics.mean_image
    if window is None:
        return statistics.mean
    if image is None or image.ndim != 3:
        spread = np.ones((1, *window.kernel))
        return np.asarray(statistics.mean.reshape(-1, *[1] * len(window.kernel)) * spread)
    height, width = image.shape[1:]
    rows, columns = window.taps(0, height), window.taps(1, width)
    sums = np.einsum("kh,chw,lw->ckl", rows, image, columns, optimize=True)
    return np.asarray(sums / (window.outputs(0, height) * window.outputs(1, width)))


def _window(graph: Graph, node: onnx.NodeProto) -> Window | None:
    weight, source = graph.shape(node.input[1]), graph.shape(node.input[0])
    if node.op_type != "Conv" or weight is None or source is None:
        return None
    return window_in(graph, node)
