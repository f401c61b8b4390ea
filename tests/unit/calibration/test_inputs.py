"""Calibration images of the wrong kind are noticed, those of the right kind are left in peace."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.inputs import InputWatch, domain_notes
from toolkit.datasets.folder import open_folder
from toolkit.datasets.signs import make_signs
from toolkit.images import read_image
from toolkit.preprocess import IMAGENET, Preprocess

SMALL = Preprocess(64, 64, resize="squash", mean=IMAGENET.mean, std=IMAGENET.std)
SURE = np.array([9.0, 0.0, 0.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    data = make_signs(tmp_path_factory.mktemp("data") / "signs", train=40, val=10, size=64)
    return np.stack([read_image(image.path) for image in open_folder(data.train).images])


def _notes(
    pixels: NDArray[np.uint8], preprocess: Preprocess = SMALL, logits: NDArray[np.float32] = SURE
) -> list[str]:
    watch = InputWatch()
    watch.add(preprocess.normalise(pixels), np.tile(logits, (len(pixels), 1)))
    return domain_notes(watch.summary())


def _noise(count: int = 24, side: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def _documents(count: int = 24) -> NDArray[np.uint8]:
    """White pages with dark words in lines."""
    rng = np.random.default_rng(1)
    pages = np.full((count, 64, 64, 3), 250, np.uint8)
    for page in pages:
        for row in range(4, 58, 6):
            for column in range(4, 58, 6):
                if rng.random() < 0.8:
                    page[row : row + 3, column : column + 4] = rng.integers(10, 80)
    return pages


@pytest.mark.parametrize(
    "preprocess",
    [
        SMALL,
        Preprocess(64, 64),
        Preprocess(64, 64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), colour="bgr"),
    ],
    ids=["imagenet", "unit", "half"],
)
def test_pictures_of_the_right_kind_give_no_warning(
    signs: NDArray[np.uint8], preprocess: Preprocess
) -> None:
    assert _notes(signs, preprocess) == []


@pytest.mark.parametrize("preprocess", [SMALL, Preprocess(64, 64)], ids=["imagenet", "unit"])
def test_noise_is_called_noise(preprocess: Preprocess) -> None:
    assert any("look like noise" in note for note in _notes(_noise(), preprocess))


def test_noise_that_was_scaled_down_is_still_noise() -> None:
    resized = np.stack([SMALL(pixels) for pixels in _noise(side=150)])
    watch = InputWatch()
    watch.add(resized, np.tile(SURE, (len(resized), 1)))
    assert any("look like noise" in note for note in domain_notes(watch.summary()))


def test_grey_pictures_are_called_grey(signs: NDArray[np.uint8]) -> None:
    grey = np.repeat(signs.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    assert _notes(grey) == [f"warning: calibration images: {len(grey)} of {len(grey)} are grey"]


def test_a_network_that_reads_grey_may_be_given_grey(signs: NDArray[np.uint8]) -> None:
    contract = Preprocess(64, 64, colour="gray", mean=(0.45,), std=(0.25,))
    assert _notes(signs[..., :1], contract) == []


def test_a_few_grey_pictures_are_no_matter(signs: NDArray[np.uint8]) -> None:
    some = signs.copy()
    some[:8] = some[:8, ..., :1]
    assert _notes(some) == []


def test_grey_documents_are_grey_bright_and_alike() -> None:
    said = " | ".join(_notes(_documents()))
    assert "are grey" in said
    assert "has the mean" in said
    assert "almost equal" in said


@pytest.mark.parametrize("value", [0, 255])
def test_pictures_of_one_colour_are_counted(value: int, signs: NDArray[np.uint8]) -> None:
    plain = signs.copy()
    plain[:20] = value
    assert any("20 of 40 are of one colour" in note for note in _notes(plain))


def test_one_picture_again_and_again_is_noticed(signs: NDArray[np.uint8]) -> None:
    wobble = np.random.default_rng(2).integers(0, 4, (24, 64, 64, 3))
    same = np.minimum(signs[:1] + wobble, 255).astype(np.uint8)
    assert _notes(same) == ["warning: calibration images: the 24 are almost equal to each other"]


def test_one_picture_alone_is_not_compared_with_itself(signs: NDArray[np.uint8]) -> None:
    assert _notes(signs[:1]) == []


def test_inputs_in_the_wrong_unit_are_far_from_the_mean_that_the_contract_implies(
    signs: NDArray[np.uint8],
) -> None:
    watch = InputWatch()
    watch.add(Preprocess(64, 64, scale=1.0).normalise(signs), np.tile(SURE, (len(signs), 1)))
    assert any("has the mean 1" in note for note in domain_notes(watch.summary()))


@pytest.mark.parametrize(
    ("scores", "guessing"),
    [
        ([0.0, 0.0, 0.0, 0.0], True),
        ([0.5, 0.0, 0.0, 0.0], True),
        ([3.0, 0.0, 0.0, 0.0], False),
        ([0.97, 0.01, 0.01, 0.01], False),  # probabilities: the graph ends in a softmax
        ([0.28, 0.24, 0.24, 0.24], True),
        ([0.3], False),
    ],
)
def test_a_model_that_only_guesses_is_noticed(
    signs: NDArray[np.uint8], scores: list[float], guessing: bool
) -> None:
    notes = _notes(signs, logits=np.array(scores, np.float32))
    assert any("guess" in note for note in notes) == guessing


def test_the_cut_into_batches_does_not_matter(signs: NDArray[np.uint8]) -> None:
    inputs = SMALL.normalise(signs)
    logits = np.random.default_rng(3).normal(size=(len(signs), 5)).astype(np.float32)
    summaries = []
    for size in (1, 7, 40):
        watch = InputWatch()
        for start in range(0, len(inputs), size):
            watch.add(inputs[start : start + size], logits[start : start + size])
        summaries.append(watch.summary())
    for other in summaries[1:]:
        for first, second in zip(vars(summaries[0]).values(), vars(other).values(), strict=True):
            np.testing.assert_array_equal(first, second)


def test_memory_does_not_grow_with_the_images() -> None:
    watch = InputWatch()
    image, logits = np.zeros((64, 1, 2, 2), np.float32), np.zeros((64, 2), np.float32)
    for _ in range(20):
        watch.add(image, logits)
    assert len(watch.summary().means) == 1024
