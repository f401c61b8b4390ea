"""Compare Edgekit's INT8 with that of other quantizers on real weights and images.

python -m benchmarks.ptq_peers IMAGENET_DIR --peers DIR [--model NAME] [--only PATTERN]
python -m benchmarks.ptq_peers --networks --peers DIR [--only PATTERN]

About an hour for both models on two cores, and longer for the networks, each of which is trained
first. `--only 'nncf/*'` makes these rows again and keeps the others; `--table` only writes
docs/ptq-peers.md again. IMAGENET_DIR is described in benchmarks/int8.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.conditions import RESULTS, write_results
from benchmarks.ptq_peers.combinations import COMBINATIONS, matching
from benchmarks.ptq_peers.making import Places, make_row
from benchmarks.ptq_peers.networks import NETWORKS, make_signs_data, network_rows
from benchmarks.ptq_peers.page import write_page

__all__ = ["main"]

MODELS = ("mobilenet_v2", "squeezenet1_1")
_NETWORKS = "networks"


def results_of(part: str) -> Path:
    """Return where the rows of a model, or those of the networks, are kept."""
    return RESULTS / f"ptq-peers-{part}.json"


def kept_rows(part: str) -> list[dict[str, Any]]:
    """Return the rows measured so far."""
    path = results_of(part)
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows


def merge(part: str, made: Iterable[dict[str, Any]], order: Sequence[str]) -> None:
    """Write the rows `made` over those kept, in the order of their keys in `order`."""
    rows = {row["key"]: row for row in (*kept_rows(part), *made)}
    values = {"part": part, "rows": [rows[key] for key in order if key in rows]}
    write_results(results_of(part), values)


def places_in(work: Path, model: Path, data: Path, arguments: argparse.Namespace) -> Places:
    """Return where the process of a tool finds everything."""
    return Places(
        model=model,
        train=data / "train",
        val=data / "val",
        peers=arguments.peers.resolve(),
        work=work,
        memory_gib=arguments.memory_gib,
        threads=arguments.threads,
    )


def compare_on(model: str, arguments: argparse.Namespace) -> None:
    """Make the chosen rows of `model`, keeping each as soon as it is made."""
    imagenet: Path = arguments.imagenet.resolve()
    with tempfile.TemporaryDirectory() as place:
        float_model = Path(place) / f"{model}.onnx"
        source = f"torchvision:{model}@{imagenet / 'weights' / f'{model}.pth'}"
        # In a process of its own, as everything here that is large.
        edgekit = Path(sys.executable).parent / "edgekit"
        command = [str(edgekit), "import", source, "--out", str(float_model), "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        places = places_in(Path(place), float_model, imagenet, arguments)
        for combination in matching(arguments.only):
            print(model, combination.key, file=sys.stderr, flush=True)
            row = make_row(combination, places)
            merge(model, [row], [each.key for each in COMBINATIONS])


def compare_networks(arguments: argparse.Namespace) -> None:
    """Train the chosen networks and make their rows."""
    order = [f"{n.name}/{each.key}" for n in NETWORKS for each in n.combinations]
    with tempfile.TemporaryDirectory() as place:
        signs = Path(place) / "signs"
        make_signs_data(signs)
        for network in NETWORKS:
            if fnmatch(network.name, arguments.only or "*"):
                print(network.name, file=sys.stderr, flush=True)
                model = Path(place) / f"{network.name}.onnx"
                rows = network_rows(network, places_in(Path(place), model, signs, arguments))
                merge(_NETWORKS, rows, order)


def parsed() -> argparse.Namespace:
    """Return the arguments, or stop with what is wrong about them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("imagenet", type=Path, nargs="?")
    parser.add_argument("--peers", type=Path, help="folder for the peers' environments")
    parser.add_argument("--model", choices=MODELS, help="one model instead of both")
    parser.add_argument("--networks", action="store_true", help="the briefly trained networks")
    parser.add_argument("--only", default="", metavar="PATTERN", help="such as 'nncf/*'")
    parser.add_argument("--memory-gib", type=float, default=8.0, help="what a tool may use")
    parser.add_argument("--threads", type=int, default=0, help="for scoring; 0: all")
    parser.add_argument("--table", action="store_true", help="write the page from the rows kept")
    arguments = parser.parse_args()
    if arguments.table:
        return arguments
    if arguments.peers is None:
        parser.error("--peers DIR is missing: the peers' virtual environments are made there")
    if not arguments.networks and arguments.imagenet is None:
        parser.error("IMAGENET_DIR is missing")
    names = [n.name for n in NETWORKS] if arguments.networks else [c.key for c in COMBINATIONS]
    if not any(fnmatch(name, arguments.only or "*") for name in names):
        known = "\n  ".join(names)
        parser.error(f"--only {arguments.only} matches none of\n  {known}")
    return arguments


def main() -> None:
    arguments = parsed()
    if arguments.networks and not arguments.table:
        compare_networks(arguments)
    elif not arguments.table:
        for model in (arguments.model,) if arguments.model else MODELS:
            compare_on(model, arguments)
    write_page({model: kept_rows(model) for model in MODELS}, kept_rows(_NETWORKS))


if __name__ == "__main__":
    main()
