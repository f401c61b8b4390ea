"""`edgekit gate`: the verdict whether an engine keeps its limits, by what was written about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.comparison import pair_accuracies
from toolkit.contract import UNCALIBRATED
from toolkit.errors import InputError
from toolkit.gate.candidate import Candidate, candidate_in
from toolkit.gate.checks import check_drop, check_energy, check_p99, check_size, missing
from toolkit.gate.limits import Limits
from toolkit.gate.verdict import MET, NOT_MET, UNDECIDED, Check, GateResult
from toolkit.gate.written import junit_from_gate, markdown_from_gate, write_gate
from toolkit.report.paired import Paired, paired_from_comparison
from toolkit.report.run_files import RunFiles, read_run_files
from toolkit.report.scores import scores_from_runs
from toolkit.shell import quoted

__all__ = [
    "MET",
    "NOT_MET",
    "UNDECIDED",
    "Check",
    "GateResult",
    "Limits",
    "gate",
    "junit_from_gate",
    "markdown_from_gate",
    "write_gate",
]


def gate(
    runs: Sequence[Path],
    limits: Limits,
    *,
    confidence: float = 0.95,
    engine: str | None = None,
    baseline: Path | None = None,
) -> GateResult:
    """Return whether one engine keeps `limits` by the records in `runs`, files or folders.

    A limit is met when the one-sided bound at `confidence` keeps it, not met when the bound on the
    other side breaks it, else undecided. A limit without evidence is undecided, and of several
    records of the same engine each must keep it. The drop is counted from the accuracy in
    `baseline`, a file or folder of records, or else from the float model. Raises InputError for
    records that cannot be read, an unclear engine and a confidence outside (0.5, 1).
    """
    if not 0.5 < confidence < 1.0:
        raise InputError(
            f"A confidence of {confidence:g} says nothing: it is between 0.5 and 1, such as 0.95.",
            next_command="edgekit gate RUNS --max-drop 0.5 --confidence 0.95",
        )
    found = read_run_files(runs)
    chosen = candidate_in(found, engine=engine)
    checks: list[Check] = []
    if limits.max_drop is not None:
        checks += _drops(found, chosen, limits.max_drop, confidence, baseline)
    if limits.p99_ms is not None:
        checks += _tails(found, chosen, limits.p99_ms, confidence)
    if limits.max_mj is not None:
        checks += _energies(found, chosen, limits.max_mj, confidence)
    if limits.max_mib is not None:
        checks.append(_size(found, chosen, limits.max_mib))
    return GateResult(
        chosen.name, chosen.digest, confidence, tuple(checks), tuple(_notes(found, chosen))
    )


def _drops(
    found: RunFiles, chosen: Candidate, limit: float, confidence: float, baseline: Path | None
) -> list[Check]:
    if baseline is not None:
        pairs = _against_baseline(found, chosen, baseline)
    else:
        pairs = [each for each in found.comparisons if each.after_digest == chosen.digest]
        pair = None if pairs else scores_from_runs(found).drop_of(chosen.digest)
        pairs += [pair] if pair is not None else []
    if pairs:
        return [check_drop(pair, limit=limit, confidence=confidence) for pair in pairs]
    reference = "BASELINE" if baseline is not None else "FLOAT_MODEL.onnx"
    needed = (
        f"no paired accuracy; measure with `edgekit compare {reference} {quoted(chosen.name)} "
        "--images DIR --out FILE.comparison.json`"
    )
    return [missing("top-1 drop", limit=limit, unit="points", needed=needed)]


def _against_baseline(found: RunFiles, chosen: Candidate, baseline: Path) -> list[Paired]:
    """Return the pairs of the engine's accuracies with those of the baseline, same images only."""
    mine = [each for each in found.accuracies if each.digest == chosen.digest]
    others = read_run_files([baseline])
    theirs = [each for each in others.accuracies if each.digest != chosen.digest]
    if len(theirs) > 1:
        small = [each for each in theirs if each.precision == chosen.precision]
        theirs = small or theirs
    if len(theirs) > 1:
        names = ", ".join(each.model for each in theirs)
        raise InputError(
            f"{baseline} holds {len(theirs)} accuracies to count a drop from: {names}.",
            next_command="edgekit gate RUNS --baseline FILE.accuracy.json",
        )
    same = [each for each in others.accuracies if each.digest == chosen.digest]
    return [
        paired_from_comparison(pair_accuracies(other, accuracy))
        for other in theirs or same
        for accuracy in mine
    ]


def _tails(found: RunFiles, chosen: Candidate, limit: float, confidence: float) -> list[Check]:
    """Return the checks of inference latency, or of capture-to-result where only that is known."""
    timed = [
        (run.samples_ms, "inference", f"{run.backend}, batch {run.batch}, run {run.run}")
        for run in found.latencies
        if run.digest == chosen.digest and run.backend != "fake"
    ] or [
        (each.capture_to_result_ms, "capture-to-result", f"{each.run.camera}, {each.run.policy}")
        for each in found.live
        if each.capture_to_result_ms and Path(each.run.engine).name == chosen.name
    ]
    checks = [
        check_p99(samples, limit=limit, confidence=confidence, what=what, evidence=evidence)
        for samples, what, evidence in timed
    ]
    if checks:
        return checks
    needed = (
        f"no latency; measure with `edgekit measure {quoted(chosen.name)} --out FILE.latency.json`"
    )
    return [missing("p99", limit=limit, unit="ms", needed=needed)]


def _energies(found: RunFiles, chosen: Candidate, limit: float, confidence: float) -> list[Check]:
    checks = [
        check_energy(run.energy, limit=limit, confidence=confidence)
        for run in found.latencies
        if run.digest == chosen.digest and run.energy is not None
    ]
    if checks:
        return checks
    needed = (
        "no energy; measure on the device with "
        f"`edgekit measure {quoted(chosen.name)} --energy --out FILE.latency.json`"
    )
    return [missing("energy", limit=limit, unit="mJ", needed=needed)]


def _size(found: RunFiles, chosen: Candidate, limit: float) -> Check:
    sizes = {run.bytes: run.engine for run in found.latencies if run.digest == chosen.digest}
    for each in found.engines:
        if each.manifest.engine_digest == chosen.digest and each.bytes is not None:
            sizes[each.bytes] = str(each.path)
    if sizes:
        largest = max(sizes)
        return check_size(largest, limit=limit, evidence=sizes[largest])
    needed = f"size unknown; name the engine, too: `edgekit gate RUNS {quoted(chosen.name)}`"
    return missing("file size", limit=limit, unit="MiB", needed=needed)


def _notes(found: RunFiles, chosen: Candidate) -> Iterator[str]:
    said: dict[str, None] = {}
    for run in found.latencies:
        if run.digest == chosen.digest:
            said.update(dict.fromkeys((*run.unstable, *run.notes)))
    for accuracy in found.accuracies:
        if accuracy.digest == chosen.digest:
            said.update(dict.fromkeys(accuracy.notes))
    for each in found.engines:
        calibration = each.manifest.contract.get("calibration")
        if each.manifest.engine_digest == chosen.digest and calibration == UNCALIBRATED:
            said.setdefault("UNCALIBRATED: its INT8 ranges come from random data")
    yield from said
