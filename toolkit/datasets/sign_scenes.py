"""Put a road sign into a scene: background, perspective, light, occlusion, blur and noise.

Everything is drawn from numbers: equal seeds give equal pixels for one version of Pillow. Lengths
are fractions of the shorter side of the picture, so a scene looks alike at any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from toolkit.datasets.sign_drawings import sign_drawing

__all__ = ["Look", "background", "draw_scene", "random_look"]

_LEAVES = ((34, 62, 28), (58, 84, 34), (22, 40, 22), (70, 66, 40))


@dataclass(frozen=True)
class Look:
    """Where the sign stands and what lies between it and the camera."""

    x: float
    y: float
    size: float
    turn_degrees: float
    corners: tuple[float, ...]
    """How far the perspective moves the four corners, x and y, as fractions of the sign."""
    gain: float
    shade: float
    fog: float
    faded: float
    blur: float
    motion: float
    noise: float
    occlusion: float
    """Share of the sign's width that leaves or a post may cover; 0: nothing in front."""
    seed: int
    """Of the background, and of what lies in front."""

    def moved(self, share: float) -> Look:
        """Return the look after `share` (0 to 1) of a drive-by: nearer, and further aside."""
        return replace(
            self,
            size=self.size * (0.75 + 0.45 * share),
            x=self.x + 0.08 * (share - 0.5),
            y=self.y - 0.04 * (share - 0.5),
        )


def random_look(generator: np.random.Generator) -> Look:
    """Return a look that is usually easy and sometimes hard."""
    uniform = generator.uniform
    hard = uniform() ** 2.5  # few scenes are as hard as 1
    return Look(
        x=0.5 + uniform(-0.12, 0.12),
        y=0.5 + uniform(-0.12, 0.12),
        size=uniform(0.5, 0.86) * (1 - 0.25 * hard),
        turn_degrees=float(generator.normal(0, 5 + 4 * hard)),
        corners=tuple(float(v) for v in generator.normal(0, 0.05 + 0.04 * hard, 8)),
        gain=float(np.exp(generator.normal(-0.15, 0.2 + 0.25 * hard))),
        shade=uniform(0, 0.7),
        fog=uniform(0, 0.1 + 0.45 * hard),
        faded=uniform(0, 0.15 + 0.4 * hard),
        blur=uniform(0, 0.005 + 0.02 * hard),
        motion=uniform(0, 0.06) * hard if uniform() < 0.4 else 0.0,
        noise=uniform(2, 5 + 20 * hard),
        occlusion=uniform(0.2, 0.3 + 0.25 * hard) if uniform() < 0.35 else 0.0,
        seed=int(generator.integers(0, 2**31)),
    )


def background(look: Look, width: int, height: int) -> Image.Image:
    """Return the scene without its sign: sky to street, clouds of colour, blocks and posts."""
    generator = np.random.default_rng([look.seed, 1])
    coarse = generator.normal(0, 12, (5, 7, 3)) + generator.normal(0, 24, (5, 7, 1))
    ends = generator.uniform(40, 215, (2, 1)) + generator.normal(0, 26, (2, 3))
    blend = np.linspace(0, 1, 5)[:, None, None]
    coarse = coarse + ends[0] * (1 - blend) + ends[1] * blend
    small = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    scene = small.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(scene)
    side = min(width, height)
    for _ in range(int(generator.integers(3, 10))):
        x, y = generator.uniform(-0.1, 1.0, 2) * (width, height)
        w, h = generator.uniform(0.04, 0.5, 2) * side
        vivid = 90 if generator.uniform() < 0.2 else 22  # now and then a poster or a car
        tint = generator.uniform(20, 230) + generator.normal(0, vivid, 3)
        colour = tuple(int(v) for v in np.clip(tint, 0, 255))
        shape = draw.ellipse if generator.uniform() < 0.35 else draw.rectangle
        shape([x, y, x + w, y + h], fill=colour)
    soft = float(generator.uniform(0.0, 0.035)) * side
    return scene.filter(ImageFilter.GaussianBlur(soft))


def draw_scene(
    name: str, look: Look, behind: Image.Image, *, noise_seed: int | None = None
) -> NDArray[np.uint8]:
    """Return the picture, uint8 (height, width, 3), of a sign before a background.

    `behind` comes from `background` and is not changed. Frames of one look differ by their
    `noise_seed`.
    """
    scene = behind.copy()
    side = min(scene.size)
    centre = (look.x * side + (scene.width - side) / 2, look.y * side + (scene.height - side) / 2)
    _post(scene, look, centre, side)
    plate, corner = _plate(name, look, centre, side)
    scene.paste(plate, corner, plate)
    _cover(scene, look, centre, side)
    if look.motion:
        scene = _smeared(scene, look.motion * side)
    if look.blur:
        scene = scene.filter(ImageFilter.GaussianBlur(look.blur * side))
    return _lit(scene, look, look.seed if noise_seed is None else noise_seed)


