"""Whether the CPU rasterizer has to be compiled before it draws, and doing it ahead of time.

numba keeps compiled code in a cache beside the package (in the user's where that is read-only), until sources, numba or
the processor change. What is asked here of numba is private to it, so no answer counts as "nothing to do".
"""

from __future__ import annotations

import time

MESSAGE = "compiling the CPU rasterizer, once, about 20 s"


def pending(posed: bool = False) -> bool:
    """Whether the next image compiles first: `rasterize.render`, or `posed.render_posed`. False where it cannot be told."""
    from . import cpu_frame

    names = ("draw_posed", "draw_posed_backward") if posed else ("draw", "draw_backward")
    return any(_uncached(getattr(cpu_frame, name)) for name in names)


def _uncached(function) -> bool:
    if function.signatures:  # compiled or loaded in this process
        return False
    try:
        return not function._cache._cache_file._load_index()
    except (AttributeError, OSError, ValueError):
        return False


def compile_all() -> float:
    """Draw a small scene each way, forward and backward, so that the cache holds everything. Returns seconds."""
    import torch

    from .camera import orbit
    from .posed import carry, render_posed
    from .rasterize import render

    clock = time.perf_counter()
    means, covariances = torch.zeros(16, 3), 0.01 * torch.eye(3).expand(16, 3, 3)
    opacities, colors = torch.full((16,), 0.5), torch.full((16, 3), 0.5)
    camera = orbit(torch.zeros(1, 3), azimuth=0.0, elevation=0.0, distance=3.0, focal=1.0, width=8, height=8)
    render(means[None].requires_grad_(), covariances[None], opacities, colors, camera)[1].sum().backward()
    turns, shifts = torch.eye(3).expand(1, 1, 3, 3).clone().requires_grad_(), torch.zeros(1, 1, 3)
    render_posed(carry(means, covariances, torch.ones(16, 1), opacities, colors), turns, shifts, camera)[1].sum().backward()
    return time.perf_counter() - clock
