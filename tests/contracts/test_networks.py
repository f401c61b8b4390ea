"""What every row of NETWORKS promises. A new network is tested by being listed."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.networks import NETWORKS, build_network, preprocess_of  # noqa: E402 - only with torch
from toolkit.sample_inputs import sample_inputs  # noqa: E402 - only with torch


@pytest.mark.parametrize("arch", NETWORKS)
def test_a_network_gives_one_logit_per_class_for_the_input_it_is_trained_with(arch: str) -> None:
    network = build_network(arch, 5).eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(sample_inputs(preprocess_of(arch), 2)))
    assert logits.shape == (2, 5)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("arch", NETWORKS)
def test_a_network_can_learn_all_its_weights(arch: str) -> None:
    network = build_network(arch, 3)
    inputs = torch.from_numpy(sample_inputs(preprocess_of(arch), 3))
    torch.nn.functional.cross_entropy(network(inputs), torch.arange(3)).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.parametrize("arch", NETWORKS)
def test_equal_seeds_give_equal_weights(arch: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_network(arch, 4).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
