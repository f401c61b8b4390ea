"""What `edgekit live` was asked for, and which of it does not go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.camera.uri import camera_uri
from toolkit.errors import InputError

__all__ = ["LiveOptions"]


@dataclass(frozen=True)
class LiveOptions:
    """The options of `edgekit live`, by the names they have there."""

    camera: str
    frames: int = 0
    threads: int = 1
    policy: str = "latest"
    warmup: int = 10
    results: str = ""
    smooth: int = 1
    min_confidence: float = 0.0
    record: Path | None = None
    record_mib: int = 1024
    calibration: Path | None = None
    view: str = ""
    view_address: str = "127.0.0.1:8765"
    out: Path | None = None
    as_json: bool = False

    @property
    def saturated(self) -> bool:
        """Return whether recorded frames come as fast as they are read: with `queue`."""
        return self.policy == "queue"

    @property
    def replays(self) -> bool:
        """Return whether the camera is a recorded session."""
        return camera_uri(self.camera).scheme == "replay"

    def recording(self) -> Path:
        """Return the folder of the recorded session. Raises CameraError when none is named."""
        return camera_uri(self.camera).path()

    def check(self, engines: Sequence[Path]) -> None:
        """Raise InputError when options, or engines and options, do not go together."""
        if self.results == "-" and self.as_json:
            raise InputError(
                "--results - and --json both write to standard output.",
                next_command="edgekit live ENGINE --camera URI --results results.jsonl --json",
            )
        if len(engines) > 1:
            self._check_comparison(len(engines))
        if self.calibration is not None and not self.replays:
            raise InputError(
                "--calibration looks at a recorded session, and this camera is none.",
                next_command="edgekit live ENGINE --camera replay://DIR --calibration TABLE",
            )

    def _check_comparison(self, engines: int) -> None:
        if not self.replays:
            raise InputError(
                f"{engines} engines can only be compared on the same frames: record a session "
                "and replay it.",
                next_command="edgekit live A B --camera replay://DIR",
            )
        alone = (("--results", self.results), ("--record", self.record), ("--view", self.view))
        for option, value in alone:
            if value:
                raise InputError(
                    f"{option} belongs to a run of one engine; {engines} are named.",
                    next_command="edgekit live A B --camera replay://DIR --out comparison.json",
                )
