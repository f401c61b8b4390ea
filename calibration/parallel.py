"""Work in threads, its results in order; here because the lowest package that needs it is this."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["available_cpus", "in_order"]

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def available_cpus() -> int:
    """Return how many CPUs this process may use; ONNX Runtime would count all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    action: Callable[[_Item], _Made],
    items: Iterable[_Item],
    *,
    threads: int,
    ahead: int,
    name: str,
) -> Generator[_Made, None, None]:
    """Yield `action` of each item, in the order of `items`, made in threads that are named so.

    At most `ahead` results are under way, or done, before they are asked for: memory does not grow
    with the items. An error of `action` is raised in its turn, one of `items` at once.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    waiting: deque[Future[_Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(action, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
