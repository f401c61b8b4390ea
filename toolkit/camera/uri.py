"""A camera URI taken apart: `scheme://target?option=value&...`."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from toolkit.errors import CameraError
from toolkit.shell import quoted

__all__ = ["CameraUri", "camera_uri", "did_you_mean"]

_EXAMPLE = "edgekit live ENGINE --camera synthetic://640x480"


@dataclass(frozen=True)
class CameraUri:
    """`text` is what the user wrote, without a password; `options` follow the question mark."""

    text: str
    scheme: str
    target: str
    options: dict[str, str]
    secret: str = field(repr=False)
    """What the user wrote, password included: never for messages."""

    def check_options(self, known: Collection[str]) -> None:
        """Raise CameraError for an option that is not in `known`."""
        for name in self.options:
            if name not in known:
                raise CameraError(
                    f"{self.text}: {self.scheme}:// has no option {name!r}"
                    f"{did_you_mean(name, known)} (it has {', '.join(sorted(known))}).",
                    next_command=_EXAMPLE,
                )

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return a numeric option. Raises CameraError when it is no number from low to high."""
        text = self.options.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise CameraError(
                f"{self.text}: {name}={text} is not a number from {low:g} to {high:g}.",
                next_command=_EXAMPLE,
            )
        return value

    def path(self) -> Path:
        """Return the target as a path. Raises CameraError when there is none."""
        if not self.target:
            raise CameraError(f"{self.text!r} names no file or folder.", next_command=_EXAMPLE)
        return Path(self.target)

    def flag(self, name: str) -> bool:
        """Return an option that is 0 or 1. Raises CameraError for anything else."""
        return bool(self.number(name, 0, low=0, high=1))


def camera_uri(text: str) -> CameraUri:
    """Return the parts of `text`. Raises CameraError when it is no URI."""
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme:
        raise CameraError(
            f"{text!r} is not a camera URI.",
            next_command=f"edgekit live ENGINE --camera {quoted(f'file://{text}')}",
        )
    target, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    return CameraUri(_without_password(text), scheme.lower(), unquote(target), options, secret=text)


def _without_password(text: str) -> str:
    scheme, _, rest = text.partition("://")
    user, at, place = rest.rpartition("@")  # the last one: passwords may contain @ and /
    if not at or ":" not in user:
        return text
    return f"{scheme}://{user.partition(':')[0]}:***@{place}"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest of `known`, or nothing."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
