from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with torch
from toolkit.datasets.signs import make_signs  # noqa: E402 - only with torch
from toolkit.errors import CheckpointError, InputError  # noqa: E402 - only with torch
from toolkit.progress import Progress  # noqa: E402 - only with torch
from toolkit.train import train  # noqa: E402 - only with torch
from toolkit.training import resume as resuming  # noqa: E402 - only with torch
from toolkit.training.resume import (  # noqa: E402 - only with torch
    Position,
    Recipe,
    write_position,
)

EDGEKIT = [sys.executable, "-c", "from toolkit.cli import main; main()"]


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_signs(tmp_path_factory.mktemp("data") / "signs", train=40, val=10, size=32).root


class _StoppedError(Exception):
    """What ends a run in these tests."""


def stop_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let a run end right after it has written its position so many times."""
    left = [writes]

    def write(path: Path, position: Position, recipe: Recipe) -> None:
        write_position(path, position, recipe)
        left[0] -= 1
        if not left[0]:
            raise _StoppedError

    monkeypatch.setattr(resuming, "write_position", write)


def run(data: Path, out: Path, **changes: object) -> str:
    options = {"arch": "lenet5", "epochs": 3, "batch_size": 10, "threads": 1} | changes
    made = train(data, out=out, checkpoint_minutes=0, **options)  # type: ignore[arg-type]  # mixed
    return made.digest


@pytest.mark.parametrize("writes", [1, 3, 4, 5, 6, 14, 15])
def test_a_run_that_stopped_after_any_step_ends_in_the_same_bits(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    whole = run(signs, tmp_path / "whole.pt")
    with monkeypatch.context() as patch, pytest.raises(_StoppedError):
        stop_after(patch, writes)  # four steps and the end of the epoch: five an epoch
        run(signs, tmp_path / "m.pt")
    assert not (tmp_path / "m.pt").exists()
    assert run(signs, tmp_path / "m.pt", resume=True) == whole
    assert not (tmp_path / "m.resume.pt").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"arch": "mobilenet_v3_small", "epochs": 2},  # dropout and batch normalization
        {"patience": 1, "learning_rate": 0.05, "epochs": 9},
        {"augment": "photos", "class_weights": "balanced", "label_smoothing": 0.1},
    ],
    ids=["dropout", "early end", "torchvision's augmentation"],
)
def test_every_option_survives_a_stop(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    if "arch" in options:
        data = make_signs(tmp_path / "few", train=20, val=10, size=32).root
    else:
        data = signs
    whole = run(data, tmp_path / "whole.pt", **options)
    with monkeypatch.context() as patch, pytest.raises(_StoppedError):
        stop_after(patch, 4)
        run(data, tmp_path / "m.pt", **options)
    assert run(data, tmp_path / "m.pt", resume=True, **options) == whole


def test_without_a_position_resume_trains_from_the_start(signs: Path, tmp_path: Path) -> None:
    assert run(signs, tmp_path / "a.pt", epochs=1, resume=True) == run(
        signs, tmp_path / "b.pt", epochs=1
    )


def test_the_position_is_kept_after_each_epoch_and_every_few_minutes() -> None:
    clock, kept = [0.0], []

    class Kept(resuming.Keeper):
        def keep(self, position: object) -> None:
            kept.append(clock[0])
            super().keep(position)  # type: ignore[arg-type]  # never called: there is no path

    recipe = Recipe("lenet5", "", None, "")  # type: ignore[arg-type]  # unused without a path
    keeper = Kept(None, recipe, minutes=2, resume=False, clock=lambda: clock[0])
    for now in (10.0, 119.0, 120.0):
        clock[0] = now
        keeper.keep_now_and_then(lambda: pytest.fail("there is nothing to write to"))
    assert kept == [120.0]


@pytest.fixture
def stopped(signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch, pytest.raises(_StoppedError):
        stop_after(patch, 2)
        run(signs, tmp_path / "m.pt")
    return tmp_path / "m.pt"


def test_a_run_with_other_options_is_not_continued(signs: Path, stopped: Path) -> None:
    with pytest.raises(InputError, match="batch_size was 10, not 20") as caught:
        run(signs, stopped, batch_size=20, resume=True)
    assert "rm " in caught.value.next_command


def test_a_run_on_other_pictures_is_not_continued(stopped: Path, tmp_path: Path) -> None:
    other = make_signs(tmp_path / "other", train=50, val=10, size=32).root
    with pytest.raises(InputError, match="had other pictures"):
        run(other, stopped, resume=True)


def test_a_damaged_position_is_refused(signs: Path, stopped: Path) -> None:
    path = stopped.with_suffix(".resume.pt")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is damaged"):
        run(signs, stopped, resume=True)


def test_a_position_that_holds_code_is_refused(signs: Path, stopped: Path) -> None:
    torch.save({"edgekit_resume": os.system}, stopped.with_suffix(".resume.pt"))
    with pytest.raises(CheckpointError, match="UnpicklingError"):
        run(signs, stopped, resume=True)


def test_progress_goes_on_where_it_stopped(signs: Path, stopped: Path) -> None:
    seen: list[Progress] = []
    run(signs, stopped, resume=True, progress=seen.append)
    steps = [p.step for p in seen if p.step.startswith("epoch")]
    assert steps == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


@pytest.mark.slow
def test_a_process_killed_at_random_moments_ends_in_the_same_bits(
    signs: Path, tmp_path: Path
) -> None:
    """Three kills after random delays; each process goes on from whatever the last one left."""

    def command(out: Path, *more: str) -> list[str]:
        fixed = ["--arch", "lenet5", "--epochs", "5", "--batch-size", "2", "--threads", "1"]
        minutes = ["--checkpoint-minutes", "0", "--json"]
        return [*EDGEKIT, "train", str(signs), "--out", str(out), *fixed, *minutes, *more]

    whole, out = tmp_path / "whole.pt", tmp_path / "m.pt"
    run(signs, whole, epochs=5, batch_size=2)
    seed = random.SystemRandom().randrange(1 << 32)
    chance, position, kills = random.Random(seed), tmp_path / "m.resume.pt", 0
    for _ in range(3):
        before = position.stat().st_mtime_ns if position.exists() else 0
        child = subprocess.Popen(command(out, "--resume"), stdout=subprocess.DEVNULL)
        while child.poll() is None and (
            not position.exists() or position.stat().st_mtime_ns == before
        ):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        child.kill()
        kills += child.wait() == -signal.SIGKILL
    done = subprocess.run(command(out, "--resume"), check=True, capture_output=True, text=True)
    assert kills, f"no run was caught alive (seed {seed})"
    assert digest_of_file(out) == digest_of_file(whole), f"after kills drawn with seed {seed}"
    assert json.loads(done.stdout)["digest"] == digest_of_file(whole)
