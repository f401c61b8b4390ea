"""What a training run can be told, checked before anything is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from toolkit.errors import InputError

__all__ = ["AUGMENTATIONS", "CLASS_WEIGHTS", "TrainingOptions", "check_options"]

AUGMENTATIONS = {
    "mild": "toolkit.training.augment:mild",
    "none": "toolkit.training.augment:unchanged",
    "photos": "toolkit.training.augment:photos",
    "trivial": "toolkit.training.augment:trivial",
}
"""How training pictures are distorted: a function in one row, used by its name."""

CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True)
class TrainingOptions:
    """The recipe. `learning_rate` is the peak of the schedule; batches are those of all workers.

    `warmup` is the share of all steps in which the rate rises; then it falls along half a cosine.
    `patience` = N ends the run after N epochs without a lower validation loss and keeps the best
    weights; 0 never does. `amp` computes in bf16 or fp16, on a CUDA device only. `threads` = 0
    leaves PyTorch its choice.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: float = 0.1
    augment: str = "mild"
    label_smoothing: float = 0.0
    class_weights: str = "none"
    patience: int = 0
    amp: bool = False
    seed: int = 0
    threads: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def check_options(options: TrainingOptions) -> None:
    """Raise InputError for values that no training can use, naming the first of them."""
    checks = (
        ("epochs", options.epochs >= 1, "at least 1"),
        ("batch_size", options.batch_size >= 1, "at least 1"),
        ("learning_rate", 0 < options.learning_rate < 10, "over 0 and under 10"),
        ("warmup", 0 <= options.warmup < 1, "a share from 0 to under 1"),
        ("label_smoothing", 0 <= options.label_smoothing < 1, "a share from 0 to under 1"),
        ("patience", options.patience >= 0, "a number of epochs, or 0 for never"),
        ("seed", options.seed >= 0, "at least 0"),
        ("threads", options.threads >= 0, "a number of threads, or 0 for all"),
        ("augment", options.augment in AUGMENTATIONS, f"one of {', '.join(AUGMENTATIONS)}"),
        ("class_weights", options.class_weights in CLASS_WEIGHTS, " or ".join(CLASS_WEIGHTS)),
    )
    for name, fits, wanted in checks:
        if not fits:
            raise InputError(
                f"Training needs {name} to be {wanted}, got {getattr(options, name)!r}.",
                next_command="edgekit train --help",
            )
