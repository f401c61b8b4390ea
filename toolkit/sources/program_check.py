"""Check, before torch reads it, that a `.pt2` file holds data and no code.

`torch.export.load` falls back to unpickling anything, evaluates the shape expressions in the file
and its guards, and looks operators up by name: a file from a stranger could run code four ways.
Here pickles must pass `weights_only`, expressions may use shape arithmetic only, guards must be
absent (those of classifiers are), and operators must be PyTorch's.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from toolkit.errors import CheckpointError
from toolkit.shell import quoted

__all__ = ["check_program"]

_WORDS = frozenset(
    [
        *("Symbol", "Integer", "Add", "Mul", "Pow", "Max", "Min", "Mod", "PythonMod", "FloorDiv"),
        *("CleanDiv", "CeilDiv", "Eq", "Ne", "Ge", "Gt", "Le", "Lt", "True", "False"),
        *("positive", "nonnegative", "nonzero", "integer", "real", "int_oo", "oo"),
    ]
)
_NAME = re.compile(r"(?:zuf|[suzu])\d+")
_ARITHMETIC = re.compile(r"[\w\s'\"+\-*/%(),=<>]*")
_OPERATORS = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.\w+|math\.\w+|torch\.sym_\w+"
    r"|torch\._higher_order_ops\.wrap_with_set_grad_enabled"
)


def check_program(path: Path) -> None:
    """Raise CheckpointError unless `path` is an exported program without code."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                _check_member(path, name, archive)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} does not exist.", next_command=f"ls -l {quoted(path.parent)}"
        ) from error
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise CheckpointError(
            f"{path} is not an exported program: it is damaged, cut off or something else.",
            next_command=f"ls -l {quoted(path)}",
        ) from error


def _check_member(path: Path, name: str, archive: zipfile.ZipFile) -> None:
    if name.endswith((".so", ".cpp", ".py", ".pyc")) or "/aotinductor/" in name:
        raise _refused(path, f"it contains compiled or source code ({name})")
    content = archive.read(name)
    if name.endswith(".json"):
        for key, value in _entries(json.loads(content)):
            _check_entry(path, key, value)
    elif name.endswith(".pt") or content[:4] == b"PK\x03\x04":
        _check_pickle(path, name, content)


def _check_pickle(path: Path, name: str, content: bytes) -> None:
    try:
        if content:
            torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError) as error:
        raise _refused(path, f"its part {name} is a pickle with more than weights") from error


def _check_entry(path: Path, key: str, value: Any) -> None:
    if key == "use_pickle" and value:
        raise _refused(path, "its weights are kept as pickles")
    if key == "guards_code" and value:
        raise _refused(path, "it brings Python conditions on its input (guards_code)")
    if key == "target" and isinstance(value, str) and not _OPERATORS.fullmatch(value):
        raise _refused(path, f"it calls {value[:60]!r}, which is not an operator of PyTorch")
    if key in ("expr_str", "as_expr") and isinstance(value, str):
        words = re.findall(r"[A-Za-z_]\w*", value)
        known = all(word in _WORDS or _NAME.fullmatch(word) for word in words)
        if not known or not _ARITHMETIC.fullmatch(value):
            raise _refused(path, f"a shape in it is the expression {value[:60]!r}")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            yield from current.items()
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)


def _refused(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} could run code and was refused: {reason}.",
        next_command="python -c \"torch.onnx.export(model, ..., 'model.onnx')\"   "
        "# where the model was trained, then import the ONNX file",
    )
