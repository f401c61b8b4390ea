"""Read ONNX external data: weights in other files, but never from outside the model's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from toolkit.errors import ModelError
from toolkit.shell import quoted

__all__ = ["external_tensors", "load_external_data", "subgraphs"]


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield `graph` and every graph nested in it (the branches of If, the bodies of Loop)."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for node in current.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                pending.extend(attribute.graphs)


def external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of `model` whose bytes lie in another file."""
    nodes = [node for function in model.functions for node in function.node]
    tensors: list[onnx.TensorProto] = []
    for graph in subgraphs(model.graph):
        tensors.extend(graph.initializer)
        nodes.extend(graph.node)
        for sparse in graph.sparse_initializer:
            tensors.extend((sparse.values, sparse.indices))
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                tensors.append(attribute.t)
            tensors.extend(attribute.tensors)
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def load_external_data(model: onnx.ModelProto, path: Path, *, limit: int) -> None:
    """Move the external data of `model`, which was read from `path`, into the model, in place.

    Every location must be a plain relative name that still lies in the model's folder after
    symbolic links are followed. Raises ModelError otherwise, when a file is missing or shorter
    than the model says, and when more than `limit` bytes would be read.
    """
    total = 0
    for tensor in external_tensors(model):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        source = _inside(path, entries.get("location", ""), tensor.name)
        content = _read(path, source, entries, tensor.name, limit=limit - total)
        total += len(content)
        tensor.raw_data = content
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def _inside(path: Path, location: str, tensor: str) -> Path:
    folder = path.parent.resolve()
    if not location or "\0" in location or Path(location).is_absolute() or "\\" in location:
        raise _refused(path, tensor, f"{location!r} is not a relative file name")
    source = (folder / location).resolve()
    if not source.is_relative_to(folder):
        # A link inside the folder may point out of it, so the resolved path is what counts.
        raise _refused(path, tensor, f"{location!r} leads outside {folder}")
    return source


def _read(path: Path, source: Path, entries: dict[str, str], tensor: str, *, limit: int) -> bytes:
    try:
        offset = int(entries.get("offset", "0"))
        size = source.stat().st_size
        length = int(entries.get("length", size - offset))
        if not source.is_file():
            raise _refused(path, tensor, f"{source.name} is not a plain file")
        if offset < 0 or length < 0 or offset + length > size:
            raise ModelError(
                f"{path} takes weight {tensor!r} from bytes {offset} to {offset + length} of "
                f"{source.name}, which has {size}: that file is truncated or another one.",
                next_command=f"ls -l {quoted(source)}",
            )
        if length > limit:
            raise _refused(path, tensor, "the weights together exceed 2 GiB")
        with source.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise ModelError(
            f"{path} keeps weight {tensor!r} in {source.name}, which cannot be read: "
            f"{error.strerror or error}. Copy it beside the model.",
            next_command=f"ls -l {quoted(path.parent)}",
        ) from error
    except ValueError as error:
        raise _refused(path, tensor, f"offset or length is not a number ({error})") from error


def _refused(path: Path, tensor: str, reason: str) -> ModelError:
    return ModelError(
        f"{path} wants to read weight {tensor!r} from another file, which is refused: {reason}.",
        next_command=f"edgekit inspect {quoted(path)}",
    )
