"""The processes that train one network together, as `torchrun` starts them.

Every worker computes the gradient of its share of each batch; DistributedDataParallel adds them up
over NCCL between GPUs, or Gloo between CPUs. When one dies the run ends; the same command with
`--resume` goes on. `torchrun --max-restarts` is not relied on: with Gloo, workers that it started
anew were seen to wait for each other's connections without end.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["Workers", "lone_worker", "open_workers"]

_JOINING = timedelta(minutes=1)
_PATIENCE = timedelta(minutes=30)
"""How long a worker waits for another's part of a step, or for its pictures."""


@dataclass(frozen=True)
class Workers:
    """The place of this process: number `rank` of `count`, and computes on `device`."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Return whether this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this worker's part of a batch; empty if it has fewer pictures than workers."""
        return batch[self.rank :: self.count]

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return the network to train: with more than one worker its gradients are averaged.

        Batch normalization sees the whole batch on GPUs (SyncBatchNorm); on CPUs, where PyTorch
        has no such layer, it sees the worker's share, and the first worker's averages are saved.
        """
        if self.count == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            return DistributedDataParallel(network, device_ids=[self.device.index])
        return DistributedDataParallel(network)

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all workers; every worker must call this."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def from_leader(self, value: Any) -> Any:
        """Return the leader's `value` in every worker; every worker must call this."""
        if self.count == 1:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


def lone_worker() -> Workers:
    """Return the only worker, on the GPU if there is one."""
    return Workers(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _join(backend: str) -> None:
    """Form the group; a worker that does not find the others within a minute ends."""
    if not hasattr(distributed.ProcessGroup, "set_timeout"):  # an older torch: one limit for all
        distributed.init_process_group(backend, timeout=_PATIENCE)
        return
    distributed.init_process_group(backend, timeout=_JOINING)
    group = distributed.group.WORLD
    if group is not None:
        group.set_timeout(_PATIENCE)


@contextmanager
def open_workers() -> Iterator[Workers]:
    """Yield this process's place among the workers; a lone one where `torchrun` started none.

    Where a process group exists already it is used, and left open.
    """
    joined = not distributed.is_initialized() and "RANK" in os.environ
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if joined:
        _join("nccl" if device.type == "cuda" else "gloo")
    try:
        if distributed.is_initialized():
            yield Workers(distributed.get_rank(), distributed.get_world_size(), device)
            distributed.barrier()  # who leaves first would end the others' connections
        else:
            yield lone_worker()
    finally:
        if joined:
            # DistributedDataParallel is part of reference cycles. Left to the exit of Python, it
            # was measured to abort one process in seven: it holds the group, whose threads run on.
            gc.collect()
            distributed.destroy_process_group()
