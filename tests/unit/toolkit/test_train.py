from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.toolkit.picture_folders import write_classes, write_picture

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from torch import nn  # noqa: E402 - only with torch

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with torch
from toolkit.checkpoint import read_checkpoint  # noqa: E402 - only with torch
from toolkit.datasets.signs import SIGNS, make_signs  # noqa: E402 - only with torch
from toolkit.errors import (  # noqa: E402 - only with torch
    ImageError,
    InputError,
    LabelsError,
    MachineError,
)
from toolkit.images import read_image  # noqa: E402 - only with torch
from toolkit.networks import build_network, preprocess_of  # noqa: E402 - only with torch
from toolkit.progress import Progress  # noqa: E402 - only with torch
from toolkit.train import train  # noqa: E402 - only with torch
from toolkit.training.history import read_history  # noqa: E402 - only with torch


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "signs"
    return make_signs(out, train=60, val=20, size=32).root


def test_training_writes_a_checkpoint_with_all_it_takes_to_use_it(
    signs: Path, tmp_path: Path
) -> None:
    made = train(signs, out=tmp_path / "model.pt", arch="lenet5", epochs=1, seed=4, threads=1)
    found = read_checkpoint(made.path)
    assert (found.arch, found.classes, found.epochs, found.seed) == ("lenet5", SIGNS, 1, 4)
    assert found.preprocess == preprocess_of("lenet5")
    assert made.digest == digest_of_file(made.path)
    assert made.top1 == found.top1
    assert made.top1 * 20 == pytest.approx(round(made.top1 * 20))


