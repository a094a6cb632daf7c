"""Counting what a network does and holds, on the meta device, where nothing is computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Alive(TorchDispatchMode):
    """Sums the storage that is alive, except that of given tensors. [bytes]"""

    def __init__(self, apart: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, Any] = {tensor.untyped_storage()._cdata: None for tensor in apart}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return

        def gone(_: Any) -> None:
            if self.known.pop(key, None) is not None:
                self.now -= size

        self.known[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def flops(function: Callable[[], Any]) -> tuple[int, Any]:
    """FLOPs of a call, and its result."""
    with FlopCounterMode(display=False) as counter:
        result = function()
    return counter.get_total_flops(), result


def on_meta(network: Callable[..., Any], dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    """A network without storage."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            return network(**config).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(before)


def parameters(*networks: Any) -> int:
    """How many there are."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def there_and_back(encode: Callable[[torch.Tensor], torch.Tensor], video: torch.Tensor, network: Any) -> tuple[int, int]:
    """Bytes kept between encoding and going back, and at most."""
    with Alive(network.parameters()) as alive:
        latent = encode(video)
        saved = alive.now
        torch.autograd.grad(latent, video, torch.empty_like(latent))
    return saved, alive.peak
