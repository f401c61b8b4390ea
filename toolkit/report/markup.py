"""HTML and SVG built from elements, so that text is escaped by construction and never by care."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

__all__ = ["Child", "Markup", "element", "fragment", "raw", "visible"]

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

# Controls, lone surrogates (file names that are not UTF-8) and the characters that reorder text: a
# label must not be able to rearrange the report around it. Joiners that scripts need are kept.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Markup(str):
    """Text that is markup already; everything else is escaped when it becomes a child."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def visible(text: str) -> str:
    """Return `text` with invisible and reordering characters spelled out as their code point."""
    return _HIDDEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def raw(text: str) -> Markup:
    """Return `text` as markup. Only for constants of this package, such as the style sheet."""
    return Markup(text)


def fragment(*children: Child) -> Markup:
    """Return the children one after the other."""
    return Markup("".join(_rendered(children)))


def element(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return `<name ...>children</name>`.

    A trailing underscore is dropped and others become hyphens: `class_`, `data_label`. None and
    False leave an attribute out, True writes it without a value.
    """
    opening = name + "".join(_attributes(attributes))
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{fragment(*children)}</{name}>")


def _attributes(attributes: dict[str, str | float | bool | None]) -> Iterable[str]:
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        yield f" {name}" if value is True else f' {name}="{html.escape(visible(_text(value)))}"'


def _rendered(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, (str, int, float)):
            yield html.escape(visible(_text(child)), quote=False)
        else:
            yield from _rendered(child)


def _text(value: str | float) -> str:
    if isinstance(value, float):  # coordinates: a tenth of a pixel is enough
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
