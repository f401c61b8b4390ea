"""`edgekit doctor --preprocess`: a model and evidence in, the right preparation of pictures out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.predictions import infer
from toolkit.preprocess_search.evidence import Evidence, expected_evidence, labels_evidence
from toolkit.preprocess_search.record import Deviation, PreprocessCheck, Tried
from toolkit.preprocess_search.variants import (
    Variant,
    decode,
    has_orientation,
    joint_variants_of,
    variants_of,
)
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.runtime import Session, open_session
from toolkit.statistics import paired_drop_interval, wilson_interval

__all__ = ["check_preprocess"]

_BATCH = 8
_NEAR_DB = 20.0
_ROUNDS = 4
"""So many aspects may be wrong at once."""

_Logits = NDArray[np.float32]


def check_preprocess(
    model: Path,
    *,
    images: Path,
    expected: Path | None = None,
    limit: int | None = 128,
    progress: ProgressCallback = silent,
) -> PreprocessCheck:
    """Return whether the contract of a model or engine prepares pictures as the model wants them.

    Held against class folders (`images`/CLASS/*), or against `expected`: logits of the pipeline
    that trained it. One aspect is changed at a time, up to four in a row, each kept only when it
    is better beyond chance. Memory does not grow with the number of images. Raises what
    `open_session`, `open_folder` and `read_image` raise, and InputError for `expected`.
    """
    with open_session(model) as session:
        contract = session.contract
        evidence = (
            expected_evidence(images, expected, contract, limit=limit)
            if expected is not None
            else labels_evidence(images, contract, limit=limit, progress=progress)
        )
        start = Variant(contract.preprocess)
        best, answers, before, tried = _search(session, evidence, start, progress)
    return _check(model, evidence, start, best, before, answers, tried)


def _search(
    session: Session, evidence: Evidence, start: Variant, progress: ProgressCallback
) -> tuple[Variant, _Logits, _Logits, list[Tried]]:
    """Return the best variant, its logits and the contract's, and all that were tried."""
    best, before, current = start, np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
    tried: list[Tried] = []
    for turn in range(_ROUNDS):
        single = variants_of(best)
        variants = (*single, *joint_variants_of(best))
        logits = _answers(session, evidence, (best, *variants), progress, turn=turn)
        current, others = logits[0], logits[1:]
        if turn == 0:
            before = current
            tried.append(_tried(evidence, start, start, current, current))
        tried += [
            _tried(evidence, start, variant, current, answer)
            for variant, answer in zip(variants, others, strict=True)
        ]
        scores = [evidence.score(answer) for answer in others]
        index = max(range(len(single)), key=scores.__getitem__)
        both = max(range(len(single), len(others)), key=scores.__getitem__, default=index)
        if evidence.prefers(others[both], others[index], tries=len(others)):
            index = both  # two changes must be better beyond chance than the best single one
        if not evidence.prefers(others[index], current, tries=len(others)):
            break
        best, current = variants[index], others[index]
    return best, current, before, tried


def _answers(
    session: Session,
    evidence: Evidence,
    variants: Sequence[Variant],
    progress: ProgressCallback,
    *,
    turn: int,
) -> list[_Logits]:
    """Return the logits of all images for each variant; every picture is decoded once a decoder."""
    size = session.contract.input_shape[0] or _BATCH
    parts: list[list[_Logits]] = [[] for _ in variants]
    for begin in range(0, len(evidence.images), size):
        shown = evidence.images[begin : begin + size]
        inputs: list[list[NDArray[np.float32]]] = [[] for _ in variants]
        for image in shown:
            for made, prepared in zip(inputs, _prepared(image.path, variants), strict=True):
                made.append(prepared)
        for part, made in zip(parts, inputs, strict=True):
            part.append(infer(session, np.stack(made), shown))
        done = begin + len(shown)
        step = f"{len(variants)} preparations, round {turn + 1}"
        progress(Progress(step, done, len(evidence.images)))
    return [np.concatenate(part) for part in parts]


def _prepared(path: Path, variants: Sequence[Variant]) -> Iterator[NDArray[np.float32]]:
    """Yield the input that each variant makes; pictures are decoded and resized once each way."""
    decoded: dict[str, NDArray[np.uint8]] = {}
    resized: dict[tuple[object, ...], NDArray[np.uint8]] = {}
    for variant in variants:
        if variant.decoder not in decoded:
            decoded[variant.decoder] = decode(path, variant.decoder, variants[0].preprocess)
        if variant.geometry not in resized:
            resized[variant.geometry] = variant.preprocess.pixels(decoded[variant.decoder])
        yield variant.preprocess.normalise(resized[variant.geometry])


def _tried(
    evidence: Evidence, start: Variant, variant: Variant, before: _Logits, answer: _Logits
) -> Tried:
    changes = variant.changes_from(start)
    return Tried(
        changes=", ".join(f"{key} {after}" for key, (_, after) in changes.items())
        or "as in the contract",
        top1=evidence.top1(answer),
        sqnr_db=evidence.sqnr_db(answer),
        p=evidence.p(before, answer) if answer is not before else None,
    )


def _check(
    model: Path,
    evidence: Evidence,
    start: Variant,
    best: Variant,
    before: _Logits,
    answers: _Logits,
    tried: Sequence[Tried],
) -> PreprocessCheck:
    one, other = evidence.right(answers), evidence.right(before)
    only_found, only_contract = int((one & ~other).sum()), int((~one & other).sum())
    n = len(evidence.images)
    interval = paired_drop_interval(only_found, only_contract, n).times(100.0)
    changes = best.changes_from(start)
    verdict, notes = "wrong" if changes else "right", list(evidence.notes)
    if not changes:
        verdict, more = _if_unchanged(evidence, before, tried)
        notes += more
    if not any(has_orientation(image.path) for image in evidence.images):
        notes.append("no picture carries an EXIF orientation: whether it is applied was not seen")
    reached = evidence.sqnr_db(answers)
    if changes and reached is not None and reached < _NEAR_DB:
        notes.append(f"even so the logits come only within {reached:.1f} dB: more differs")
    if changes:
        notes.append(_how_to_mend(best, changes))
    return PreprocessCheck(
        model=str(model),
        evidence="labels" if evidence.expected is None else "expected",
        samples=n,
        verdict=verdict,
        deviations=tuple(Deviation(key, *values) for key, values in changes.items()),
        top1_contract=evidence.top1(before),
        top1_found=evidence.top1(answers),
        cost_points=100.0 * (only_found - only_contract) / n,
        cost_interval=(interval.low, interval.high),
        sqnr_contract_db=evidence.sqnr_db(before),
        sqnr_found_db=evidence.sqnr_db(answers),
        preprocess=best.preprocess,
        tried=tuple(tried),
        notes=tuple(notes),
    )


def _if_unchanged(
    evidence: Evidence, before: _Logits, tried: Sequence[Tried]
) -> tuple[str, list[str]]:
    """Return the verdict where no variant was better, and what could not be told."""
    n = len(evidence.images)
    if evidence.expected is not None:
        reached = evidence.sqnr_db(before) or 0.0
        if reached >= _NEAR_DB:
            return "right", []
        return "undecided", [
            f"no preparation that was tried comes near the expected logits ({reached:.1f} dB): "
            "they are another model's, or prepared in a way that is not searched"
        ]
    classes = len(set((evidence.labels if evidence.labels is not None else np.zeros(1)).tolist()))
    lucky = wilson_interval(int(evidence.right(before).sum()), n).low <= 1.0 / max(classes, 1)
    same = [t.changes for t in tried[1:] if t.p is not None and t.p >= 0.05]
    notes = []
    if same:
        notes.append(
            f"{n} labelled images do not tell the contract from: {'; '.join(same)} "
            "(--expected does)"
        )
    if lucky:
        notes.insert(0, "the model is no better than chance however its pictures are prepared")
    return ("undecided" if lucky else "right"), notes


def _how_to_mend(best: Variant, changes: dict[str, tuple[str, str]]) -> str:
    outside = {"rounding", "EXIF orientation", "decoder"} & set(changes)
    if outside:
        return (
            f"a contract has no field for {' and '.join(sorted(outside))}: prepare pictures as "
            "Edgekit does when training, or compare with that difference in mind"
        )
    return (
        "write `preprocess` of --json to FILE.json, then: edgekit import MODEL --preprocess "
        "FILE.json"
    )
