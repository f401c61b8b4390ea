from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from calibration.errors import CalibrationError
from calibration.table import CalibrationTable, Range
from tests.unit.toolkit.report.run_examples import (
    HERE,
    accuracy_of,
    build_engine,
    digest_of_text,
    latency_of,
    live_values,
    pictures,
    write_json,
)
from toolkit.accuracy import write_accuracy
from toolkit.artifacts import digest_of_file
from toolkit.comparison import pair_accuracies, write_comparison
from toolkit.contract import UNCALIBRATED
from toolkit.errors import InputError, StaleError
from toolkit.latency import write_latency
from toolkit.report.evidence import report_input_from_files
from toolkit.report.model import BUILT_ONLY, MEASURED_HERE, SCORED_ONLY, ReportInput
from toolkit.report.writing import report
from toolkit.training.qat.origin import QAT, Origin

RIGHT, WRONG = 0, 1


def _two_engines(folder: Path) -> tuple[Path, Path]:
    float_digest = digest_of_text("model.onnx")
    fp32 = build_engine(folder, "net.cpu-x86.onnx")
    int8 = build_engine(
        folder,
        "net.int8.cpu-x86.onnx",
        precision="int8",
        onnx="model.int8.onnx",
        parent=float_digest,
    )
    return fp32, int8


def _read(*paths: Path) -> ReportInput:
    return report_input_from_files(paths, here=HERE)


