"""The sources that need torch: torchvision, a checkpoint file, an exported program."""

from __future__ import annotations

import io
import json
import os
import re
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with torch
from toolkit.checkpoint import Trained, save_trained  # noqa: E402 - only with torch
from toolkit.errors import CheckpointError, InputError, ModelError  # noqa: E402 - only with torch
from toolkit.import_model import import_model  # noqa: E402 - only with torch
from toolkit.networks import build_network, preprocess_of  # noqa: E402 - only with torch
from toolkit.preprocess import IMAGENET  # noqa: E402 - only with torch
from toolkit.preprocess_names import named_preprocess  # noqa: E402 - only with torch
from toolkit.sample_inputs import sample_inputs  # noqa: E402 - only with torch


def small() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(784, 3)
    )


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "lenet.pth"
    network = build_network("lenet5", 3)
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "small.pt2"
    batch = torch.export.Dim("batch")
    exported = torch.export.export(
        small().eval(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(exported, path)
    return path


def changed(program: Path, out: Path, name: str, content: bytes) -> Path:
    """Write `program` to `out` with one of its parts replaced."""
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, content if entry.endswith(name) else old.read(entry))
    return out


def part(program: Path, name: str) -> Any:
    with zipfile.ZipFile(program) as archive:
        return json.loads(archive.read(next(n for n in archive.namelist() if n.endswith(name))))


def test_weights_with_an_architecture_become_a_model_with_its_preprocessing(
    lenet: Path, tmp_path: Path
) -> None:
    model = import_model(str(lenet), out=tmp_path / "m.onnx", arch="lenet5")
    contract = model.contract
    assert contract.preprocess == preprocess_of("lenet5")
    assert contract.labels == ("0", "1", "2")
    assert contract.input_shape == (0, 1, 32, 32)
    assert contract.parent == digest_of_file(lenet)
    assert contract.source == ("lenet.pth, network and preprocessing lenet5, classes without names")


def test_weights_without_an_architecture_are_refused(lenet: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not say for which network") as caught:
        import_model(str(lenet), out=tmp_path / "m.onnx")
    assert "--arch" in caught.value.next_command


def test_weights_of_another_architecture_are_refused(lenet: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not those of torchvision:squeezenet1_1"):
        import_model(str(lenet), out=tmp_path / "m.onnx", arch="squeezenet1_1")


def test_our_own_checkpoint_names_its_network_and_labels(lenet: Path, tmp_path: Path) -> None:
    state = {
        name.removeprefix("module."): value
        for name, value in torch.load(lenet, weights_only=True).items()
    }
    trained = Trained(
        arch="lenet5",
        classes=("a", "b", "c"),
        preprocess=preprocess_of("lenet5"),
        state=state,
        top1=0.5,
        epochs=1,
        seed=0,
    )
    save_trained(tmp_path / "model.pt", trained)
    model = import_model(str(tmp_path / "model.pt"), out=tmp_path / "m.onnx")
    assert model.contract.labels == ("a", "b", "c")
    with pytest.raises(CheckpointError, match="was trained as lenet5, not signs-cnn"):
        import_model(str(tmp_path / "model.pt"), out=tmp_path / "m.onnx", arch="signs-cnn")


def test_a_torchvision_file_keeps_the_classes_it_was_trained_for(tmp_path: Path) -> None:
    torch.manual_seed(2)
    torch.save(build_network("squeezenet1_1", 5).state_dict(), tmp_path / "w.pth")
    source = f"torchvision:squeezenet1_1@{tmp_path / 'w.pth'}"
    model = import_model(source, out=tmp_path / "m.onnx", opset=17)
    contract = model.contract
    assert contract.preprocess == IMAGENET
    assert contract.labels == ("0", "1", "2", "3", "4")
    assert "preprocessing of its IMAGENET1K_V1" in contract.source
    assert contract.parent == digest_of_file(tmp_path / "w.pth")


def test_an_unknown_torchvision_network_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'resnet18'"):
        import_model("torchvision:resnet-18", out=tmp_path / "m.onnx")


def test_weights_that_cannot_be_downloaded_say_from_where_and_what_else_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"could not be downloaded from https://.*not known") as e:
        import_model("torchvision:squeezenet1_0", out=tmp_path / "m.onnx")
    assert e.value.next_command.startswith("edgekit import torchvision:squeezenet1_0@")


def test_an_exported_program_needs_its_preprocessing_by_name(program: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not say how its input \(3, 16, 16\)"):
        import_model(str(program), out=tmp_path / "m.onnx")


def test_an_exported_program_computes_what_the_network_computes(
    program: Path, tmp_path: Path
) -> None:
    model = import_model(str(program), out=tmp_path / "m.onnx", preprocess="unit")
    assert model.contract.input_shape == (0, 3, 16, 16)
    inputs = sample_inputs(named_preprocess("unit", height=16, width=16), 5)
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = small().eval()(torch.from_numpy(inputs)).numpy()
    assert np.abs(session.run(None, {"input": inputs})[0] - expected).max() < 1e-5


def test_a_program_with_a_fixed_batch_keeps_it(tmp_path: Path) -> None:
    torch.export.save(
        torch.export.export(small().eval(), (torch.randn(2, 3, 16, 16),)), tmp_path / "a.pt2"
    )
    model = import_model(str(tmp_path / "a.pt2"), out=tmp_path / "m.onnx", preprocess="unit")
    assert model.contract.input_shape == (2, 3, 16, 16)


def test_a_program_in_training_mode_is_refused(tmp_path: Path) -> None:
    network = torch.nn.Sequential(small(), torch.nn.Dropout(0.5)).train()
    exported = torch.export.export(network, (torch.randn(2, 3, 16, 16),))
    torch.export.save(exported, tmp_path / "a.pt2")
    with pytest.raises(ModelError, match="training mode"):
        import_model(str(tmp_path / "a.pt2"), out=tmp_path / "m.onnx", preprocess="unit")


class Attack:
    """Unpickling this would create a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.victim}",)


def test_a_program_with_a_pickle_that_is_code_is_refused_and_not_run(
    program: Path, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    torch.save(((Attack(tmp_path / "owned"),), {}), buffer)
    evil = changed(program, tmp_path / "evil.pt2", "sample_inputs/model.pt", buffer.getvalue())
    with pytest.raises(CheckpointError, match="could run code and was refused"):
        import_model(str(evil), out=tmp_path / "m.onnx", preprocess="unit")
    assert not (tmp_path / "owned").exists()


def test_a_program_with_code_in_a_shape_a_guard_or_an_operator_is_refused(
    program: Path, tmp_path: Path
) -> None:
    attack = f"__import__('os').system('touch {tmp_path / 'owned'}')"
    text = json.dumps(part(program, "models/model.json"))
    symbol = re.findall(r"Symbol\('s\d+', positive=True, integer=True\)", text)[0]
    for old, new in (
        (symbol, attack),
        (symbol, "lambdify((), 's77')()"),
        ('"guards_code": []', f'"guards_code": [{json.dumps(attack)}]'),
        ("torch.ops.aten.relu.default", "torch.hub.load"),
    ):
        content = text.replace(old, new)
        assert content != text
        evil = changed(program, tmp_path / "evil.pt2", "models/model.json", content.encode())
        with pytest.raises(CheckpointError, match="could run code and was refused"):
            import_model(str(evil), out=tmp_path / "m.onnx", preprocess="unit")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"not a program"])
def test_a_damaged_program_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt2").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not an exported program"):
        import_model(str(tmp_path / "a.pt2"), out=tmp_path / "m.onnx", preprocess="unit")


def test_an_archive_without_a_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("hello", "x")
    with pytest.raises(ModelError, match="not an exported program"):
        import_model(str(tmp_path / "a.pt2"), out=tmp_path / "m.onnx", preprocess="unit")
