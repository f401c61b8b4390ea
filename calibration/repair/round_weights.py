"""Weights rounded so that their errors cancel in the sum, instead of each to its nearest.

Columns are rounded one after another, and what a column loses is made good, as far as the inputs
vary together, by the columns not yet rounded: a closed-form second-order update, no training.
With C the covariance of the inputs and U the upper Cholesky factor of its inverse,
w_k <- w_k - (w_j - q_j) U_jk / U_jj for k > j. The mean is left to bias correction, hence
covariance. E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers", ICLR 2023, section 3.

Measured on MobileNetV2, weights alone quantized, with bias correction, 256 validation images:
29.6 to 34.3 dB with 8 bits, 23.9 to 28.1 dB with 7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.moments import Moments, blocks_of
from calibration.rounding import dequantize, largest_integer, quantize_weight

__all__ = ["round_weight"]

_DAMPING = 0.1
"""Of the mean variance, added to each: keeps little-seen directions from being trusted."""
_LAZY_COLUMNS = 64


def round_weight(
    weight: NDArray[np.float32],
    bits: int,
    moments: Moments,
    groups: int,
    gain: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return `weight` (O, I / groups, ...) on the grid that `quantize_weight` gives it.

    `gain` lifts the input channels above what `moments` saw. Quantizing the result again gives
    the result: in every row one value stays at the end of the grid.
    """
    nearest, scale = quantize_weight(weight, 0, bits)
    outputs, largest = len(weight), largest_integer(bits)
    count, rows, cut, inputs = blocks_of(weight.shape, groups)
    covariance = moments.covariance
    if gain is not None:
        taps = inputs * count * cut // len(gain)
        lift = np.repeat(gain.astype(np.float64), taps).reshape(count * cut, inputs)
        covariance = covariance * lift[:, :, None] * lift[:, None, :]
    steps = weight.reshape(outputs, -1) / scale.reshape(outputs, 1).astype(np.float64)
    blocks = steps.reshape(count, rows, cut, inputs).transpose(0, 2, 1, 3)
    rounded = _round(blocks.reshape(count * cut, rows, inputs), covariance, largest)
    back = rounded.reshape(count, cut, rows, inputs).transpose(0, 2, 1, 3)
    integers = back.reshape(outputs, -1).astype(np.int8)
    ends = np.abs(nearest.reshape(outputs, -1)).argmax(axis=1)
    every = np.arange(outputs)
    short = np.abs(integers).max(axis=1) < np.abs(nearest.reshape(outputs, -1)).max(axis=1)
    integers[every[short], ends[short]] = nearest.reshape(outputs, -1)[every[short], ends[short]]
    return dequantize(integers.reshape(weight.shape), scale, 0)


def _round(
    steps: NDArray[np.float64], covariance: NDArray[np.float64], largest: int
) -> NDArray[np.float64]:
    """Return integers for `steps` (B, rows, I), given the covariance (B, I, I) of the inputs."""
    inputs = steps.shape[2]
    diagonal = np.einsum("bii->bi", covariance)
    order = np.argsort(-diagonal, axis=1)  # the strongest first: the others can still make good
    work = np.take_along_axis(steps, order[:, None, :], axis=2)
    factor = _inverse_factor(covariance, order)
    result = np.empty_like(work)
    for start in range(0, inputs, _LAZY_COLUMNS):
        stop = min(start + _LAZY_COLUMNS, inputs)
        lost = np.empty((*work.shape[:2], stop - start))
        for column in range(start, stop):
            result[:, :, column] = np.clip(np.rint(work[:, :, column]), -largest, largest)
            pivot = factor[:, column, column, None]
            loss = (work[:, :, column] - result[:, :, column]) / pivot
            lost[:, :, column - start] = loss
            ahead = factor[:, None, column, column:stop]
            work[:, :, column:stop] -= loss[:, :, None] * ahead
        work[:, :, stop:] -= lost @ factor[:, start:stop, stop:]
    restored = np.empty_like(result)
    np.put_along_axis(restored, order[:, None, :], result, axis=2)
    return restored


def _inverse_factor(
    covariance: NDArray[np.float64], order: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return U with U^T U the inverse of the damped covariance, in the given order."""
    sorted_ = np.take_along_axis(covariance, order[:, :, None], axis=1)
    sorted_ = np.take_along_axis(sorted_, order[:, None, :], axis=2)
    variance = np.einsum("bii->bi", sorted_)
    damping = _DAMPING * variance.mean(axis=1, keepdims=True)
    variance += np.where(damping > 0.0, damping, 1.0)  # a view: a dead layer becomes the identity
    inverse = np.linalg.inv(sorted_)
    inverse = (inverse + inverse.transpose(0, 2, 1)) / 2.0
    return np.asarray(np.linalg.cholesky(inverse).transpose(0, 2, 1))
