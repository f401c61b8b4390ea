from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from targets import TargetError
from tests.unit.toolkit.onnx_graphs import contract, quantized_classifier
from tests.unit.toolkit.remote.board import run, unpacked
from toolkit.errors import InputError, SchemeError
from toolkit.onnx_model.file import write_onnx
from toolkit.remote.build import bundle_for
from toolkit.remote.build_script import WRONG_TENSORRT
from toolkit.remote.bundle import FOLDER, read_bundle

ORIN = "jetson-orin-nano-8gb"


@pytest.fixture
def int8(tmp_path: Path) -> Path:
    path = tmp_path / "model.int8.onnx"
    made = contract(precision="int8", scheme="tensorrt-8", calibration="0" * 64)
    write_onnx(quantized_classifier(opset=17), path, made)
    return path


def test_equal_inputs_give_equal_bytes(tmp_path: Path, int8: Path) -> None:
    for name in ("a.tar.gz", "b.tar.gz"):
        bundle_for(int8, target=ORIN, out=tmp_path / name, batch="1", jetpack="5.1.1")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_a_bundle_that_was_read_back_is_the_one_that_was_written(
    tmp_path: Path, int8: Path
) -> None:
    made = bundle_for(int8, target=ORIN, out=tmp_path / "b.tar.gz", jetpack="6.2")
    assert read_bundle(tmp_path / "b.tar.gz") == made
    assert made.description["decision"]["tensorrt"] == "10.3.0"
    assert made.files["model.onnx"] == int8.read_bytes()
    assert len([name for name in made.files if name.startswith("golden/")]) == 4


@pytest.mark.parametrize(
    ("jetpack", "version", "flags", "skip"),
    [
        ("5.1.1", "8.5.2", "--int8 --fp16 --memPoolSize=workspace:2048", "--buildOnly"),
        ("6.2", "10.3.0", "--int8 --fp16 --memPoolSize=workspace:2048", "--skipInference"),
        ("7.2", "10.3.0", "--stronglyTyped --memPoolSize=workspace:2048", "--skipInference"),
        ("7.2", "11.1.0", "--stronglyTyped --memPoolSize=workspace:2048", "--skipInference"),
    ],
)
def test_build_sh_needs_only_sh_and_trtexec(
    tmp_path: Path, int8: Path, jetpack: str, version: str, flags: str, skip: str
) -> None:
    bundle_for(int8, target=ORIN, out=tmp_path / "b.tar.gz", batch="4", jetpack=jetpack)
    folder = unpacked(tmp_path / "b.tar.gz", tmp_path / "board")
    built = run(folder / "build.sh", version, tmp_path)
    assert built.returncode == 0, built.stderr
    assert f" {flags} " in built.stdout
    assert f" {skip}\n" in built.stdout
    assert (folder / "model.engine").exists() and not (folder / "model.engine.part").exists()
    assert run(folder / "verify.sh", version, tmp_path).returncode == 0
    assert (folder / "golden" / "0.json").exists()


@pytest.mark.parametrize(
    ("jetpack", "version", "says"),
    [
        ("7.2", "8.5.2", "cannot read precision from the graph"),
        ("6.2", "11.1.0", "has no --int8"),
    ],
)
def test_build_sh_refuses_a_tensorrt_without_its_flags(
    tmp_path: Path, int8: Path, jetpack: str, version: str, says: str
) -> None:
    bundle_for(int8, target=ORIN, out=tmp_path / "b.tar.gz", jetpack=jetpack)
    folder = unpacked(tmp_path / "b.tar.gz", tmp_path / "board")
    built = run(folder / "build.sh", version, tmp_path)
    assert built.returncode == WRONG_TENSORRT
    assert says in built.stderr
    assert not (folder / "model.engine").exists()


def test_a_model_of_another_scheme_and_a_target_of_another_kind_are_refused(
    tmp_path: Path, model: Path
) -> None:
    wrong = tmp_path / "wrong.onnx"
    made = contract(precision="int8", scheme="onnxruntime-x86", calibration="0" * 64)
    write_onnx(quantized_classifier(opset=17), wrong, made)
    with pytest.raises(SchemeError):
        bundle_for(wrong, target=ORIN, out=tmp_path / "b.tar.gz")
    for target in ("cpu", "jetson-orin-nan"):
        with pytest.raises(TargetError):
            bundle_for(model, target=target, out=tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def archive(path: Path, *entries: tuple[str, bytes, str]) -> Path:
    """Write an archive of (name, content, kind); kind is "file", "link", "symlink" or "device"."""
    kinds = {"link": tarfile.LNKTYPE, "symlink": tarfile.SYMTYPE, "device": tarfile.CHRTYPE}
    with tarfile.open(path, "w:gz") as out:
        for name, content, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kinds.get(kind, tarfile.REGTYPE)
            entry.linkname = content.decode() if kind in ("link", "symlink") else ""
            entry.size = len(content) if kind == "file" else 0
            out.addfile(entry, io.BytesIO(content if kind == "file" else b""))
    return path


@pytest.mark.parametrize(
    "entry",
    [
        ("../escape", b"x", "file"),
        ("/etc/cron.d/x", b"x", "file"),
        (f"{FOLDER}/../../escape", b"x", "file"),
        (f"{FOLDER}/./model.onnx", b"x", "file"),
        ("other/model.onnx", b"x", "file"),
        (f"{FOLDER}/model.onnx", b"/etc/passwd", "symlink"),
        (f"{FOLDER}/model.onnx", b"/etc/passwd", "link"),
        (f"{FOLDER}/model.onnx", b"", "device"),
    ],
)
def test_a_member_that_leaves_its_folder_or_is_no_file_is_refused(
    tmp_path: Path, entry: tuple[str, bytes, str]
) -> None:
    with pytest.raises(InputError, match="no plain file of a bundle"):
        read_bundle(archive(tmp_path / "evil.tar.gz", entry))
    assert [path.name for path in tmp_path.iterdir()] == ["evil.tar.gz"]


def test_damaged_foreign_and_altered_archives_are_refused(tmp_path: Path, int8: Path) -> None:
    path = tmp_path / "b.tar.gz"
    made = bundle_for(int8, target=ORIN, out=path)
    whole = path.read_bytes()
    bad = tmp_path / "bad.tar.gz"
    for content in (b"", b"no archive", whole[:-200], whole[:1000]):
        bad.write_bytes(content)
        with pytest.raises(InputError):
            read_bundle(bad)
    with pytest.raises(InputError):
        read_bundle(tmp_path / "missing.tar.gz")
    with pytest.raises(InputError, match="twice"):
        read_bundle(archive(bad, *[(f"{FOLDER}/a", b"x", "file")] * 2))
    altered = {**made.files, "build.sh": b"rm -rf /"}
    entries = [(f"{FOLDER}/{name}", content, "file") for name, content in altered.items()]
    entries.append((f"{FOLDER}/bundle.json", made.description_json(), "file"))
    with pytest.raises(InputError, match=r"does not hold what it lists: build\.sh"):
        read_bundle(archive(bad, *entries))
