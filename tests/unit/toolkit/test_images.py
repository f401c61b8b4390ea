from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from toolkit.errors import ImageError
from toolkit.images import image_digest, read_image


def gradient(width: int = 24, height: int = 16) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]  # Pillow types each option by itself
    return path


def test_a_png_comes_back_as_the_same_rgb_pixels(tmp_path: Path) -> None:
    image = gradient()
    pixels = read_image(save(image, tmp_path / "a.png"))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(image))


def test_a_large_jpeg_is_decoded_as_pillow_decodes_it_at_full_size(tmp_path: Path) -> None:
    path = save(gradient(300, 200), tmp_path / "a.jpg", quality=90)
    assert np.array_equal(read_image(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P", "CMYK"])
def test_every_colour_mode_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    pixels = read_image(save(gradient().convert(mode), path))
    assert pixels.shape == (16, 24, 3)
    assert len(np.unique(pixels)) > 1


def test_cmyk_colours_are_close_to_the_original(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK")
    pixels = read_image(save(red, tmp_path / "a.jpg", quality=95))
    assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - (200, 30, 40)).max() < 12


def test_sixteen_bit_grey_keeps_its_high_byte_instead_of_clipping_to_white(tmp_path: Path) -> None:
    wide = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for name in ("a.png", "a.tiff"):
        path = save(Image.fromarray(wide), tmp_path / name)
        assert np.array_equal(read_image(path)[..., 1], (wide >> 8).astype(np.uint8))


def test_a_palette_with_transparency_reads_without_a_warning(tmp_path: Path) -> None:
    image = gradient().quantize(8)
    path = save(image, tmp_path / "a.png", transparency=bytes(range(8)))
    assert np.array_equal(read_image(path), np.asarray(image.convert("RGB")))


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


def test_exif_rotation_is_not_applied_as_in_torchvision(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    path = save(gradient(24, 16), tmp_path / "a.jpg", exif=exif)
    assert read_image(path).shape == (16, 24, 3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg does not exist"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match=r"gone\.jpg does not exist"):
        image_digest(tmp_path / "gone.jpg")


def test_a_folder_is_not_a_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"a\.jpg is empty \(0 bytes\)"):
        read_image(tmp_path / "a.jpg")


def test_text_with_an_image_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not a picture", encoding="utf-8")
    with pytest.raises(ImageError, match="not a picture in a known format"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
def test_a_truncated_picture_is_refused_and_named(tmp_path: Path, suffix: str) -> None:
    path = save(gradient(128, 128), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"a\.{suffix} is damaged or cut off"):
        read_image(path)


@pytest.mark.parametrize("side", [11_000, 15_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = save(Image.new("1", (side, side)), tmp_path / "bomb.png")
    with pytest.raises(ImageError, match=r"bomb\.png claims"):
        read_image(path)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = save(Image.fromarray(np.ones((4, 4), np.float32)), tmp_path / "a.tiff")
    with pytest.raises(ImageError, match="floating-point"):
        read_image(path)


def test_postscript_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ImageError, match="not a picture in a known format"):
        read_image(tmp_path / "a.jpg")


def test_the_digest_is_sixteen_hex_digits_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert image_digest(tmp_path / "a") == "ba7816bf8f01cfea"


@given(
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 1 << 16),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns about damaged metadata
def test_damaged_bytes_give_pixels_or_an_image_error(
    tmp_path: Path, kind: str, edits: list[tuple[int, int]], cut: int
) -> None:
    buffer = io.BytesIO()
    gradient(20, 12).save(buffer, format=kind)
    damaged = bytearray(buffer.getvalue())
    for position, value in edits:
        damaged[position % len(damaged)] = value
    path = tmp_path / "a.img"
    path.write_bytes(bytes(damaged[: len(damaged) - cut % len(damaged)]))
    try:
        assert read_image(path).ndim == 3
    except ImageError as error:
        assert "a.img" in error.message
