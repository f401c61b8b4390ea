"""`file.pt2`: a program that `torch.export` saved, refused unless everything in it is data."""

from __future__ import annotations

import warnings

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from toolkit.artifacts import digest_of_file
from toolkit.errors import ModelError
from toolkit.preprocess_names import PREPROCESSINGS, named_preprocess
from toolkit.progress import Progress
from toolkit.shell import quoted
from toolkit.sources import Imported, Request
from toolkit.sources.from_network import imported_network
from toolkit.sources.program_check import check_program

__all__ = ["open_source"]

_TRAINING = ("aten.dropout.default", "aten._native_batch_norm_legit.default")


def open_source(request: Request) -> Imported:
    """Return the graph of an exported program; its preprocessing must be given by name.

    Raises CheckpointError for a damaged file or one that holds code, ModelError when it is not
    an image classifier in evaluation mode or when the preprocessing is missing.
    """
    path = request.path
    request.progress(Progress("read the program", 0, 1, path.name))
    check_program(path)
    with warnings.catch_warnings():
        # torch warns that it loads pickles; check_program has shown that these are only weights.
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            program = torch.export.load(path)
        except Exception as error:  # torch raises whatever its deserialiser raises
            raise ModelError(
                f"{path} is not an exported program that torch {torch.__version__} can read: "
                f"{(str(error).splitlines() or ['no reason given'])[0]}.",
                next_command="torch.export.save(torch.export.export(...), 'file.pt2')",
            ) from error
    batch, channels, height, width = _input_shape(program, str(path))
    if request.preprocess is None:
        raise ModelError(
            f"{path} does not say how its input ({channels}, {height}, {width}) is prepared.",
            next_command=f"edgekit import {quoted(path)} --preprocess {'|'.join(PREPROCESSINGS)} "
            "--out model.onnx",
        )
    preprocess = named_preprocess(request.preprocess, height=height, width=width, channels=channels)
    return imported_network(
        request,
        program,
        preprocess,
        source=f"{path.name}, exported program",
        parent=digest_of_file(path),
        imagenet=request.preprocess == "imagenet",
        batch=batch,
    )


def _input_shape(program: ExportedProgram, where: str) -> tuple[int, int, int, int]:
    """Return (N, C, H, W) of the only input, N = 0 for a dynamic batch."""
    names = program.graph_signature.user_inputs
    inputs: list[Node] = [
        node for node in program.graph.nodes if node.op == "placeholder" and node.name in names
    ]
    values = [node.meta.get("val") for node in inputs]
    shape = tuple(getattr(values[0], "shape", ())) if len(values) == 1 else ()
    if len(shape) != 4 or any(not isinstance(size, int) for size in shape[1:]):
        raise ModelError(
            f"{where} is not a single-input image classifier: it has {len(inputs)} inputs"
            + (f" of shape {shape}." if len(inputs) == 1 else "."),
            next_command="edgekit import --help",
        )
    for node in program.graph.nodes:
        if node.op == "call_function" and str(node.target) in _TRAINING:
            raise ModelError(
                f"{where} was exported in training mode (it contains {node.target}).",
                next_command="model.eval()   # before torch.export.export, then import it again",
            )
    batch = shape[0] if isinstance(shape[0], int) else 0
    return batch, int(shape[1]), int(shape[2]), int(shape[3])
