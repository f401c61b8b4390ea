from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.errors import CheckpointError  # noqa: E402 - only with torch
from toolkit.import_model import import_model  # noqa: E402 - only with torch
from toolkit.networks import build_network  # noqa: E402 - only with torch
from toolkit.progress import silent  # noqa: E402 - only with torch
from toolkit.sources import fitting_networks  # noqa: E402 - only with torch
from toolkit.sources.fitting_networks import network_that_fits  # noqa: E402 - only with torch


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handful of torchvision's networks: all 80 take twenty seconds."""
    some = ("googlenet", "regnet_y_400mf", "resnet18", "squeezenet1_0", "squeezenet1_1", "vit_b_32")
    monkeypatch.setattr(fitting_networks, "names", lambda: some)


@pytest.mark.parametrize("name", ["lenet5", "regnet_y_400mf", "squeezenet1_0", "squeezenet1_1"])
def test_weights_are_told_by_their_names_and_shapes(name: str) -> None:
    state = build_network(name, 7).state_dict()
    old = {key: value for key, value in state.items() if "num_batches" not in key}
    assert network_that_fits(old, progress=silent) == name


def test_weights_of_an_unknown_network_fit_none() -> None:
    assert network_that_fits(torch.nn.Linear(3, 2).state_dict(), progress=silent) == ""


def test_networks_built_afterwards_have_memory_again() -> None:
    network_that_fits(torch.nn.Linear(3, 2).state_dict(), progress=silent)
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"


@pytest.mark.parametrize("source", ["{}", "torchvision:resnet18@{}"])
def test_weights_of_another_network_name_theirs(source: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model_ema": build_network("squeezenet1_1", 5).state_dict()}, path)
    arch = None if ":" in source else "lenet5"
    with pytest.raises(CheckpointError, match=r"They are weights of squeezenet1_1\.$") as failure:
        import_model(source.format(path), out=tmp_path / "m.onnx", arch=arch)
    assert "--arch squeezenet1_1" in failure.value.next_command


def test_weights_without_an_architecture_name_the_one_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(build_network("squeezenet1_1", 5).state_dict(), path)
    with pytest.raises(CheckpointError, match="network; squeezenet1_1 has weights of these names"):
        import_model(str(path), out=tmp_path / "m.onnx")


def test_the_contract_says_which_weights_of_the_file_were_taken(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    state = build_network("lenet5", 3).state_dict()
    torch.save({"state_dict": state, "state_dict_ema": state}, path)
    model = import_model(str(path), out=tmp_path / "m.onnx", arch="lenet5")
    assert model.contract.source.startswith("w.pth (state_dict, not state_dict_ema), network")
