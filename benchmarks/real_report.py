"""Make the report of real networks that README links to, with a picture of it.

    python -m benchmarks.real_report IMAGENET_DIR --work DIR

MobileNetV2 and SqueezeNet on this CPU in FP32 and in INT8 of all three efforts, calibrated on
IMAGENET_DIR/train and scored on IMAGENET_DIR/val, all engines timed in turns, under corruptions on
some of the images; and INT8 engines for one RTX, built only. DIR keeps everything that is made: a
run that was stopped goes on after the last step that was finished. The page holds no pictures of
the data set, whose terms do not allow to pass them on, and no paths of this machine.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PIL import Image

from tests.browser.chromium import open_page
from toolkit.accuracy import write_accuracy
from toolkit.atomic import write_text
from toolkit.build import build
from toolkit.calibrate import calibrate
from toolkit.compare import compare
from toolkit.comparison import write_comparison
from toolkit.import_model import import_model
from toolkit.latency import write_latency
from toolkit.measure import measure
from toolkit.report import ReportInput, report, report_input_from_files
from toolkit.score import score

__all__ = ["main", "private_words", "without_pictures"]

NETWORKS = ("mobilenet_v2", "squeezenet1_1")
EFFORTS = ("fast", "balanced", "best")
GPU = "rtx-4090"
TITLE = "MobileNetV2 and SqueezeNet: INT8 against FP32"
MOST_BYTES = 1_500_000
IMAGES = Path("imagenet")  # a link in the working folder, so that records hold no other path


@dataclass(frozen=True)
class Settings:
    """What decides the outcome: a working folder is of one of these only."""

    calibrated_on: int
    scored: int
    corrupted: int
    samples: int
    seconds: float
    threads: int

    def text(self) -> str:
        return "".join(f"{name} {value}\n" for name, value in vars(self).items())


def step(name: str, make: Callable[[], object]) -> None:
    """Do one step, unless a run before this one finished it."""
    mark = Path("steps") / name
    if mark.exists():
        print(f"{name}: made before", flush=True)
        return
    began = time.monotonic()
    make()
    write_text(mark, "")
    print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


def enter(work: Path, imagenet: Path, settings: Settings) -> None:
    """Make the working folder the current one. Exits where it was begun with other settings."""
    (work / "steps").mkdir(parents=True, exist_ok=True)
    kept = work / "steps" / "settings"
    if kept.exists() and kept.read_text(encoding="utf-8") != settings.text():
        raise SystemExit(f"{work} was begun with other settings: {kept} lists them.")
    write_text(kept, settings.text())
    os.chdir(work)
    if not IMAGES.is_symlink():
        IMAGES.symlink_to(imagenet, target_is_directory=True)


def make_engines(network: str, settings: Settings) -> list[Path]:
    """Import, calibrate and build; return the engines for this CPU, the FP32 one first."""
    fp32 = Path(f"{network}.onnx")
    weights = IMAGES / "weights" / f"{network}.pth"
    source = f"torchvision:{network}@{weights}"
    step(f"import-{network}", lambda: import_model(source, out=fp32))
    engines = [Path(f"{network}.cpu.onnx")]
    step(f"build-{network}", lambda: build(fp32, target="cpu", out=engines[0]))
    for effort in EFFORTS:
        made = Path(f"{network}.int8-{effort}.onnx")
        engine = Path(f"{network}.int8-{effort}.cpu.onnx")
        quantize(fp32, made, target="cpu", effort=effort, settings=settings)
        step(f"build-{made.stem}", partial(build, made, target="cpu", out=engine))
        engines.append(engine)
    made = Path(f"{network}.rtx.int8.onnx")
    quantize(fp32, made, target=GPU, effort="balanced", settings=settings)
    for_gpu = Path(f"{network}.int8.{GPU}.engine")
    step(f"build-{made.stem}", lambda: build(made, target=GPU, out=for_gpu))
    return engines


def quantize(fp32: Path, out: Path, *, target: str, effort: str, settings: Settings) -> None:
    step(
        f"calibrate-{out.stem}",
        lambda: calibrate(
            fp32,
            images=IMAGES / "train",
            out=out,
            target=target,
            samples=settings.calibrated_on,
            effort=effort,
        ),
    )


def score_all(network: str, engines: list[Path], settings: Settings) -> None:
    """Score the engines and, for the one that cannot run here, its graph; sweep one pair."""
    for model in (*engines, Path(f"{network}.rtx.int8.onnx")):
        step(f"score-{model.stem}", partial(score_one, model, settings))
    step(f"sweep-{network}", lambda: sweep(network, engines[0], engines[-1], settings))


def score_one(model: Path, settings: Settings) -> None:
    found = score(
        model,
        images=IMAGES / "val",
        threads=settings.threads,
        limit=settings.scored or None,
        journal=Path("steps") / f"{model.stem}.scored.jsonl",
    )
    write_accuracy(Path(f"{model.stem}.accuracy.json"), found)


def sweep(network: str, before: Path, after: Path, settings: Settings) -> None:
    found = compare(
        before,
        after,
        images=IMAGES / "val",
        threads=settings.threads,
        limit=settings.corrupted,
        corruptions=["all"],
        journal=Path("steps") / f"{network}.swept.jsonl",
    )
    write_comparison(Path("corrupted") / f"{network}.comparison.json", found)


def measure_all(engines: list[Path], settings: Settings) -> None:
    runs = measure(
        engines,
        threads=settings.threads,
        samples=settings.samples,
        seconds=settings.seconds,
        layers=True,
    )
    write_latency(Path("cpu.latency.json"), runs)


def evidence() -> ReportInput:
    """Return what the working folder shows, with drops on all images and curves on some."""
    # Named one by one: a folder is read with those inside it, and the sweep's few images would
    # then stand for all of them.
    files = sorted(Path().glob("*.json"))
    made = report_input_from_files(files, title=TITLE)
    swept = report_input_from_files([*files, Path("corrupted")])
    more = [line for line in swept.commands if line not in made.commands]
    return without_pictures(
        replace(made, robustness=swept.robustness, commands=(*made.commands, *more))
    )


def without_pictures(made: ReportInput) -> ReportInput:
    """Return the report without thumbnails: the pictures are not ours to pass on."""
    bare = tuple(
        replace(one, flips=tuple(replace(flip, thumbnail=b"") for flip in one.flips))
        for one in made.flips
    )
    return replace(made, flips=bare)


def private_words(text: str, folders: list[Path]) -> list[str]:
    """Return what `text` says of this machine and its user that is nobody's business."""
    user = getpass.getuser()
    words = [*map(str, folders), str(Path.home()), f"/home/{user}", f"{user}@"]
    return sorted({word for word in (*words, socket.gethostname()) if word in text})


