"""Keep the answers of a sweep as they are given: a line for each batch under each corruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.artifacts import digest_of_file
from toolkit.line_journal import LineJournal, digest_of_images, open_lines
from toolkit.predictions import IdentifiedImage
from toolkit.robustness.record import cells_of
from toolkit.runtime import Session

__all__ = ["open_sweep_journal"]

_VERSION = 1


@contextmanager
def open_sweep_journal(
    path: Path | None,
    models: tuple[Path, Path],
    sessions: tuple[Session, Session],
    images: Sequence[IdentifiedImage],
    corruptions: Sequence[str],
    *,
    batch_size: int,
    seed: int,
) -> Iterator[LineJournal]:
    """Yield the journal of this sweep; without a `path`, one that keeps nothing.

    A line is [corruption, severity, answers of a, answers of b], in the order of the sweep. The
    file is removed when the block ends without an error. Raises what `open_lines` raises.
    """
    cells = cells_of(corruptions)

    def check(lines: Sequence[Any]) -> None:
        for place, (name, severity, *answers) in enumerate(lines):
            begin = place // len(cells) * batch_size
            n = len(images[begin : begin + batch_size])
            in_order = (name, severity) == cells[place % len(cells)] and n > 0
            told = len(answers) == 2 and all(
                isinstance(each, str) and len(each) == n and not set(each) - {"0", "1"}
                for each in answers
            )
            if not in_order or not told:
                raise ValueError(f"line {place + 2} is not the answers that come next")

    key = {} if path is None else _key(models, sessions, images, corruptions)
    key |= {"batch_size": batch_size, "seed": seed}
    with open_lines(path, key, version=_VERSION, of="a corruption sweep", check=check) as lines:
        yield lines


def _key(
    models: Sequence[Path],
    sessions: Sequence[Session],
    images: Sequence[IdentifiedImage],
    corruptions: Sequence[str],
) -> dict[str, Any]:
    """Return what must be equal for answers to be the same."""
    return {
        "models": [digest_of_file(model) for model in models],
        "backends": [session.backend for session in sessions],
        "images": digest_of_images(images),
        "corruptions": list(corruptions),
    }
