"""`edgekit compare`: two models or engines and one folder of images in, a paired comparison out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.comparison import Comparison
from toolkit.contract import Contract
from toolkit.datasets.folder import LabelledImage, batches
from toolkit.errors import ContractError, InputError, LabelsError
from toolkit.logits import LogitsDifference
from toolkit.map_overlap import MapComparison
from toolkit.predictions import (
    IdentifiedImage,
    Prediction,
    batch_size_for,
    check_not_calibrated_on,
    images_to_score,
    infer,
    infer_with_maps,
    predictions_from_logits,
)
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.robustness import corruptions_named, open_sweep_journal, sweep_corruptions
from toolkit.runtime import Session, open_session
from toolkit.runtime.session import GivesMaps
from toolkit.score import accuracy_of
from toolkit.shell import quoted
from toolkit.threshold import check_wanted, threshold_at

__all__ = ["compare"]

_Batch = NDArray[np.float32]


def compare(
    a: Path,
    b: Path,
    *,
    images: Path,
    threads: int = 0,
    batch_size: int = 0,
    limit: int | None = None,
    allow_different_preprocess: bool = False,
    plan: float | None = None,
    at_precision: float | None = None,
    at_coverage: float | None = None,
    corruptions: Sequence[str] = (),
    seed: int = 0,
    journal: Path | None = None,
    progress: ProgressCallback = silent,
) -> Comparison:
    """Return how `b` differs from the reference `a` on the same `images`, decoded once.

    `plan` asks how many images would show a drop of so many points. `at_precision` or
    `at_coverage` carries over the confidence threshold that gives this to a (`threshold_at`).
    `corruptions` names rows of CORRUPTIONS, or "all": both are also scored under each at five
    severities, made with `seed`; then both must prepare pictures alike. With a `journal`, each
    batch under each corruption is written down: called again after a stop, it goes on from there
    with the same result, and at the end removes the file. Where both give a class activation map
    of equally prepared pictures, `maps` tells how far these overlap.
    Raises LabelsError when the two do not have the same classes, ContractError when they prepare
    pictures differently (unless allowed: then each gets its own), InputError for an unknown
    corruption, LeakageError for images that one of them was calibrated on, ModelError for logits
    that are not finite.
    """
    check_wanted(at_precision, at_coverage)
    names = corruptions_named(corruptions)
    _check_journal(a, b, journal, names)
    with ExitStack() as stack:
        sessions = (
            stack.enter_context(open_session(a, threads=threads)),
            stack.enter_context(open_session(b, threads=threads)),
        )
        contracts = tuple(session.contract for session in sessions)
        _check_classes(a, b, *contracts)
        allowed = allow_different_preprocess and not names
        _check_preprocess(a, b, *contracts, allowed=allowed, corrupting=bool(names))
        size = min(
            batch_size_for(session.contract, batch_size, engine_name=session.engine_name)
            for session in sessions
        )
        chosen = images_to_score(images, contracts[0], limit=limit, progress=progress)
        for path, contract in zip((a, b), contracts, strict=True):
            check_not_calibrated_on(chosen.images, contract, model=path)
        lines = None
        if names:
            lines = stack.enter_context(
                open_sweep_journal(
                    journal, (a, b), sessions, chosen.images, names, batch_size=size, seed=seed
                )
            )
        difference, maps = LogitsDifference(), MapComparison()
        answers = _answers(sessions, chosen.images, size, difference, maps, progress)
        first, second = (
            accuracy_of(path, session, predictions, images=images, batch_size=size)
            for path, session, predictions in zip((a, b), sessions, answers, strict=True)
        )
        threshold = threshold_at(first, second, precision=at_precision, coverage=at_coverage)
        robustness = None
        if lines is not None:
            robustness = sweep_corruptions(
                sessions,
                chosen.images,
                names,
                batch_size=size,
                seed=seed,
                journal=lines,
                progress=progress,
            )
    notes = [*chosen.notes]
    notes += [f"{each.model}: {note}" for each in (first, second) for note in each.notes]
    found = Comparison(
        first,
        second,
        difference.sqnr_db,
        difference.mean_kl,
        (),
        threshold,
        plan or None,
        robustness,
        maps.overlap(),
    )
    said = (threshold.line() if threshold else "", _planning(found))
    return replace(found, notes=(*notes, *(line for line in said if line)))


def _planning(found: Comparison) -> str:
    return found.plan(found.plan_points) if found.plan_points else found.planning_note()


def _answers(
    sessions: Sequence[Session],
    images: Sequence[IdentifiedImage],
    size: int,
    difference: LogitsDifference,
    maps: MapComparison,
    progress: ProgressCallback,
) -> tuple[list[Prediction], list[Prediction]]:
    """Return the predictions of both sessions; add logits to `difference` and maps to `maps`."""
    answers: tuple[list[Prediction], list[Prediction]] = ([], [])
    for inputs in _inputs([session.contract for session in sessions], images, size):
        done = len(answers[0])
        of_batch = images[done : done + len(inputs[0])]
        logits = _logits(sessions, inputs, of_batch, maps)
        difference.add(logits[0], logits[1])
        for answer, rows in zip(answers, logits, strict=True):
            answer.extend(predictions_from_logits(rows, of_batch))
        progress(Progress("compare", done + len(of_batch), len(images)))
    return answers


def _logits(
    sessions: Sequence[Session],
    inputs: tuple[_Batch, _Batch],
    images: Sequence[IdentifiedImage],
    maps: MapComparison,
) -> list[NDArray[np.float32]]:
    """Return both logits; where both give activation maps of the same crop, compare those."""
    mapping = [
        session
        for session in sessions
        if session.contract.activation_map and isinstance(session, GivesMaps)
    ]
    if len(mapping) < 2 or len({session.contract.preprocess for session in mapping}) > 1:
        return [
            infer(session, batch, images) for session, batch in zip(sessions, inputs, strict=True)
        ]
    both = [
        infer_with_maps(session, batch, images)
        for session, batch in zip(mapping, inputs, strict=True)
    ]
    maps.add(both[0], both[1])
    return [each.logits for each in both]


def _inputs(
    contracts: Sequence[Contract], images: Sequence[IdentifiedImage], size: int
) -> Iterator[tuple[_Batch, _Batch]]:
    """Yield the inputs of both models; pictures are decoded once if they are prepared alike."""
    labelled = [LabelledImage(image.path, image.label) for image in images]
    first, second = (contract.preprocess for contract in contracts)
    if first == second:
        for batch, _ in batches(labelled, first, batch_size=size):
            yield batch, batch
        return
    both = (batches(labelled, preprocess, batch_size=size) for preprocess in (first, second))
    for (one, _), (other, _) in zip(*both, strict=True):
        yield one, other


def _check_journal(a: Path, b: Path, journal: Path | None, corruptions: Sequence[str]) -> None:
    if journal is not None and not corruptions:
        raise InputError(
            f"The journal {journal} keeps a sweep over corruptions, and none is named.",
            next_command=f"edgekit compare {quoted(a)} {quoted(b)} --images DIR --corruptions all "
            f"--journal {quoted(journal)}",
        )


def _check_classes(a: Path, b: Path, first: Contract, second: Contract) -> None:
    if (first.labels, first.ids) == (second.labels, second.ids):
        return
    if len(first.labels) != len(second.labels):
        how = f"{a.name} has {len(first.labels)} classes, {b.name} has {len(second.labels)}"
    else:
        named = list(zip(first.labels, first.ids, second.labels, second.ids, strict=True))
        place = next(i for i, (x, p, y, q) in enumerate(named) if (x, p) != (y, q))
        x, p, y, q = named[place]
        how = f"class {place} is {x!r} ({p}) in {a.name} and {y!r} ({q}) in {b.name}"
    raise LabelsError(
        f"The two models do not name the same classes: {how}.",
        next_command=f"edgekit inspect {quoted(b)} --json",
    )


def _check_preprocess(
    a: Path, b: Path, first: Contract, second: Contract, *, allowed: bool, corrupting: bool
) -> None:
    one, other = first.preprocess.to_dict(), second.preprocess.to_dict()
    different = [
        f"{name} {one[name]} and {other[name]}" for name in one if one[name] != other[name]
    ]
    if different and corrupting:
        raise ContractError(
            f"{a.name} and {b.name} prepare pictures differently ({different}): the same cropped "
            "picture cannot be corrupted for both.",
            next_command=f"edgekit compare {quoted(a)} {quoted(b)} --images DIR "
            "--allow-different-preprocess   (without --corruptions)",
        )
    if different and not allowed:
        raise ContractError(
            f"{a.name} and {b.name} prepare pictures differently ({different}): the drop would be "
            "that of the pictures, too.",
            next_command=f"edgekit compare {quoted(a)} {quoted(b)} --images DIR "
            "--allow-different-preprocess",
        )