def picture(page: Path, out: Path) -> None:
    """Take the picture of the top of the page, as wide as a desk's window."""
    with tempfile.TemporaryDirectory() as profile, open_page(Path(profile)) as opened:
        opened.show(page.resolve().as_uri(), width=1180, height=1500)
        opened.screenshot(out, whole=False)
    # A palette makes it a third as large.
    Image.open(out).convert("RGB").quantize(256).save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path, help="with train/, val/ and weights/")
    parser.add_argument("--work", type=Path, required=True, help="keeps what is made")
    parser.add_argument("--samples", type=int, default=1000, help="timed inferences per engine")
    parser.add_argument("--seconds", type=float, default=60.0, help="at most, per engine")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calibrated-on", type=int, default=512)
    parser.add_argument("--scored", type=int, default=0, help="images; 0: all of val")
    parser.add_argument("--corrupted", type=int, default=200, help="images under corruptions")
    parser.add_argument("--out", type=Path, default=Path("docs/real-report.html"))
    arguments = parser.parse_args()
    names = ("calibrated_on", "scored", "corrupted", "samples", "seconds", "threads")
    settings = Settings(**{name: getattr(arguments, name) for name in names})
    imagenet, work, out = (
        each.resolve() for each in (arguments.imagenet, arguments.work, arguments.out)
    )
    enter(work, imagenet, settings)
    engines = {network: make_engines(network, settings) for network in NETWORKS}
    for network, made in engines.items():
        score_all(network, made, settings)
    step(
        "measure",
        lambda: measure_all([each for made in engines.values() for each in made], settings),
    )
    written = report(evidence(), out=Path("page") / "real-report.html")
    found = private_words(written.html.read_text(encoding="utf-8"), [imagenet, work])
    if found or written.bytes >= MOST_BYTES:
        raise SystemExit(f"{work / written.html}: {written.bytes} bytes, and it says {found}")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(written.html, out)
    picture(out, out.with_suffix(".png"))
    print(f"{out.name}  {len(written.table)} rows, {written.bytes} bytes")


if __name__ == "__main__":
    main()
