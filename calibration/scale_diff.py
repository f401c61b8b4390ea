"""Two sets of tensor scales side by side: what is missing, infinite, renamed or differs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ScaleDiff", "diff_scales"]


@dataclass(frozen=True)
class ScaleDiff:
    """How the scales of b differ from those of a. All names in the order of their file.

    `renamed` pairs a name of a alone with one of b alone that has the same scale; these are not
    `only_a` and `only_b`. `ratios` gives b / a where they differ by more than the tolerance.
    """

    equal: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    infinite_a: tuple[str, ...]
    infinite_b: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    ratios: tuple[tuple[str, float], ...]
    """The largest change first; infinite where a is 0."""

    @property
    def same(self) -> bool:
        """Return whether both give every tensor the same finite scale under the same name."""
        parts = (self.only_a, self.only_b, self.infinite_a, self.infinite_b, self.renamed)
        return not any(parts) and not self.ratios

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; an infinite ratio is null."""
        return {
            "equal": self.equal,
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "infinite_a": list(self.infinite_a),
            "infinite_b": list(self.infinite_b),
            "renamed": [list(pair) for pair in self.renamed],
            "ratios": {
                name: ratio if math.isfinite(ratio) else None for name, ratio in self.ratios
            },
        }

    def lines(self) -> list[str]:
        """Return what a person wants to know, the counts first."""
        counts = (
            (self.equal, "equal"),
            (len(self.ratios), "different"),
            (len(self.renamed), "renamed"),
            (len(self.only_a), "missing from the second"),
            (len(self.only_b), "missing from the first"),
            (len({*self.infinite_a, *self.infinite_b}), "infinite"),
        )
        lines = [", ".join(f"{count} {what}" for count, what in counts if count) or "both empty"]
        lines += [f"  x {ratio:.4g}  {name}" for name, ratio in self.ratios]
        lines += [f"  renamed  {old} -> {new}" for old, new in self.renamed]
        lines += [f"  missing from the second  {name}" for name in self.only_a]
        lines += [f"  missing from the first  {name}" for name in self.only_b]
        lines += [f"  infinite in the first  {name}" for name in self.infinite_a]
        return lines + [f"  infinite in the second  {name}" for name in self.infinite_b]


def diff_scales(
    a: Mapping[str, float], b: Mapping[str, float], *, tolerance: float = 1e-6
) -> ScaleDiff:
    """Return how `b` differs from `a`; scales within `tolerance` of each other are equal.

    A name counts as renamed when as many tensors of a alone as of b alone have its float32 scale:
    these are then paired in file order.
    """
    renamed = _renamed({n: a[n] for n in a if n not in b}, {n: b[n] for n in b if n not in a})
    gone, come = {old for old, _ in renamed}, {new for _, new in renamed}
    ratios = {
        name: _ratio(a[name], b[name])
        for name in a
        if name in b and math.isfinite(a[name]) and math.isfinite(b[name])
    }
    far = {name: ratio for name, ratio in ratios.items() if abs(ratio - 1.0) > tolerance}
    return ScaleDiff(
        equal=len(ratios) - len(far),
        only_a=tuple(name for name in a if name not in b and name not in gone),
        only_b=tuple(name for name in b if name not in a and name not in come),
        infinite_a=_infinite(a),
        infinite_b=_infinite(b),
        renamed=renamed,
        ratios=tuple(sorted(far.items(), key=lambda item: -_distance(item[1]))),
    )


def _renamed(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    first, second = _by_scale(a.items()), _by_scale(b.items())
    pairs = {
        old: new
        for scale, names in first.items()
        if len(names) == len(second.get(scale, ()))
        for old, new in zip(names, second[scale], strict=True)
    }
    return tuple((name, pairs[name]) for name in a if name in pairs)


def _by_scale(scales: Iterable[tuple[str, float]]) -> dict[bytes, list[str]]:
    """Return the names by the bits of their scale; 0 and infinity say nothing about a tensor."""
    found: dict[bytes, list[str]] = defaultdict(list)
    for name, scale in scales:
        if 0.0 < scale < math.inf:
            found[np.float32(scale).tobytes()].append(name)
    return found


def _ratio(a: float, b: float) -> float:
    if a == b:
        return 1.0
    return b / a if a else math.inf


def _distance(ratio: float) -> float:
    return abs(math.log(ratio)) if 0.0 < ratio < math.inf else math.inf


def _infinite(scales: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(name for name, scale in scales.items() if math.isinf(scale))
