"""Distill: from a rig, its Gaussians and a sentence to joint motion (METHOD 5 and 6)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from schemas.errors import InputError, MissingError
from schemas.motion import Motion
from schemas.params import check
from schemas.rig import Rig
from schemas.splat import Splat
from stages.progress import SILENT, Progress
from stages.repeatable import one_torch_thread

from .loop import Distillation
from .params import Params, resolve
from .priors.base import VideoPrior
from .priors.registry import load_prior
from .start import default_speed


@one_torch_thread()
def run(
    rig: Rig, splat: Splat, prompt: str, params: Params, progress: Progress = SILENT, checkpoint: Path | None = None, *, prior: VideoPrior | None = None
) -> Motion:
    """Optimise the motion until the prior finds its renderings likely for the prompt.

    Parameters:
        rig: Skeleton.
        splat: Its Gaussians, skinned to the same joints.
        prompt: Such as "a tiger walking".
        checkpoint: File to resume from and to save to, usually `checkpoint.partial_path(target)`. It stays after
            the run, finished, until `checkpoint.discard`: a result that could not be saved is then not lost.
        prior: Use this one instead of loading `params.prior`.

    Returns:
        The motion, stamped with the parameters as resolved from the prior's defaults.

    Raises:
        InputError: Values out of bounds, a clip the prior does not take, a prompt it does not understand, or a
            checkpoint of another unfinished run. MissingError: The prior or the device is not there.
    """
    check(params)
    if not prompt.strip():
        raise InputError("--prompt '': is empty;", "say what the character does, such as 'a tiger walking'.")
    if splat.weights.shape[1] != rig.joint_count:
        raise InputError(f"splat '{splat.name}' is bound to {splat.weights.shape[1]} joints, rig '{rig.name}' has {rig.joint_count};", "rerun akd splat.")
    device = choose_device(params.device)
    if prior is None:
        progress.note(f"prior: {params.prior} on {device}")
        prior = load_prior(params.prior, device=device, rig=rig, splat=splat)
    settings = resolve(params, prior.spec)
    if hasattr(prior, "frame_rate"):
        prior.frame_rate = settings.fps  # some networks are told it
    if hasattr(prior, "prepare"):
        progress.note(prior.prepare(settings))
    if settings.speed is None:
        speed, why = default_speed(rig, prompt)
        settings = dataclasses.replace(settings, speed=speed)
        progress.note(f"start speed {speed:.2f} m/s: {why}")
    loop = Distillation(rig, splat, prompt, settings, prior, device)
    clock = loop.resume(checkpoint, progress)
    try:
        loop.optimise(progress, checkpoint, clock)
    except KeyboardInterrupt:
        if checkpoint is not None:
            loop.save(checkpoint, clock)
            progress.note(f"stopped after {loop.done['iteration']} of {settings.iterations} steps, saved in {checkpoint}; run again to go on")
        raise
    if checkpoint is not None:
        loop.save(checkpoint, clock)
    return loop.motion(clock.seconds())


def choose_device(name: str) -> str:
    """ "cpu" or "cuda"; "auto" takes CUDA if it is there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda: torch sees no CUDA device;", "use --device cpu.")
    return name
