"""How much memory a builder may use for trying out kernels."""

from __future__ import annotations

from targets.catalog import Target

__all__ = ["workspace_for"]

_JETSON_SHARE = 4
"""A Jetson's GPU shares the board's memory: a quarter of it for tactics, unless told otherwise.
The builder's own limit is all of it, and Linux then kills the build."""


def workspace_for(target: Target) -> int | None:
    """Return the limit for `target` in MiB; None where the builder's own limit is right."""
    if not target.is_jetson or target.memory_gib is None:
        return None
    return int(target.memory_gib * 1024 / _JETSON_SHARE)
