"""The sections about results: engines, trade-off, latency, live; None where nothing is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.report.distributions import distribution_plot
from toolkit.report.drawing import dot
from toolkit.report.markup import Markup, element, fragment
from toolkit.report.model import LiveRun, ReportInput, ReportRow
from toolkit.report.pareto import COSTS, Cost, dominated, pareto_plot, plottable
from toolkit.report.stages import stage_plot
from toolkit.report.table import engine_table
from toolkit.report.words import (
    NOTHING,
    by_target,
    energy_notes,
    file_size,
    milliseconds,
    percent,
    short_names,
)
from toolkit.statistics import trusted

__all__ = ["Section", "engines", "latency", "live", "tradeoff"]

_WIDE, _NARROW = 760.0, 350.0


@dataclass(frozen=True)
class Section:
    """A heading, a note in the margin that says how to read it, and the body."""

    key: str
    title: str
    aside: str
    body: Markup


def engines(report: ReportInput) -> Section:
    """Return the table of all engines."""
    aside = (
        "Accuracies are fractions of the same labelled images, with 95 % intervals. "
        "A drop is paired: fp32 minus this engine, in percentage points; right of the line is "
        "worse. "
        "A percentile with fewer than ten samples beyond it carries “?”."
    )
    body = fragment(
        engine_table(report.rows),
        *(
            element("p", f"{name}: scored was {what}.", class_="remark")
            for name, what in _proxies(report)
        ),
        *(element("p", said, class_="remark") for said in energy_notes(report)),
        *(element("p", note, class_="remark") for note in report.notes),
    )
    return Section("engines", "Engines", aside, body)


def _proxies(report: ReportInput) -> list[tuple[str, str]]:
    names = short_names(report.rows)
    return [(names[row.engine], row.accuracy_of) for row in report.rows if row.accuracy_of]


def tradeoff(report: ReportInput) -> Section | None:
    """Return accuracy against latency and size, and beside it what has no latency."""
    known = {key: cost for key, cost in COSTS.items() if plottable(report.rows, cost)}
    if "p50" not in known:
        return None
    aside = (
        "Up and to the left is better. The line joins the engines that no other engine of the same "
        "target beats in both; grey ones are beaten, by point estimate. Bars are 95 % intervals."
    )
    switches = [
        fragment(
            element("input", type="radio", name="cost", id=f"cost-{key}", checked=key == "p50"),
            element("label", cost.title, for_=f"cost-{key}"),
        )
        for key, cost in known.items()
    ]
    body = element(
        "div",
        element("span", "Against", class_="quiet"),
        *switches,
        *(_plot(report, cost) for cost in known.values()),
        class_="tradeoff",
    )
    return Section(
        "tradeoff", "Trade-off", aside, fragment(body, _legend(report), _aside_list(report))
    )


def _plot(report: ReportInput, cost: Cost) -> Markup:
    shown = plottable(report.rows, cost)
    names = short_names(shown)
    if cost.key == "p99":
        names |= {r.engine: f"{names[r.engine]}?" for r in shown if not trusted(r.timed, 99)}

    def draw(width: float) -> Markup:
        return pareto_plot(
            report.rows, names, cost, width=width, height=400.0 if width > 480 else 340.0
        )

    return element("div", _in_two_widths(draw), class_=f"plot plot-{cost.key}")


def _legend(report: ReportInput) -> Markup:
    shown = plottable(report.rows, COSTS["p50"])
    entries = [
        element(
            "span",
            element("svg", dot(8, 8, precision), viewBox="0 0 16 16", class_="key"),
            precision,
        )
        for precision in dict.fromkeys(row.precision for row in shown)
    ]
    if dominated(report.rows, COSTS["p50"]):
        mark = element("svg", dot(8, 8, "fp32", "beaten"), viewBox="0 0 16 16", class_="key")
        entries.append(element("span", mark, "beaten in both", class_="quiet"))
    return element("p", *entries, class_="legend")


def _aside_list(report: ReportInput) -> Markup | None:
    rows = [row for row in report.rows if not row.has_latency or row.top1 is None]
    if not rows:
        return None
    lines = []
    for (_, target), members in by_target(rows):
        names = short_names(members)
        items = [
            element("li", element("b", names[row.engine]), f" {_what_is_known(row)}")
            for row in members
        ]
        lines.append(fragment(element("dt", target), element("dd", element("ul", *items))))
    return element(
        "div",
        element("h3", "Not in the plot: latency or accuracy unknown"),
        element("dl", *lines),
        class_="unplotted",
    )


def _what_is_known(row: ReportRow) -> str:
    known = [file_size(row.bytes)] if row.bytes is not None else []
    if row.top1 is not None:
        known.append(f"top-1 {percent(row.top1, images=row.images)} %")
    if row.has_latency:
        known.append(f"p50 {milliseconds(row.p50_ms)} ms")
    return ", ".join([*known, row.status])


def latency(report: ReportInput) -> Section | None:
    """Return the distributions of the raw samples."""
    ordered = [row for _, members in by_target(report.rows) for row in members]
    rows = [row for row in ordered if row.latency_samples]
    if not rows:
        return None
    aside = (
        "Every timed inference after warm-up, as a density up to p99 and single dots beyond it "
        "(strokes where samples are few). Long mark: p50; short marks: p95 and p99."
    )
    names = short_names(rows)
    figure = _in_two_widths(lambda width: distribution_plot(rows, names, width=width))
    return Section("latency", "Latency", aside, figure)


def live(report: ReportInput) -> Section | None:
    """Return the stages of every live run."""
    if not report.live:
        return None
    aside = (
        "From a frame in memory to its result. Dark bar to p50, pale to p95, stroke at p99; "
        "the figures are these three. "
        "Percentiles of stages do not add up to the percentile of the whole. "
        "Not glass-to-glass: lens and screen are not in it."
    )
    return Section("live", "Live run", aside, fragment(*(_live_run(run) for run in report.live)))


def _live_run(run: LiveRun) -> Markup:
    facts = [
        ("engine", run.engine),
        ("camera", run.camera),
        ("policy", run.policy),
        ("frames", f"{run.frames}, {run.dropped} dropped"),
        ("throughput", f"{run.fps:.1f} fps" if run.fps else NOTHING),
        ("timestamps from", (run.timestamp_origin or NOTHING) + ("?" if run.age_is_weak else "")),
    ]
    return element(
        "div",
        element(
            "dl",
            *(element("div", element("dt", k), element("dd", v)) for k, v in facts),
            class_="facts",
        ),
        _in_two_widths(lambda width: stage_plot(run, width=width)),
        class_="run",
    )


def _in_two_widths(draw: Callable[[float], Markup]) -> Markup:
    """Return a drawing for desks and paper and one for phones, whose letters stay readable."""
    return fragment(
        element("div", draw(_WIDE), class_="desk"), element("div", draw(_NARROW), class_="phone")
    )
