from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.live.service import service_unit

CAMERA = "rtsp://ann:pw@cam/1"
COMMAND = (sys.executable, "live", "/models/a 100%.onnx", "--camera", CAMERA, '$x"\\')


def unit(*, user: str = "daemon", folder: str = "/tmp") -> str:
    return service_unit(
        COMMAND,
        name="edgekit-live",
        description="edgekit live: 100%",
        user=user,
        folder=folder,
        secrets={CAMERA: "EDGEKIT_CAMERA"},
    )


def test_the_run_is_restarted_watched_and_not_root() -> None:
    lines = unit().splitlines()
    for wanted in (
        *("Type=notify", "WatchdogSec=30", "Restart=always", "StandardOutput=journal"),
        *("User=daemon", "NoNewPrivileges=yes", "StartLimitIntervalSec=0"),
    ):
        assert wanted in lines


def test_without_a_user_systemd_makes_one() -> None:
    lines = unit(user="").splitlines()
    assert "DynamicUser=yes" in lines
    assert "StateDirectory=edgekit-live" in lines
    assert not any(line.startswith("User=") for line in lines)


def test_what_systemd_would_expand_is_escaped() -> None:
    (line,) = [line for line in unit().splitlines() if line.startswith("ExecStart=")]
    assert '"/models/a 100%%.onnx"' in line
    assert '"$$x\\"\\\\"' in line


def test_a_password_is_not_in_the_unit() -> None:
    assert "pw" not in unit()
    assert "EnvironmentFile=/etc/edgekit/edgekit-live.env" in unit()
    assert "${EDGEKIT_CAMERA}" in unit()
    assert "# EDGEKIT_CAMERA=... stands in /etc/edgekit/edgekit-live.env (chmod 600)" in unit()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("user", ["daemon", ""])
def test_systemd_accepts_the_unit(tmp_path: Path, user: str) -> None:
    (tmp_path / "edgekit-live.service").write_text(unit(user=user))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "edgekit-live.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "edgekit-live" not in done.stderr
