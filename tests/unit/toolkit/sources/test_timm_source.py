"""timm's classifiers: preprocessing from their data config, weights from a file or random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")
timm = pytest.importorskip("timm", reason="needs pip install timm")

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with timm
from toolkit.errors import CheckpointError, InputError  # noqa: E402 - only with timm
from toolkit.import_model import import_model  # noqa: E402 - only with timm

NAME = "resnet10t"


def _network(**options: Any) -> Any:
    torch.manual_seed(3)
    return timm.create_model(NAME, pretrained=False, **options).eval()


def test_weights_in_a_file_give_timms_own_logits_for_a_picture(tmp_path: Path) -> None:
    network = _network(num_classes=6)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
    model = import_model(f"timm:{NAME}@{tmp_path / 'w.pth'}", out=tmp_path / "m.onnx")
    contract = model.contract
    assert contract.source.startswith(
        f"timm:{NAME}, weights w.pth (state_dict), preprocessing of its data config"
    )
    assert contract.parent == digest_of_file(tmp_path / "w.pth")
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(pixels).resize((530, 370), Image.Resampling.BICUBIC))
    expected_input = transform(Image.fromarray(picture)).numpy()
    own_input = contract.preprocess(picture)
    # Only the crop is resized here: now and then that rounds to the next of 255 levels.
    difference = np.abs(own_input - expected_input)
    assert difference.max() < 1.01 / 255 / min(contract.preprocess.std)
    assert (difference > 1e-4).mean() < 1e-3
    with torch.no_grad():
        expected = network(torch.from_numpy(expected_input[None])).numpy()
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    logits = session.run(None, {contract.input_name: expected_input[None]})[0]
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


def test_weights_of_another_network_are_explained(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(4, 6).state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=rf"not those of timm:{NAME} .*missing .*unexpected"):
        import_model(f"timm:{NAME}@{tmp_path / 'w.pth'}", out=tmp_path / "m.onnx")


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'resnet10t'"):
        import_model("timm:resnet10tt", out=tmp_path / "m.onnx")
