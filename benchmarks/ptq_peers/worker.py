"""The process that runs one tool once: its last line on stdout is one JSON object.

Run by `making`, with the Python of the tool's own virtual environment.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import time
from importlib import metadata
from pathlib import Path

from benchmarks.ptq_peers.combinations import TOOLS
from benchmarks.ptq_peers.feed import Feed
from toolkit.onnx_model.file import open_model

__all__ = ["main"]

_PACKAGES = ("onnxruntime", "onnx", "numpy", "nvidia-modelopt", "nncf")


def installed() -> dict[str, str]:
    """Return the versions of what this process may have used."""
    there = {each.metadata["Name"].lower(): each.version for each in metadata.distributions()}
    return {name: there[name] for name in _PACKAGES if name in there}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tool", choices=sorted(TOOLS))
    for name in ("--model", "--images", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--setting", required=True)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--memory-gib", type=float, required=True)
    arguments = parser.parse_args()
    # A tool that wants more gets a MemoryError, and the machine stays usable.
    limit = int(arguments.memory_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    module, _, function = TOOLS[arguments.tool].partition(":")
    quantize = getattr(importlib.import_module(module), function)
    feed = Feed(arguments.images, open_model(arguments.model).contract, samples=arguments.samples)
    started = time.perf_counter()
    scheme = quantize(
        arguments.model, feed, arguments.out, setting=arguments.setting, scheme=arguments.scheme
    )
    seconds = time.perf_counter() - started
    report = {
        "scheme": scheme,
        "samples": len(feed),
        "seconds": seconds - feed.seconds,
        "decoding_seconds": feed.seconds,
        "versions": installed(),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
