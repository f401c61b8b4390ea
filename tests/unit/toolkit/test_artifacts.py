from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from toolkit.artifacts import (
    Manifest,
    digest_of_file,
    manifest_path,
    open_engine_file,
    write_manifest,
)
from toolkit.contract import Contract
from toolkit.errors import InputError, StaleError
from toolkit.preprocess import IMAGENET


def _engine(folder: Path) -> Path:
    engine = folder / "model.int8.cpu.onnx"
    engine.write_bytes(b"engine bytes")
    contract = Contract("input", (1, 3, 224, 224), IMAGENET, ("a", "b"), ("a", "b"), "test")
    write_manifest(
        engine,
        Manifest(
            engine_digest=digest_of_file(engine),
            onnx_digest="0" * 64,
            target="cpu-x86",
            backend="onnxruntime",
            precision="int8",
            contract=contract.to_dict(),
            built_with="onnxruntime 1.32.0",
            built_on="test machine",
            tool_version="0.1.0",
            sms=(89, 120),
            notes=("a note",),
        ),
    )
    return engine


def test_a_digest_is_the_sha_256_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x" * 3_000_000)
    assert digest_of_file(file) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    engine = open_engine_file(_engine(tmp_path))
    assert engine.manifest.sms == (89, 120)
    assert engine.manifest.notes == ("a note",)
    assert engine.contract.labels == ("a", "b")


def test_altered_engine_bytes_are_detected(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    engine.write_bytes(b"other bytes")
    with pytest.raises(StaleError, match="altered or replaced") as caught:
        open_engine_file(engine)
    assert caught.value.next_command.startswith("edgekit build")


def test_an_engine_without_its_manifest_is_named(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    manifest_path(engine).unlink()
    with pytest.raises(InputError, match="no manifest"):
        open_engine_file(engine)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engine_digest": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    engine = _engine(tmp_path)
    manifest_path(engine).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        open_engine_file(engine)


def test_keys_of_a_newer_manifest_are_ignored(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    values = json.loads(manifest_path(engine).read_text(encoding="utf-8"))
    manifest_path(engine).write_text(json.dumps({**values, "later": 1}), encoding="utf-8")
    assert open_engine_file(engine).manifest.target == "cpu-x86"


def test_a_missing_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        open_engine_file(tmp_path / "nothing.engine")
