"""Load one row of a table, `"module:function"`, only when it is asked for."""

from __future__ import annotations

import importlib
import os
from typing import Any

from toolkit.errors import MissingDependencyError

__all__ = ["load"]

_OURS = ("toolkit", "calibration", "targets")


def load(row: str, *, what: str, install: str) -> Any:
    """Return the function that `row` ("module:function") names.

    `what` names the feature for the error ("The source torchvision"), `install` is the command
    that provides what it needs. Raises MissingDependencyError when a package is not installed.
    """
    # PyTorch's OpenMP reads this once, when it is first loaded: its idle threads sleep instead of
    # spinning. On two cores at load 5 a training step took 35 to 68 ms so, 177 to 665 ms without
    # (three interleaved runs).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    module, _, name = row.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if not missing or missing in _OURS:
            raise  # our own mistake: the user must not be blamed for it
        raise MissingDependencyError(
            f"{what} needs the package {missing!r}, which is not installed.", next_command=install
        ) from error
