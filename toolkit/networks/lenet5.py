"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), for 32 x 32 grey pictures."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["LeNet5"]


class LeNet5(nn.Module):
    """Convolutions C1, C3, C5 with tanh, average pooling S2, S4, dense F6, classes.

    Against the paper: C3 sees all six maps of S2, pooling has no weights of its own, and the
    output layer is linear instead of radial basis functions.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 120, 5),
            nn.Tanh(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, classes)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # Made for tanh (Glorot and Bengio 2010); PyTorch's own start is made for ReLU.
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of images (N, 1, 32, 32)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