def test_equal_seeds_give_equal_weights_and_others_do_not(signs: Path, tmp_path: Path) -> None:
    digests = [
        train(signs, out=tmp_path / f"{i}.pt", arch="lenet5", epochs=1, seed=seed, threads=1).digest
        for i, seed in enumerate((1, 1, 2))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_training_leaves_the_callers_random_numbers_and_threads_alone(
    signs: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_loss_falls_on_pictures_that_are_seen_again_and_again(
    tmp_path: Path, signs: Path
) -> None:
    notes: list[str] = []
    train(
        signs,
        out=tmp_path / "m.pt",
        epochs=8,
        batch_size=10,
        threads=1,
        augment="none",
        progress=lambda p: notes.append(p.note) if "top-1" in p.note else None,
    )
    losses = [float(note.split("loss ")[1].split(",")[0]) for note in notes]
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]


def test_progress_says_loss_and_accuracy(signs: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=2, threads=1, progress=seen.append)
    reading = ["read training pictures", "read validation pictures"]
    assert list(dict.fromkeys(p.step for p in seen)) == [*reading, "epoch 1/2", "epoch 2/2"]
    last = seen[-1]
    assert (last.done, last.total) == (2, 2)
    for figure in ("loss ", ", accuracy ", "validation loss ", ", top-1 "):
        assert figure in last.note


def test_an_interrupted_run_leaves_the_old_checkpoint(signs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    out.write_bytes(b"the old one")

    def interrupt(progress: Progress) -> None:
        if progress.step.startswith("epoch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(signs, out=out, arch="lenet5", epochs=1, threads=1, progress=interrupt)
    assert out.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [out]  # the position is written after the epoch


def test_a_killed_run_leaves_the_old_checkpoint(signs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    out.write_bytes(b"the old one")
    code = (
        "import os, signal, sys; from pathlib import Path; from toolkit.train import train\n"
        "kill = lambda p: p.step.startswith('epoch') and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"train(Path({str(signs)!r}), out=Path({str(out)!r}), arch='lenet5', epochs=1, threads=1,"
        " progress=kill)"
    )
    run = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert run.returncode == -signal.SIGKILL
    assert out.read_bytes() == b"the old one"


def test_a_damaged_training_picture_is_named(tmp_path: Path) -> None:
    data = make_signs(tmp_path / "signs", train=20, val=10, size=32)
    broken = next((data.train / "stop").iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(ImageError, match=broken.name):
        train(data.root, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)
    assert not (tmp_path / "m.pt").exists()


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"warmup": 1.0},
        {"label_smoothing": 1.0},
        {"patience": -1},
        {"augment": "wild"},
        {"class_weights": "heavy"},
        {"seed": -1},
    ],
)
def test_impossible_options_are_refused(
    signs: Path, tmp_path: Path, option: dict[str, object]
) -> None:
    with pytest.raises(InputError, match=f"Training needs {next(iter(option))}"):
        train(signs, out=tmp_path / "m.pt", **option)  # type: ignore[arg-type]  # mixed options


def test_a_diverging_loss_stops_with_a_smaller_learning_rate(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch.nn.functional,
        "cross_entropy",
        lambda logits, *_, **__: logits * float("nan"),
    )
    with pytest.raises(InputError, match="diverged: the loss is nan after epoch 1") as caught:
        train(signs, out=tmp_path / "m.pt", arch="lenet5", learning_rate=2e-3, threads=1)
    assert "--learning-rate 0.0002" in caught.value.next_command


def test_running_out_of_memory_suggests_half_the_batch(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", exhausted)
    with pytest.raises(MachineError, match="batches of 32") as caught:
        train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)
    assert "--batch-size 16" in caught.value.next_command


def test_an_unknown_network_is_refused_before_anything_is_read(signs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'lenet5'"):
        train(signs, out=tmp_path / "m.pt", arch="lenet")


def test_the_history_and_its_picture_lie_beside_the_checkpoint(signs: Path, tmp_path: Path) -> None:
    made = train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=2, threads=1)
    found = read_history(tmp_path / "m.training.json")
    assert len(found.epochs) == made.epochs == 2
    assert found.top1 == made.top1 == found.epochs[-1].val_top1
    assert sum(n for _, _, n in found.confusion) == 20
    assert (tmp_path / "m.training.svg").read_text().startswith("<svg")
    assert not (tmp_path / "m.resume.pt").exists()


def test_training_ends_early_and_keeps_the_best_weights(signs: Path, tmp_path: Path) -> None:
    made = train(
        signs,
        out=tmp_path / "m.pt",
        arch="lenet5",
        epochs=30,
        learning_rate=0.1,
        warmup=0.0,
        patience=2,
        threads=1,
    )
    found = read_history(tmp_path / "m.training.json")
    assert made.epochs == len(found.epochs) == found.best + 3 < 30
    assert made.top1 == found.epochs[found.best].val_top1


def test_balanced_class_weights_help_a_rare_class(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_classes(tmp_path / split, {"common": 30, "rare": 2})
    losses = {}
    for weights in ("none", "balanced"):
        train(
            tmp_path,
            out=tmp_path / "m.pt",
            arch="lenet5",
            epochs=1,
            batch_size=32,
            learning_rate=1e-9,
            class_weights=weights,
            augment="none",
            threads=1,
        )
        losses[weights] = read_history(tmp_path / "m.training.json").epochs[0].train_loss
    network = build_with_seed(0)
    rare, common = losses_by_class(network, tmp_path)
    assert losses["none"] == pytest.approx((30 * common + 2 * rare) / 32, rel=1e-3)
    assert losses["balanced"] == pytest.approx((common + rare) / 2, rel=1e-3)


def build_with_seed(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network("lenet5", 2)


def losses_by_class(network: nn.Module, data: Path) -> tuple[float, float]:
    found = []
    for label, name in ((1, "rare"), (0, "common")):
        inputs = [preprocess_of("lenet5")(read_image(p)) for p in (data / "train" / name).iterdir()]
        logits = network(torch.from_numpy(np.stack(inputs)))
        targets = torch.full((len(inputs),), label)
        found.append(float(torch.nn.functional.cross_entropy(logits, targets).detach()))
    return found[0], found[1]


def test_mixed_precision_without_a_gpu_is_refused(signs: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MachineError, match="needs a CUDA device"):
        train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=1, amp=True)


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "P", "LA", "L"])
def test_pictures_of_every_kind_are_trained_on(tmp_path: Path, mode: str) -> None:
    for split in ("train", "val"):
        write_classes(tmp_path / split, {"a": 1, "b": 1})
        suffix = ".jpg" if mode == "CMYK" else ".png"
        Image.new(mode, (20, 16)).save(tmp_path / split / "a" / f"other{suffix}")
        frames = [Image.new("L", (20, 16), shade) for shade in (0, 255)]
        frames[0].save(tmp_path / split / "b" / "moving.gif", save_all=True, append_images=frames)
    made = train(tmp_path, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)
    assert made.epochs == 1


def test_a_picture_that_claims_to_be_huge_is_refused_by_name(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_classes(tmp_path / split, {"a": 1, "b": 1})
    Image.new("1", (11_000, 11_000)).save(tmp_path / "train" / "b" / "bomb.png")
    with pytest.raises(ImageError, match=r"bomb\.png claims"):
        train(tmp_path, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)


@pytest.mark.parametrize(
    ("folder", "error", "message"),
    [
        ("train/empty", InputError, "holds no pictures"),
        ("train/A", LabelsError, "differ only by case"),
        ("val/zebra", LabelsError, "'zebra'"),
    ],
)
def test_class_folders_that_cannot_work_are_named(
    tmp_path: Path, folder: str, error: type[InputError], message: str
) -> None:
    for split in ("train", "val"):
        write_classes(tmp_path / split, {"a": 1, "b": 1})
    (tmp_path / folder).mkdir()
    if folder != "train/empty":
        write_picture(tmp_path / folder / "0.png")
    with pytest.raises(error, match=message):
        train(tmp_path, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)
