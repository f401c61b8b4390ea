"""Which accuracy belongs to which engine, and against which float model its drop is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.accuracy import Accuracy
from toolkit.comparison import pair_accuracies
from toolkit.errors import InputError
from toolkit.report.model import Span
from toolkit.report.paired import Paired, paired_from_comparison
from toolkit.report.run_files import BuiltEngine, RunFiles

__all__ = ["Score", "Scores", "scores_from_runs"]

FLOAT_EVALUATION = "onnxruntime-float"
"""The backend that evaluates Q/DQ in float instead of running integer kernels."""


@dataclass(frozen=True)
class Score:
    """An accuracy and where it comes from. `of` is empty when the engine itself was scored."""

    digest: str
    top1: float
    top1_interval: Span
    images: int
    top5: float | None = None
    of: str = ""


@dataclass(frozen=True)
class _Kin:
    """What ties files together: one float model and what was made of it."""

    source: str
    parent: str


class Scores:
    """Answers for one set of run files; every file is named by its SHA-256."""

    def __init__(self, runs: RunFiles) -> None:
        self._accuracies = _by_digest(runs)
        self._comparisons = runs.comparisons
        self._engines = {each.manifest.engine_digest: each for each in runs.engines}
        self._kin = _kinship(runs)
        self._made: dict[tuple[str, str], Paired | None] = {}

    def of_engine(self, engine: BuiltEngine) -> Score | None:
        """Return the accuracy of an engine.

        Engines for a GPU that was not at hand borrow that of the ONNX file they were built from;
        a cpu engine does not, because its fused integer kernels can answer differently.
        """
        manifest = engine.manifest
        own = self.of_file(manifest.engine_digest)
        if own is not None or manifest.backend.startswith("onnxruntime"):
            return own
        borrowed = self.of_file(manifest.onnx_digest)
        if borrowed is None:
            return None
        how = "the ONNX file it was built from, on ONNX Runtime, not this engine"
        if manifest.precision == "int8":
            how = "the ONNX file it was built from, with its Q/DQ in float, not this engine"
        return Score(**{**vars(borrowed), "of": how})

    def of_file(self, digest: str) -> Score | None:
        """Return the accuracy of the file with this digest, from a score or a comparison."""
        accuracy = self._accuracies.get(digest)
        if accuracy is not None:
            interval = accuracy.top1_interval
            span = (interval.low, interval.high)
            return Score(digest, accuracy.top1, span, accuracy.n, accuracy.top5)
        for paired in self._comparisons:
            if digest in (paired.before_digest, paired.after_digest):
                first = digest == paired.before_digest
                top1 = paired.top1_before if first else paired.top1_after
                return Score(digest, top1, paired.top1_interval(digest), paired.n)
        return None

    def drop_of(self, digest: str, *, target: str = "") -> Paired | None:
        """Return the comparison of this file with fp32 on the same images, or None.

        A comparison that was asked for goes first; otherwise two scores of the same images are
        paired, with the fp32 engine of the same `target` if there is one.
        """
        asked = [p for p in self._comparisons if p.after_digest == digest and self._is_float(p)]
        if asked:
            return max(asked, key=lambda p: self._nearness(digest, p.before_digest, target))
        mine = self._accuracies.get(digest)
        if mine is None or mine.precision == "fp32":
            return None
        references = [
            other
            for other in self._accuracies.values()
            if other.precision == "fp32" and self._may_be_kin(digest, other.digest)
        ]
        references.sort(key=lambda other: -self._nearness(digest, other.digest, target))
        if len({self._source(other.digest) for other in references}) > 1 and not self._source(
            digest
        ):
            return None  # several networks, and nothing says which of them this one was made from
        pairs = (self._pair(reference, mine) for reference in references)
        return next((pair for pair in pairs if pair is not None), None)

    def _is_float(self, paired: Paired) -> bool:
        accuracy = self._accuracies.get(paired.before_digest)
        engine = self._engines.get(paired.before_digest)
        known = accuracy.precision if accuracy else engine.manifest.precision if engine else "fp32"
        return known == "fp32"

    def _source(self, digest: str) -> str:
        kin = self._kin.get(digest)
        return kin.source if kin else ""

    def _may_be_kin(self, digest: str, other: str) -> bool:
        mine, theirs = self._source(digest), self._source(other)
        return not mine or not theirs or mine == theirs

    def _nearness(self, digest: str, reference: str, target: str) -> int:
        engine, kin = self._engines.get(reference), self._kin.get(digest)
        same_target = engine is not None and engine.manifest.target == target
        return 4 * same_target + 2 * (kin is not None and kin.parent == reference)

    def _pair(self, reference: Accuracy, mine: Accuracy) -> Paired | None:
        key = (reference.digest, mine.digest)
        if key not in self._made:
            try:
                self._made[key] = paired_from_comparison(pair_accuracies(reference, mine))
            except InputError:
                self._made[key] = None  # other images or classes: there is no paired drop
        return self._made[key]


def scores_from_runs(runs: RunFiles) -> Scores:
    """Return the accuracies of `runs`. Raises InputError when a file was scored twice."""
    return Scores(runs)


def _by_digest(runs: RunFiles) -> dict[str, Accuracy]:
    known: dict[str, Accuracy] = {}
    for accuracy in runs.accuracies:
        if accuracy.digest in known:
            raise InputError(
                f"{accuracy.model} was scored twice, on {known[accuracy.digest].images} and on "
                f"{accuracy.images}: a report can show only one of these.",
                next_command="edgekit report RUN_FILES... --out report.html   (name the files)",
            )
        known[accuracy.digest] = accuracy
    return known


def _kinship(runs: RunFiles) -> dict[str, _Kin]:
    kin: dict[str, _Kin] = {}
    for digest, entry in _kin_of_engines(runs):
        kin.setdefault(digest, entry)
    return kin


def _kin_of_engines(runs: RunFiles) -> Iterator[tuple[str, _Kin]]:
    for engine in runs.engines:
        manifest = engine.manifest
        source, parent = (str(manifest.contract.get(key) or "") for key in ("source", "parent"))
        yield manifest.engine_digest, _Kin(source, parent)
        yield manifest.onnx_digest, _Kin(source, parent)
    for engine in runs.engines:  # a float model that is known only as somebody's parent
        manifest = engine.manifest
        source, parent = (str(manifest.contract.get(key) or "") for key in ("source", "parent"))
        if manifest.precision == "int8" and parent:
            yield parent, _Kin(source, "")
