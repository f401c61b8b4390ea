"""Layers of two graphs correspond by what they are and where they stand."""

from __future__ import annotations

import onnx

from calibration.faults.align import align
from calibration.graph import Graph, prepare
from tests.unit.calibration.nets import Net


def _net(*, extra: bool = False, prefix: str = "") -> onnx.ModelProto:
    net = Net(size=8)
    tensor = net.conv("input", 4, 3, name=f"{prefix}a")
    if extra:
        tensor = net.conv(tensor, 4, 1, name=f"{prefix}extra")
    tensor = net.conv(tensor, 4, 3, name=f"{prefix}b", stride=2)
    tensor = net.conv(tensor, 6, 1, name=f"{prefix}c")
    return net.model(tensor)


def test_other_names_do_not_matter() -> None:
    found = align(Graph(prepare(_net())), Graph(prepare(_net(prefix="x_"))))
    assert [(p.reference, p.other) for p in found.pairs] == [
        ("a", "x_a"),
        ("b", "x_b"),
        ("c", "x_c"),
    ]
    assert found.whole


def test_a_layer_that_only_one_graph_has_is_said_and_the_rest_still_corresponds() -> None:
    plain, longer = Graph(prepare(_net())), Graph(prepare(_net(extra=True)))
    found = align(plain, longer)
    assert (found.only_reference, found.only_other) == ((), ("extra",))
    assert [pair.other for pair in found.pairs] == ["a", "b", "c"]
    assert align(longer, plain).only_reference == ("extra",)
    assert not found.whole
