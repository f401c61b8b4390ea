"""The demo's network: small, yet with every pattern that quantization treats specially."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SignsCnn"]


class SignsCnn(nn.Module):
    """Convolution + BN + ReLU6, a depthwise-separable block, one residual, pooling, linear.

    About 0.1 million weights; made for pictures of 48 x 48 pixels, works for any size over 16.
    """

    def __init__(self, classes: int, *, width: int = 24) -> None:
        super().__init__()
        self.stem = _convolution(3, width, stride=2)
        self.depthwise = _convolution(width, width, groups=width)
        self.pointwise = _convolution(width, width + 8, kernel=1)
        self.down = _convolution(width + 8, 2 * width, stride=2)
        self.residual = nn.Sequential(
            _convolution(2 * width, 2 * width),
            _convolution(2 * width, 2 * width, activation=False),
        )
        self.last = _convolution(2 * width, 4 * width, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of images (N, 3, H, W)."""
        x = self.down(self.pointwise(self.depthwise(self.stem(images))))
        x = torch.relu(x + self.residual(x))
        features: Tensor = self.pool(self.last(x)).flatten(1)
        logits: Tensor = self.classifier(features)
        return logits


def _convolution(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation:
        layers.append(nn.ReLU6(inplace=True))
    return nn.Sequential(*layers)
