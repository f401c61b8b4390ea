from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.build.builder_caches import calibrate_from, load_timing_cache, save_timing_cache
from toolkit.errors import InputError


class RecordingConfig:
    """An IBuilderConfig of TensorRT 8 or 10, as far as INT8 from a cache and the DLA use it."""

    def __init__(self) -> None:
        self.int8_calibrator: Any = None
        self.default_device_type = self.DLA_core = None


class Calibrator:
    def __init__(self) -> None:
        pass


def test_a_calibration_cache_is_handed_over_as_it_is(tmp_path: Path) -> None:
    module = SimpleNamespace(IInt8EntropyCalibrator2=Calibrator)
    cache = tmp_path / "m.cache"
    cache.write_bytes(b"TRT-10300-EntropyCalibration2\nimage: 3c010a14\n")
    config = RecordingConfig()
    calibrate_from(module, config, cache)
    calibrator = config.int8_calibrator
    assert calibrator.read_calibration_cache() == cache.read_bytes()
    assert calibrator.get_batch(["image"]) is None
    with pytest.raises(InputError, match="cannot be read: No such file"):
        calibrate_from(module, config, tmp_path / "missing.cache")


class TimingConfig:
    """A config whose GPU accepts only caches that begin with its name."""

    def __init__(self, gpu: bytes) -> None:
        self.gpu = gpu
        self.cache = b""

    def create_timing_cache(self, content: bytes) -> bytes:
        return content

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache and not cache.startswith(self.gpu):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.gpu + b" times")


def test_a_timing_cache_is_used_again_and_a_foreign_one_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "orin.tensorrt-10.3.timing-cache"
    first = TimingConfig(b"Orin")
    load_timing_cache(first, path)
    assert first.cache == b""
    save_timing_cache(first, path)
    again = TimingConfig(b"Orin")
    load_timing_cache(again, path)
    assert again.cache == b"Orin times"
    other = TimingConfig(b"Thor")
    load_timing_cache(other, path)
    assert other.cache == b""
