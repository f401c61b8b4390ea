"""Decode pictures in a few threads, in order, and never far ahead of the reader."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.images import read_image

__all__ = ["cores", "decoded"]


class _HasPath(Protocol):
    @property
    def path(self) -> Path: ...


_Item = TypeVar("_Item", bound=_HasPath)
_Prepared = TypeVar("_Prepared")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decoded(
    items: Iterable[_Item],
    prepare: Callable[[NDArray[np.uint8]], _Prepared],
    *,
    ahead: int,
    threads: int = 0,
) -> Iterator[tuple[_Item, _Prepared]]:
    """Yield each item with what `prepare` makes of its pixels, in the order of `items`.

    At most `ahead` + 2 x threads pictures are decoded before they are asked for, so memory does
    not grow with the data set. Raises ImageError, naming the file, and then reads no further.
    """
    threads = threads or cores()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting: deque[tuple[_Item, Future[_Prepared]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(_decode, item.path, prepare)))
            if len(waiting) > ahead + 2 * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(path: Path, prepare: Callable[[NDArray[np.uint8]], _Prepared]) -> _Prepared:
    return prepare(read_image(path))
