"""One run of distill: the variables, the random state, the step (METHOD 5 and 6)."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from schemas.errors import StorageError
from schemas.motion import Motion
from schemas.params import invalidating
from schemas.rig import Rig
from schemas.splat import Splat
from stages.body.kinematics import cuboid_corners
from stages.progress import Progress
from stages.view.camera import Camera

from . import blur
from . import checkpoint as checkpoints
from .control import Control, inlined
from .estimators import make_estimator, slots
from .filming import Body
from .gaits import legs_of
from .guard import Diverged, Guard
from .monitor import Monitor
from .objective import ground, slide, smoothness
from .parallel import ALONE, World
from .parameterisation import MotionVariables, feet_of
from .params import Params
from .priors.base import TextCondition, VideoPrior
from .scene import Scene
from .schedule import NoiseSchedule
from .score import frame_norms, surrogate

LOSS_NAMES = ["iteration", "noise_level", "score_rms", "guidance_rms", "smooth", "ground", "slide", "pixel_gradient", "first_frame_share"]
ADAM_BETAS = (0.9, 0.99)


@dataclasses.dataclass
class Answer:
    """What is drawn and asked once and then used for `refresh` steps.

    Attributes:
        cameras: Of all views.
        text: Of this process's clips, with the reference images if the prior wants them.
        level: Noise level u.
        target: The latents less the gradient on them, once the prior was asked and while it counts. [as the latents]
        guidance_rms: See `score.Score`.
    """

    cameras: list[Camera]
    text: TextCondition
    level: float
    target: torch.Tensor | None = None
    guidance_rms: float = math.nan


class Distillation:
    """One run: its variables, its random state and the step."""

    def __init__(
        self, rig: Rig, splat: Splat, prompt: str, settings: Params, prior: VideoPrior, device: str, world: World = ALONE, init: Motion | None = None
    ) -> None:
        settings = inlined(settings)
        self.rig, self.splat, self.prompt, self.settings, self.prior, self.device, self.init = rig, splat, prompt, settings, prior, device, init
        self.world, self.mine = world, world.share(settings.views)
        self.control = Control(rig, settings, in_step=getattr(prior, "in_step", False), init=init, device=device)
        self.schedule = NoiseSchedule((settings.t_min, settings.t_max), (settings.t_min_end, settings.t_max_end), settings.iterations, settings.anneal)
        self.estimator = make_estimator(settings.estimator, steps=settings.estimator_steps)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.rng = np.random.default_rng(settings.seed)
        self.feet = feet_of(rig)
        self.hips = min((leg.height for leg in legs_of(rig)), default=self.variables.height)
        shown = prior.spec.ground if settings.ground_render is None else settings.ground_render
        self.body = Body(rig, splat, Scene(look=prior.spec.look, ground=shown, width=settings.width, height=settings.height), device)
        self.texts = {facing: prior.encode_prompt(prompt, settings.negative, facing=facing) for facing in ("left", "right")}
        self.guard = Guard(self.control.carried().root_positions, self.body.framing.size, self.variables.limits)
        self.monitor = Monitor(None, "", settings, LOSS_NAMES)  # shows nothing
        self.iteration, self.losses = 0, []
        self.unsaved = False  # the disk refused the last checkpoint
        self.answer: Answer | None = None  # of the prior, while it is used again
        self.past: torch.Tensor | None = None  # joint angles a tenth of the steps ago
        self.converged = False
        self._take_up()
        self.done = self.state()  # after the last whole step: Ctrl-C may come in the middle of one

    @property
    def variables(self) -> MotionVariables:
        """Of the present part of the run."""
        return self.control.variables

    @torch.no_grad()
    def _take_up(self) -> None:
        """What belongs to the control's present variables: their optimiser, and the start motion that cameras follow."""
        settings = self.settings
        rates = {"joints": settings.learning_rate, "turns": settings.root_learning_rate, "shifts": settings.root_learning_rate}
        self.optimiser = torch.optim.Adam(
            [{"params": [leaf], "lr": self.control.rate * rates[name.split(".")[0]]} for name, leaf in self.variables.leaves().items()], betas=ADAM_BETAS
        )
        carried = self.control.carried()
        self.start = carried.pose(self.variables.skeleton)
        self.path = self.body.move(self.start)
        self.guard.start = carried.root_positions.clone()
        self.answer = self.past = None

    def optimise(self, progress: Progress, checkpoint: Path | None, clock: checkpoints.Clock) -> None:
        for note in self.control.notes if self.iteration == 0 else []:
            progress.note(note)
        total = self.settings.iterations
        progress.begin("distill", total)
        while self.iteration < total and not self.converged:
            if self.control.due(self.iteration):
                progress.note(self.control.turn())
                self._take_up()
                self.done = self.state()  # there is no way back to the variables before
            row = self.step()
            self.losses.append(row)
            self.iteration += 1
            self.converged = self._has_converged()
            if self.iteration % self.settings.refresh == 0 or self.converged or self.iteration == total:
                self.done = self.state()  # never between: the prior's last answer is large, and is not kept
            progress.update(self.iteration, score=row[2], smooth=row[4], ground=row[5])
            self.monitor.log(row)
            self.monitor.show(self.losses, clock.seconds())
            if self.converged:
                progress.note(f"converged after {self.iteration} of {total} steps")
            elif checkpoint is not None and self.iteration < total and clock.due():
                self.try_to_save(checkpoint, clock, progress)

    @torch.no_grad()
    def _has_converged(self) -> bool:
        """Whether the last tenth of the steps changed the joint angles by less than the tolerance."""
        settings = self.settings
        window = max(settings.iterations // 10, 1)
        if settings.tolerance == 0 or self.iteration % window:
            return False
        before, self.past = self.past, self.variables.frames().angles.clone()
        annealed = self.iteration >= settings.anneal * settings.iterations and self.control.settled
        return annealed and before is not None and float((self.past - before).square().mean().sqrt()) < settings.tolerance

    def step(self) -> list[float]:
        """One iteration: render, ask the prior, descend. Returns the row of `LOSS_NAMES`."""
        settings = self.settings
        share = self.iteration / (settings.unfold * settings.iterations) if settings.unfold > 0 else 1.0
        clip = self.control.clip(self.iteration, share)
        motion = clip.motion
        self.guard.check_motion(self.iteration, motion)
        pose = motion.pose(self.variables.skeleton)
        if self.iteration % settings.refresh == 0 or self.answer is None:
            cameras = self._cameras()  # before the noise level, so that a run of refresh 1 draws as it always did
            self.answer = Answer(cameras, self._text(cameras[self.mine]), self.schedule.draw(self.iteration, self.generator))
        video = self._film(pose, self.answer.cameras[self.mine])
        pixels, rms, guidance_rms = self._pixel_gradient(video.detach(), self.answer)
        self._show(video.detach(), self.answer)
        corners = cuboid_corners(self.variables.skeleton, clip.laid(pose))
        smooth, depth, slip = smoothness(motion.stacked()), ground(corners), slide(corners[:, self.feet], self.hips)
        weights = settings.smoothness * settings.lambda_smooth, settings.ground_loss * settings.lambda_ground, self._late() * settings.lambda_slide
        loss = surrogate(video, pixels) + weights[0] * smooth + weights[1] * depth + weights[2] * slip
        loss = loss + self.control.hold(self.iteration, motion)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        squares = torch.cat([torch.tensor([rms, guidance_rms], device=self.device), frame_norms(pixels) / self.world.size]).square()
        self.world.mean([leaf.grad for leaf in self.variables.leaves().values() if leaf.grad is not None] + [squares])
        rms, guidance_rms, first = squares[:3].sqrt().tolist()
        total = float(squares[2:].sum() * self.world.size)
        self.guard.check_score(self.iteration, rms, total)
        self.guard.check_gradients(self.iteration, self.variables.leaves())
        self.optimiser.step()
        parts = (float(part.detach()) for part in (smooth, depth, slip))
        return [float(self.iteration), self.answer.level, rms, guidance_rms, *parts, math.sqrt(total), self.world.size * first * first / max(total, 1e-30)]

    def _late(self) -> float:
        """Share of the slide term that acts: the start motion slides on all feet, and would be stopped by it before it walks. [0..1]"""
        return min(max(4 * self.iteration / self.settings.iterations - 1.6, 0.0), 1.0)

    def _cameras(self) -> list[Camera]:
        """One camera for each view of all processes, sides alternating."""
        sides = [1 if (self.iteration * self.settings.views + index) % 2 == 0 else -1 for index in range(self.settings.views)]
        return [self.body.camera(self.path, self.rng, side, getattr(self.prior, "views", None)) for side in sides]

    @torch.no_grad()
    def _text(self, cameras: list[Camera]) -> TextCondition:
        """The text for each camera, and what it shows first of the body at rest."""
        texts = [self.texts[self.body.scene.facing(camera)] for camera in cameras]
        images = [self.body.film(self.start.first(), camera.first())[0] for camera in cameras] if self.prior.spec.reference else []
        positive, negative = torch.cat([t.positive for t in texts]), torch.cat([t.negative for t in texts])
        return TextCondition(positive, negative, torch.stack(images) if images else None)

    def _film(self, pose: Any, cameras: list[Camera]) -> torch.Tensor:
        """One clip for each camera. [(B, F, H, W, 3), 0..1]

        The camera follows the start motion, not the present one. A camera that follows the present motion without
        passing gradient on answers every step of the root with an equal one of its own: an offset of the body in
        the image, which the prior wants gone, is never reduced and drives the root away for good.
        """
        return torch.stack([self.body.film(pose, camera) for camera in cameras])

    def _pixel_gradient(self, video: torch.Tensor, answer: Answer) -> tuple[torch.Tensor, float, float]:
        """Gradient of L_SDS on the pixels, and the rms of the score and of the guidance.

        L_SDS is (7) divided by the number of latent values (ours), so that the lambdas mean the same for any clip.
        The division comes after the encoder's backward pass, where half precision would lose so small numbers.
        The prior is asked if `answer` has no target yet; else the clips are pulled towards the one it has.
        """
        settings = self.settings
        leaf = video.requires_grad_()
        with torch.enable_grad():
            latent = self.prior.encode_video(leaf, answer.text.image)
        if answer.target is None:
            result = self.estimator(
                self.prior, latent, answer.level, answer.text,
                guidance_scale=settings.guidance_scale, weighting=settings.weighting, noise=self._noise,
            )  # fmt: skip
            gradient, rms, answer.guidance_rms = result.gradient, result.rms, result.guidance_rms
            answer.target = latent.detach().float() - gradient
        else:
            gradient = latent.detach().float() - answer.target
            rms = float(gradient.square().mean().sqrt())
        (pixels,) = torch.autograd.grad(surrogate(latent, gradient), leaf)
        wide = blur.fading(settings.blur, self.iteration, settings.anneal * settings.iterations)
        return blur.spread(pixels.float() / latent.numel(), wide), rms, answer.guidance_rms

    def _noise(self, shape: torch.Size) -> torch.Tensor:
        """Noise of this process's clips: drawn for those of all, so that it does not depend on how many processes there are."""
        views = self.settings.views
        return self.estimator.draw((views, *shape[1:]), slots(self.iteration, views), self.generator)[self.mine]

    def _show(self, video: torch.Tensor, answer: Answer) -> None:
        """Let the monitor see the clips, and what the prior makes of them where it can decode."""
        facings = [self.body.scene.facing(camera) for camera in answer.cameras[self.mine]]
        decode = getattr(self.prior, "decode_latent", None)
        self.monitor.watch(self.iteration, answer.level, video, facings, decode and (lambda: decode(answer.target, answer.text.image)))

    def identity(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be this run's."""
        values = invalidating(self.settings) | {"prompt": self.prompt, "device": self.device, "torch": str(torch.__version__)}
        values |= {"rig": self.rig.content_digest(), "splat": self.splat.content_digest(), "init": self.init.content_digest() if self.init else None}
        return json.loads(json.dumps(values, default=float))

    def state(self) -> dict[str, Any]:
        """A copy of everything the next step depends on; a few kilobytes."""
        return {
            "iteration": self.iteration,
            "variables": {name: leaf.detach().clone() for name, leaf in self.variables.leaves().items()},
            "optimiser": copy.deepcopy(self.optimiser.state_dict()),
            "generator": self.generator.get_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "past": None if self.past is None else self.past.clone(),
            "converged": self.converged,
            "guard": self.guard.state(),
            "control": self.control.state(),
            "estimator": self.estimator.state(),
        }

    def save(self, path: Path, clock: checkpoints.Clock, stopped: str = "") -> None:
        """Write the state after the last whole step; `stopped`: why the run cannot go on from there."""
        state = self.done | {"losses": self.losses[: self.done["iteration"]], "seconds": clock.seconds()}
        checkpoints.save(path, self.identity(), state, stopped)
        self.monitor.flush()

    def try_to_save(self, path: Path, clock: checkpoints.Clock, progress: Progress) -> None:
        """Save; a disk that refuses is told of once and does not end the run, which may find room the next time."""
        try:
            self.save(path, clock)
            if self.unsaved:
                progress.note(f"checkpoint saved again after step {self.done['iteration']}")
            self.unsaved = False
        except StorageError as error:
            if not self.unsaved:
                progress.note(f"no checkpoint, the run goes on: {error.message}")
            self.unsaved = True

    def stop(self, path: Path, clock: checkpoints.Clock, error: Diverged) -> Diverged:
        """Keep the state and the motion before the run diverged; returns the error that says where."""
        self._restore(self.done | {"losses": self.losses[: self.done["iteration"]]})
        self.save(path, clock, error.reason)
        kept = checkpoints.stopped_path(path)
        if self.iteration:
            self.motion(clock.seconds()).save(kept)
        return error.saved(path, kept if self.iteration else None)

    def resume(self, path: Path | None, progress: Progress) -> checkpoints.Clock:
        """Take up a checkpoint if there is one; returns the run's clock."""
        names = {*self.done, "losses", "seconds"}
        state = self.world.tell(checkpoints.load(path, self.identity(), names) if path is not None and self.world.rank == 0 else None)
        if state is None:
            return checkpoints.Clock(self.settings.checkpoint_every)
        with checkpoints.fitting(path):
            self._restore(state)
        progress.note(f"going on after step {self.iteration} of {self.settings.iterations} ({path})")
        return checkpoints.Clock(self.settings.checkpoint_every, state["seconds"])

    def _restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave, and the losses up to there."""
        self.control.restore(state["control"])
        self._take_up()
        checkpoints.fill(self.variables.leaves(), state["variables"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        self.guard.restore(state["guard"])
        self.estimator.restore(state["estimator"])
        self.iteration, self.losses, self.past, self.converged = state["iteration"], state["losses"], state["past"], state["converged"]
        self.done = self.state()

    @torch.no_grad()
    def motion(self, seconds: float) -> Motion:
        """The artifact."""
        made = self.control.result()
        losses = np.array(self.losses, np.float32)
        tail = losses[-max(1, len(losses) // 10) :]
        report = {
            "prior": self.prior.spec.name,
            "licence": self.prior.spec.licence,
            "iterations": self.iteration,
            "seconds": round(seconds, 2),
            "device": self.device,
            "kernels": len(self.splat.means),
            "final": {name: _plain(tail[:, k].mean()) for k, name in enumerate(LOSS_NAMES) if k},
            **made.report,
        }
        return Motion(
            name=self.rig.name,
            prompt=self.prompt,
            fps=self.settings.fps,
            joint_names=list(self.rig.joint_names),
            angles=made.angles.cpu().numpy(),
            root_positions=made.root_positions.cpu().numpy(),
            root_rotations=made.root_rotations.cpu().numpy(),
            loss_names=list(LOSS_NAMES),
            losses=losses,
            report=report,
        ).stamped(params=self.settings, seed=self.settings.seed, inputs={})


def _plain(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
