"""What the builders of TensorRT and TensorRT-RTX share: the graph, its batch, and refusals.

`trt` is the module of the bindings.
"""

from __future__ import annotations

from typing import Any

from toolkit.build.builder_watch import BuildWatch
from toolkit.build.request import BatchRange, BuildRequest
from toolkit.errors import BuildError
from toolkit.explain import explain_text
from toolkit.shell import quoted

__all__ = ["parse_graph", "refused", "set_batch"]

_SHOWN = 3  # of the builder's complaints: one node that it cannot read is often read many times


def parse_graph(trt: Any, request: BuildRequest, network: Any, watch: BuildWatch) -> None:
    """Read the model into `network`. Raises BuildError with the parser's words and the nodes."""
    parser = trt.OnnxParser(network, watch.logger)
    if parser.parse(request.model.path.read_bytes()):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    raise refused(trt, request, [_words(error) for error in errors] or watch.errors)


def set_batch(request: BuildRequest, builder: Any, network: Any, config: Any) -> BatchRange | None:
    """Add the profile of a dynamic batch (one picture unless asked otherwise); return its sizes.

    Raises BuildError when the graph's batch is fixed and another was asked for.
    """
    source = network.get_input(0)
    count, *image = source.shape
    if count > 0:
        if request.batch not in (None, BatchRange(count, count, count)):
            raise BuildError(
                f"{request.model.path} takes batches of {count} only, {request.batch} was asked.",
                next_command="edgekit import SOURCE --out model.onnx",
            )
        return None
    batch = request.batch or BatchRange(1, 1, 1)
    profile = builder.create_optimization_profile()
    shapes = [(size, *image) for size in (batch.minimum, batch.optimum, batch.maximum)]
    profile.set_shape(source.name, *shapes)
    config.add_optimization_profile(profile)
    return batch


def refused(trt: Any, request: BuildRequest, words: list[str]) -> BuildError:
    """Return the error that says in TensorRT's own words why there is no engine.

    Where a rule of `toolkit.explain` knows these words, the cause and its fix follow.
    """
    lines = list(dict.fromkeys(" ".join(word.split()) for word in words))
    said = "; ".join(lines[:_SHOWN]) or "no reason given"
    if len(lines) > _SHOWN:
        said = f"{said.rstrip('.')}; and {len(lines) - _SHOWN} more"
    message = f"{trt.__name__} {trt.__version__} refuses {request.model.path}: {said.rstrip('.')}."
    model = quoted(request.model.path)
    known = next((each for each in explain_text("\n".join(lines)) if not each.warning), None)
    if known is None:
        return BuildError(message, next_command=f"edgekit inspect {model}")
    return BuildError(
        f"{message} {known.cause}",
        next_command=known.fix_for(model=model, target=request.target),
    )


def _words(error: Any) -> str:
    if not hasattr(error, "node_name"):  # TensorRT 8
        return f"node {error.node()}: {error.desc()}"
    return f"node {error.node_name()!r} ({error.node_operator()}): {error.desc()}"
