"""How many of the ranked layers must be float: doubling, then halving the interval."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.statistics.budgets import PairedDrop, smallest_bound

__all__ = ["Budget", "fewest_float"]


class Budget:
    """Whether a candidate is worth judging, told by the images of the search.

    It is when `judges` images like those would show the budget to be met. Where even a perfect
    candidate could not show that, on so few images, the drop seen must be within the budget.
    """

    def __init__(self, max_drop: float, *, confidence: float, judges: int) -> None:
        self.max_drop = max_drop
        self.confidence = confidence
        self.judges = judges
        self.decidable = smallest_bound(judges, confidence) <= max_drop

    def cost(self, seen: PairedDrop) -> float:
        """Return what is held against the budget: a projected bound, or the drop itself."""
        if not self.decidable:
            return seen.drop
        return seen.scaled_to(self.judges).at_most(self.confidence)

    def fits(self, seen: PairedDrop) -> bool:
        """Return whether the candidate should be judged."""
        return self.cost(seen) <= self.max_drop


def fewest_float(
    evaluate: Callable[[int], PairedDrop], *, layers: int, budget: Budget, fewest: int = 0
) -> tuple[int, bool]:
    """Return how many layers to keep in float, and whether that fits the budget.

    `evaluate(k)` is the drop with the k most sensitive layers in float; at most `layers` - 1 can
    be, for one must stay INT8, and at least `fewest`. Takes at most about 2 log2(layers)
    evaluations, and one when the first of them fits. Where nothing fits, the candidate with the
    least cost of those evaluated.
    """
    most = layers - 1
    seen: dict[int, PairedDrop] = {}

    def fits(count: int) -> bool:
        seen[count] = evaluate(count)
        return budget.fits(seen[count])

    low, high = fewest - 1, fewest  # `low` does not fit; `high` is next to be tried
    while not fits(high):
        if high >= most:
            return min(seen, key=lambda k: (budget.cost(seen[k]), k)), False
        low, high = high, min(max(1, 2 * high), most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high, True
