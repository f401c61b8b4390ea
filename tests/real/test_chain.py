"""Real ImageNet models through every arrow: import, calibrate, build, score, compare, live."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from calibration.placement import place
from calibration.schemes import SCHEMES
from targets import all_targets
from tests.real.imagenet import IMAGENET, needs_imagenet
from toolkit.build import build
from toolkit.calibrate import Calibration, calibrate
from toolkit.camera import open_camera
from toolkit.camera.clip import write_clip
from toolkit.compare import compare
from toolkit.datasets.folder import open_folder
from toolkit.errors import LeakageError, SchemeError
from toolkit.images import read_image
from toolkit.live import run_live
from toolkit.runtime import open_session
from toolkit.score import score

pytestmark = [needs_imagenet, pytest.mark.slow, pytest.mark.timeout(600)]

TRAIN, VAL = IMAGENET / "train", IMAGENET / "val"
SMS = (80, 86, 89, 120, 121)
SAMPLES, SCORED = 128, 200


@dataclass(frozen=True)
class Chain:
    name: str
    fp32: Path
    int8: dict[str, Calibration]


@pytest.fixture(scope="module", params=["mobilenet_v2", "squeezenet1_1"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    pytest.importorskip("torchvision")
    from toolkit.import_model import import_model

    folder = tmp_path_factory.mktemp(request.param)
    weights = IMAGENET / "weights" / f"{request.param}.pth"
    fp32 = import_model(f"torchvision:{request.param}@{weights}", out=folder / "model.onnx").path
    made = {
        target: calibrate(
            fp32,
            images=TRAIN,
            target=target,
            samples=SAMPLES,
            effort="fast",
            out=folder / f"{target}.int8.onnx",
        )
        for target in ("cpu", "rtx-4090")
    }
    return Chain(request.param, fp32, made)


def test_int8_on_the_gpu_side_stays_close_to_fp32(chain: Chain) -> None:
    comparison = compare(chain.fp32, chain.int8["rtx-4090"].model.path, images=VAL, limit=SCORED)
    assert comparison.n == SCORED
    assert comparison.sqnr_db is not None
    assert comparison.sqnr_db >= 15.0
    assert comparison.agreement >= 0.94
    assert 0.0 in comparison.drop_interval


def test_the_cpu_engine_stays_close_to_fp32_and_to_its_own_graph(
    chain: Chain, tmp_path: Path
) -> None:
    graph = chain.int8["cpu"].model.path
    engine = build(graph, target="cpu", out=tmp_path / "engine.onnx").path
    against_fp32 = compare(chain.fp32, engine, images=VAL, limit=SCORED)
    assert against_fp32.agreement >= 0.94
    with open_session(graph, backend="onnxruntime-float") as session:
        assert "float evaluation" in session.note
    in_float = score(graph, images=VAL, limit=SCORED, backend="onnxruntime-float")
    assert abs(in_float.top1 - score(engine, images=VAL, limit=SCORED).top1) <= 0.02


def test_nearly_all_convolution_work_is_in_int8(chain: Chain) -> None:
    for made in chain.int8.values():
        assert made.int8_mac_share >= 0.95


@pytest.mark.parametrize("sm", SMS)
def test_every_rtx_generation_runs_in_int8_what_placement_called_int8(
    chain: Chain, sm: int, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    target = next(row.id for row in all_targets() if row.sm == sm)
    made = chain.int8["rtx-4090"]
    engine = build(made.model.path, target=target, out=tmp_path / "m.engine")
    from calibration.graph import Graph, prepare
    from toolkit.onnx_model.file import read_onnx

    ready = prepare(read_onnx(chain.fp32))
    nodes = {node.name: node.op_type for node in Graph(ready).nodes}
    placed = place(ready, SCHEMES["tensorrt-rtx"]).int8_nodes
    assert engine.manifest.int8_convs == sum(nodes[name] == "Conv" for name in placed)
    assert not [note for note in engine.manifest.notes if "warning" in note]


def test_a_file_for_the_gpu_is_refused_by_the_cpu_with_the_line_that_helps(chain: Chain) -> None:
    with pytest.raises(SchemeError) as caught:
        build(chain.int8["rtx-4090"].model.path, target="cpu")
    assert caught.value.next_command.startswith("edgekit calibrate")


def test_calibration_images_cannot_be_scored(chain: Chain) -> None:
    with pytest.raises(LeakageError):
        score(chain.int8["cpu"].model.path, images=TRAIN)


def test_the_live_loop_sees_what_scoring_sees(chain: Chain, tmp_path: Path) -> None:
    images = open_folder(VAL).images[:60:2]
    pictures = [np.ascontiguousarray(read_image(image.path)) for image in images]
    clip = tmp_path / "clip.avi"
    write_clip(pictures, clip)
    engine = build(chain.int8["cpu"].model.path, target="cpu", out=tmp_path / "e.onnx").path
    with open_session(engine) as session, open_camera(f"file://{clip}", paced=False) as camera:
        summary = run_live(session, camera, policy="queue")
    assert summary.frames == len(pictures)
    assert summary.dropped == 0
    values = json.loads(json.dumps(summary.to_dict()))
    assert values["capture_to_result_ms"]["p50"] > 0
