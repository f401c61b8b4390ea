"""A session that runs nothing: cheap, deterministic logits, for trying cameras and live loops."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from toolkit.artifacts import Engine, OnnxModel
from toolkit.contract import Contract
from toolkit.runtime.session import check_batch

__all__ = ["FakeSession", "open_session"]


@dataclass(frozen=True)
class FakeSession:
    """Logits that depend on the pixels only through their mean; an inference takes `seconds`."""

    contract: Contract
    engine_name: str = "fake"
    seconds: float = 0.0
    sleep: Callable[[float], None] = time.sleep
    backend: str = "fake"
    note: str = "fake logits: nothing was computed"

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, classes): equal pictures get equal logits, brighter ones others."""
        check_batch(batch, self.contract, engine_name=self.engine_name)
        if self.seconds:
            self.sleep(self.seconds)
        classes = np.arange(len(self.contract.labels), dtype=np.float32)
        means = batch.mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32)
        return np.asarray(np.cos(means[:, None] * 7.0 + classes[None, :]), dtype=np.float32)

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hold nothing, release nothing."""


def open_session(source: OnnxModel | Engine, *, threads: int, spin: bool) -> FakeSession:
    """Return a fake session with the contract of `source`; `threads` and `spin` change nothing."""
    del threads, spin
    return FakeSession(source.contract, engine_name=source.path.name)
