"""What every runtime offers, and the check it makes before a batch reaches foreign code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.shell import quoted

__all__ = [
    "GivesMaps",
    "Mapped",
    "PreparesInput",
    "Session",
    "check_batch",
    "check_gives_map",
    "inference_of",
]


class Session(Protocol):
    """A loaded model. Use it in a `with`; it gives its memory back at the end.

    ONNX Runtime sessions may be used from several threads at once. Other runtimes need not
    allow that: use a session from the thread that opened it unless its module says otherwise.
    """

    @property
    def contract(self) -> Contract:
        """Return the deployment contract of the file that was opened."""

    @property
    def backend(self) -> str:
        """Return the row of RUNTIMES that runs it."""

    @property
    def engine_name(self) -> str:
        """Return the name of the file that was opened."""

    @property
    def note(self) -> str:
        """Return what a reader of its figures must know, or ""."""

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, classes) of a batch (N, C, H, W); the array is the caller's.

        Raises InputError when shape or type are not the contract's.
        """

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True)
class Mapped:
    """The logits (N, classes) of a batch, and the activation maps (N, height, width) of winners."""

    logits: NDArray[np.float32]
    maps: NDArray[np.float32]


@runtime_checkable
class GivesMaps(Session, Protocol):
    """A Session that can also give the class activation map, where the contract names one."""

    def infer_with_map(self, batch: NDArray[np.float32]) -> Mapped:
        """Return what `infer` does, with the maps. Raises InputError for a file without one."""


@runtime_checkable
class PreparesInput(Session, Protocol):
    """A Session whose input can be made ready by another thread than the one that runs it."""

    def prepare_input(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        """Return a batch (N, C, H, W) as the engine itself takes it. Raises InputError."""

    def infer_prepared(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logits (N, classes) of what `prepare_input` returned."""

    def infer_prepared_with_map(self, prepared: NDArray[Any]) -> Mapped:
        """Return logits and maps of it. Raises InputError for a file without maps."""


def inference_of(session: Session, batch: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
    """Return what infers `batch` again and again, made ready once where that can be done apart."""
    if isinstance(session, PreparesInput):
        return partial(session.infer_prepared, session.prepare_input(batch))
    return partial(session.infer, batch)


def check_gives_map(contract: Contract, *, engine_name: str) -> None:
    """Raise InputError when the engine has no class activation map."""
    if not contract.activation_map:
        raise InputError(
            f"{engine_name} gives no class activation map.",
            next_command="edgekit import SOURCE --cam --out model.onnx",
        )


def check_batch(batch: Any, contract: Contract, *, engine_name: str) -> None:
    """Raise InputError when `batch` is not float32 of the contract's shape."""
    count, *image = contract.input_shape
    expected = f"float32 ({count or 'N'}, {', '.join(map(str, image))})"
    if not isinstance(batch, np.ndarray):
        found = type(batch).__name__
    elif (
        batch.dtype == np.float32
        and batch.ndim == 4
        and list(batch.shape[1:]) == image
        and batch.shape[0] == (count or max(batch.shape[0], 1))  # any batch but an empty one
    ):
        return
    else:
        found = f"{batch.dtype} ({', '.join(map(str, batch.shape))})"
    raise InputError(
        f"{engine_name} takes a batch of {expected}, got {found}.",
        next_command=f"edgekit inspect {quoted(engine_name)}",
    )
