"""The search itself: candidates evaluated one after another, and the curve they make."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.emit import Quantized
from toolkit.artifacts import OnnxModel
from toolkit.statistics.budgets import PairedDrop
from toolkit.tune.candidates import Candidates
from toolkit.tune.evaluate import Evaluator, paired
from toolkit.tune.latency_plan import LatencyPlan
from toolkit.tune.result import CurvePoint
from toolkit.tune.search import Budget, fewest_float
from toolkit.tune.split import ImageSet

__all__ = ["Found", "search_candidates"]


@dataclass(frozen=True)
class Found:
    """The candidate that was chosen, whether it fits the budget, and all that were evaluated."""

    kept: tuple[str, ...]
    fits: bool
    made: Quantized
    curve: tuple[CurvePoint, ...]


def search_candidates(
    source: OnnxModel,
    made: Quantized,
    ranking: Callable[[], Mapping[str, float]],
    images: ImageSet,
    evaluator: Evaluator,
    budget: Budget,
    plan: LatencyPlan | None = None,
) -> Found:
    """Return the fewest layers in float that fit `budget` on `images`.

    Layers come in the order of `ranking()`, the largest error first; with a `plan` in its order
    and no others.
    """
    reference = evaluator.right(source.path, images, step="search: float model")
    points: list[CurvePoint] = []
    with tempfile.TemporaryDirectory(prefix="edgekit-tune-") as folder:
        order = plan.order if plan else None
        candidates = Candidates(
            Path(folder), source, made.recipe, lambda: tuple(ranking() if order is None else order)
        )

        def evaluate(count: int) -> PairedDrop:
            candidate = candidates.made(count)
            step = f"search: {count} layers in float"
            right = evaluator.right(candidates.written(candidate), images, step=step)
            points.append(
                CurvePoint(
                    float_layers=count,
                    last=candidates.kept(count)[-1] if count else "",
                    int8_mac_share=candidate.int8_mac_share_all,
                    seen=paired(reference, right),
                    chosen=False,
                    predicted_ms=plan.predicted_ms[count] if plan else None,
                )
            )
            return points[-1].seen

        kept, fits = fewest_float(
            evaluate,
            layers=min(made.quantized, len(plan.order) + 1) if plan else made.quantized,
            budget=budget,
            fewest=plan.fewest if plan else 0,
        )
        best, names = candidates.made(kept), candidates.kept(kept)
    curve = tuple(replace(point, chosen=point.float_layers == kept) for point in points)
    return Found(names, fits, best, curve)
