"""A session and a camera that cost virtual time only, and a sink, for tests of the live loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toolkit.camera.frame import Frame, Status
from toolkit.clock import Clock
from toolkit.contract import Contract
from toolkit.preprocess import Preprocess
from toolkit.results import Result
from toolkit.runtime.fake import FakeSession

LABELS = ("ant", "bee", "cat")


def contract() -> Contract:
    return Contract(
        input_name="input",
        input_shape=(1, 3, 8, 8),
        preprocess=Preprocess(8, 8, resize_size=8),
        labels=LABELS,
        ids=("n1", "n2", "n3"),
        source="test",
    )


def timed_session(clock: Clock, seconds: float = 0.0) -> FakeSession:
    return FakeSession(contract(), seconds=seconds, sleep=clock.sleep)


@dataclass(frozen=True)
class AnsweringSession(FakeSession):
    """Keeps the batches it is given and answers each with the same logits."""

    contract: Contract = field(default_factory=contract)
    logits: tuple[float, ...] = (0.0, 2.0, 1.0)
    batches: list[NDArray[np.float32]] = field(default_factory=list)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(batch)
        return np.array([self.logits], dtype=np.float32)


class ScriptedCamera:
    """Gives what the script yields: frames, statuses, or an exception to raise."""

    uri = "scripted://"

    def __init__(self, script: Iterator[Frame | Status | Exception]) -> None:
        self._script = script

    def read(self, timeout_s: float) -> Frame | Status:
        given = next(self._script, Status.END)
        if isinstance(given, Exception):
            raise given
        return given


class Kept:
    """A sink that keeps what it is given."""

    lost = 0

    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, result: Result) -> None:
        self.results.append(result)


def frame(index: int, captured_at_s: float, origin: str = "driver") -> Frame:
    return Frame(np.full((8, 8, 3), index % 256, np.uint8), index, captured_at_s, origin)


def preparing(clock: Clock, cost_s: float) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    def prepare(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        clock.sleep(cost_s)
        return np.zeros((3, 8, 8), np.float32)

    return prepare
