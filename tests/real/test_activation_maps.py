"""Activation maps of the real networks: PyTorch's own, and how far INT8 moves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.real.imagenet import IMAGENET, WEIGHTS, needs_imagenet
from toolkit.calibrate import calibrate
from toolkit.compare import compare
from toolkit.datasets.folder import batches, open_folder
from toolkit.runtime import open_session
from toolkit.runtime.session import GivesMaps

pytestmark = [needs_imagenet, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("name", "least"), [("mobilenet_v2", 0.8), ("squeezenet1_1", 0.8)])
def test_the_map_is_pytorchs_and_survives_int8(name: str, least: float, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    from toolkit.import_model import import_model

    weights = WEIGHTS / f"{name}.pth"
    fp32 = import_model(f"torchvision:{name}@{weights}", out=tmp_path / "m.onnx", cam=True)
    images = open_folder(IMAGENET / "val", contract=fp32.contract).images[:8:2]
    inputs, _ = next(iter(batches(images, fp32.contract.preprocess, batch_size=4)))
    with open_session(fp32.path, threads=1) as session:
        assert isinstance(session, GivesMaps)
        found = session.infer_with_map(inputs)
    network = getattr(torchvision.models, name)(weights=None)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    winners = found.logits.argmax(axis=1)
    with torch.no_grad():
        features = network.features(torch.from_numpy(inputs))
        if name == "squeezenet1_1":
            expected = network.classifier[:3](features).numpy()[np.arange(4), winners]
        else:
            rows = network.classifier[1].weight[winners]
            expected = torch.einsum("nchw,nc->nhw", features, rows).numpy()
    np.testing.assert_allclose(found.maps, expected, atol=1e-4 * float(np.abs(expected).max()))
    int8 = calibrate(
        fp32.path,
        images=IMAGENET / "train",
        target="rtx-4090",
        samples=32,
        effort="fast",
        out=tmp_path / "m.int8.onnx",
    )
    maps = compare(fp32.path, int8.model.path, images=IMAGENET / "val", limit=60, threads=1).maps
    assert maps is not None
    print(f"{name}: {maps.line()}")
    assert maps.iou >= least
    assert maps.correlation >= 0.9
