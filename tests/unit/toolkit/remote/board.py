"""A board with nothing but sh and a stand-in trtexec, where somebody unpacks a bundle by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.doubles.ssh_device import STAND_IN
from toolkit.remote.bundle import FOLDER


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
