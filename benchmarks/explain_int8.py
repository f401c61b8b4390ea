"""The figures and pictures of docs/recentring-and-bias-correction.md.

    python -m benchmarks.explain_int8 [IMAGENET_DIR]

Without an argument: a small network with seeded weights on generated road signs, which any clone
can make in seconds; rewrites the figures of the page and its pictures. With one: prints the same
figures for MobileNetV2 on 32 photographs (IMAGENET_DIR is described in benchmarks/int8.py).
"""

from __future__ import annotations

import argparse
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.explain_pictures import bars, channel_means, code_lines
from calibration.choose import grid_for
from calibration.collect import Statistics, collect
from calibration.execute import Runner, logits_of, up_to
from calibration.graph import Graph, prepare
from calibration.insert import insert_qdq
from calibration.methods import METHODS
from calibration.network import Network, rounded_model
from calibration.nodes import attribute, set_constant
from calibration.placement import place
from calibration.quantize import quantize
from calibration.repair.bias import correction, needs_mean_image, window_means
from calibration.repair.pixels import with_pixel_codes
from calibration.repair.recentre import Recentred, recentre
from calibration.schemes import SCHEMES
from calibration.sqnr import sqnr_db
from calibration.table import CalibrationTable, Range
from toolkit.atomic import write_text
from toolkit.calibrate.pixel_levels import levels_of
from toolkit.datasets.folder import batches, open_folder, select
from toolkit.datasets.sign_drawings import SIGNS
from toolkit.datasets.sign_scenes import background, draw_scene, random_look
from toolkit.import_model import import_model
from toolkit.onnx_model.file import read_onnx
from toolkit.preprocess import IMAGENET

__all__ = [
    "DOCS",
    "PAGE",
    "Explained",
    "correction_gains",
    "explained",
    "explicit_gains",
    "planted",
    "sign_images",
    "updated",
]

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "recentring-and-bias-correction.md"
_FIGURE = re.compile(r"-?\d+(?:\.\d+)?(?=<!--(\w+)-->)")
_SCHEME = SCHEMES["tensorrt"]
_SIDE = 32


