"""Many processes, one motion: each renders and scores its share of a step's views, then gradients are averaged.

The gradient on the motion is a few kilobytes, so that processes hardly wait for each other. All of them draw the cameras,
noise levels and noise of all views and use their own: a run with V views is the same run on any number of processes, up
to rounding.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch

from schemas.errors import InputError


@dataclasses.dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: Of this process, from 0. The first one writes; the others keep silent.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, views: int) -> slice:
        """This process's part of the views of a step.

        Raises:
            InputError: They cannot be divided evenly.
        """
        if views % self.size:
            near = -(-views // self.size) * self.size
            raise InputError(f"--views {views}: cannot be divided among {self.size} processes;", f"give a multiple, such as {near}.")
        each = views // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def mean(self, tensors: list[torch.Tensor]) -> None:
        """Replace every tensor by its mean over the processes, in one message. The same bits everywhere."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.div_(self.size).split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def tell(self, value: Any = None) -> Any:
        """What the first process passes, on every process."""
        if self.size == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]


ALONE = World()


def launched() -> World:
    """Rank and number of processes as torchrun set them; touches nothing.

    Raises:
        InputError: Its variables are no numbers.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdigit() and size.isdigit() and int(rank) < int(size)):
        raise InputError(f"RANK {rank}, WORLD_SIZE {size}: are not what torchrun sets;", "unset both, or start with torchrun.")
    return World(int(rank), int(size))


def start(device: str) -> World:
    """Join the other processes of torchrun, if there are any: gloo on the CPU, NCCL with one GPU for each on CUDA.

    Parameters:
        device: "cpu" or "cuda".

    Raises:
        InputError: There are fewer GPUs than processes on this machine.
    """
    world = launched()
    if world.size == 1:
        return world
    if device == "cuda":
        local, count = int(os.environ.get("LOCAL_RANK", world.rank)), torch.cuda.device_count()
        if local >= count:
            raise InputError(f"torchrun --nproc-per-node: process {local + 1} on this machine finds {count} GPUs;", f"start at most {count}.")
        torch.cuda.set_device(local)
    if not joined():  # gradients on a GPU travel over NCCL, objects (the body, a checkpoint) over gloo
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "cpu:gloo")
    return world


def joined() -> bool:
    """Whether this process has joined the others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def wait() -> None:
    """Wait until all processes are here: one that leaves while another still listens takes it down."""
    if joined():
        torch.distributed.barrier()


def stop() -> None:
    """Leave the other processes."""
    if joined():
        torch.distributed.destroy_process_group()
