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
from stages.view import warm

from . import parallel
from .checkpoint import Clock
from .guard import Diverged
from .loop import LOSS_NAMES, Distillation
from .monitor import Monitor, check_tensorboard
from .params import Params, resolve
from .priors.base import VideoPrior
from .priors.registry import load_prior
from .start import default_speed


@one_torch_thread()
def run(
    rig: Rig,
    splat: Splat,
    prompt: str,
    params: Params,
    progress: Progress = SILENT,
    checkpoint: Path | None = None,
    *,
    init: Motion | None = None,
    prior: VideoPrior | None = None,
) -> Motion:
    """Optimise the motion until the prior finds its renderings likely for the prompt.

    Parameters:
        rig: Skeleton.
        splat: Its Gaussians, skinned to the same joints.
        prompt: Such as "a tiger walking".
        checkpoint: File to resume from and to save to, usually `checkpoint.partial_path(target)`. It stays after
            the run, finished, until `checkpoint.discard`: a result that could not be saved is then not lost.
        init: Start from this motion of the same skeleton instead of from rest.
        prior: Use this one instead of loading `params.prior`.

    Started by torchrun, every process calls it with the same arguments and gets the same motion; only the first one
    reads and writes the checkpoint.

    Returns:
        The motion, stamped with the parameters as resolved from the prior's defaults.

    Raises:
        InputError: Values out of bounds, a clip the prior does not take, a prompt it does not understand, or a
            checkpoint of another unfinished run. MissingError: The prior or the device is not there.
    """
    check(params)
    if params.tensorboard:
        check_tensorboard()
    if not prompt.strip():
        raise InputError("--prompt '': is empty;", "say what the character does, such as 'a tiger walking'.")
    if splat.weights.shape[1] != rig.joint_count:
        raise InputError(f"splat '{splat.name}' is bound to {splat.weights.shape[1]} joints, rig '{rig.name}' has {rig.joint_count};", "rerun akd splat.")
    device = choose_device(params.device)
    world = parallel.start(device)
    if device == "cpu" and warm.pending(posed=True):
        progress.note(warm.MESSAGE)
    if prior is None:
        progress.note(f"prior: {params.prior} on {device}{f', {world.size} processes' if world.size > 1 else ''}")
        prior = load_prior(params.prior, device=device, rig=rig, splat=splat, encoder=params.encoder, compile=params.compile)
    settings = resolve(params, prior.spec)
    if params.views is None and settings.views % world.size:
        settings = dataclasses.replace(settings, views=-(-settings.views // world.size) * world.size)
        progress.note(f"{settings.views} views a step, {settings.views // world.size} for each process")
    if hasattr(prior, "frame_rate"):
        prior.frame_rate = settings.fps  # some networks are told it
    if hasattr(prior, "prepare"):
        progress.note(prior.prepare(dataclasses.replace(settings, frames=settings.window)))
    if settings.speed is None:
        speed, why = default_speed(rig, prompt, init)
        settings = dataclasses.replace(settings, speed=speed)
        progress.note(f"start speed {speed:.2f} m/s: {why}")
    loop = Distillation(rig, splat, prompt, settings, prior, device, world, init)
    checkpoint = checkpoint if world.rank == 0 else None
    clock = loop.resume(checkpoint, progress)
    _work(loop, progress, checkpoint, clock)
    return loop.motion(clock.seconds())


def _work(loop: Distillation, progress: Progress, checkpoint: Path | None, clock: Clock) -> None:
    """Optimise to the end, watched; however it ends, what was done is saved first and shown last."""
    settings = loop.settings
    folder, stem = (checkpoint.parent, checkpoint.name.split(".")[0]) if checkpoint is not None else (None, "")
    scalars, title = settings.tensorboard if loop.world.rank == 0 else "", f"{loop.rig.name}: {loop.prompt}"
    loop.monitor = Monitor(folder, stem, settings, LOSS_NAMES, scalars, title=title, progress=progress, start=loop.iteration)
    try:
        loop.optimise(progress, checkpoint, clock)
        if checkpoint is not None:
            loop.try_to_save(checkpoint, clock, progress)
    except Diverged as error:
        if checkpoint is None:
            raise
        raise loop.stop(checkpoint, clock, error) from None
    except (KeyboardInterrupt, Exception) as error:  # Ctrl-C, or a bug or too little memory, after hours perhaps
        if checkpoint is not None and loop.done["iteration"]:
            loop.save(checkpoint, clock)
            how = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            progress.note(f"{how} after {loop.done['iteration']} of {settings.iterations} steps, saved in {checkpoint}; run again to go on")
        raise
    finally:
        loop.monitor.show(loop.losses, clock.seconds(), last=True)


def choose_device(name: str) -> str:
    """ "cpu" or "cuda"; "auto" takes CUDA if it is there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda: torch sees no CUDA device;", "use --device cpu.")
    return name
