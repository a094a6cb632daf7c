"""The same result on any number of cores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Run torch's own CPU operations in one thread; a context, and a decorator of a stage's `run`.

    Sums that torch splits over threads round differently for every number of threads, and an optimisation amplifies
    that to another result. On the small tensors of a stage the threads bought nothing: 30 steps of distillation took
    7.1 s with one and 6.8 s with two. The rasterizer's own threads are not touched: it is exact for any number.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
