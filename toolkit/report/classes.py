"""The section about classes: the weak ones, what is taken for what, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.accuracy import Accuracy
from toolkit.report.markup import Markup, element, fragment
from toolkit.report.model import ClassesOf, ReportInput
from toolkit.report.sections import Section
from toolkit.report.words import percent, plural, span

__all__ = ["by_class", "classes_of"]

_SHOWN = 8


def classes_of(accuracy: Accuracy) -> ClassesOf:
    """Return what a report shows of one score."""
    error = accuracy.confidence_error
    each_class = sorted(accuracy.per_class(), key=lambda each: (each.top1, -each.n, each.label))
    low, high = error.interval.to_list()
    return ClassesOf(
        engine=accuracy.model,
        precision=accuracy.precision,
        images=accuracy.n,
        confidence_error=error.value,
        confidence_error_interval=(low, high),
        confidence_error_by_chance=error.chance,
        weakest=tuple((each.label, each.n, each.right) for each in each_class[:_SHOWN]),
        confusions=tuple((c.label, c.predicted, c.n) for c in accuracy.confusion()[:_SHOWN]),
    )


def by_class(report: ReportInput) -> Section | None:
    """Return the weakest classes, the most frequent confusions and the calibration error."""
    if not report.classes:
        return None
    aside = (
        "Calibration error: how far confidence lies from the share that is right, over 15 bins "
        "(Guo et al. 2017), with its 95 % interval. By chance, a model whose confidence is right "
        "shows some, too."
    )
    return Section("classes", "Classes", aside, fragment(*map(_one, report.classes)))


def _one(one: ClassesOf) -> Markup:
    error = (
        f"Calibration error {percent(one.confidence_error)} % "
        f"({span(one.confidence_error_interval, factor=100.0)}; by chance "
        f"{percent(one.confidence_error_by_chance)}), {plural(one.images, 'image')}."
    )
    weakest = [(label, f"{right} of {n}") for label, n, right in one.weakest]
    confusions = [(f"{label} → {called}", str(n)) for label, called, n in one.confusions]
    return element(
        "div",
        element("h3", f"{one.engine} ({one.precision})"),
        element("p", error),
        _table(("Weakest classes", "Right"), weakest),
        _table(("Taken for another", "Images"), confusions) if confusions else None,
    )


def _table(head: tuple[str, str], lines: Sequence[tuple[str, str]]) -> Markup:
    first, second = head
    top = element("tr", element("th", first, scope="col"), element("th", second, class_="number"))
    rows = [
        element("tr", element("td", name), element("td", value, class_="number"))
        for name, value in lines
    ]
    return element("table", element("thead", top), element("tbody", *rows), class_="classes")
