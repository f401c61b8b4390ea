"""Check values that came from a JSON file against the types of a dataclass."""

from __future__ import annotations

from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["check_types"]


def check_types(record: type, values: dict[str, Any]) -> None:
    """Raise TypeError, naming field and value, for the first that is not what `record` declares.

    Lists must have been made tuples before. Fields that are missing are left to the constructor.
    """
    for name, hint in get_type_hints(record).items():
        if name in values and not _fits(values[name], hint):
            raise TypeError(f"{name} is {str(values[name])[:40]!r}")


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is tuple and isinstance(value, tuple):
        of_each = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(of_each) == len(value) and all(map(_fits, value, of_each))
    if isinstance(value, bool) or kind is bool:  # a bool is an int to Python
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
