"""The second half of the comparison: other networks, briefly trained on generated road signs.

Ten drawn classes and minutes of training leave weights that no product ships: these rows show how
close INT8 stays to float, not whether a real network collapses. One network is given outlier
channels on purpose, which is evidence of the mechanism.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ptq_peers.combinations import EDGEKIT, Combination
from benchmarks.ptq_peers.making import Places, make_row

__all__ = ["NETWORKS", "Network", "network_rows"]

_ROOT = Path(__file__).resolve().parents[2]
_SAMPLES = 256
_TRAIN, _VAL = 1500, 300
_EPOCHS = 8
_PLAIN = (
    Combination(EDGEKIT, "balanced", _SAMPLES),
    Combination("onnxruntime", "minmax", _SAMPLES),
)
_PLANTED = (
    Combination(EDGEKIT, "minmax", _SAMPLES),
    Combination(EDGEKIT, "balanced", _SAMPLES),
    Combination("onnxruntime", "minmax", _SAMPLES),
)


@dataclass(frozen=True)
class Network:
    """A torchvision network; `plant_bits` > 0 makes a tenth of its channels 2**bits as large."""

    name: str
    arch: str
    plant_bits: int = 0

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """Return what is run on it."""
        return _PLANTED if self.plant_bits else _PLAIN


NETWORKS = (
    Network("resnet18", "resnet18"),
    Network("resnet50", "resnet50"),
    Network("mobilenet_v3_large", "mobilenet_v3_large"),
    Network("efficientnet_b0", "efficientnet_b0"),
    Network("shufflenet_v2_x1_0", "shufflenet_v2_x1_0"),
    Network("regnet_y_400mf", "regnet_y_400mf"),
    Network("densenet121", "densenet121"),
    Network("resnet18-outliers", "resnet18", plant_bits=7),
)


def network_rows(network: Network, places: Places) -> list[dict[str, Any]]:
    """Train `network`, run its combinations on it, and return their rows.

    `places.train` and `.val` lie in one folder of signs.
    """
    command = [
        *(sys.executable, "-m", "benchmarks.ptq_peers.signs_network", network.arch),
        *("--data", str(places.train.parent), "--out", str(places.model)),
        *("--epochs", str(_EPOCHS), "--threads", str(places.threads)),
        *("--plant-bits", str(network.plant_bits)),
    ]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )
    trained = json.loads(done.stdout.splitlines()[-1])
    facts = {"network": network.name, "plant_bits": network.plant_bits, "trained": trained}
    rows = (make_row(combination, places) for combination in network.combinations)
    return [{**row, **facts, "key": f"{network.name}/{row['key']}"} for row in rows]


def make_signs_data(folder: Path) -> None:
    """Draw the pictures all networks are trained, calibrated and scored on, in another process."""
    code = (
        "import sys; from pathlib import Path; from toolkit.datasets.signs import make_signs;"
        f"make_signs(Path(sys.argv[1]), train={_TRAIN}, val={_VAL}, size=64, seed=0)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=_ROOT)
