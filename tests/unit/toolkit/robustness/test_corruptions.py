from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.errors import InputError
from toolkit.preprocess import IMAGENET
from toolkit.robustness import CORRUPTIONS, SEVERITIES, corruptions_named
from toolkit.robustness.blurs import defocused, moved
from toolkit.robustness.corruptions import corrupted


def picture(size: int = 224, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Noise whose amplitude falls with frequency, as it does in photographs."""
    rng = np.random.default_rng(seed)
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size))) + 1.0 / size
    planes = [
        np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / waves).real
        for _ in range(channels)
    ]
    plane = np.stack(planes, axis=-1)
    spread = plane.std() or 1.0
    clipped = np.clip(115.0 + 45.0 * (plane - plane.mean()) / spread, 0, 255)
    return np.asarray(clipped, dtype=np.uint8)


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_takes_a_picture_farther_away_with_every_severity(name: str) -> None:
    clean = picture()
    away = [distance(corrupted(clean, name, s, image="0f"), clean) for s in SEVERITIES]
    assert away[0] > 1.0 and all(b > a for a, b in itertools.pairwise(away))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("size", "channels"), [(48, 3), (33, 1), (1, 3)])
def test_shape_and_type_stay_and_the_picture_is_not_written_to(
    name: str, size: int, channels: int
) -> None:
    clean = picture(size, channels)
    kept = clean.copy()
    made = corrupted(clean, name, 5, image="0f")
    assert made.shape == clean.shape and made.dtype == np.uint8
    assert np.array_equal(clean, kept)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_is_random_follows_from_seed_and_image_alone(name: str) -> None:
    clean = picture(64)
    first = corrupted(clean, name, 3, image="ab12")
    corrupted(clean, name, 3, image="ff")  # whatever came between
    assert np.array_equal(first, corrupted(clean, name, 3, image="ab12"))
    if name in ("gaussian_noise", "motion_blur"):
        assert not np.array_equal(first, corrupted(clean, name, 3, image="ab13"))
        assert not np.array_equal(first, corrupted(clean, name, 3, image="ab12", seed=1))


def test_noise_has_the_deviation_of_the_paper() -> None:
    gray = np.full((224, 224, 3), 128, np.uint8)
    noisy = corrupted(gray, "gaussian_noise", 1, image="0")
    assert np.std(noisy / 255.0) == pytest.approx(0.08, rel=0.02)


def test_contrast_keeps_the_mean_and_its_share_of_the_spread() -> None:
    clean = picture()
    flat = corrupted(clean, "contrast", 1, image="0")
    assert flat.mean() == pytest.approx(clean.mean(), abs=1.0)
    assert flat.std() == pytest.approx(0.4 * clean.std(), rel=0.1)


def test_brightness_adds_to_the_value_and_keeps_the_hue() -> None:
    clean = np.full((4, 4, 3), (100, 50, 0), np.uint8)
    clean[0] = 0
    bright = corrupted(clean, "brightness", 1, image="0")
    assert bright[1, 0].tolist() == pytest.approx([125, 62, 0], abs=1)
    assert bright[0, 0].tolist() == [25, 25, 25]


def test_pixelate_leaves_blocks() -> None:
    blocks = corrupted(picture(), "pixelate", 5, image="0")
    assert len({tuple(row) for row in blocks.reshape(224, -1)}) <= 57


def test_a_blur_spreads_a_point_and_keeps_its_light() -> None:
    point = np.zeros((41, 41, 1))
    point[20, 20] = 1.0
    disk = defocused(point, radius=3, softness=0.1)
    assert disk.sum() == pytest.approx(1.0)
    assert np.count_nonzero(disk > 1e-6) == 29  # the pixels within 3 of the middle
    assert disk[20, 17] == pytest.approx(1 / 29) and abs(disk[17, 17, 0]) < 1e-9
    trail = moved(point, radius=10, sigma=3, degrees=0.0)
    assert trail.sum() == pytest.approx(1.0)
    assert np.flatnonzero(trail.sum(axis=(0, 2))).tolist() == [20]


def test_a_blur_of_one_colour_is_that_colour() -> None:
    gray = np.full((9, 9, 3), 120, np.uint8)
    for name in ("defocus_blur", "motion_blur"):
        assert np.abs(corrupted(gray, name, 5, image="0").astype(int) - 120).max() <= 1


def test_corrupted_is_the_cropped_picture_of_the_contract() -> None:
    pixels = IMAGENET.pixels(picture(300))
    assert corrupted(pixels, "contrast", 1, image="0").shape == (224, 224, 3)


def test_names_are_taken_in_the_order_of_the_table() -> None:
    assert corruptions_named(["all"]) == tuple(CORRUPTIONS)
    assert corruptions_named(["contrast", " gaussian_noise "]) == ("gaussian_noise", "contrast")
    assert corruptions_named([""]) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("noise", "gaussian_noise"),
        ("jpeg", "jpeg_compression"),
        ("pixellate", "pixelate"),
        ("Contrast", "contrast"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{meant}'"):
        corruptions_named([name])


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(InputError, match=r"Unknown corruption 'zzz'\. There are gaussian_noise"):
        corruptions_named(["zzz"])
