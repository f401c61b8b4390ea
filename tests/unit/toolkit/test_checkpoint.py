from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with torch
from toolkit.checkpoint import (  # noqa: E402 - only with torch
    Trained,
    load_weights,
    network_of,
    read_checkpoint,
    read_weights,
    save_trained,
)
from toolkit.errors import CheckpointError  # noqa: E402 - only with torch
from toolkit.networks import build_network, preprocess_of  # noqa: E402 - only with torch


def trained(**changes: object) -> Trained:
    torch.manual_seed(0)
    fields: dict[str, object] = {
        "arch": "lenet5",
        "classes": ("cat", "dog"),
        "preprocess": preprocess_of("lenet5"),
        "state": build_network("lenet5", 2).state_dict(),
        "top1": 0.75,
        "epochs": 3,
        "seed": 1,
    }
    return Trained(**(fields | changes))  # type: ignore[arg-type]  # built from a dict of changes


class Attack:
    """Unpickling this would create a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.victim}",)


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    saved = trained()
    save_trained(path, saved)
    found = read_checkpoint(path)
    assert (found.arch, found.classes, found.top1, found.epochs, found.seed) == (
        *("lenet5", ("cat", "dog"), 0.75),
        *(3, 1),
    )
    assert found.preprocess == saved.preprocess
    network = network_of(found, where=path).state_dict()
    assert all(torch.equal(network[name], value) for name, value in saved.state.items())


def test_equal_checkpoints_have_equal_bytes_whatever_their_name(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        save_trained(tmp_path / name, trained())
    assert digest_of_file(tmp_path / "a.pt") == digest_of_file(tmp_path / "b.pt")


def test_a_checkpoint_holds_nothing_that_weights_only_refuses(tmp_path: Path) -> None:
    save_trained(tmp_path / "model.pt", trained())
    assert torch.load(tmp_path / "model.pt", weights_only=True)["arch"] == "lenet5"


@pytest.mark.parametrize("plain_pickle", [False, True])
def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(
    tmp_path: Path, plain_pickle: bool
) -> None:
    path, victim = tmp_path / "evil.pth", tmp_path / "owned"
    values = {"state_dict": {"w": torch.zeros(1)}, "extra": Attack(victim)}
    if plain_pickle:
        path.write_bytes(pickle.dumps(values))
    else:
        torch.save(values, path)
    for read in (read_checkpoint, read_weights):
        with pytest.raises(CheckpointError, match=r"evil\.pth is more than weights .*refused"):
            read(path)
    assert not victim.exists()


def test_a_whole_pickled_module_is_refused_with_the_way_to_save_its_weights(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear") as caught:
        read_weights(tmp_path / "whole.pth")
    assert "state_dict()" in caught.value.next_command


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        read_weights(tmp_path / "script.pt")


def test_a_missing_an_empty_and_a_truncated_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.pt does not exist"):
        read_checkpoint(tmp_path / "gone.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"empty\.pt is empty"):
        read_checkpoint(tmp_path / "empty.pt")
    save_trained(tmp_path / "whole.pt", trained())
    content = (tmp_path / "whole.pt").read_bytes()
    for size in (10, 1000, len(content) - 10):
        (tmp_path / "cut.pt").write_bytes(content[:size])
        with pytest.raises(CheckpointError, match=r"cut\.pt is damaged, cut off"):
            read_checkpoint(tmp_path / "cut.pt")


def test_text_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("hello there")
    with pytest.raises(CheckpointError, match=r"notes\.pt"):
        read_checkpoint(tmp_path / "notes.pt")


def test_a_file_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds no weights: a dict with epoch, loss"):
        read_weights(tmp_path / "a.pth")


def test_somebody_elses_checkpoint_is_not_taken_for_ours(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="does not say which network") as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert "--arch" in caught.value.next_command


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    torch.save({"edgekit": 99, "arch": "lenet5"}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="newer Edgekit"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_checkpoint_without_its_classes_is_damaged(tmp_path: Path) -> None:
    torch.save({"edgekit": 1, "arch": "lenet5"}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt is damaged"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module.model."])
def test_prefixes_of_wrappers_are_removed(tmp_path: Path, prefix: str) -> None:
    torch.save({f"{prefix}a.weight": torch.ones(2)}, tmp_path / "a.pth")
    assert list(read_weights(tmp_path / "a.pth").state) == ["a.weight"]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "model_ema"])
def test_weights_are_found_where_training_scripts_put_them(tmp_path: Path, key: str) -> None:
    torch.save({key: {"a.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "a.pth")
    assert list(read_weights(tmp_path / "a.pth").state) == ["a.weight"]


def test_weights_of_another_network_are_explained() -> None:
    state = dict(build_network("lenet5", 10).state_dict())
    state["features.9.weight"] = state.pop("features.0.bias")
    with pytest.raises(CheckpointError) as caught:
        load_weights(build_network("lenet5", 2), state, arch="lenet5", where="a.pth")
    assert "1 missing (features.0.bias)" in caught.value.message
    assert "1 unexpected (features.9.weight)" in caught.value.message
    assert "classifier.3.weight is (10, 84), not (2, 84)" in caught.value.message


def test_counters_that_old_files_lack_are_not_missing() -> None:
    network = build_network("signs-cnn", 3)
    state = {n: v for n, v in network.state_dict().items() if "num_batches" not in n}
    load_weights(network, state, arch="signs-cnn", where="old.pth")


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"a": 1}, ""),
        ({"ema": {"a": 1}}, "ema"),
        ({"ema": {"module": {"a": 1}, "decay": 0.9}}, "ema.module"),
        ({"state_dict_ema": {"a": 1}, "state_dict": {"a": 2}}, "state_dict, not state_dict_ema"),
        (
            {"model": {"a": 2}, "model_ema": {"n_averaged": 5, "module.a": 1}},
            "model, not model_ema",
        ),
        ({"model_ema": {"n_averaged": 5, "module.a": 1}}, "model_ema"),
    ],
)
def test_the_part_of_the_file_that_was_taken_is_stated(
    tmp_path: Path, values: dict[str, Any], part: str
) -> None:
    def tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: tensors(inner) for key, inner in value.items()}
        return torch.tensor(value)

    torch.save(tensors(values), tmp_path / "a.pth")
    found = read_weights(tmp_path / "a.pth")
    assert found.part == part
    assert {name: int(value) for name, value in found.state.items()} == {
        "a": 2 if part.startswith(("model,", "state_dict,")) else 1
    }
