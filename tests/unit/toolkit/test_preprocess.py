from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toolkit.errors import ContractError
from toolkit.preprocess import IMAGENET, Preprocess, preprocess_from_dict


def _picture(width: int, height: int, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (max(2, height // 9), max(2, width // 9), 3))
    return Image.fromarray(coarse.astype(np.uint8)).resize((width, height))


@pytest.mark.parametrize("size", [(640, 480), (333, 501), (227, 227), (1000, 257), (256, 256)])
def test_it_matches_torchvision_within_one_grey_level(size: tuple[int, int]) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    picture = _picture(*size)
    reference = np.asarray(
        transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(picture)
    )
    ours = IMAGENET.pixels(picture)
    assert np.abs(ours.astype(int) - reference.astype(int)).max() <= 1


def test_normalising_matches_torchvision() -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    picture = _picture(256, 256)
    reference = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )(picture).numpy()
    np.testing.assert_allclose(IMAGENET(picture), reference, atol=2e-6)


def test_bgr_networks_get_their_channels_swapped() -> None:
    picture = _picture(64, 64)
    rgb = Preprocess(64, 64, resize="none")(picture)
    bgr = Preprocess(64, 64, resize="none", colour="bgr")(picture)
    np.testing.assert_array_equal(rgb[::-1], bgr)


def test_grey_networks_get_one_channel() -> None:
    grey = Preprocess(28, 28, resize="squash", colour="gray", mean=(0.5,), std=(0.5,))
    assert grey(_picture(99, 40)).shape == (1, 28, 28)


@pytest.mark.parametrize("colour", ["rgb", "gray"])
@pytest.mark.parametrize("size", [(640, 480), (90, 700), (30, 20)])
def test_an_array_and_a_picture_of_any_mode_give_the_same_input(
    size: tuple[int, int], colour: str
) -> None:
    channels = 1 if colour == "gray" else 3
    preprocess = Preprocess(
        48, 32, resize_size=56, colour=colour, mean=(0.5,) * channels, std=(0.5,) * channels
    )
    picture = _picture(*size)
    known = preprocess(picture.convert("L" if colour == "gray" else "RGB"))
    for same in (picture, picture.convert("RGBA"), np.asarray(picture)):
        np.testing.assert_array_equal(preprocess(same), known)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    resize=st.sampled_from(["shorter", "squash", "none"]),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
    antialias=st.booleans(),
)
def test_every_size_of_picture_gives_the_shape_of_the_network(
    width: int, height: int, resize: str, interpolation: str, antialias: bool
) -> None:
    preprocess = Preprocess(
        48,
        32,
        resize=resize,
        resize_size=56,
        interpolation=interpolation,
        antialias=antialias,
    )
    picture = np.full((height, width, 3), 255, np.uint8)
    result = preprocess(picture)
    assert result.shape == (3, 48, 32)
    assert result.dtype == np.float32
    assert float(result.max()) == pytest.approx(1.0)


def test_the_dictionary_form_restores_the_same_preprocessing() -> None:
    assert preprocess_from_dict(IMAGENET.to_dict()) == IMAGENET


@pytest.mark.parametrize(
    "damage",
    [{"resize": "stretch"}, {"std": (0.0, 1.0, 1.0)}, {"mean": (0.0,)}, {"height": 0}, {"new": 1}],
)
def test_damaged_preprocessing_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ContractError):
        preprocess_from_dict({**IMAGENET.to_dict(), **damage})