def test_an_engine_that_was_only_built_has_no_figures(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.rtx-4090.engine", target="rtx-4090")
    (row,) = _read(tmp_path).rows
    assert row.status == BUILT_ONLY
    assert (row.top1, row.p50_ms, row.latency_samples) == (None, None, ())
    assert row.bytes == len(b"engine net.rtx-4090.engine")
    assert row.made_for == "SM 8.9"


def test_latencies_find_their_engines_by_digest(tmp_path: Path) -> None:
    fp32, int8 = _two_engines(tmp_path)
    write_latency(tmp_path / "x.latency.json", [latency_of(fp32), latency_of(int8, middle_ms=4.0)])
    rows = {row.precision: row for row in _read(tmp_path).rows}
    assert rows["int8"].p50_ms == pytest.approx(4.12)
    assert rows["int8"].status == MEASURED_HERE
    assert rows["int8"].latency_run == rows["fp32"].latency_run


def test_a_latency_from_elsewhere_names_the_machine(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    measured = latency_of(fp32)
    elsewhere = replace(measured, conditions={**measured.conditions, "gpu": "RTX 4090"})
    write_latency(tmp_path / "x.latency.json", [elsewhere])
    assert "measured on RTX 4090" in {row.status for row in _read(tmp_path).rows}


def test_the_fake_backend_is_never_reported_as_a_latency(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    write_latency(tmp_path / "x.latency.json", [latency_of(fp32, backend="fake")])
    made = _read(tmp_path)
    assert not any(row.has_latency for row in made.rows)
    assert any("fake backend" in note for note in made.notes)


def test_two_scores_of_the_same_images_give_a_paired_drop(tmp_path: Path) -> None:
    fp32, int8 = _two_engines(tmp_path)
    answers = [RIGHT] * 90 + [WRONG] * 10
    worse = [WRONG] * 2 + [RIGHT] * 89 + [WRONG] * 9
    write_accuracy(tmp_path / "a.accuracy.json", accuracy_of(digest_of_file(fp32), answers))
    write_accuracy(
        tmp_path / "b.accuracy.json", accuracy_of(digest_of_file(int8), worse, precision="int8")
    )
    made = _read(tmp_path)
    rows = {row.precision: row for row in made.rows}
    assert rows["fp32"].top1 == 0.9
    assert rows["fp32"].drop_points is None
    assert rows["int8"].drop_points == pytest.approx(1.0)
    assert rows["int8"].status == SCORED_ONLY
    assert made.flips[0].lost == 2
    assert made.flips[0].gained == 1
    assert made.images == "100 images in val"


def test_scores_of_other_images_are_not_paired(tmp_path: Path) -> None:
    fp32, int8 = _two_engines(tmp_path)
    write_accuracy(tmp_path / "a.accuracy.json", accuracy_of(digest_of_file(fp32), [RIGHT] * 50))
    write_accuracy(
        tmp_path / "b.accuracy.json",
        accuracy_of(digest_of_file(int8), [RIGHT] * 40, precision="int8"),
    )
    made = _read(tmp_path)
    assert all(row.drop_points is None for row in made.rows)
    assert made.flips == ()


def test_two_networks_are_not_paired_with_each_other(tmp_path: Path) -> None:
    one = build_engine(tmp_path, "a.cpu.onnx", source="torchvision:a, x")
    other = build_engine(
        tmp_path, "b.int8.cpu.onnx", precision="int8", onnx="b", source="torchvision:b, x"
    )
    for name, engine, precision in (("a", one, "fp32"), ("b", other, "int8")):
        write_accuracy(
            tmp_path / f"{name}.accuracy.json",
            accuracy_of(digest_of_file(engine), [RIGHT] * 9, precision=precision),
        )
    assert all(row.drop_points is None for row in _read(tmp_path).rows)


def test_an_engine_for_an_absent_gpu_borrows_the_accuracy_of_its_graph(tmp_path: Path) -> None:
    build_engine(
        tmp_path, "net.int8.rtx-4090.engine", precision="int8", target="rtx-4090", onnx="q"
    )
    write_accuracy(
        tmp_path / "q.accuracy.json",
        accuracy_of(digest_of_text("q"), [RIGHT] * 8 + [WRONG] * 2, precision="int8"),
    )
    (row,) = _read(tmp_path).rows
    assert row.top1 == 0.8
    assert row.status == BUILT_ONLY
    assert "not this engine" in row.accuracy_of


def test_a_cpu_engine_does_not_borrow_an_accuracy(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.int8.cpu.onnx", precision="int8", onnx="q")
    write_accuracy(
        tmp_path / "q.accuracy.json", accuracy_of(digest_of_text("q"), [RIGHT], precision="int8")
    )
    (row,) = _read(tmp_path).rows
    assert row.top1 is None


def test_a_comparison_alone_gives_two_rows_and_its_flips(tmp_path: Path) -> None:
    digests = pictures(tmp_path / "val", 4)
    first, second = (
        accuracy_of(
            digest_of_text(name),
            answers,
            model=name,
            images=str(tmp_path / "val"),
            picture_digests=digests,
        )
        for name, answers in (("net.onnx", [0, 0, 0, 1]), ("net.int8.onnx", [0, 1, 0, 2]))
    )
    write_comparison(tmp_path / "c.comparison.json", pair_accuracies(first, second))
    made = _read(tmp_path / "c.comparison.json")
    assert {row.precision: row.top1 for row in made.rows} == {"fp32": 0.75, "int8": 0.5}
    (flips,) = made.flips
    assert [flip.lost for flip in flips.flips] == [True, False]
    assert all(flip.thumbnail.startswith(b"\xff\xd8") for flip in flips.flips)


def test_a_picture_that_changed_since_is_not_shown(tmp_path: Path) -> None:
    pictures(tmp_path / "val", 2)
    first, second = (
        accuracy_of(digest_of_text(n), a, model=n, images=str(tmp_path / "val"))
        for n, a in (("a.onnx", [0, 0]), ("b.onnx", [1, 0]))
    )
    write_comparison(tmp_path / "c.comparison.json", pair_accuracies(first, second))
    (flip,) = _read(tmp_path / "c.comparison.json").flips[0].flips
    assert flip.thumbnail == b""


def test_a_flip_cannot_point_outside_the_folder_of_images(tmp_path: Path) -> None:
    digests = pictures(tmp_path / "val", 1)
    first, second = (
        accuracy_of(
            digest_of_text(n), a, model=n, images=str(tmp_path / "x"), picture_digests=digests
        )
        for n, a in (("a.onnx", [0]), ("b.onnx", [1]))
    )
    write_comparison(tmp_path / "c.comparison.json", pair_accuracies(first, second))
    values = json.loads((tmp_path / "c.comparison.json").read_text(encoding="utf-8"))
    values["flips"][0]["path"] = "../val/tench/0.png"
    (tmp_path / "x").mkdir()
    write_json(tmp_path / "c.comparison.json", values)
    assert _read(tmp_path / "c.comparison.json").flips[0].flips[0].thumbnail == b""


def test_a_live_run_is_read_with_its_conditions(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.onnx")
    write_json(tmp_path / "x.live.json", live_values("net.onnx"))
    made = _read(tmp_path)
    (run,) = made.live
    assert (run.engine, run.frames, run.dropped) == ("net.onnx", 300, 2)
    assert [name for name, _ in run.stages_ms] == ["preprocess", "infer"]
    assert ("threads", "all") in made.conditions[0].values


def test_calibration_is_reported_with_what_auto_chose(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.int8.onnx", precision="int8")
    ranges = {str(k): Range(-1.0, 1.0, "mse" if k else "minmax") for k in range(3)}
    table = CalibrationTable("m", "auto", 64, 7, ranges, images=("b" * 16, "a" * 16))
    (tmp_path / "net.calibration.json").write_text(table.to_json(), encoding="utf-8")
    (used,) = _read(tmp_path).calibrations
    assert used.method == "auto (2 mse, 1 minmax)"
    assert (used.samples, used.seed, used.table_digest) == (64, 7, table.digest)
    assert len(used.images_digest) == 64


def test_an_uncalibrated_engine_is_marked(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.int8.onnx", precision="int8", calibration=UNCALIBRATED)
    (row,) = _read(tmp_path).rows
    assert row.uncalibrated


def test_json_of_other_programs_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.onnx")
    write_json(tmp_path / "labels.json", ["tench"])
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    made = _read(tmp_path)
    report(made, out=tmp_path / "report.html")
    assert len(_read(tmp_path).rows) == 1  # its own report.json is passed over, too


def test_a_named_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = write_json(tmp_path / "labels.json", ["tench"])
    with pytest.raises(InputError, match=r"labels\.json is not a file that a report"):
        _read(path)


def test_an_engine_may_be_named_instead_of_its_manifest(tmp_path: Path) -> None:
    engine = build_engine(tmp_path, "net.onnx")
    assert [row.engine for row in _read(engine).rows] == ["net.onnx"]


def test_a_model_without_manifest_is_refused_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"model")
    with pytest.raises(InputError, match=r"m\.onnx is neither a file of a run nor an engine"):
        _read(tmp_path / "m.onnx")


def test_a_manifest_without_its_engine_still_tells_what_was_built(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.rtx-4090.engine", target="rtx-4090").unlink()
    (row,) = _read(tmp_path).rows
    assert row.target == "rtx-4090"
    assert row.bytes is None


def test_an_altered_engine_is_refused(tmp_path: Path) -> None:
    build_engine(tmp_path, "net.onnx").write_bytes(b"something else")
    with pytest.raises(StaleError, match="altered or replaced"):
        _read(tmp_path)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        _read(tmp_path / "runs")


@pytest.mark.parametrize(
    "name", ["x.latency.json", "x.accuracy.json", "x.comparison.json", "x.live.json"]
)
def test_a_truncated_run_file_is_refused_even_in_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"kind": "edgekit latency", "vers', encoding="utf-8")
    with pytest.raises(InputError, match="not JSON, or was cut off"):
        _read(tmp_path)


@pytest.mark.parametrize("kind", ["latency", "accuracy", "comparison"])
def test_a_file_from_a_newer_edgekit_is_refused(tmp_path: Path, kind: str) -> None:
    write_json(tmp_path / f"x.{kind}.json", {"kind": f"edgekit {kind}", "version": 99})
    with pytest.raises(InputError, match="newer Edgekit") as caught:
        _read(tmp_path)
    assert "upgrade" in caught.value.next_command


def test_a_truncated_calibration_table_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "x.calibration.json", {"version": 1, "ranges": {}, "method": "mse"})
    with pytest.raises(CalibrationError, match="not a calibration table"):
        _read(tmp_path)


def test_a_live_summary_that_was_edited_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "x.live.json", {**live_values("n"), "frames": "many"})
    with pytest.raises(InputError, match="damaged or was edited"):
        _read(tmp_path)


def test_a_comparison_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    first, second = (accuracy_of(digest_of_text(n), [0, 1], model=n) for n in ("a", "b"))
    write_comparison(tmp_path / "c.comparison.json", pair_accuracies(first, second))
    values = json.loads((tmp_path / "c.comparison.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "c.comparison.json", {**values, "drop_points": 7.5})
    with pytest.raises(InputError, match="contradict each other"):
        _read(tmp_path)


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    for name in ("a.latency.json", "copy.latency.json"):
        write_latency(tmp_path / name, [latency_of(fp32)])
    with pytest.raises(
        InputError, match=r"a\.latency\.json and .*copy\.latency\.json hold the same"
    ):
        _read(tmp_path)


def test_two_runs_of_one_engine_are_refused_with_both_names(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    for run in ("monday", "tuesday"):
        write_latency(tmp_path / f"{run}.latency.json", [latency_of(fp32, run=run)])
    with pytest.raises(InputError, match=r"measured in two runs \(monday and tuesday\)"):
        _read(tmp_path)


def test_an_engine_scored_twice_is_refused(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    for images in ("val", "test"):
        accuracy = accuracy_of(digest_of_file(fp32), [RIGHT], images=images)
        write_accuracy(tmp_path / f"{images}.accuracy.json", accuracy)
    with pytest.raises(InputError, match="scored twice"):
        _read(tmp_path)


def test_scores_without_labels_are_refused(tmp_path: Path) -> None:
    write_accuracy(tmp_path / "x.accuracy.json", accuracy_of("d", [RIGHT]))
    values = json.loads((tmp_path / "x.accuracy.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "x.accuracy.json", {**values, "labels": [], "ids": []})
    with pytest.raises(InputError, match="damaged or was edited"):
        _read(tmp_path)


def test_an_empty_folder_gives_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report"):
        report(_read(tmp_path), out=tmp_path / "report.html")


def test_engines_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        engine = build_engine(tmp_path / folder, "net.onnx", onnx=folder)
        engine.write_bytes(folder.encode())
        manifest = json.loads((tmp_path / folder / "net.onnx.json").read_text(encoding="utf-8"))
        manifest["engine_digest"] = digest_of_file(engine)
        write_json(tmp_path / folder / "net.onnx.json", manifest)
    assert len({row.engine for row in _read(tmp_path).rows}) == 2


def test_commands_say_how_to_make_the_figures_again(tmp_path: Path) -> None:
    fp32, int8 = _two_engines(tmp_path)
    write_latency(tmp_path / "x.latency.json", [latency_of(fp32), latency_of(int8)])
    accuracy = accuracy_of(digest_of_file(fp32), [RIGHT], model=str(fp32), images="my val")
    write_accuracy(tmp_path / "x.accuracy.json", accuracy)
    commands = _read(tmp_path).commands
    assert "edgekit build net.onnx --target cpu-x86 --out net.cpu-x86.onnx" in commands
    assert (
        "edgekit measure net.cpu-x86.onnx net.int8.cpu-x86.onnx --threads 2 --samples 1000"
        in commands
    )
    assert "edgekit score net.cpu-x86.onnx --images 'my val'" in commands


def test_commands_name_no_model_that_the_files_do_not_tell(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    renamed = fp32.with_name("mine.onnx")
    fp32.rename(renamed)
    Path(f"{fp32}.json").rename(f"{renamed}.json")
    table = CalibrationTable("m", "auto", 64, 3, {}, effort="fast", scheme="onnxruntime-x86")
    (tmp_path / "mine.fast.calibration.json").write_text(table.to_json(), encoding="utf-8")
    commands = _read(tmp_path).commands
    assert "edgekit build MODEL.onnx --target cpu-x86 --out mine.onnx" in commands
    assert (
        "edgekit calibrate MODEL.onnx --images TRAINING_IMAGES --samples 64 --method auto "
        "--effort fast --seed 3 --target cpu --out mine.fast.int8.onnx"
    ) in commands


def _command_of(table: CalibrationTable, folder: Path) -> str:
    fp32, _ = _two_engines(folder)
    write_latency(folder / "x.latency.json", [latency_of(fp32)])
    (folder / "net.calibration.json").write_text(table.to_json(), encoding="utf-8")
    return next(line for line in _read(folder).commands if "net.int8.onnx" in line)


CHOSEN = CalibrationTable("m", "auto", 64, 3, {}, effort="fast", scheme="tensorrt-rtx")


def test_a_fine_tuned_model_is_made_again_by_fine_tuning_it(tmp_path: Path) -> None:
    notes = (Origin(5, "entropy", "fast").note(), "recentred 2 tensors that are never negative")
    table = replace(CHOSEN, method=QAT, notes=notes)
    assert _command_of(table, tmp_path) == (
        "edgekit train DATA --qat MODEL.pt --epochs 5 --samples 64 --method entropy --effort fast "
        "--seed 3 --target TARGET --out net.int8.onnx"
    )


def test_a_fine_tuning_that_no_note_describes_leaves_gaps_in_its_command(tmp_path: Path) -> None:
    command = _command_of(replace(CHOSEN, method=QAT), tmp_path)
    assert "--qat MODEL.pt --epochs EPOCHS --samples 64 --method METHOD " in command


@pytest.mark.parametrize("method", ["auto", QAT])
def test_explicit_shifts_are_part_of_the_command(tmp_path: Path, method: str) -> None:
    table = replace(CHOSEN, method=method, explicit_shifts=True)
    assert " --target TARGET --explicit-shifts --out " in _command_of(table, tmp_path)


def test_ranges_of_a_file_are_taken_from_it_again(tmp_path: Path) -> None:
    cache = replace(CHOSEN, method="old.cache", scheme="tensorrt")
    assert _command_of(cache, tmp_path) == (
        "edgekit calibrate MODEL.onnx --from-cache old.cache --out net.int8.onnx"
    )


def test_ranges_of_a_model_for_a_dla_are_taken_from_it_again(tmp_path: Path) -> None:
    table = replace(CHOSEN, method="net.int8.onnx", scheme="tensorrt")
    assert _command_of(table, tmp_path) == (
        "edgekit calibrate net.int8.onnx --images TRAINING_IMAGES --target TARGET --dla "
        "--out net.onnx"
    )


def test_conditions_say_what_is_unknown(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    write_latency(tmp_path / "x.latency.json", [latency_of(fp32)])
    (conditions,) = _read(tmp_path).conditions
    values = dict(conditions.values)
    assert values["governor"] == values["temperature"] == "unknown"
    assert values["measured"] == "200 rounds of 5"
    assert values["threads"] == "2"


def test_every_source_file_is_named_with_its_digest(tmp_path: Path) -> None:
    fp32, _ = _two_engines(tmp_path)
    write_latency(tmp_path / "x.latency.json", [latency_of(fp32)])
    sources = {Path(source.path).name: source.digest for source in _read(tmp_path).sources}
    assert sources["x.latency.json"] == digest_of_file(tmp_path / "x.latency.json")
    assert len(sources) == 3
