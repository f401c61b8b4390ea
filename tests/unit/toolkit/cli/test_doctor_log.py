"""`edgekit doctor --log` through the real command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.bad_input.command import EDGEKIT, Place

LOGS = Path(__file__).parents[1] / "explain" / "logs"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder, temporary = tmp_path / "here", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    return Place(folder, temporary)


def test_a_known_failure_ends_with_0_and_its_fix_on_the_result_line(place: Place) -> None:
    said = place.run("doctor", "--log", LOGS / "no-profile.txt")
    assert said.code == 0
    assert said.out.count("\n") == 1
    assert "got no profile" in said.out
    assert "Next: edgekit build MODEL.onnx --target NAME --batch 1:4:8" in said.out
    assert "see: onnx-tensorrt issue 518" in said.err


def test_an_unknown_failure_ends_with_3_and_one_json_object(place: Place) -> None:
    log = place.folder / "build.log"
    log.write_text("[E] nobody has seen this\n")
    said = place.run("doctor", "--log", log, "--json")
    assert said.code == 3
    values = json.loads(said.out)
    assert values["explained"] is False
    assert values["causes"] == []
    assert values["try"]


def test_standard_input_is_a_log_too() -> None:
    done = subprocess.run(
        [*EDGEKIT, "doctor", "--log", "-", "--json"],
        input=(LOGS / "killed-by-kernel.txt").read_bytes(),
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["causes"][0]["rule"] == "killed-by-kernel"


def test_terminal_codes_of_a_log_do_not_reach_the_terminal(place: Place) -> None:
    log = place.folder / "build.log"
    log.write_bytes(b'no element "evil\x1b]0;title\x07"\nno element "x264enc" \x08\x9b31m\n')
    said = place.run("doctor", "--log", log)
    assert said.code == 0
    assert "\x1b" not in said.out + said.err
    assert "\x08" not in said.out + said.err


def test_a_file_that_is_no_log_ends_with_1_and_the_command_for_it(place: Place) -> None:
    engine = place.folder / "m.engine"
    engine.write_bytes(bytes(range(256)) * 16)
    said = place.run("doctor", "--log", engine)
    assert said.code == 1
    assert said.out == ""
    assert "no text log" in said.err
    assert f"Next: edgekit inspect {engine}" in said.err
