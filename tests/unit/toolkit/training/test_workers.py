"""Two processes on the CPU, over Gloo, started the way `torchrun` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.checkpoint import read_checkpoint  # noqa: E402 - only with torch
from toolkit.datasets.signs import make_signs  # noqa: E402 - only with torch
from toolkit.train import train  # noqa: E402 - only with torch
from toolkit.training.history import read_history  # noqa: E402 - only with torch

pytestmark = pytest.mark.slow

FIXED = ["--arch", "lenet5", "--epochs", "3", "--batch-size", "10", "--threads", "1"]


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_signs(tmp_path_factory.mktemp("data") / "signs", train=43, val=11, size=32).root


def torchrun(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    watch = ["--monitor-interval", "0.1"]
    command = ["-m", "toolkit.train", str(data), "--out", str(out), *FIXED, "--json", *more]
    return subprocess.Popen(
        [sys.executable, *launcher, *watch, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def shared(signs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers make without any trouble."""
    out = tmp_path_factory.mktemp("shared") / "m.pt"
    answer, errors = (run := torchrun(signs, out)).communicate()
    assert run.returncode == 0, errors
    assert len(answer.splitlines()) == 1, "only the first worker may print"
    assert json.loads(answer)["epochs"] == 3
    return out


def test_two_workers_learn_what_one_learns_from_the_same_batches(
    signs: Path, shared: Path, tmp_path: Path
) -> None:
    """Up to rounding: the sum over a batch is taken in two parts."""
    train(signs, out=tmp_path / "one.pt", arch="lenet5", epochs=3, batch_size=10, threads=1)
    one, two = read_checkpoint(tmp_path / "one.pt").state, read_checkpoint(shared).state
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
    histories = [
        read_history(path.with_suffix(".training.json")) for path in (tmp_path / "one.pt", shared)
    ]
    for before, after in zip(histories[0].epochs, histories[1].epochs, strict=True):
        assert after.train_loss == pytest.approx(before.train_loss, rel=1e-4)
        assert after.val_loss == pytest.approx(before.val_loss, rel=1e-4)
    assert sum(n for *_, n in histories[1].confusion) == 11


def test_when_a_worker_dies_the_same_command_goes_on_to_the_same_bits(
    signs: Path, shared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.pt"
    run = torchrun(signs, out, "--checkpoint-minutes", "0")
    position = out.with_suffix(".resume.pt")
    while run.poll() is None and not position.exists():
        time.sleep(0.01)
    workers = [
        child for child in psutil.Process(run.pid).children() if child.environ().get("RANK") == "1"
    ]
    workers[0].kill()
    _, errors = run.communicate()
    assert run.returncode != 0
    assert "exitcode  : -9" in errors or "(exitcode: -9)" in errors
    again = torchrun(signs, out, "--checkpoint-minutes", "0", "--resume")
    _, errors = again.communicate()
    assert again.returncode == 0, errors
    made, wanted = read_checkpoint(out).state, read_checkpoint(shared).state
    assert all(torch.equal(made[name], wanted[name]) for name in wanted)


def test_workers_that_would_get_no_picture_are_refused(signs: Path, tmp_path: Path) -> None:
    run = torchrun(signs, tmp_path / "m.pt", "--batch-size", "1")
    answer, errors = run.communicate()
    assert run.returncode != 0
    assert "2 workers cannot share a batch of 1 pictures" in answer, errors
