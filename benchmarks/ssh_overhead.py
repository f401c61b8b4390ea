"""What building over SSH adds to the same scripts run on the device by hand.

    python -m benchmarks.ssh_overhead

A real OpenSSH server on loopback stands for the device, with the tests' stand-in for trtexec, which
takes two seconds. Both ways run the same `build.sh` and `verify.sh`, in turns. What a network and a
slower board add on top is not in these figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.conditions import RESULTS, write_results
from tests.doubles.ssh_device import SshDevice, ssh_device
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.onnx_model.file import write_onnx
from toolkit.remote.build import build_on_device, bundle_for
from toolkit.remote.bundle import FOLDER

__all__ = ["main"]

_TARGET, _BATCH = "jetson-orin-nano-8gb", "4"
_BY_HAND = f"rm -rf {FOLDER}; tar -xzf b.tar.gz && sh {FOLDER}/build.sh && sh {FOLDER}/verify.sh"


def by_hand(device: SshDevice, folder: Path) -> float:
    """Return the seconds of unpacking the bundle and running its scripts."""
    path = f"{device.folder / 'bin'}:{os.environ['PATH']}"
    started = time.monotonic()
    subprocess.run(
        ["sh", "-c", _BY_HAND],
        cwd=folder,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )
    return time.monotonic() - started


def over_ssh(device: SshDevice, model: Path) -> float:
    """Return the seconds of `edgekit build --host`."""
    started = time.monotonic()
    build_on_device(model, target=_TARGET, host=device.address, root=str(device.root), batch=_BATCH)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "ssh-overhead.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = folder / "model.onnx"
        write_onnx(classifier(opset=17), model, contract())
        with ssh_device(folder / "ssh") as device:
            device.has_trtexec("10.3.0", seconds=2.0)
            os.environ["HOME"] = str(device.client)  # where ssh looks for keys and known hosts
            os.environ.pop("SSH_AUTH_SOCK", None)
            bundle_for(model, target=_TARGET, out=folder / "b.tar.gz", batch=_BATCH, jetpack="6.2")
            pairs = [
                (over_ssh(device, model), by_hand(device, folder)) for _ in range(arguments.rounds)
            ]
    added = sorted(ssh - hand for ssh, hand in pairs)
    values = {
        "rounds": arguments.rounds,
        "added_s": {
            "median": statistics.median(added),
            "smallest": added[0],
            "largest": added[-1],
        },
        "over_ssh_s": [ssh for ssh, _ in pairs],
        "by_hand_s": [hand for _, hand in pairs],
    }
    write_results(arguments.out, values)


if __name__ == "__main__":
    main()
