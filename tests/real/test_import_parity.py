"""Both real models, imported, give PyTorch's answers on real validation images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.real.imagenet import IMAGENET, WEIGHTS, needs_imagenet

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from PIL import Image  # noqa: E402 - only with torch
from torchvision.models import get_model, get_model_weights  # noqa: E402 - only with torch

from toolkit.artifacts import OnnxModel  # noqa: E402 - only with torch
from toolkit.datasets.folder import LabelledImage, batches, open_folder, select  # noqa: E402
from toolkit.import_model import import_model  # noqa: E402 - only with torch

pytestmark = [needs_imagenet, pytest.mark.slow]

IMAGES = 64


@dataclass(frozen=True)
class Pair:
    """Logits of the same images by torchvision's own code and by the imported file."""

    model: OnnxModel
    images: tuple[LabelledImage, ...]
    torch_logits: NDArray[np.float32]
    onnx_logits: NDArray[np.float32]


@pytest.fixture(scope="module", params=["mobilenet_v2", "squeezenet1_1"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    name: str = request.param
    out = tmp_path_factory.mktemp(name) / "model.onnx"
    opset = 17 if name == "squeezenet1_1" else 20
    model = import_model(f"torchvision:{name}@{WEIGHTS / name}.pth", out=out, opset=opset)
    folder = open_folder(IMAGENET / "val", contract=model.contract)
    images = select(folder, IMAGES, seed=0)
    return Pair(model, images, _torchvision_logits(name, images), _onnx_logits(out, model, images))


def _torchvision_logits(name: str, images: tuple[LabelledImage, ...]) -> NDArray[np.float32]:
    network = get_model(name, weights=None)
    network.load_state_dict(torch.load(WEIGHTS / f"{name}.pth", weights_only=True))
    transform = next(iter(get_model_weights(name))).transforms()
    inputs = torch.stack([transform(Image.open(image.path).convert("RGB")) for image in images])
    with torch.no_grad():
        logits: NDArray[np.float32] = network.eval()(inputs).numpy()
    return logits


def _onnx_logits(
    path: Path, model: OnnxModel, images: tuple[LabelledImage, ...]
) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = [
        session.run(None, {"input": inputs})[0]
        for inputs, _ in batches(images, model.contract.preprocess, batch_size=8)
    ]
    return np.concatenate(found)


def test_logits_agree_with_torchvisions_own_pipeline(pair: Pair) -> None:
    """Decoding, preprocessing, export and ONNX Runtime together: only rounding is left."""
    difference = np.abs(pair.torch_logits - pair.onnx_logits).max()
    # Pillow resizes only the cropped part here, which may move a pixel by 1/255.
    assert difference < 2e-2 * np.abs(pair.torch_logits).max()


def test_the_most_likely_class_is_the_same_for_every_image(pair: Pair) -> None:
    assert np.array_equal(pair.torch_logits.argmax(1), pair.onnx_logits.argmax(1))


def test_logits_of_equal_inputs_differ_only_by_rounding(pair: Pair) -> None:
    name = pair.model.contract.source.split(",")[0].removeprefix("torchvision:")
    network = get_model(name, weights=None)
    network.load_state_dict(torch.load(WEIGHTS / f"{name}.pth", weights_only=True))
    differences, largest = [], 0.0
    loader = batches(pair.images, pair.model.contract.preprocess, batch_size=8)
    with torch.no_grad():
        for start, (inputs, _) in enumerate(loader):
            expected = network.eval()(torch.from_numpy(inputs)).numpy()
            got = pair.onnx_logits[start * 8 : start * 8 + len(inputs)]
            differences.append(float(np.abs(expected - got).max()))
            largest = max(largest, float(np.abs(expected).max()))
    assert max(differences) < 1e-4 * largest


def test_labels_and_preprocessing_are_those_of_imagenet(pair: Pair) -> None:
    contract = pair.model.contract
    assert contract.ids[0] == "n01440764"
    assert len(contract.labels) == 1000
    assert contract.input_shape == (0, 3, 224, 224)


def test_a_plausible_share_of_the_images_is_recognised(pair: Pair) -> None:
    """Guards against labels in another order; not an accuracy figure."""
    truth = np.asarray([image.label for image in pair.images])
    assert (pair.onnx_logits.argmax(1) == truth).mean() > 0.55
