"""The images whose answer changed, with a thumbnail of each that can be found."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from toolkit.errors import ImageError
from toolkit.images import image_digest, read_image
from toolkit.report.model import Flip, FlipSet
from toolkit.report.paired import ChangedAnswer, Paired

__all__ = ["GALLERY", "flip_sets", "thumbnail"]

GALLERY = 24
"""At most so many images are shown in one report."""

_EDGE = 168  # half as large again as on the page, for fine screens
_ORDER = {"lost": 0, "gained": 1, "": 2}


def flip_sets(
    pairs: Sequence[Paired], names: Mapping[str, str], *, beside: Sequence[Path] = ()
) -> tuple[FlipSet, ...]:
    """Return the flips of each comparison, losses first; `names` are by digest.

    The folder of images is looked for where the command found it, then in the folders `beside`.
    """
    share = max(1, GALLERY // max(1, len(pairs)))
    return tuple(_flip_set(pair, names, share, beside) for pair in pairs)


def thumbnail(path: Path) -> bytes:
    """Return a square JPEG of the middle of the picture. Raises ImageError."""
    picture = Image.fromarray(read_image(path))
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    square = picture.resize(
        (_EDGE, _EDGE), Image.Resampling.BILINEAR, box=(left, top, left + edge, top + edge)
    )
    written = io.BytesIO()
    square.save(written, "JPEG", quality=72, optimize=True)
    return written.getvalue()


def _flip_set(
    pair: Paired, names: Mapping[str, str], share: int, beside: Sequence[Path]
) -> FlipSet:
    ordered = sorted(pair.changed, key=lambda change: _ORDER.get(change.effect, 2))
    roots = [Path(pair.images), *(folder / pair.images for folder in beside)]
    return FlipSet(
        before=names.get(pair.before_digest, Path(pair.before).name),
        after=names.get(pair.after_digest, Path(pair.after).name),
        images=pair.n,
        total=len(pair.changed),
        lost=pair.only_before,
        gained=pair.only_after,
        flips=tuple(_flip(change, roots) for change in ordered[:share]),
        mcnemar_p=pair.mcnemar_p,
        agreement=pair.agreement,
    )


def _flip(change: ChangedAnswer, roots: Sequence[Path]) -> Flip:
    return Flip(
        image=change.path,
        truth=change.label,
        before=change.before,
        after=change.after,
        lost=change.effect == "lost",
        gained=change.effect == "gained",
        thumbnail=_find(change, roots),
    )


def _find(change: ChangedAnswer, roots: Sequence[Path]) -> bytes:
    """Return the thumbnail of the very image that was scored, or nothing: never another one."""
    for root in roots:
        path = root / change.path
        inside = root.resolve() in path.resolve().parents  # a path from a file is not trusted
        if inside and path.is_file():
            try:
                if image_digest(path) == change.digest:
                    return thumbnail(path)
            except ImageError:
                return b""  # the page says that the picture was not found
    return b""
