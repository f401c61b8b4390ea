"""From a 1080p picture to the network's input: Edgekit, torchvision v2 and Pillow in turns.

    python -m benchmarks.preprocess mobilenet_v2.onnx --images DIR

One thread each, on photographs enlarged to cover 1920x1080, once as an array and once as a Pillow
picture that is already decoded. torchvision v2 gets a uint8 tensor that shares the array's memory,
or the Pillow picture; "Pillow box=" only resizes, "normalised" does all that Edgekit's time holds.
Pillow's `reducing_gap=2` is the faster, inexact way: its cost is counted in top-1 on the same
photographs. Nothing in Edgekit uses it. Needs torchvision; MODEL says the preprocessing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from benchmarks.conditions import RESULTS, write_results
from toolkit.artifacts import digest_of_file
from toolkit.datasets.folder import LabelledImage, open_folder, select
from toolkit.images import read_image
from toolkit.preprocess import Preprocess, cut_out
from toolkit.runtime import open_session
from toolkit.statistics import mcnemar_p, ratio_of_medians
from toolkit.turns import plan_turns, take_turns

__all__ = ["main"]

_WIDTH, _HEIGHT = 1920, 1080
_REDUCING_GAP = 2.0
_OURS, _FASTER = "edgekit", f"Pillow reducing_gap={_REDUCING_GAP:g}"


def enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture scaled to cover 1920x1080, and the middle of that."""
    height, width = picture.shape[:2]
    by = max(_WIDTH / width, _HEIGHT / height)
    across, down = _WIDTH / by, _HEIGHT / by
    left, top = (width - across) / 2, (height - down) / 2
    image = Image.fromarray(picture).resize(
        (_WIDTH, _HEIGHT), Image.Resampling.BICUBIC, box=(left, top, left + across, top + down)
    )
    return np.array(image)  # a copy: torch wants memory that may be written


def torchvision_steps(preprocess: Preprocess) -> v2.Compose:
    """Return torchvision's own chain for what `preprocess` says, for a tensor or a picture."""
    return v2.Compose(
        [
            v2.Resize(preprocess.resize_size, antialias=True),
            v2.CenterCrop((preprocess.height, preprocess.width)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocess.mean, preprocess.std),
        ]
    )


