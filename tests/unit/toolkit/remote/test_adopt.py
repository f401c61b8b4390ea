"""An engine that was built by hand from a bundle gets its manifest, if everything fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from tests.unit.toolkit.remote.board import run, unpacked
from toolkit.artifacts import Engine, manifest_path, open_engine_file
from toolkit.cli.app import app
from toolkit.errors import BuildError, InputError, StaleError
from toolkit.onnx_model.file import write_onnx
from toolkit.remote.adopt import adopt_engine
from toolkit.remote.build import bundle_for
from toolkit.remote.bundle import FOLDER

ORIN = "jetson-orin-nano-8gb"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.int8.onnx"
    made = contract(precision="int8", scheme="tensorrt", calibration="0" * 64)
    write_onnx(quantized_classifier(opset=17), path, made)
    return path


@pytest.fixture
def bundle(tmp_path: Path, model: Path) -> Path:
    path = tmp_path / "b.tar.gz"
    bundle_for(model, target=ORIN, out=path, batch="4", jetpack="6.2")
    return path


@pytest.fixture
def board(tmp_path: Path, bundle: Path) -> Path:
    """The folder as it comes back from the board: built, verified, with the log that was kept."""
    folder = unpacked(bundle, tmp_path / "board")
    built = run(folder / "build.sh", "10.3.0", tmp_path)
    (folder / "build.log").write_text(built.stdout + built.stderr)
    assert run(folder / "verify.sh", "10.3.0", tmp_path).returncode == 0
    return folder


def adopt(board: Path, model: Path, bundle: Path, out: Path | None = None) -> Engine:
    return adopt_engine(board / "model.engine", bundle=bundle, model=model, target=ORIN, out=out)


def test_an_engine_gets_the_manifest_of_what_the_board_left(
    board: Path, model: Path, bundle: Path
) -> None:
    engine = adopt(board, model, bundle)
    assert engine.path == model.with_name(f"m.int8.{ORIN}.engine")
    assert open_engine_file(engine.path) == engine
    manifest = engine.manifest
    assert (manifest.target, manifest.backend, manifest.precision) == (ORIN, "tensorrt", "int8")
    assert (manifest.built_with, manifest.built_on) == ("tensorrt 10.3.0", "Orin")
    assert (manifest.flags, manifest.int8_convs, manifest.kernels) == (("INT8", "FP16"), 2, 2)
    assert engine.contract.input_shape == (4, 3, 16, 16)
    assert any(note.startswith("golden inputs (4, on the device): ") for note in manifest.notes)
    assert manifest.notes[-1].startswith("built by hand from the bundle ")
    assert not any("not checked" in note or "not seen" in note for note in manifest.notes)


def test_what_did_not_come_back_is_said_in_the_manifest(
    board: Path, model: Path, bundle: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "usb" / "model.engine"
    alone.parent.mkdir()
    (board / "model.engine").rename(alone)
    notes = adopt(alone.parent, model, bundle).manifest.notes
    for said in (
        "whether it arrived whole was not checked",
        "not what was seen",
        "what runs in Int8 is unknown",
        "golden outputs were not verified: verify.sh was not run",
    ):
        assert [note for note in notes if said in note], said


def _cut(board: Path) -> None:
    content = (board / "model.engine").read_bytes()
    (board / "model.engine").write_bytes(content[:-100])


def _fail(board: Path) -> None:
    log = (board / "build.log").read_text()
    (board / "build.log").write_text(log.replace("&&&& PASSED", "&&&& FAILED"))


def _end(board: Path) -> None:
    log = (board / "build.log").read_text()
    (board / "build.log").write_text(log[: log.index("&&&& PASSED")])


def _foreign(board: Path) -> None:
    log = (board / "build.log").read_text()
    (board / "build.log").write_text(log.replace(" --int8", ""))


def _wrong(board: Path) -> None:
    for path in (board / "golden").glob("*.json"):
        (values,) = json.loads(path.read_text())
        values["values"] = values["values"][::-1]
        path.write_text(json.dumps([values]))


def _few(board: Path) -> None:
    for path in (board / "golden").glob("*.json"):
        path.write_text("[]")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (_cut, StaleError, "is not the engine that build.sh wrote"),
        (_fail, BuildError, "is of a build that did not succeed"),
        (_end, BuildError, "it ends in the middle"),
        (_foreign, StaleError, "another build: its trtexec was not given --int8"),
        (_wrong, BuildError, "does not compute what its graph says"),
        (_few, InputError, "cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    board: Path,
    model: Path,
    bundle: Path,
    change: Callable[[Path], None],
    error: type[Exception],
    says: str,
) -> None:
    change(board)
    with pytest.raises(error, match=says):
        adopt(board, model, bundle)
    assert not list(model.parent.glob("*.engine*"))


def test_another_model_another_target_and_a_name_that_is_taken_are_refused(
    board: Path, model: Path, bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.onnx"
    write_onnx(classifier(), other, contract())
    with pytest.raises(StaleError, match="was not made from"):
        adopt(board, other, bundle)
    with pytest.raises(StaleError, match=f"builds for {ORIN}, not for rtx-3090"):
        adopt_engine(board / "model.engine", bundle=bundle, model=model, target="rtx-3090")
    with pytest.raises(InputError, match="needs its own name"):
        adopt(board, model, bundle, out=model)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        adopt(tmp_path, model, bundle)


def test_a_bundle_made_for_another_tensorrt_is_noted(
    tmp_path: Path, model: Path, bundle: Path
) -> None:
    folder = unpacked(bundle, tmp_path / "board")
    built = run(folder / "build.sh", "8.5.2", tmp_path)
    (folder / "build.log").write_text(built.stdout + built.stderr)
    manifest = adopt(folder, model, bundle).manifest
    assert manifest.built_with == "tensorrt 8.5.2"
    assert "the bundle was made for TensorRT 10.3.0, and 8.5.2 built the engine" in manifest.notes


def test_the_command_line_adopts_and_refuses_options_that_the_bundle_decides(
    board: Path, model: Path, bundle: Path
) -> None:
    command = ["build", str(model), "--target", ORIN, "--adopt", str(board / "model.engine")]
    lone = CliRunner().invoke(app, [*command, "--json"])
    assert lone.exit_code == 1
    assert "needs the --bundle it was built from" in json.loads(lone.stdout)["error"]
    command += ["--bundle", str(bundle)]
    for extra, name in ((["--batch", "1"], "--batch"), (["--jetpack", "6.2"], "--jetpack")):
        refused = CliRunner().invoke(app, [*command, *extra, "--json"])
        assert refused.exit_code == 1
        assert json.loads(refused.stdout)["error"].startswith(f"{name} does not go with --adopt")
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert (values["target"], values["int8_convs"]) == (ORIN, 2)
    assert manifest_path(Path(values["engine"])).exists()


def test_inspect_reads_a_bundle_without_tensorrt(bundle: Path) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(bundle)])
    assert shown.exit_code == 0, shown.output
    assert f"int8 (tensorrt) for {ORIN} with TensorRT 10.3.0 of JetPack 6.2" in shown.stdout
    assert f"sh {FOLDER}/build.sh runs: trtexec --onnx=model.onnx " in shown.stdout
    assert "where trtexec has no --skipInference: --buildOnly" in shown.stdout
    assert "  model.onnx\n" in shown.stdout
    found = json.loads(CliRunner().invoke(app, ["inspect", str(bundle), "--json"]).stdout)
    assert (found["kind"], found["target"], found["precision"]) == ("bundle", ORIN, "int8")
    assert (found["scheme"], found["flags"]) == ("tensorrt", ["INT8", "FP16"])
    assert set(found["files"]) >= {"model.onnx", "build.sh", "verify.sh", "golden/0.bin"}


def test_the_line_that_inspect_shows_is_the_one_that_build_sh_runs(
    board: Path, bundle: Path
) -> None:
    found = json.loads(CliRunner().invoke(app, ["inspect", str(bundle), "--json"]).stdout)
    assert f"# {found['command']}\n" in (board / "build.log").read_text()


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path, bundle: Path) -> None:
    for content in (b"", b"no archive", bundle.read_bytes()[:1000]):
        bad = tmp_path / "bad.tar.gz"
        bad.write_bytes(content)
        refused = CliRunner().invoke(app, ["inspect", str(bad), "--json"])
        assert refused.exit_code == 1
        assert "bad.tar.gz" in json.loads(refused.stdout)["error"]
