"""The SARIF file, and the command that writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.toolkit.lint.verdicts import case, report_on
from toolkit.cli.app import app
from toolkit.lint.engine import RULES
from toolkit.lint.sarif import sarif_of


def _run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["lint", *map(str, arguments)])


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "a model.onnx"
    path.write_bytes(case("zero_point_3").model().SerializeToString())
    return path


@pytest.fixture
def right(tmp_path: Path) -> Path:
    path = tmp_path / "right.onnx"
    path.write_bytes(case("plain").model().SerializeToString())
    return path


def test_each_finding_is_a_result_of_a_declared_rule() -> None:
    report = report_on(case("zero_point_3").model(), "tensorrt-rtx")
    log = sarif_of(report)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    declared = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert declared == list(RULES)
    assert len(run["results"]) == len(report.findings)
    for result in run["results"]:
        assert declared[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert place == "graph.onnx"


def test_the_node_is_the_logical_location_and_paths_are_uris() -> None:
    report = report_on(case("zero_point_3").model(), "tensorrt-rtx")
    moved = type(report)(Path("/a b/ü.onnx"), "tensorrt-rtx", "", report.findings, report.layers)
    location = sarif_of(moved)["runs"][0]["results"][0]["locations"][0]
    assert location["logicalLocations"][0]["name"] == report.findings[0].node
    uri = location["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file:///a%20b/%C3%BC.onnx"


def test_the_command_says_no_with_exit_code_3_and_writes_the_file(
    wrong: Path, tmp_path: Path
) -> None:
    file = tmp_path / "found.sarif"
    run = _run(wrong, "--runtime", "tensorrt-rtx", "--sarif", file)
    assert run.exit_code == 3
    assert "tensorrt-rtx refuses it: 2 errors, 1 note" in run.stdout
    assert "zero-point" in run.stderr
    assert len(json.loads(file.read_text())["runs"][0]["results"]) == 3


def test_json_is_one_object_with_every_layer(right: Path) -> None:
    run = _run(right, "--target", "rtx-4090", "--json")
    assert run.exit_code == 0
    found = json.loads(run.stdout)
    assert (found["verdict"], found["accepted"], found["runtime"]) == ("yes", True, "tensorrt-rtx")
    assert (found["int8_layers"], found["float_layers"]) == (1, 0)
    assert [layer["precision"] for layer in found["layers"]] == ["int8"]
    assert {"rule", "severity", "effect", "node", "message", "fix"} == set(found["findings"][0])


def test_a_bad_file_and_a_missing_choice_exit_with_1(right: Path, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"PK\x03\x04")
    assert _run(tmp_path / "no.onnx", "--runtime", "dla").exit_code == 1
    assert _run(right).exit_code == 1
    run = _run(right, "--json")
    assert set(json.loads(run.stdout)) == {"error", "next", "code"}
