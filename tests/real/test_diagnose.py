"""A real, badly calibrated INT8 model: what is wrong with it is named, and can be repaired."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.imagenet import IMAGENET, WEIGHTS, needs_imagenet
from toolkit.calibrate import calibrate
from toolkit.compare import compare
from toolkit.diagnose import diagnose, write_skeleton
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.preprocess_search import check_preprocess

pytestmark = [needs_imagenet, pytest.mark.slow, pytest.mark.timeout(600)]

BAD = WEIGHTS / "badly_calibrated_mobilenet_v2.onnx"
TRAIN, VAL = IMAGENET / "train", IMAGENET / "val"
SAMPLES, SCORED = 128, 200


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torchvision")
    from toolkit.import_model import import_model

    out = tmp_path_factory.mktemp("mobilenet") / "model.onnx"
    return import_model(f"torchvision:mobilenet_v2@{WEIGHTS / 'mobilenet_v2.pth'}", out=out).path


def test_the_culprits_of_a_badly_calibrated_model_are_named_within_a_minute(fp32: Path) -> None:
    started = time.process_time()
    found = diagnose(BAD, reference=fp32, images=VAL, samples=64)
    cpu_seconds = time.process_time() - started
    first = found.findings[0]
    assert found.comparison.drop_points > 20.0
    assert (first.kind, first.where, first.fault) == ("range", "input", True)
    assert "prepared otherwise" in first.text  # the range is that of pixels nobody normalised
    assert first.trial.removed > 0.8
    assert found.together is not None and found.together.removed >= first.trial.removed - 0.05
    assert len(found.layers) == 53
    assert cpu_seconds < 120.0  # a minute of two cores, whatever else they do


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_diagnosing_64_images_takes_less_than_one_and_a_half_gib(fp32: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from toolkit.diagnose import diagnose; "
        "bad, fp32, images = map(Path, sys.argv[1:]); "
        "diagnose(bad, reference=fp32, images=images, samples=64); "
        "status = Path('/proc/self/status').read_text(); "
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    command = [sys.executable, "-c", program, str(BAD), str(fp32), str(VAL)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    # KiB. A process of its own, and not its ru_maxrss, which starts at the peak of its parent.
    assert int(run.stdout) < 1.5 * 2**20


def test_its_float_skeleton_calibrated_anew_is_as_good_as_our_own_int8(
    fp32: Path, tmp_path: Path
) -> None:
    skeleton = write_skeleton(BAD, tmp_path / "skeleton.onnx", reference=fp32)
    made = [
        calibrate(
            source,
            images=TRAIN,
            samples=SAMPLES,
            effort="fast",
            out=tmp_path / f"{source.stem}.int8.onnx",
        ).model.path
        for source in (fp32, skeleton)
    ]
    ours, repaired = (compare(fp32, path, images=VAL, limit=SCORED) for path in made)
    assert repaired.drop_interval.low <= 0.0 or repaired.drop_points <= ours.drop_points + 1.5
    between = compare(made[0], made[1], images=VAL, limit=SCORED)
    assert between.drop_interval.low <= 0.0, between.line()


@pytest.mark.parametrize(
    ("aspect", "wrong"),
    [
        ("colour order", {"colour": "bgr"}),
        ("value range", {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
    ],
)
def test_a_wrong_contract_is_named_from_labelled_photographs(
    aspect: str, wrong: dict[str, object], fp32: Path, tmp_path: Path
) -> None:
    contract = open_model(fp32).contract
    preprocess = replace(contract.preprocess, **wrong)  # type: ignore[arg-type]  # by field name
    model = write_onnx(
        read_onnx(fp32), tmp_path / "m.onnx", contract.with_changes(preprocess=preprocess)
    )
    found = check_preprocess(model.path, images=VAL, limit=96)
    assert found.verdict == "wrong"
    assert aspect in {deviation.aspect for deviation in found.deviations}
    assert found.cost_points > 3.0


def test_the_right_contract_is_called_right_on_labelled_photographs(fp32: Path) -> None:
    assert check_preprocess(fp32, images=VAL, limit=96).verdict == "right"
