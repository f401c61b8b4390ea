"""The sections about what stands behind the results: flips, calibration, machines, commands."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from toolkit.report.markup import Markup, element, fragment
from toolkit.report.model import (
    CalibrationUsed,
    ConditionsOf,
    Flip,
    FlipSet,
    ReportInput,
    ReportRow,
)
from toolkit.report.sections import Section
from toolkit.report.table import status_mark
from toolkit.report.words import plural

__all__ = ["calibration", "conditions", "flips", "hardware", "reproduce"]


def flips(report: ReportInput) -> Section | None:
    """Return the images that two engines answer differently."""
    if not report.flips:
        return None
    aside = (
        "Images whose predicted class changed. Lost: right before, wrong after. Gained: the "
        "reverse. Other: wrong both times, differently. Accuracy hides what cancels."
    )
    return Section("flips", "Flips", aside, fragment(*(_flip_set(one) for one in report.flips)))


def _flip_set(one: FlipSet) -> Markup:
    other = one.total - one.lost - one.gained
    facts = [
        f"{plural(one.total, 'flip')} of {plural(one.images, 'image')}",
        f"{one.lost} lost, {one.gained} gained, {other} other",
    ]
    if one.mcnemar_p is not None:
        facts.append(f"McNemar p = {one.mcnemar_p:.2g}")
    more = one.total - len(one.flips)
    return element(
        "div",
        element("h3", one.before, " → ", one.after),
        element("p", "; ".join(facts) + "."),
        element("ol", *(_flip(flip) for flip in one.flips), class_="gallery"),
        element("p", f"{more} more not shown.", class_="remark")
        if more > 0 and one.flips
        else None,
    )


def _flip(flip: Flip) -> Markup:
    kind = "lost" if flip.lost else "gained" if flip.gained else "other"
    picture: Markup
    if flip.thumbnail:
        source = "data:image/jpeg;base64," + base64.b64encode(flip.thumbnail).decode("ascii")
        picture = element("img", src=source, alt=flip.truth, width=112, height=112)
    else:
        picture = element("span", "picture not found", class_="missing")
    return element(
        "li",
        picture,
        element("span", kind, class_="kind"),
        element("b", flip.truth),
        element("span", _change(flip), class_="under"),
        class_=kind,
        title=flip.image,
    )


def _change(flip: Flip) -> str:
    if flip.lost:
        return f"now {flip.after}"
    return f"was {flip.before}" if flip.gained else f"{flip.before} → {flip.after}"


def calibration(report: ReportInput) -> Section | None:
    """Return where the INT8 ranges came from."""
    if not report.calibrations:
        return None
    aside = "INT8 ranges are chosen on training images, never on images that are scored."
    tables = [_calibration(one) for one in report.calibrations]
    return Section("calibration", "Calibration", aside, fragment(*tables))


def _calibration(one: CalibrationUsed) -> Markup:
    facts = [
        ("method", one.method + (f", effort {one.effort}" if one.effort else "")),
        ("samples", plural(one.samples, "random input" if one.uncalibrated else "image")),
        ("seed", str(one.seed)),
        ("images digest", one.images_digest[:16] or "none"),
        ("scheme", one.scheme or "–"),
        ("table", f"{one.name} ({one.table_digest[:12]})" if one.table_digest else one.name),
    ]
    stamp = element(
        "p",
        element("strong", "UNCALIBRATED", class_="stamp"),
        " ranges come from random data: accuracies below fp32 say nothing about INT8.",
        class_="alarm",
    )
    return element(
        "div",
        stamp if one.uncalibrated else None,
        _facts(facts),
        *(element("p", note, class_="remark") for note in one.notes),
        class_="run",
    )


def hardware(report: ReportInput) -> Section:
    """Return which targets were run on and which were only built for."""
    aside = (
        "A filled mark has run on the machine that wrote this report. "
        "A hollow one was built for that device and has never run on it."
    )
    targets: dict[str, list[ReportRow]] = {}
    for row in report.rows:
        targets.setdefault(row.target, []).append(row)
    head = element(
        "tr",
        *(
            element("th", name, scope="col")
            for name in ("Target", "Built with", "Built on", "Status")
        ),
    )
    body = [_target(name, rows) for name, rows in targets.items()]
    table = element("table", element("thead", head), element("tbody", *body), class_="plain")
    return Section("hardware", "Hardware", aside, table)


def _target(name: str, rows: Sequence[ReportRow]) -> Markup:
    def of(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(value for value in values if value)) or "–"

    cells = (
        (
            "Target",
            fragment(
                element("b", name), element("span", of([r.made_for for r in rows]), class_="under")
            ),
        ),
        ("Built with", fragment(of([r.built_with for r in rows]))),
        ("Built on", fragment(of([r.built_on for r in rows]))),
        ("Status", fragment(*(status_mark(s) for s in dict.fromkeys(r.status for r in rows)))),
    )
    return element("tr", *(element("td", cell, data_label=title) for title, cell in cells))


def conditions(report: ReportInput) -> Section | None:
    """Return the state of the machine while it measured."""
    if not report.conditions:
        return None
    aside = "A number without its conditions is not a number. Compare only like with like."
    first = report.conditions[0]
    blocks = [_conditions(one, first) for one in report.conditions]
    return Section("conditions", "Conditions", aside, fragment(*blocks))


def _conditions(one: ConditionsOf, first: ConditionsOf) -> Markup:
    """Return a block; later ones say only what is not as in the first."""
    values = [pair for pair in one.values if one is first or pair not in first.values]
    as_above = None if one is first else element("p", "Otherwise as above.", class_="remark")
    return element(
        "div", element("h3", ", ".join(one.names)), _facts(values), as_above, class_="run"
    )


def reproduce(report: ReportInput) -> Section | None:
    """Return the commands, and the digests of the files behind the figures."""
    if not report.commands and not report.sources:
        return None
    aside = "Run these in order; the digests name the files that this report was made from."
    commands = element("pre", *(_command(line) for line in report.commands))
    files = [
        element("tr", element("td", source.path), element("td", source.digest[:16], class_="mono"))
        for source in report.sources
    ]
    body = fragment(
        commands if report.commands else None,
        element("table", element("tbody", *files), class_="plain files") if files else None,
    )
    return Section("reproduce", "How to reproduce", aside, body)


def _command(line: str) -> Markup:
    """Return one command, which wraps between words only: `--` must not stand alone."""
    words = [fragment(element("span", word), " ") for word in line.split(" ")]
    return element("code", *words, "\n")


def _facts(pairs: Sequence[tuple[str, str]]) -> Markup:
    return element(
        "dl",
        *(element("div", element("dt", key), element("dd", value)) for key, value in pairs),
        class_="facts",
    )
