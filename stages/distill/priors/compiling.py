"""torch.compile for the networks of the large models: the same numbers to rounding, faster after the first steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from schemas.errors import MissingError

if TYPE_CHECKING:
    from .latent import LatentPrior

BACKEND: Any = "inductor"


def compile_networks(prior: LatentPrior, backend: Any = None) -> None:
    """Compile the repeated blocks of a prior's transformer, in place; they are compiled at their first call.

    The blocks rather than the whole: they are nearly all of the work and compile once for all of them. The encoders
    stay as they are: their checkpoints and what they hand from chunk to chunk break the graph everywhere.

    Raises:
        MissingError: The backend cannot compile on this machine.
    """
    backend = backend or BACKEND
    check_backend(backend, prior.device)
    blocks = getattr(prior.transformer, "transformer_blocks", None) or prior.transformer.blocks  # as the libraries call them
    for block in blocks:
        block.compile(backend=backend, dynamic=False)


def check_backend(backend: Any, device: torch.device) -> None:
    """Raise MissingError unless a small function can be compiled: without a compiler the failure comes hours late and long."""
    try:
        torch.compile(lambda x: torch.sin(x) + 1, backend=backend)(torch.ones(4, device=device))
    except Exception as error:  # every backend has its own kinds
        tool = "a C++ compiler such as g++" if device.type == "cpu" else "Triton, which comes with torch for CUDA, and a C compiler"
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:120]}"
        raise MissingError(f"--compile: torch.compile does not work here ({reason});", f"it needs {tool}; or leave --compile out.") from error
