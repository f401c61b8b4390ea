from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with torch
from toolkit.checkpoint import read_checkpoint  # noqa: E402 - only with torch
from toolkit.datasets.signs import SIGNS, make_signs  # noqa: E402 - only with torch
from toolkit.errors import ImageError, InputError, MachineError  # noqa: E402 - only with torch
from toolkit.networks import preprocess_of  # noqa: E402 - only with torch
from toolkit.progress import Progress  # noqa: E402 - only with torch
from toolkit.train import train  # noqa: E402 - only with torch


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
        progress=lambda p: notes.append(p.note) if "top-1" in p.note else None,
    )
    losses = [float(note.split("loss ")[1].split(",")[0]) for note in notes]
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]


def test_progress_says_loss_and_accuracy(signs: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=2, threads=1, progress=seen.append)
    assert {p.step for p in seen} == {"read training pictures", "read validation pictures", "train"}
    last = seen[-1]
    assert (last.done, last.total) == (4, 4)
    assert last.note.startswith("epoch 2/2, loss ")
    assert "top-1" in last.note


def test_an_interrupted_run_leaves_the_old_checkpoint(signs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    out.write_bytes(b"the old one")

    def interrupt(progress: Progress) -> None:
        if progress.step == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(signs, out=out, arch="lenet5", epochs=1, threads=1, progress=interrupt)
    assert out.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [out]


def test_a_killed_run_leaves_the_old_checkpoint(signs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    out.write_bytes(b"the old one")
    code = (
        "import os, signal, sys; from pathlib import Path; from toolkit.train import train\n"
        "kill = lambda p: p.step == 'train' and os.kill(os.getpid(), signal.SIGKILL)\n"
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
    "option", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": -1.0}]
)
def test_impossible_options_are_refused(
    signs: Path, tmp_path: Path, option: dict[str, float]
) -> None:
    with pytest.raises(InputError, match="Training needs"):
        train(signs, out=tmp_path / "m.pt", **option)  # type: ignore[arg-type]  # mixed options


def test_a_diverging_loss_stops_with_a_smaller_learning_rate(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch.nn.functional,
        "cross_entropy",
        lambda logits, _: logits.sum() * float("nan"),
    )
    with pytest.raises(InputError, match="diverged: the loss is nan after epoch 1") as caught:
        train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=2, threads=1)
    assert "--learning-rate 0.0004" in caught.value.next_command


def test_running_out_of_memory_suggests_half_the_batch(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", exhausted)
    with pytest.raises(MachineError, match="batches of 32") as caught:
        train(signs, out=tmp_path / "m.pt", arch="lenet5", epochs=1, threads=1)
    assert "--batch-size 16" in caught.value.next_command


def test_an_unknown_network_is_refused_before_anything_is_read(signs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'lenet5'"):
        train(signs, out=tmp_path / "m.pt", arch="lenet")
