"""Spell the equations of Einsum as TensorRT reads them: lowercase letters and no spaces.

`torch.einsum("B H I D, B H J D -> B H I J", q, k)` is legal in ONNX too, but TensorRT's parser
answers "Invalid character(s) in Einsum equation". The letters are only names, but for an equation
without an arrow, whose result has them in alphabetical order: there the result is written out.
"""

from __future__ import annotations

import string

import onnx

__all__ = ["spell_einsum"]


def spell_einsum(graph: onnx.GraphProto) -> None:
    """Rename the letters of every equation of `graph`, in place; the function stays the same."""
    for node in graph.node:
        if node.op_type != "Einsum":
            continue
        for attribute in node.attribute:
            if attribute.name == "equation":
                attribute.s = _spelled(attribute.s.decode("utf-8")).encode("utf-8")


def _spelled(equation: str) -> str:
    plain = _explicit("".join(equation.split()))
    letters = dict.fromkeys(letter for letter in plain if letter.isalpha())
    if all(letter.islower() for letter in letters) or len(letters) > len(string.ascii_lowercase):
        return plain
    names = dict(zip(letters, string.ascii_lowercase, strict=False))
    return "".join(names.get(letter, letter) for letter in plain)


def _explicit(equation: str) -> str:
    """Return the equation with its result: letters that occur once, behind what an ellipsis is."""
    if "->" in equation:
        return equation
    once = sorted(
        letter for letter in set(equation) if letter.isalpha() and equation.count(letter) == 1
    )
    return f"{equation}->{'...' if '...' in equation else ''}{''.join(once)}"