def faster(preprocess: Preprocess, array: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the input by way of whole-number averages first: inexact."""
    window = preprocess.window(array.shape[1], array.shape[0])
    if window is None:
        raise SystemExit(f"{preprocess} is no plain resize: there is nothing to compare")
    resized = cut_out(array, window).resize(
        (preprocess.width, preprocess.height),
        Image.Resampling.BILINEAR,
        box=window.box,
        reducing_gap=_REDUCING_GAP,
    )
    return preprocess.normalise(np.asarray(resized))


def timed(preprocess: Preprocess, array: NDArray[np.uint8], *, samples: int) -> dict[str, Any]:
    """Return the time of every way, and what part of each Edgekit's is."""
    picture = Image.fromarray(array)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    region = preprocess.region(array.shape[1], array.shape[0])
    box = (region.left, region.top, region.right, region.bottom)
    steps = torchvision_steps(preprocess)
    size = (preprocess.width, preprocess.height)

    def resized(image: Image.Image) -> Image.Image:
        return image.resize(size, Image.Resampling.BILINEAR, box=box)

    def prepared(image: Image.Image) -> NDArray[np.float32]:
        return preprocess.normalise(np.asarray(resized(image)))

    ways: dict[str, dict[str, Callable[[], object]]] = {
        "array": {
            _OURS: lambda: preprocess(array),
            "torchvision v2, tensor": lambda: steps(tensor),
            "torchvision v2, picture": lambda: steps(Image.fromarray(array)),
            "Pillow box=": lambda: resized(Image.fromarray(array)),
            "Pillow box=, normalised": lambda: prepared(Image.fromarray(array)),
            _FASTER: lambda: faster(preprocess, array),
        },
        "picture": {
            _OURS: lambda: preprocess(picture),
            "torchvision v2, picture": lambda: steps(picture),
            "Pillow box=": lambda: resized(picture),
            "Pillow box=, normalised": lambda: prepared(picture),
        },
    }
    return {given: _in_turns(calls, samples=samples) for given, calls in ways.items()}


def _in_turns(calls: dict[str, Callable[[], object]], *, samples: int) -> dict[str, Any]:
    plan = plan_turns(samples, contenders=len(calls))
    timings = take_turns(list(calls.values()), plan=plan, warmup=10, seconds=30)
    blocks = {
        name: np.array(timing.samples).reshape(-1, plan.block)
        for name, timing in zip(calls, timings, strict=True)
    }
    return {
        "samples": len(timings[0].samples),
        "p50_ms": {name: float(np.median(block)) * 1e3 for name, block in blocks.items()},
        "edgekit_over": {
            name: asdict(ratio_of_medians(block, blocks[_OURS]))
            for name, block in blocks.items()
            if name != _OURS
        },
    }


def differences(preprocess: Preprocess, array: NDArray[np.uint8]) -> dict[str, float]:
    """Return the largest difference from each torchvision way, in grey levels of 255."""
    steps = torchvision_steps(preprocess)
    ours = preprocess(array)
    levels = 255.0 * np.asarray(preprocess.std)[:, None, None]
    found = {
        "torchvision v2, tensor": steps(torch.from_numpy(array).permute(2, 0, 1)),
        "torchvision v2, picture": steps(Image.fromarray(array)),
        _FASTER: faster(preprocess, array),
    }
    return {name: float(np.abs((np.asarray(x) - ours) * levels).max()) for name, x in found.items()}


@dataclass(frozen=True)
class Answered:
    """What the network made of one photograph, and how far the inputs lay apart."""

    right: bool
    right_faster: bool
    agrees: bool
    differences: dict[str, float]


def answers(model: Path, images: Sequence[LabelledImage]) -> Iterator[Answered]:
    """Yield what the exact and the faster way lead to, for each photograph."""
    with open_session(model, threads=1) as session:
        preprocess = session.contract.preprocess
        for image in images:
            array = enlarged(read_image(image.path))
            pair = (preprocess(array), faster(preprocess, array))
            exact, quick = (int(session.infer(each[None])[0].argmax()) for each in pair)
            apart = differences(preprocess, array)
            yield Answered(exact == image.label, quick == image.label, exact == quick, apart)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=653)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--out", type=Path, default=RESULTS / "preprocess.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with open_session(given.model, threads=1) as session:
        contract = session.contract
    images = select(open_folder(given.images, contract=contract), given.limit, seed=0)
    timings = timed(
        contract.preprocess, enlarged(read_image(images[0].path)), samples=given.samples
    )
    rows = list(answers(given.model, images))
    lost = sum(row.right and not row.right_faster for row in rows)
    gained = sum(row.right_faster and not row.right for row in rows)
    found = {
        "model": given.model.name,
        "model_digest": digest_of_file(given.model),
        "preprocess": contract.preprocess.to_dict(),
        "size": [_WIDTH, _HEIGHT],
        "threads": 1,
        "timings": timings,
        "largest_difference_of_255": {
            name: max(row.differences[name] for row in rows) for name in rows[0].differences
        },
        "faster_way": {
            "name": _FASTER,
            "images": len(rows),
            "top1_exact": sum(row.right for row in rows) / len(rows),
            "top1_faster": sum(row.right_faster for row in rows) / len(rows),
            "agreement": sum(row.agrees for row in rows) / len(rows),
            "right_to_wrong": lost,
            "wrong_to_right": gained,
            "mcnemar_p": mcnemar_p(lost, gained),
        },
    }
    for kind, values in timings.items():
        for name, ratio in values["edgekit_over"].items():
            print(f"{kind}: {ratio['value']:.2f} of the time of {name}")
    print(found["largest_difference_of_255"], found["faster_way"])
    write_results(given.out, found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
