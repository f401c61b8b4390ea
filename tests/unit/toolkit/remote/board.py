"""Boards with a stand-in trtexec: one reached over SSH, one where a bundle is unpacked by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.doubles.ssh_device import STAND_IN, SshDevice
from toolkit.artifacts import Engine
from toolkit.remote.build import build_on_device
from toolkit.remote.bundle import FOLDER


def for_tensorrt(device: SshDevice, model: Path) -> Engine:
    """Return an engine of four images, built on a device with a stand-in trtexec."""
    return build_on_device(
        model,
        target="jetson-orin-nano-8gb",
        host=device.address,
        out=model.with_name("a.engine"),
        batch="4",
        root=str(device.root),
    )


def unpacked(bundle: Path, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "-xzf", str(bundle), "-C", str(folder)], check=True)
    return folder / FOLDER


def run(script: Path, version: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the bundle with sh, where nothing but a stand-in trtexec is installed."""
    trtexec = tmp_path / "trtexec"
    trtexec.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {version} 0 fine "$@"\n')
    trtexec.chmod(0o755)
    return subprocess.run(
        ["sh", str(script)],
        env={"PATH": "/usr/bin:/bin", "TRTEXEC": str(trtexec), "HOME": os.environ["HOME"]},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