@dataclass(frozen=True)
class Explained:
    """`figures` by the name that the page tags them with; the mean errors per channel of a layer.

    `before` and `after` bias correction: mean (W - Wq) x per output channel of the layer in which
    it is largest, in the unit of its output.
    """

    figures: dict[str, float]
    high: float
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def planted(seed: int = 3, *, silu: bool = False) -> onnx.ModelProto:
    """Return Conv Relu, depthwise Relu, Conv Relu, Conv Relu, pool, Gemm with seeded weights.

    With `silu`, each Relu is a SiLU: x times the Sigmoid of x.
    """
    rng = np.random.default_rng(seed)
    nodes, constants, source, channels = [], [], "image", 3
    for index, (width, kernel, group) in enumerate(
        [(24, 3, 1), (24, 3, 24), (32, 1, 1), (48, 3, 1)]
    ):
        shape = (width, channels // group, kernel, kernel)
        # Channels of unequal strength, as training leaves them.
        strength = np.exp(rng.normal(0.0, 0.6, size=(width, 1, 1, 1)))
        weight = rng.normal(size=shape) * strength * (2.0 / np.prod(shape[1:])) ** 0.5
        made = {f"w{index}": weight, f"b{index}": rng.normal(0.0, 0.3, size=width)}
        constants += [numpy_helper.from_array(v.astype(np.float32), n) for n, v in made.items()]
        conv = helper.make_node("Conv", [source, *made], [f"c{index}"], f"conv{index}")
        conv.attribute.append(helper.make_attribute("pads", [kernel // 2] * 4))
        conv.attribute.append(helper.make_attribute("group", group))
        nodes.append(conv)
        if silu:
            gate = f"s{index}"
            nodes.append(helper.make_node("Sigmoid", [f"c{index}"], [gate], f"sigmoid{index}"))
            nodes.append(helper.make_node("Mul", [f"c{index}", gate], [f"r{index}"], f"mul{index}"))
        else:
            nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"], f"relu{index}"))
        source, channels = f"r{index}", width
    nodes.append(helper.make_node("GlobalAveragePool", [source], ["pooled"], "pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"], "flatten"))
    head = {"wf": rng.normal(size=(10, channels)), "bf": rng.normal(size=10)}
    constants += [numpy_helper.from_array(v.astype(np.float32), n) for n, v in head.items()]
    nodes.append(helper.make_node("Gemm", ["features", *head], ["logits"], "fc", transB=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, _SIDE, _SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "planted", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def sign_images(count: int = 64) -> NDArray[np.float32]:
    """Return normalised pictures of road signs, float32 (count, 3, 32, 32)."""
    found = []
    for index in range(count):
        look = random_look(np.random.default_rng(index))
        found.append(draw_scene(SIGNS[index % len(SIGNS)], look, background(look, _SIDE, _SIDE)))
    return replace(IMAGENET, height=_SIDE, width=_SIDE).normalise(np.stack(found))


def explained(model: onnx.ModelProto, images: NDArray[np.float32]) -> Explained:
    """Return every figure of the page for a float model, calibrated on every other image.

    The others are those that all figures are measured on.
    """
    ready = prepare(model)
    seen, images = images[::2], images[1::2]
    network, statistics = _network(ready, seen)
    plain = _uncorrected(ready)
    wanted = logits_of(ready, images)
    ranges = {n: METHODS["minmax"](t.histogram, 127) for n, t in statistics.tensors.items()}
    shifted = recentre(ready, network.placement, ranges, weight_bits=8)
    tensor = next(iter(t for t in shifted.shifts if t in ranges))
    codes = _one_tensor(ready, images, tensor, ranges[tensor])
    picture = ready.graph.input[0].name
    uncorrected, corrected = (
        sqnr_db(wanted, logits_of(rounded_model(n, {}), images)) for n in (plain, network)
    )
    before, after = _mean_errors(network, plain, _network(ready, images)[0])

    def emitted(changed: Recentred) -> float:
        table = CalibrationTable("", "minmax", len(images), 0, changed.ranges)
        int8 = insert_qdq(changed.model, changed.placement, table, _SCHEME)
        return sqnr_db(wanted, logits_of(int8, images))

    figures = {
        **codes,
        "symmetric_db": emitted(Recentred(ready, network.placement, ranges, {})),
        "recentred_db": emitted(shifted),
        "float_weights_db": emitted(_with_float_sums(shifted, ready)),
        "zero_padding_db": emitted(_with_zero_padding(shifted)),
        "levels_db": emitted(_on_levels(ready, network, ranges)),
        "picture_db": _one_tensor(ready, images, picture, ranges[picture])["symmetric_tensor_db"],
        "weights_db": uncorrected,
        "corrected_db": corrected,
    }
    return Explained(figures, ranges[tensor].high, before, after)


def correction_gains(images: NDArray[np.float32]) -> dict[str, float]:
    """Return what bias correction gains, in dB, on planted networks of eight seeds."""
    gains = []
    for seed in range(8):
        ready = prepare(planted(seed))
        wanted = logits_of(ready, images[1::2])
        networks = _uncorrected(ready), _network(ready, images[::2])[0]
        before, after = (
            sqnr_db(wanted, logits_of(rounded_model(n, {}), images[1::2])) for n in networks
        )
        gains.append(after - before)
    low, median, high = (float(np.quantile(gains, q)) for q in (0.0, 0.5, 1.0))
    return {"gain_low_db": low, "gain_median_db": median, "gain_high_db": high}


def explicit_gains(images: NDArray[np.float32]) -> dict[str, float]:
    """Return the dB that a planted network with SiLU keeps without and with explicit shifts."""
    model = planted(silu=True)
    wanted = logits_of(model, images[1::2])
    kept = {}
    for name, explicit in (("silu_db", False), ("silu_shifted_db", True)):
        made = quantize(
            model,
            lambda: [images[::2]],
            scheme=_SCHEME,
            effort="fast",
            model_digest="",
            explicit_shifts=explicit,
        )
        kept[name] = sqnr_db(wanted, logits_of(made.model, images[1::2]))
    return kept


def updated(page: str, figures: dict[str, float]) -> str:
    """Return the page with every tagged figure as `figures` has it, in the page's precision."""

    def figure(match: re.Match[str]) -> str:
        places = len(match.group().partition(".")[2])
        return f"{figures[match.group(1)]:.{places}f}"

    return _FIGURE.sub(figure, page)


def _network(ready: onnx.ModelProto, images: NDArray[np.float32]) -> tuple[Network, Statistics]:
    graph, placement = Graph(ready), place(ready, _SCHEME)
    layers = [graph.node(pair.use.node) for pair in placement.weights]
    statistics = collect(
        ready,
        [images],
        tensors=[pair.tensor for pair in placement.pairs],
        mean_images=[n.input[0] for n in layers if needs_mean_image(graph, n)],
    )
    means = {n.name: window_means(graph, n, statistics.tensors[n.input[0]]) for n in layers}
    return Network(ready, graph, placement, 8, means, {}), statistics


def _one_tensor(
    ready: onnx.ModelProto, images: NDArray[np.float32], tensor: str, span: Range
) -> dict[str, float]:
    """Return codes used and SQNR of one activation, symmetric and recentred."""
    runner = Runner(up_to(ready, [tensor]))
    values = runner.run({ready.graph.input[0].name: images}, [tensor])[tensor]
    found = {}
    for name, recentred in (("symmetric", False), ("recentred", True)):
        rounded = grid_for(span, _SCHEME, recentred=recentred).round(values)
        found[f"{name}_codes"] = float(len(np.unique(rounded)))
        found[f"{name}_tensor_db"] = sqnr_db(values, rounded)
    return found


def _with_float_sums(shifted: Recentred, ready: onnx.ModelProto) -> Recentred:
    """Make the mistake: give the consumers' biases c * sum(W) in place of c * sum(Wq)."""
    graph, model = Graph(ready), onnx.ModelProto()
    model.CopyFrom(shifted.model)
    rounded, now = Graph(rounded_model(_uncorrected(ready), {})), Graph(shifted.model)
    for pair in shifted.placement.weights:
        node = graph.node(pair.use.node)
        shift = shifted.shifts.get(node.input[0])
        if shift is None:
            continue
        exact, used = (np.asarray(g.constant(node.input[1]), np.float64) for g in (graph, rounded))
        lost = (exact - used).reshape(len(exact), -1).sum(axis=1)
        bias = np.asarray(now.constant(now.node(node.name).input[2]), np.float64)
        set_constant(model, now.node(node.name).input[2], (bias + shift * lost).astype(np.float32))
    return replace(shifted, model=model)


def _on_levels(ready: onnx.ModelProto, network: Network, ranges: dict[str, Range]) -> Recentred:
    """Return the recentred model whose picture is quantized on its own levels."""
    levels = levels_of(IMAGENET)
    coded = with_pixel_codes(ready, network.placement, levels) if levels else None
    if coded is None:
        raise ValueError("something else than INT8 convolutions reads the picture")
    placement = place(coded.model, _SCHEME)
    known = {**ranges, coded.tensor: coded.span}
    return recentre(coded.model, placement, known, weight_bits=8)


def _uncorrected(ready: onnx.ModelProto) -> Network:
    """Return a network whose layers are rounded to nearest, without bias correction."""
    graph, placement = Graph(ready), place(ready, _SCHEME)
    means = {}
    for pair in placement.weights:
        node = graph.node(pair.use.node)
        weight = np.asarray(graph.constant(node.input[1]))
        channels = np.asarray(graph.shape(node.input[0]))[1]
        means[node.name] = np.zeros((int(channels), *weight.shape[2:]))
    return Network(ready, graph, placement, 8, means, {})


def _with_zero_padding(shifted: Recentred) -> Recentred:
    """Make the other mistake: pad shifted activations with 0, which stands for c."""
    model = onnx.ModelProto()
    model.CopyFrom(shifted.model)
    for node in list(model.graph.node):
        if node.op_type == "Pad":
            set_constant(model, node.input[2], np.zeros((), np.float32))
    return replace(shifted, model=model)


def _mean_errors(
    network: Network, plain: Network, fresh: Network
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (W - Wq) x per channel where it is largest, and what correction leaves of it.

    The means of x are those of `fresh`, the correction those of `network`.
    """
    best = np.zeros(0), np.zeros(0)
    for pair in network.placement.weights:
        node = network.graph.node(pair.use.node)
        _, uncorrected = plain.rounded(node)
        rounded, corrected = network.rounded(node)
        weight = np.asarray(network.graph.constant(node.input[1]), np.float64)
        groups = int(attribute(node, "group", 1))
        error = (weight - rounded).astype(np.float32)
        before = correction(error, fresh.means[node.name], groups)
        if np.abs(before).max(initial=0.0) > np.abs(best[0]).max(initial=0.0):
            best = before, before - (corrected - uncorrected)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path, nargs="?")
    imagenet: Path | None = parser.parse_args().imagenet
    if imagenet is not None:
        for name, value in _mobilenet(imagenet).figures.items():
            print(f"{name:20} {value:7.1f}")
        return
    images = sign_images()
    made = explained(planted(), images)
    figures = {**made.figures, **correction_gains(images), **explicit_gains(images)}
    page = updated(PAGE.read_text(encoding="utf-8"), figures)
    write_text(PAGE, page)
    write_text(DOCS / "int8-codes.svg", code_lines(made.high))
    write_text(DOCS / "int8-mistakes.svg", bars(made.figures))
    write_text(DOCS / "int8-bias.svg", channel_means(made.before, made.after))
    print(PAGE)


def _mobilenet(imagenet: Path) -> Explained:
    with tempfile.TemporaryDirectory() as place_:
        weights = imagenet / "weights" / "mobilenet_v2.pth"
        path = Path(place_) / "m.onnx"
        contract = import_model(f"torchvision:mobilenet_v2@{weights}", out=path).contract
        chosen = select(open_folder(imagenet / "train", contract=contract), 32, seed=0)
        parts = batches(chosen, contract.preprocess, batch_size=8)
        return explained(read_onnx(path), np.concatenate([part for part, _ in parts]))


if __name__ == "__main__":
    main()
