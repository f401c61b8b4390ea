"""What a TensorRT builder is given from files: times of tactics, and ranges for INT8.

`trt` is the module of the bindings, `config` its IBuilderConfig.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.atomic import write_bytes
from toolkit.errors import InputError
from toolkit.shell import quoted

__all__ = ["calibrate_from", "load_timing_cache", "save_timing_cache"]


def calibrate_from(trt: Any, config: Any, cache: Path | None) -> Any:
    """Give the builder the ranges in `cache`; return what must live as long as the build."""
    if cache is None:
        return None
    try:
        content = cache.read_bytes()
    except OSError as error:
        raise InputError(
            f"The calibration cache {cache} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(cache)}",
        ) from error

    class Cached(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # no types in the bindings
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            return None  # there are no images here: a range that the cache lacks is an error

        def read_calibration_cache(self) -> bytes:
            return content

        def write_calibration_cache(self, cache: Any) -> None:
            pass  # the table is the source of these ranges; nothing was calibrated here

    config.int8_calibrator = Cached()
    return config.int8_calibrator


def load_timing_cache(config: Any, path: Path | None) -> None:
    """Give the builder the times it measured in an earlier build, if the file is of its kind."""
    if path is None:
        return
    content = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        # Of another GPU or version: begin a new one rather than trust its times.
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def save_timing_cache(config: Any, path: Path | None) -> None:
    """Keep the times that the builder measured."""
    cache = None if path is None else config.get_timing_cache()
    if path is not None and cache is not None:
        write_bytes(path, bytes(cache.serialize()))
