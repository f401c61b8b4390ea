from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.toolkit.colour_models import colour_contract, make_folder, make_model
from toolkit.cli.app import app
from toolkit.compare import compare
from toolkit.comparison import write_comparison
from toolkit.errors import ContractError, InputError
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress
from toolkit.report import report, report_input_from_files
from toolkit.report.paired import paired_from_dict


def test_both_models_are_scored_on_the_same_corrupted_pictures(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    b = make_model(tmp_path / "b.onnx", answers=(0, 1, 1, 3))
    seen: list[Progress] = []
    names = ["contrast", "brightness"]
    images = make_folder(tmp_path / "val", each=3)
    found = compare(a, b, images=images, corruptions=names, progress=seen.append).robustness
    assert found is not None
    assert found.corruptions == ("brightness", "contrast")
    assert len(found.scores) == 11
    assert (found.height, found.width) == (8, 8)
    assert found.clean.top1 == (1.0, 0.75)
    assert found.clean.gap.points == pytest.approx(25.0)
    # Brighter dark pictures are no longer dark; those of one colour have no contrast to lose.
    assert found.of("brightness")[-1].top1[0] <= 0.75
    assert found.of("contrast")[-1].top1[0] == 1.0
    last = seen[-1]
    assert (last.step, last.done, last.total) == ("corrupt", 132, 132)


def test_the_sweep_is_the_same_twice_and_whatever_the_batch(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    images = make_folder(tmp_path / "val", each=3)
    runs = [
        compare(a, a, images=images, corruptions=["gaussian_noise"], batch_size=size).robustness
        for size in (1, 5, 5)
    ]
    assert runs[0] == runs[1] == runs[2]
    assert runs[0] is not None
    assert runs[0].mean_gap().points == 0.0


def test_models_that_prepare_pictures_differently_are_refused(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    other = Preprocess(8, 8, resize="squash", interpolation="nearest")
    b = make_model(tmp_path / "b.onnx", preprocess=other)
    assert colour_contract().preprocess != other
    with pytest.raises(ContractError, match="cannot be corrupted for both"):
        compare(
            a,
            b,
            images=make_folder(tmp_path / "val"),
            corruptions=["all"],
            allow_different_preprocess=True,
        )


def test_a_bad_name_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'motion_blur'"):
        compare(tmp_path / "no", tmp_path / "no", images=tmp_path, corruptions=["motion"])


def test_the_command_line_takes_names_with_commas_and_the_report_shows_curves(
    tmp_path: Path,
) -> None:
    a = make_model(tmp_path / "net.fp32.onnx")
    b = make_model(tmp_path / "net.int8.onnx", answers=(0, 1, 1, 3))
    folder = make_folder(tmp_path / "val", each=2)
    out = tmp_path / "net.comparison.json"
    names = "contrast,jpeg_compression"
    line = ["compare", str(a), str(b), "--images", str(folder), "--corruptions", names]
    line += ["--journal", str(tmp_path / "sweep.jsonl")]
    run = CliRunner().invoke(app, [*line, "--threads", "1", "--out", str(out), "--json"])
    assert run.exit_code == 0, run.output
    values = json.loads(run.stdout)["robustness"]
    assert {score["corruption"] for score in values["scores"]} == {
        "clean",
        "contrast",
        "jpeg_compression",
    }
    made = report_input_from_files([out])
    assert [one.precisions for one in made.robustness] == [("fp32", "int8")]
    written = report(made, out=tmp_path / "report.html")
    page = written.html.read_text(encoding="utf-8")
    assert 'id="robustness"' in page and page.count("Top-1 of two models under") == 4
    text = written.markdown.read_text(encoding="utf-8")
    assert "## Corrupted pictures: net.fp32.onnx → net.int8.onnx" in text
    assert any("--corruptions contrast,jpeg_compression --seed 0" in c for c in made.commands)


def test_an_edited_sweep_in_a_record_is_refused(tmp_path: Path) -> None:
    a = make_model(tmp_path / "a.onnx")
    images = make_folder(tmp_path / "val", each=2)
    found = compare(a, a, images=images, corruptions=["contrast"])
    write_comparison(tmp_path / "c.comparison.json", found)
    values = json.loads((tmp_path / "c.comparison.json").read_text(encoding="utf-8"))
    assert paired_from_dict(values, where=tmp_path).robustness == found.robustness
    edited: list[Any] = [7, {"scores": []}, {**values["robustness"], "gap_points": 50.0}]
    for wrong in edited:
        with pytest.raises(InputError, match="damaged or was edited"):
            paired_from_dict({**values, "robustness": wrong}, where=tmp_path)
