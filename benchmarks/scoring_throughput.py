"""`edgekit score` against bare inference of the same batches, with decoding on a core of its own.

    python -m benchmarks.scoring_throughput model.int8.cpu.onnx --images DIR

One thread infers while others decode, as `score --threads 1` does it; the bare rounds infer
prepared batches of the same size with the same session options. Rounds of both take turns, so that
what disturbs the machine disturbs both. Two ratios of time are written, scoring over bare:
`loop`, from the first scored batch to the last, and `whole`, with opening, listing and digests.
Where decoding takes longer than inference, it is what limits; `decode_ms` says so. Where other
processes used the core that decoding needs, there is no verdict; `foreign_cores` says how much.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.conditions import RESULTS, busy_s, write_results
from toolkit.artifacts import digest_of_file
from toolkit.datasets.folder import LabelledImage, batches
from toolkit.predictions import batch_size_for, images_to_score
from toolkit.progress import Progress
from toolkit.runtime import Session, open_session
from toolkit.score import score

__all__ = ["main"]

_MOST = 1.0 / 0.9
"""At least 0.9 of bare inference's throughput."""
_FOREIGN_CORES = 0.2


def bare_s(session: Session, prepared: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Return the seconds of all batches, and of those after the first."""
    ends = [time.perf_counter()]
    for batch in prepared:
        session.infer(batch)
        ends.append(time.perf_counter())
    return ends[-1] - ends[0], ends[-1] - ends[1]


def scored_s(engine: Path, images: Path, *, limit: int | None) -> tuple[float, float]:
    """Return the seconds of the whole call, and between the first and the last scored batch."""
    ends: list[float] = []

    def note(progress: Progress) -> None:
        if progress.step == "score":
            ends.append(time.perf_counter())

    start = time.perf_counter()
    score(engine, images=images, threads=1, limit=limit, progress=note)
    return time.perf_counter() - start, ends[-1] - ends[0]


def run(engine: Path, images: Path, *, limit: int | None, rounds: int) -> dict[str, Any]:
    """Return both ratios, with every round's seconds."""
    with open_session(engine, threads=1) as session:
        contract = session.contract
        size = batch_size_for(contract, 0, engine_name=session.engine_name)
        chosen = images_to_score(images, contract, limit=limit, progress=lambda _: None)
        labelled = [LabelledImage(image.path, image.label) for image in chosen.images]
        start = time.perf_counter()
        prepared = [each for each, _ in batches(labelled, contract.preprocess, batch_size=size)]
        decode_s = time.perf_counter() - start
        bare_s(session, prepared[:4])
        machine_s, own_s, wall_s = busy_s(), time.process_time(), time.monotonic()
        before, scored, after = [], [], []
        for _ in range(rounds):
            before.append(bare_s(session, prepared))
            scored.append(scored_s(engine, images, limit=limit))
            after.append(bare_s(session, prepared))
        foreign_s = busy_s() - machine_s - (time.process_time() - own_s)
        foreign = foreign_s / (time.monotonic() - wall_s)
    whole = [s[0] / ((b[0] + a[0]) / 2) for s, b, a in zip(scored, before, after, strict=True)]
    loop = [s[1] / ((b[1] + a[1]) / 2) for s, b, a in zip(scored, before, after, strict=True)]
    infer_s = statistics.median(b[0] for b in (*before, *after))
    return {
        "engine": engine.name,
        "engine_digest": digest_of_file(engine),
        "precision": contract.precision,
        "images": len(labelled),
        "batch_size": size,
        "cores": os.cpu_count(),
        "foreign_cores": foreign,
        "decode_ms": 1e3 * decode_s / len(labelled),
        "infer_ms": 1e3 * infer_s / len(labelled),
        "loop_over_bare": statistics.median(loop),
        "whole_over_bare": statistics.median(whole),
        "at_most": _MOST,
        "loop_rounds": loop,
        "whole_rounds": whole,
        "bare_s": [list(each) for each in (*before, *after)],
        "scored_s": [list(each) for each in scored],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "scoring-throughput.json")
    given = parser.parse_args()
    found = run(given.engine, given.images, limit=given.limit, rounds=given.rounds)
    print(
        f"{found['images']} images: scoring takes {found['loop_over_bare']:.3f} of bare inference "
        f"(at most {_MOST:.3f}), {found['whole_over_bare']:.3f} with opening and digests; "
        f"inference {found['infer_ms']:.2f} ms, decoding {found['decode_ms']:.2f} ms an image"
    )
    write_results(given.out, found)
    if found["foreign_cores"] > _FOREIGN_CORES:
        print(
            f"no verdict: other processes used {found['foreign_cores']:.1f} of {found['cores']} "
            "cores, so decoding had none of its own"
        )
        return 3
    return 0 if found["loop_over_bare"] <= _MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
