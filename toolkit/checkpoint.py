"""Read and write checkpoints; nothing but weights is ever unpickled."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.artifacts import digest_of_file
from toolkit.atomic import write_bytes
from toolkit.errors import CheckpointError, ContractError
from toolkit.networks import build_network
from toolkit.preprocess import Preprocess, preprocess_from_dict
from toolkit.shell import quoted

__all__ = [
    "Trained",
    "Weights",
    "load_weights",
    "network_of",
    "read_any",
    "read_checkpoint",
    "read_weights",
    "save_trained",
]

_FORMAT = 1
_AVERAGED = ("state_dict_ema", "model_ema", "ema")
_NESTED = ("state_dict", "model_state_dict", "model", "net", *_AVERAGED, "module")
"""Where training scripts put the weights; the averaged ones only if there are no others."""
_PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""


@dataclass(frozen=True)
class Trained:
    """What `edgekit train` saves: weights and all that is needed to use them."""

    arch: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    state: Mapping[str, Tensor]
    top1: float
    epochs: int
    seed: int


@dataclass(frozen=True)
class Weights:
    """Weights from elsewhere, their names freed of wrapper prefixes; `digest` is the file's.

    `part` says which entry of the file they are, and which averaged ones were passed over; ""
    where the file holds nothing else.
    """

    state: Mapping[str, Tensor]
    digest: str
    part: str = ""


def save_trained(path: Path, trained: Trained) -> None:
    """Write `trained` atomically, as plain values that `torch.load(weights_only=True)` accepts."""
    values = {
        "edgekit": _FORMAT,
        "arch": trained.arch,
        "classes": list(trained.classes),
        "preprocess": trained.preprocess.to_dict(),
        "state_dict": {
            name: tensor.detach().cpu().contiguous() for name, tensor in trained.state.items()
        },
        "top1": trained.top1,
        "epochs": trained.epochs,
        "seed": trained.seed,
    }
    buffer = io.BytesIO()  # saved to a name, the archive would contain that name
    torch.save(values, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path) -> Trained:
    """Return what `edgekit train` saved in `path`.

    Raises CheckpointError when the file is missing, damaged, holds code, or is somebody else's.
    """
    found = read_any(path)
    if isinstance(found, Weights):
        raise CheckpointError(
            f"{path} was not written by `edgekit train`: it does not say which network it is for.",
            next_command=f"edgekit import {quoted(path)} --arch NAME --out model.onnx",
        )
    return found


def read_weights(path: Path) -> Weights:
    """Return the weights in a `.pth` or `.pt` file, wherever its writer put them.

    Raises CheckpointError when the file is missing, damaged, holds code or holds no weights.
    """
    found = read_any(path)
    return found if isinstance(found, Weights) else Weights(found.state, digest_of_file(path))


def read_any(path: Path) -> Trained | Weights:
    """Return a checkpoint of ours, or the weights of somebody else's file.

    Raises CheckpointError when the file is missing, damaged, holds code or holds no weights.
    """
    values = _load(path)
    if isinstance(values, dict) and "edgekit" in values and "arch" in values:
        return _trained(path, values)
    part, state = _state(path, values)
    return Weights(_without_prefixes(state), digest_of_file(path), part)


def network_of(trained: Trained, *, where: Path) -> nn.Module:
    """Return the network of a checkpoint with its weights. Raises CheckpointError if not equal."""
    network = build_network(trained.arch, len(trained.classes))
    load_weights(network, trained.state, arch=trained.arch, where=str(where))
    return network


def load_weights(network: nn.Module, state: Mapping[str, Tensor], *, arch: str, where: str) -> None:
    """Copy `state` into `network`; every weight must be there and fit.

    `arch` and `where` (the file) are for the error. Raises CheckpointError naming what is
    missing, unexpected or of another shape.
    """
    own = network.state_dict()
    # Counters of old PyTorch versions are absent, and do nothing outside training.
    missing = [n for n in own if n not in state and not n.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    other = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or unexpected or other:
        reasons = [
            _listed("missing", missing),
            _listed("unexpected", unexpected),
            _listed("of another shape", other),
        ]
        raise CheckpointError(
            f"The weights in {where} are not those of {arch} ({len(state)} tensors, "
            f"{len(own)} needed): {'; '.join(reason for reason in reasons if reason)}.",
            next_command=f"edgekit import {quoted(where)} --arch ANOTHER_NAME --out model.onnx",
        )
    network.load_state_dict(dict(state), strict=False)  # strict but for those counters, see above


def _trained(path: Path, values: dict[str, Any]) -> Trained:
    version = values["edgekit"]
    if not isinstance(version, int) or version > _FORMAT:
        raise CheckpointError(
            f"{path} was written by a newer Edgekit (format {version}, this one reads {_FORMAT}).",
            next_command="pip install --upgrade edgekit",
        )
    try:
        return Trained(
            arch=str(values["arch"]),
            classes=tuple(str(name) for name in values["classes"]),
            preprocess=preprocess_from_dict(values["preprocess"]),
            state=values["state_dict"],
            top1=float(values["top1"]),
            epochs=int(values["epochs"]),
            seed=int(values["seed"]),
        )
    except (KeyError, TypeError, ValueError, ContractError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}.", next_command=f"edgekit train DATA --out {quoted(path)}"
        ) from error


def _state(path: Path, values: Any) -> tuple[str, dict[str, Tensor]]:
    """Return which part of the file holds the weights, and the weights."""
    if isinstance(values, dict):
        entries = [key for key in _NESTED if isinstance(values.get(key), Mapping)]
        if entries:
            part = entries[0]
            others = [key for key in entries[1:] if key in _AVERAGED]
            inner, state = _state(path, values[part])
            part += f".{inner}" if inner else ""
            return part + "".join(f", not {key}" for key in others), state
    if isinstance(values, Mapping):
        state = {
            str(name): value
            for name, value in values.items()
            if isinstance(value, Tensor) and name != "n_averaged"  # AveragedModel's counter
        }
        if state:
            return "", state
    keys = ", ".join(str(key) for key in list(values)[:5]) if isinstance(values, Mapping) else ""
    raise CheckpointError(
        f"{path} holds no weights: a {type(values).__name__}" + (f" with {keys}." if keys else "."),
        next_command="python -c \"torch.save(model.state_dict(), 'weights.pth')\"",
    )


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # Both announce what the refusal below says in one sentence.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            warnings.filterwarnings("ignore", ".*looks like a TorchScript archive", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} does not exist.", next_command=f"ls -l {quoted(path.parent)}"
        ) from error
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except (OSError, EOFError, RuntimeError, ValueError, LookupError) as error:
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"{path} is a TorchScript archive, which is code, and was refused.",
                next_command="python -c \"torch.save(torch.jit.load('FILE').state_dict(), "
                "'weights.pth')\"   # only if you trust FILE",
            ) from error
        raise _damaged(path) from error


def _refused(path: Path, error: Exception) -> CheckpointError:
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    reason = f"names {wanted[1]}, which is code" if wanted else "is damaged, or holds code"
    return CheckpointError(
        f"{path} is more than weights (it {reason}) and was refused: nothing in it was run.",
        next_command="python -c \"torch.save(model.state_dict(), 'weights.pth')\"   "
        "# where the model was trained",
    )


def _damaged(path: Path) -> CheckpointError:
    size = path.stat().st_size if path.is_file() else 0
    reason = f"is damaged, cut off or not a checkpoint ({size:,} bytes)" if size else "is empty"
    return CheckpointError(
        f"{path} {'is a folder' if path.is_dir() else reason}.",
        next_command=f"ls -l {quoted(path)}",
    )


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): value for name, value in state.items()}
                stripped = True
    return state


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{more})"
