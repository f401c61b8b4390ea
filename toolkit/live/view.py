"""Looking at a live run: `--view web` or `--view terminal`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import InputError
from toolkit.lazy import load
from toolkit.live.answers import View
from toolkit.preprocess import Preprocess

__all__ = ["VIEWS", "open_view"]

VIEWS = {
    "web": "toolkit.web.server:open_web_view",
    "terminal": "toolkit.live.terminal_view:open_terminal_view",
}
"""Name -> what opens it: `open_*(*, engine, camera)`, a context manager."""


@contextmanager
def open_view(
    name: str, *, engine: str, camera: str, address: str, preprocess: Preprocess | None = None
) -> Iterator[tuple[View, str]]:
    """Yield a view for the loop, and the address of its page ("" without one).

    `preprocess` is the engine's: an activation map lies where its crop is.
    Raises InputError for an unknown view, MissingDependencyError without Starlette and uvicorn.
    """
    if name not in VIEWS:
        raise InputError(
            f"Unknown view {name!r}: it is one of {', '.join(VIEWS)}.",
            next_command="edgekit live ENGINE --camera URI --view web",
        )
    opener = load(VIEWS[name], what=f"The view {name}", install="pip install 'edgekit[web]'")
    if name == "terminal":
        with opener(engine=engine, camera=camera) as newest:
            yield newest, ""
    else:
        with opener(address, engine=engine, camera=camera, preprocess=preprocess) as view:
            open_to_all = "  (open to the network, not encrypted)" if view.exposed else ""
            yield view.newest, f"{view.url}{open_to_all}"
