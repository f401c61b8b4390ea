from __future__ import annotations

import json
import random
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.toolkit.report.examples import (
    ATTACK,
    corrupted_pictures,
    hostile_report,
    measured,
    ordinary_report,
    samples_ms,
    with_energy,
)
from toolkit.errors import InputError
from toolkit.report.model import ReportInput
from toolkit.report.writing import report

SECTIONS = {
    *("engines", "tradeoff", "latency", "live", "robustness", "flips"),
    *("calibration", "hardware", "conditions", "reproduce"),
}


class _Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag not in ("meta", "input", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def test_a_report_is_written_as_page_json_and_markdown(tmp_path: Path) -> None:
    made = report(ordinary_report(), out=tmp_path / "report.html")
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.json", "report.md"}
    assert made.rows == 3
    assert made.bytes == (tmp_path / "report.html").stat().st_size
    assert made.to_dict()["rows"][1]["precision"] == "int8"


def test_every_section_has_its_place(tmp_path: Path) -> None:
    report(ordinary_report(), out=tmp_path / "report.html")
    reader = _read((tmp_path / "report.html").read_text(encoding="utf-8"))
    ids = {value for key, value in reader.attributes if key == "id"}
    assert ids >= SECTIONS


def test_a_section_without_content_is_left_out(tmp_path: Path) -> None:
    bare = ReportInput("bare", (measured("n.onnx"),))
    report(bare, out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="flips"' not in page
    assert 'id="live"' not in page


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    report(ordinary_report(), out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    reader = _read(page)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(reader.tags)
    asked = [v for key, v in reader.attributes if key in ("src", "href", "srcset", "action")]
    assert asked
    assert all(value.startswith(("#", "data:image/jpeg;base64,")) for value in asked)
    assert "url(" not in page
    assert "@import" not in page


def test_hostile_texts_stay_texts_in_the_page(tmp_path: Path) -> None:
    report(hostile_report(), out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    reader = _read(page)
    assert "script" not in reader.tags
    assert not [key for key, _ in reader.attributes if key.startswith("on")]
    assert "\u202e" not in page
    assert any("default-src 'none'" in v for key, v in reader.attributes if key == "content")


def test_hostile_texts_stay_texts_in_the_markdown(tmp_path: Path) -> None:
    report(hostile_report(), out=tmp_path / "report.html")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    outside_code = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert "<script" not in outside_code
    assert "<img" not in outside_code
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    head = next(line for line in tables if line.startswith("| Target"))
    row = next(line for line in tables if "measured here" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == head.count("|")


def test_the_json_holds_the_figures_and_names_but_not_the_raw_samples(tmp_path: Path) -> None:
    made = ordinary_report()
    report(made, out=tmp_path / "report.html")
    values = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert values["version"] == 1
    assert values["rows"][1]["p50_ms"] == made.rows[1].p50_ms
    assert values["rows"][1]["samples"] == 1200
    assert "latency_samples" not in values["rows"][1]
    assert values["findings"]


def test_a_hostile_label_is_the_same_in_the_json(tmp_path: Path) -> None:
    report(hostile_report(), out=tmp_path / "report.html")
    values = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert values["notes"] == [ATTACK]


def test_figures_that_are_not_numbers_become_null_in_the_json(tmp_path: Path) -> None:
    row = replace(measured("n.onnx"), p99_interval=(1.0, float("inf")), top5=float("nan"))
    report(ReportInput("t", (row,)), out=tmp_path / "report.html")
    values = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert values["rows"][0]["p99_interval"] == [1.0, None]
    assert values["rows"][0]["top5"] is None


def test_p99_of_few_samples_carries_its_question_mark_on_the_page(tmp_path: Path) -> None:
    report(ReportInput("t", (measured("n.onnx", count=200),)), out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<span class="doubt">?</span>' in page


def test_uncalibrated_is_stamped_on_the_row(tmp_path: Path) -> None:
    row = replace(measured("n.int8.onnx", precision="int8"), uncalibrated=True)
    report(ReportInput("t", (row,)), out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<strong class="stamp">UNCALIBRATED</strong>') == 2  # the row and the top


def test_a_report_about_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report") as caught:
        report(ReportInput("t", ()), out=tmp_path / "report.html")
    assert "edgekit" in caught.value.next_command
    assert not list(tmp_path.iterdir())


def test_two_rows_with_one_name_are_refused(tmp_path: Path) -> None:
    rows = (measured("n.onnx"), measured("n.onnx"))
    with pytest.raises(InputError, match=r"Two rows .* n\.onnx"):
        report(ReportInput("t", rows), out=tmp_path / "report.html")


def test_a_report_that_is_not_html_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not end in \.html"):
        report(ordinary_report(), out=tmp_path / "report.pdf")


def test_ten_engines_with_many_samples_and_flips_stay_under_three_megabytes(tmp_path: Path) -> None:
    rng = random.Random(0)
    ordinary = ordinary_report()
    flip = replace(ordinary.flips[0].flips[0], thumbnail=rng.randbytes(8_000))
    rows = tuple(
        replace(
            with_energy(measured(f"net-{k}.onnx", middle_ms=3.0 + k), mj=9.0 + k),
            latency_samples=samples_ms(3.0 + k, 5_000, k),
        )
        for k in range(10)
    )
    pairs = tuple(corrupted_pictures(names=("net-0.onnx", f"net-{k}.onnx")) for k in range(1, 10))
    flips = (replace(ordinary.flips[0], flips=(flip,) * 24),)
    many = replace(ordinary, rows=rows, flips=flips, robustness=pairs)
    started = time.monotonic()
    made = report(many, out=tmp_path / "report.html")
    assert made.bytes < 3_000_000
    reader = _read(made.html.read_text(encoding="utf-8"))
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    addresses = [value for key, value in reader.attributes if key in ("src", "href")]
    assert all(value.startswith(("data:image/jpeg;base64,", "#")) for value in addresses)
    assert reader.tags.count("path") > 9 * 7 * 2
    assert time.monotonic() - started < 20.0


def test_energy_stands_in_the_table_only_where_it_was_measured(tmp_path: Path) -> None:
    report(ordinary_report(), out=tmp_path / "with.html")
    page = (tmp_path / "with.html").read_text(encoding="utf-8")
    assert "Energy, mJ" in page and "41.2" in page and 'for="cost-energy"' in page
    assert "one inference above idle, measured on: module (VDD_IN)." in page
    assert "41.2 (37.12 to 45.38)" in (tmp_path / "with.md").read_text(encoding="utf-8")
    rows = tuple(replace(row, mj=None, mj_interval=None) for row in ordinary_report().rows)
    report(replace(ordinary_report(), rows=rows), out=tmp_path / "without.html")
    assert "Energy, mJ" not in (tmp_path / "without.html").read_text(encoding="utf-8")


def test_the_gap_under_corruptions_is_said_with_its_interval(tmp_path: Path) -> None:
    report(ordinary_report(), out=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "loses 6.00 points" in page and "(4.00 to 8.00), which is 5.00 more" in page
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "| jpeg compression | 40.0 → 29.0 | 11.00 (0.50 to …) | 6.00 (4.00 to 8.00) |" in text
