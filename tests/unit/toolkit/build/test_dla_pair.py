"""INT8 for the DLA, from a float model and its calibration cache: on the board, in a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import toolkit.build as building
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.artifacts import digest_of_file
from toolkit.build import build
from toolkit.build.request import BuildRequest, Built, TensorRTOptions
from toolkit.calibrate import calibrate
from toolkit.calibrate.cache import cache_manifest_path, cache_path
from toolkit.calibrate.pair import cache_of
from toolkit.errors import InputError, StaleError
from toolkit.onnx_model.file import open_model, write_onnx
from toolkit.progress import ProgressCallback
from toolkit.remote.build import bundle_for

NX = "jetson-orin-nx-16gb"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    images = write_classes(folder / "train", dict.fromkeys(contract().ids, 4))
    model = write_onnx(classifier(opset=17), folder / "m.onnx", contract())
    calibrate(model.path, images=images, effort="fast", target=NX, jetpack="6.2", dla=True)
    return folder


@pytest.fixture
def pair(made: Path, tmp_path: Path) -> Path:
    for name in ("m.dla.onnx", "m.dla.cache", "m.dla.cache.json"):
        shutil.copy(made / name, tmp_path / name)
    return tmp_path / "m.dla.onnx"


REQUESTS: list[BuildRequest] = []


def record(request: BuildRequest, out: Path, progress: ProgressCallback) -> Built:
    """A builder that notes what it is asked for."""
    REQUESTS.append(request)
    out.write_bytes(b"engine")
    made = request.model.contract.with_changes(precision="int8")
    return Built(made, "tensorrt 10.3.0", "Orin", 2, 0, 2, flags=("INT8", "FP16"))


def test_on_the_board_the_cache_beside_the_model_reaches_the_builder(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "has_driver", lambda: True)
    monkeypatch.setitem(building.BUILDERS, "tensorrt", f"{__name__}:record")
    REQUESTS.clear()
    engine = build(pair, target=NX, options=TensorRTOptions(dla_core=0))
    assert REQUESTS[0].calibration_cache == cache_path(pair)
    assert REQUESTS[0].flags == ("INT8", "FP16")
    assert engine.manifest.precision == "int8"
    digest = digest_of_file(cache_path(pair))[:12]
    notes = [note for note in engine.manifest.notes if "calibration cache written for" in note]
    assert len(notes) == 1
    assert f"TensorRT 10.3.0 (SHA-256 {digest})" in notes[0]


def test_a_bundle_carries_the_cache_and_its_flags(pair: Path, tmp_path: Path) -> None:
    bundle = bundle_for(pair, target=NX, out=tmp_path / "b.tar.gz", jetpack="6.2", dla_core=0)
    assert bundle.files["calibration.cache"] == cache_path(pair).read_bytes()
    script = bundle.files["build.sh"].decode()
    for words in ("--calib=calibration.cache", "--int8", "--useDLACore=0 --allowGPUFallback"):
        assert words in script
    assert bundle.description["contract"]["precision"] == "int8"


def _other_cache(pair: Path) -> None:
    cache_path(pair).write_bytes(cache_path(pair).read_bytes() + b"extra: 3c010a14\n")


def _other_model(pair: Path) -> None:
    model = open_model(pair)
    write_onnx(classifier(seed=3, opset=17), pair, model.contract)


def _cache_of_another_name(pair: Path) -> None:
    pair.rename(pair.with_name("n.dla.onnx"))
    for name in ("cache", "cache.json"):
        pair.with_name(f"m.dla.{name}").rename(pair.with_name(f"n.dla.{name}"))


def _other_pair(pair: Path) -> None:
    _other_cache(pair)
    where = cache_manifest_path(cache_path(pair))
    values: dict[str, Any] = json.loads(where.read_text())
    values["cache_digest"] = digest_of_file(cache_path(pair))
    where.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (_other_cache, StaleError, "is not the cache that"),
        (_cache_of_another_name, StaleError, r"n\.dla\.cache belongs|is not the"),
        (_other_pair, StaleError, "names another calibration cache"),
        (lambda pair: cache_path(pair).unlink(), InputError, r"m\.dla\.cache does not lie beside"),
        (
            lambda pair: cache_manifest_path(cache_path(pair)).unlink(),
            InputError,
            r"m\.dla\.cache\.json does not lie beside",
        ),
    ],
)
def test_a_pair_that_does_not_belong_together_is_refused(
    pair: Path, tmp_path: Path, change: Any, error: type[Exception], says: str
) -> None:
    change(pair)
    model = next(tmp_path.glob("*.dla.onnx"))
    with pytest.raises(error, match=says):
        cache_of(open_model(model))
    with pytest.raises(error, match=says):
        bundle_for(model, target=NX, out=tmp_path / "b.tar.gz", jetpack="6.2", dla_core=0)
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_model_that_lost_the_name_of_its_cache_is_float(pair: Path) -> None:
    _other_model(pair)
    assert cache_of(open_model(pair)) is None
    with pytest.raises(Exception, match="computes in FP16 and INT8"):
        build(pair, target=NX, options=TensorRTOptions(dla_core=0))


def test_without_a_dla_the_float_model_of_a_pair_is_float(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "has_driver", lambda: True)
    monkeypatch.setitem(building.BUILDERS, "tensorrt", f"{__name__}:record")
    REQUESTS.clear()
    build(pair, target=NX)
    assert REQUESTS[0].calibration_cache is None
