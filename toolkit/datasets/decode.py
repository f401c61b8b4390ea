"""Decode pictures in a few threads, in order, and never far ahead of the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.parallel import available_cpus, in_order
from toolkit.images import read_image

__all__ = ["decoded"]


class _HasPath(Protocol):
    @property
    def path(self) -> Path: ...


_Item = TypeVar("_Item", bound=_HasPath)
_Prepared = TypeVar("_Prepared")


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

    def decode(item: _Item) -> tuple[_Item, _Prepared]:
        return item, prepare(read_image(item.path))

    threads = threads or available_cpus()
    return in_order(decode, items, threads=threads, ahead=ahead + 2 * threads, name="decode")
