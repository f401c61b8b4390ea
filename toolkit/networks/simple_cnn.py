"""The network of a hundred tutorials: three convolutions, three poolings, two dense layers."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SimpleCnn"]


class SimpleCnn(nn.Module):
    """Convolutions of 32, 64 and 128 (3 x 3, ReLU, 2 x 2 max-pool), dense 128, classes.

    For pictures of 224 x 224 pixels: unpadded convolutions leave 128 x 26 x 26 before the dense
    layer. The softmax of the tutorial lives in the loss.
    """

    def __init__(self, classes: int, *, side: int = 224) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (32, 64, 128):
            layers += [nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2)]
            inputs, side = outputs, (side - 2) // 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(128 * side * side, 128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of images (N, 3, 224, 224)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
