"""`edgekit live` on the real command line, with networks that name colours."""

from __future__ import annotations

import json
import re

import pytest

from tests.bad_input.command import Place
from tests.unit.toolkit.colour_models import make_model
from toolkit.cli.signals import same_command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("live")
    make_model(folder / "a.onnx")
    make_model(folder / "b.onnx", answers=(1, 0, 2, 3))
    made = Place(folder, tmp_path_factory.mktemp("temporary"))
    camera = ("--camera", "synthetic://64x48@60?frames=20")
    done = made.run("live", "a.onnx", *camera, "--policy", "queue", "--record", "s", "--json")
    assert done.code == 0, done.err
    (folder / "said.json").write_text(done.out)
    return made


def test_a_recorded_run_says_what_it_recorded(place: Place) -> None:
    said = json.loads((place.folder / "said.json").read_text())
    assert said["recording"]["frames"] == 20
    assert said["recording"]["folder"] == "s"
    assert said["results_lost"] == 0


def test_engines_are_compared_on_a_recording(place: Place) -> None:
    done = place.run(
        *("live", "a.onnx", "b.onnx", "--camera", "replay://s", "--policy", "queue"),
        *("--out", "c.json", "--json"),
    )
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert [run["engine"] for run in said["engines"]] == ["a.onnx", "b.onnx"]
    assert said["pairs"][0]["n"] == 20
    assert len(said["pairs"][0]["flips"]) == round(20 * (1 - said["pairs"][0]["agreement"]))
    assert json.loads((place.folder / "c.json").read_text()) == said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.onnx", "b.onnx", "--camera", "synthetic://8x8"), "record a session and replay it"),
        (("a.onnx", "b.onnx", "--camera", "replay://s", "--results", "r"), "run of one engine"),
        (("a.onnx", "--camera", "replay://none"), "is not a recording"),
        (("a.onnx", "--camera", "replay://s", "--record", "s"), "is not empty"),
        (("a.onnx", "--camera", "synthetic://8x8", "--calibration", "t"), "this camera is none"),
        (("none.onnx", "--camera", "replay://s", "--record", "new"), "cannot be read"),
    ],
)
def test_what_does_not_go_together_is_refused(
    place: Place, arguments: tuple[str, ...], says: str
) -> None:
    done = place.run("live", *arguments)
    assert done.code == 1
    assert says in done.err.replace("\n", " ")
    assert "Next: edgekit" in done.err or "Next: ls" in done.err
    assert not (place.folder / "new").exists()


def test_the_page_is_named_on_stderr_and_the_result_stays_one_object(place: Place) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    camera = ("--camera", "synthetic://64x48@60?frames=20")
    done = place.run(
        *("live", "a.onnx", *camera, "--view", "web", "--view-address", "127.0.0.1:0", "--json")
    )
    assert done.code == 0, done.err
    assert re.search(r"live view: http://127\.0\.0\.1:\d+/[\w-]{22}/", done.err)
    assert json.loads(done.out)["frames"] > 0


def test_the_service_repeats_the_options_and_hides_the_password(place: Place) -> None:
    done = place.run(
        *("live", "a.onnx", "--camera", "http://ann:hunter2@cam/1", "--smooth", "5"),
        *("--results", "unix:/run/x", "--print-service"),
    )
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("ExecStart=")]
    assert f'"{place.folder / "a.onnx"}" "--camera" ${{EDGEKIT_CAMERA}}' in line
    assert '"--results" "unix:/run/x" "--smooth" "5"' in line
    assert "hunter2" not in done.out + done.err


@pytest.mark.parametrize("option", [("--record", "r"), ("--frames", "5"), ("--view", "terminal")])
def test_what_cannot_run_unattended_gets_no_service(place: Place, option: tuple[str, ...]) -> None:
    done = place.run("live", "a.onnx", "--camera", "synthetic://8x8", *option, "--print-service")
    assert done.code == 1
    assert "--print-service" in done.err
    assert done.out == ""


def test_the_command_to_repeat_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "mqtt://ann:hun:t@er2@host/cam"
    monkeypatch.setattr("sys.argv", ["edgekit", "live", "a.onnx", "--results", url])
    assert same_command() == "edgekit live a.onnx --results 'mqtt://ann:***@host/cam'"
