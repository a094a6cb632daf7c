"""A network whose weights wait in the host's memory and are on the GPU only while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Offload:
    """Keeps a network's parameters in the host's memory, pinned, so that each use copies them one way only.

    Buffers stay on the device: they are small. Its numbers are those of the network that stays there.

    Parameters:
        network: Without gradients.
        device: Where it runs.
    """

    def __init__(self, network: Any, device: torch.device) -> None:
        self.network, self.device = network, device
        for parameter in network.parameters():
            host = parameter.data.cpu()
            parameter.data = host.pin_memory() if device.type == "cuda" else host
        if device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The network on its device, for a while."""
        host = [parameter.data for parameter in self.network.parameters()]
        try:
            for parameter, data in zip(self.network.parameters(), host, strict=True):
                parameter.data = data.to(self.device, non_blocking=True)
            yield
        finally:
            for parameter, data in zip(self.network.parameters(), host, strict=True):
                parameter.data = data