def _post(scene: Image.Image, look: Look, centre: tuple[float, float], side: int) -> None:
    half = max(0.5, 0.03 * look.size * side)
    box = [centre[0] - half, centre[1], centre[0] + half, float(scene.height)]
    ImageDraw.Draw(scene).rectangle(box, fill=(120, 122, 125))


def _plate(
    name: str, look: Look, centre: tuple[float, float], side: int
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the sign in perspective, RGBA, and where its upper left corner belongs."""
    drawing = sign_drawing(name)
    extent = max(6, round(look.size * side))
    if extent * 2 < drawing.width:  # the transform below does not average: shrink first
        small = (max(8, round(extent * 1.5)),) * 2
        drawing = drawing.resize(small, Image.Resampling.BOX)
    angle = np.deg2rad(look.turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    quad = (square @ turn.T + np.reshape(look.corners, (4, 2))) * extent + centre
    left, top = np.floor(quad.min(axis=0)).astype(int)
    right, bottom = np.ceil(quad.max(axis=0)).astype(int) + 1
    coefficients = _perspective(quad - (left, top), drawing.width)
    plate = drawing.transform(
        (int(right - left), int(bottom - top)),
        Image.Transform.PERSPECTIVE,
        coefficients,
        resample=Image.Resampling.BILINEAR,
    )
    if look.faded:
        grey = Image.new("RGBA", plate.size, (150, 150, 146, 255))
        faded = Image.blend(plate, grey, look.faded)
        faded.putalpha(plate.getchannel("A"))
        plate = faded
    return plate, (int(left), int(top))


def _perspective(quad: NDArray[np.float64], width: int) -> list[float]:
    """Return Pillow's eight coefficients that take the corners of `quad` to those of the drawing.

    Each corner gives two equations of the homography with its last entry set to 1.
    """
    corners = np.array([[0, 0], [width, 0], [width, width], [0, width]], dtype=float)
    rows = []
    for (x, y), (u, v) in zip(quad, corners, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solution = np.linalg.solve(np.asarray(rows), corners.ravel())
    return [float(value) for value in solution]


def _cover(scene: Image.Image, look: Look, centre: tuple[float, float], side: int) -> None:
    """Draw leaves or a post in front of the sign."""
    if not look.occlusion:
        return
    generator = np.random.default_rng([look.seed, 2])
    draw = ImageDraw.Draw(scene)
    extent = look.size * side
    if generator.uniform() < 0.35:
        x = centre[0] + float(generator.uniform(-0.45, 0.45)) * extent
        half = 0.25 * look.occlusion * extent
        grey = int(generator.integers(30, 190))
        draw.rectangle([x - half, 0, x + half, float(scene.height)], fill=(grey, grey, grey))
        return
    angle = generator.uniform(0, 2 * np.pi)
    anchor = centre + 0.5 * extent * np.array([np.cos(angle), np.sin(angle)])
    for _ in range(12):
        x, y = anchor + generator.normal(0, 0.5 * look.occlusion * extent, 2)
        w, h = generator.uniform(0.06, 0.2, 2) * extent
        colour = _LEAVES[int(generator.integers(len(_LEAVES)))]
        draw.ellipse([x - w, y - h, x + w, y + h], fill=colour)


def _smeared(scene: Image.Image, length: float) -> Image.Image:
    """Return the scene smeared sideways over `length` pixels, as by a moving camera."""
    steps = max(1, round(length))
    total = np.zeros((scene.height, scene.width, 3), dtype=np.float32)
    pixels = np.asarray(scene, dtype=np.float32)
    for shift in range(-(steps // 2), steps - steps // 2 + 1):
        total += np.roll(pixels, shift, axis=1)
    return Image.fromarray((total / (steps + 1)).astype(np.uint8))


def _lit(scene: Image.Image, look: Look, noise_seed: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng([noise_seed, 3])
    pixels = np.asarray(scene, dtype=np.float32)
    height, width = pixels.shape[:2]
    direction = np.random.default_rng([look.seed, 4]).uniform(-1, 1, 2)
    ramp = np.add.outer(
        np.linspace(-0.5, 0.5, height) * direction[0], np.linspace(-0.5, 0.5, width) * direction[1]
    ).astype(np.float32)
    light = look.gain * (1 + look.shade * ramp)
    haze = 190.0 * min(1.0, look.gain)
    pixels = pixels * light[..., None] * (1 - look.fog) + haze * look.fog
    pixels += generator.standard_normal(pixels.shape, dtype=np.float32) * look.noise
    picture: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return picture
