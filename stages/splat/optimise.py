"""Optimisation of the kernels against views of the mesh, over random backgrounds."""

from __future__ import annotations

import dataclasses

import torch

from stages.progress import Progress

from .densify import Densifier
from .kernels import Kernels
from .views import Views

BATCH = 2  # views a step: four cost half as much again and fit no better
HELD_OUT = 8
# Adam steps: of the extent, radians, log scale, logit, colour; as in 3DGS, scaled to short runs
RATES = {"means": 8e-4, "rotations": 6e-3, "scales": 2e-2, "opacities": 3e-2, "colors": 1e-2}
LAST_RATE = 0.05  # of the first
SOFTNESS = 0.2  # errors below count by their square, above by their size: half a decibel better than sizes alone, most of it on outlines
# kernels bend with the surface only while they are small, flat and close to their triangle
LARGEST, SMALLEST, DRIFT = 2.0, 0.02, 1.0  # of the spacing
NAMES = [field.name for field in dataclasses.fields(Kernels)]


def fit(
    kernels: Kernels,
    spacing: torch.Tensor,
    anchors: torch.Tensor,
    views: Views,
    iterations: int,
    generator: torch.Generator,
    progress: Progress,
    densifier: Densifier | None = None,
) -> Kernels:
    """Fit by Adam with rates that decay.

    Parameters:
        kernels: The start.
        spacing: Bounds size and drift of each kernel. [m, (N,)]
        anchors: Where the kernels may not leave from. [m, (N, 3)]
        densifier: Adds kernels and takes some away on the way, None for neither.
    """
    extent = float((anchors.amax(0) - anchors.amin(0)).max())
    rates = {**RATES, "means": RATES["means"] * extent}
    free = _leaves(kernels)
    adam = torch.optim.Adam([{"params": [getattr(free, name)], "lr": rates[name]} for name in NAMES], eps=1e-15)
    progress.begin("fit of the Gaussians", iterations)
    for step in range(iterations):
        for group, name in zip(adam.param_groups, NAMES, strict=True):
            group["lr"] = rates[name] * LAST_RATE ** (step / max(iterations, 1))
        due = densifier.round_of(step, iterations) if densifier is not None else None
        if due is not None:
            keep, added = densifier(due, _detached(free), views)
            free = _replace(adam, free, keep, added.to(str(anchors.device)))
            spacing = torch.as_tensor(densifier.start.spacing).to(anchors)
            anchors = torch.as_tensor(densifier.start.means).to(anchors)
        batch = views.pick(torch.randperm(len(views.images), generator=generator)[:BATCH])
        background = torch.rand(3, generator=generator).to(batch.images.device)  # drawn on the CPU: the same everywhere
        drawn = free.images(batch.camera)
        # premultiplied rgb + (1 - alpha) background, drawn and true
        error = (drawn[..., :3] - batch.images[..., :3]) - (drawn[..., 3:] - batch.images[..., 3:]) * background
        loss = (error.square() + SOFTNESS**2).sqrt().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        with torch.no_grad():
            _bound(free, spacing, anchors)
        if step % 10 == 9 or step + 1 == iterations:
            progress.update(step + 1, loss=float(loss.detach()))
    return _detached(free)


def _leaves(kernels: Kernels) -> Kernels:
    return Kernels(**{name: getattr(kernels, name).clone().requires_grad_() for name in NAMES})


def _detached(kernels: Kernels) -> Kernels:
    return Kernels(**{name: getattr(kernels, name).detach() for name in NAMES})


def _replace(adam: torch.optim.Adam, free: Kernels, keep: torch.Tensor, added: Kernels) -> Kernels:
    """Drop and add kernels; Adam remembers those that stay and starts the new ones from nothing."""
    with torch.no_grad():
        grown = _leaves(Kernels(**{name: torch.cat([getattr(free, name)[keep], getattr(added, name)]) for name in NAMES}))
    for group, name in zip(adam.param_groups, NAMES, strict=True):
        state = adam.state.pop(group["params"][0])
        fresh = torch.zeros_like(getattr(added, name))
        state.update({moment: torch.cat([state[moment][keep], fresh]) for moment in ("exp_avg", "exp_avg_sq")})
        group["params"] = [getattr(grown, name)]
        adam.state[getattr(grown, name)] = state
    return grown


def psnr(kernels: Kernels, views: Views, foreground: bool = False, options: dict | None = None) -> float:
    """Peak signal-to-noise ratio over white, of all pixels or of those that the mesh touches; `options` as `Kernels.images`. [dB]"""
    errors = []
    for index in range(0, len(views.images), 8):
        part = views.pick(torch.arange(index, min(index + 8, len(views.images))))
        with torch.no_grad():
            drawn = kernels.images(part.camera, options)
        over = [image[..., :3] + 1 - image[..., 3:] for image in (drawn, part.images)]
        error = ((over[0].clamp(0, 1) - over[1]) ** 2).mean(-1)
        errors.append(error[part.images[..., 3] > 0] if foreground else error.flatten())
    return float(-10 * torch.log10(torch.cat(errors).mean().clamp(min=1e-12)))


def _bound(free: Kernels, spacing: torch.Tensor, anchors: torch.Tensor) -> None:
    low, high = (SMALLEST * spacing).log()[:, None], (LARGEST * spacing).log()[:, None]
    free.scales.clamp_(min=low, max=high)
    drift = free.means - anchors
    length = drift.norm(dim=1, keepdim=True).clamp(min=1e-12)
    free.means.copy_(anchors + drift * (DRIFT * spacing[:, None] / length).clamp(max=1))
    free.colors.clamp_(0, 1)
    free.opacities.clamp_(-4, 6)
