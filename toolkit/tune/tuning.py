"""`edgekit tune`: a float model, labelled images and a budget in, the fewest float layers out.

Layers are ranked by the error of the logits that each makes alone. A third of the images steers the
search; the other two thirds judge its result, once. With a latency budget, layers are ordered by
error removed per millisecond instead, and only candidates within it are searched: for the CPU of
this machine layers are timed here and the result is measured, in turns with plain INT8; for a GPU
the times come from records, and the latency of the result stays a prediction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from calibration.graph import Graph, prepare
from calibration.placement import place
from calibration.schemes import SCHEMES, Scheme
from targets import get
from targets.support import decide
from toolkit.artifacts import OnnxModel
from toolkit.atomic import check_writable, write_text
from toolkit.errors import InputError
from toolkit.golden import make_golden, write_golden
from toolkit.int8_model import write_int8_model
from toolkit.onnx_model.file import open_model, read_onnx
from toolkit.progress import ProgressCallback, silent
from toolkit.record_file import write_record
from toolkit.shell import quoted
from toolkit.tune.candidate_search import Found, search_candidates
from toolkit.tune.candidates import in_final_precision
from toolkit.tune.cpu_latency import measured_in_turns, times_on_this_cpu
from toolkit.tune.evaluate import paired
from toolkit.tune.latency_budget import check_latency_options, search_within
from toolkit.tune.layer_times import LayerTimes
from toolkit.tune.page import html_from_tuned
from toolkit.tune.recorded_times import recorded_times
from toolkit.tune.result import Tuned, curve_path, journal_path, page_path
from toolkit.tune.search import Budget
from toolkit.tune.setting import Setting, open_setting
from toolkit.tune.split import Split
from toolkit.tune.tuned_latency import TunedLatency

__all__ = ["tune"]

_KIND = "edgekit tuning"
_VERSION = 1


def tune(
    model: Path,
    *,
    images: Path,
    max_drop: float,
    confidence: float = 0.95,
    max_latency: float | None = None,
    times: Sequence[Path] = (),
    calibration_images: Path | None = None,
    target: str = "",
    samples: int = 512,
    method: str = "auto",
    effort: str = "balanced",
    seed: int = 0,
    limit: int | None = None,
    threads: int = 0,
    out: Path | None = None,
    progress: ProgressCallback = silent,
) -> Tuned:
    """Quantize `model`, keep the fewest layers in float that hold the budget, and write it.

    `max_drop` is in percentage points of top-1 against the float model on `images`; the drop is
    held to it by a one-sided bound at `confidence`. Calibration takes images of
    `calibration_images`, or a quarter of `images`. `max_latency` is p50 of one inference in
    milliseconds; for a GPU it takes `times`, latency records with the kernels of a float and an
    INT8 engine on that device. Where both budgets cannot be met, latency wins.

    The best candidate is written even if the budget is not met. Every evaluation is kept in a
    journal beside it: the same call after an interruption goes on where it stopped. Raises
    InputError, ModelError, ContractError, calibration.CalibrationError, targets.TargetError, and
    for a latency budget what `build` and `measure` raise.
    """
    started = time.monotonic()
    _check(model, max_drop, confidence)
    check_latency_options(model, max_latency=max_latency, times=times, target=target)
    out = out or model.with_name(f"{model.name.removesuffix('.onnx')}.tuned.int8.onnx")
    check_writable(out)
    source, scheme = open_model(model), _scheme(target)
    recorded = _recorded(source, scheme, target, times)  # refused before anything is calibrated
    setting = open_setting(
        source,
        scheme,
        images=images,
        calibration_images=calibration_images,
        samples=samples,
        limit=limit,
        method=method,
        effort=effort,
        seed=seed,
        threads=threads,
        journal=journal_path(out),
        progress=progress,
    )
    budget = Budget(max_drop / 100.0, confidence=confidence, judges=len(setting.split.judge.images))
    found, latency = _searched(setting, budget, max_latency, recorded)
    tuned = _judged(setting, budget, found, latency, out, max_drop=max_drop, started=started)
    write_text(page_path(out), html_from_tuned(tuned))
    write_record(curve_path(out), tuned.to_dict(), kind=_KIND, version=_VERSION)
    return tuned


def _searched(
    setting: Setting, budget: Budget, max_latency: float | None, recorded: LayerTimes | None
) -> tuple[Found, TunedLatency | None]:
    """Return the best candidate, and what is known of its latency where that has a budget.

    `recorded` are layer times from elsewhere; without them layers are timed here.
    """
    source, made, threads = setting.source, setting.made, setting.threads
    search = partial(
        search_candidates,
        source,
        made,
        lambda: setting.ranking,
        setting.split.search,
        setting.evaluator,
        budget,
    )
    if max_latency is None:
        return search(), None
    if recorded is not None:
        return search_within(max_latency, recorded, setting.ranking, search=search)
    here = times_on_this_cpu(
        source, made, setting.journal, threads=threads, progress=setting.progress
    )
    run = partial(
        measured_in_turns, int8=made, source=source, threads=threads, progress=setting.progress
    )
    return search_within(max_latency, here, setting.ranking, search=search, measured=run)


def _judged(
    setting: Setting,
    budget: Budget,
    found: Found,
    latency: TunedLatency | None,
    out: Path,
    *,
    max_drop: float,
    started: float,
) -> Tuned:
    """Write what was found and return it with the verdict of the images that nobody saw."""
    source, split, evaluator = setting.source, setting.split, setting.evaluator
    final, notes = in_final_precision(found.made, setting.sample)
    written = write_int8_model(final, source, out)
    write_golden(make_golden(written, float_model=source), out)
    judged = paired(
        evaluator.right(source.path, split.judge, step="judge: float model"),
        evaluator.right(out, split.judge, step="judge: tuned model"),
    )
    was_ranked = latency is not None or len(found.curve) > 1
    return Tuned(
        model=written,
        max_drop=max_drop,
        confidence=budget.confidence,
        judged=judged,
        layers=setting.made.quantized,
        kept=found.kept,
        ranking=tuple(setting.ranking.items()) if was_ranked else (),
        curve=found.curve,
        fits_search=found.fits,
        images_run=evaluator.images_run,
        images_recalled=evaluator.images_recalled,
        seconds=time.monotonic() - started,
        notes=(*split.notes, *_notes(budget, split, latency), *setting.made.notes, *notes),
        latency=latency,
    )


def _check(model: Path, max_drop: float, confidence: float) -> None:
    again = f"edgekit tune {quoted(model)} --images DIR --max-drop 1 --confidence 0.95"
    if not 0.0 <= max_drop < 100.0:
        raise InputError(
            f"A budget of {max_drop:g} percentage points is none: it lies between 0 and 100.",
            next_command=again,
        )
    if not 0.5 < confidence < 1.0:
        raise InputError(
            f"A confidence of {confidence:g} decides nothing: it lies between 0.5 and 1.",
            next_command=again,
        )


def _scheme(target: str) -> Scheme:
    return SCHEMES[decide(get(target), precision="int8").scheme if target else "tensorrt"]


def _recorded(
    source: OnnxModel, scheme: Scheme, target: str, records: Sequence[Path]
) -> LayerTimes | None:
    """Return the layer times in `records`; None for no records."""
    if not records:
        return None
    ready = prepare(read_onnx(source.path))
    layers = place(ready, scheme).int8_nodes
    return recorded_times(records, model=source, target=target, graph=Graph(ready), layers=layers)


def _notes(budget: Budget, split: Split, latency: TunedLatency | None) -> list[str]:
    notes = [
        f"searched on {len(split.search.images)} images, judged once on "
        f"{len(split.judge.images)} others"
    ]
    if not budget.decidable:
        notes.append(
            f"{len(split.judge.images)} images cannot show a drop within "
            f"{100.0 * budget.max_drop:g} points even where no answer changes; the search went by "
            "the drop it saw"
        )
    return [*notes, *(latency.notes() if latency else ())]
