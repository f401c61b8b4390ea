"""The page: one HTML file that needs nothing else, on screen, on paper, light or dark."""

from __future__ import annotations

from importlib import resources

from toolkit.report import background, classes, layers, robustness, sections
from toolkit.report.findings import Finding, findings
from toolkit.report.markup import Child, Markup, element, fragment, raw
from toolkit.report.model import ReportInput
from toolkit.report.sections import Section

__all__ = ["html_from_report", "standalone_page"]

_READING_ORDER = (
    sections.engines,
    sections.tradeoff,
    sections.latency,
    layers.slowest_layers,
    sections.live,
    classes.by_class,
    robustness.robustness,
    background.flips,
    background.calibration,
    background.hardware,
    background.conditions,
    background.reproduce,
)

# Even if a label got past the escaping, the page could not load or run anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html_from_report(report: ReportInput) -> str:
    """Return the text of `report.html`."""
    shown = [made for make in _READING_ORDER if (made := make(report)) is not None]
    return _page(
        report.title,
        _title_block(report, shown),
        element("main", *(_section(section) for section in shown)),
        element("footer", _imprint(report)),
    )


def standalone_page(title: str, *children: Child) -> str:
    """Return a page of its own with the same style: a heading and `children`."""
    return _page(
        title,
        element("header", element("p", "Edgekit", class_="kicker"), element("h1", title)),
        element("main", *children),
    )


def _page(title: str, *parts: Child) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", raw(_style())),
    )
    body = element("body", *parts)
    page = fragment(raw("<!doctype html>\n"), element("html", head, body, lang="en"))
    return str(page) + "\n"


def _style() -> str:
    return resources.files("toolkit.report").joinpath("style.css").read_text(encoding="utf-8")


def _title_block(report: ReportInput, shown: list[Section]) -> Markup:
    facts = [
        ("measured on", report.made_on),
        ("day", report.day),
        ("scored on", report.images),
    ]
    return element(
        "header",
        element("p", "Edgekit report", class_="kicker"),
        element("h1", report.title),
        element(
            "div",
            element("div", *(_finding(said) for said in findings(report)), class_="findings"),
            element(
                "dl",
                *(
                    element("div", element("dt", key), element("dd", value))
                    for key, value in facts
                    if value
                ),
                class_="imprint",
            ),
            class_="opening",
        ),
        element(
            "nav",
            *(element("a", section.title, href=f"#{section.key}") for section in shown),
            aria_label="Sections",
        ),
    )


def _finding(finding: Finding) -> Markup:
    subject = element("strong", finding.subject, class_="stamp" if finding.alarm else "subject")
    return element("p", subject, " ", finding.text, class_="alarm" if finding.alarm else None)


def _section(section: Section) -> Markup:
    return element(
        "section",
        element("div", element("h2", section.title), element("p", section.aside), class_="margin"),
        element("div", section.body, class_="body"),
        id=section.key,
    )


def _imprint(report: ReportInput) -> Markup:
    return element(
        "p",
        f"Made by Edgekit from {len(report.sources)} files; report.json and report.md beside this "
        "file hold the same figures."
        if report.sources
        else "Made by Edgekit.",
    )
