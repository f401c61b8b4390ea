from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.ssh_device import WHY_NOT, SshDevice, ssh_device
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.onnx_model.file import write_onnx


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshDevice]:
    """A Jetson Orin Nano with JetPack 6.2, seen over a real SSH connection."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    pytest.importorskip("paramiko", reason="the extra edgekit[ssh] is not installed")
    with ssh_device(tmp_path / "ssh") as device:
        device.has_trtexec("10.3.0")
        monkeypatch.setenv("HOME", str(device.client))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield device


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small FP32 classifier with a batch that is left open."""
    path = tmp_path / "model.onnx"
    write_onnx(classifier(opset=17), path, contract())
    return path
