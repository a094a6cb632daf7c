"""The ideal denoiser of a small world: a prior whose optimum is known, to check the machinery of distillation.

Its world is a bank of clips: the asset itself in procedural gaits (gaits.py), filmed from a fixed set of cameras. The
exact minimiser of the diffusion loss on that bank is the posterior mean

    z0_hat = sum_k p(k | z_t) z_k,   p(k | z_t) ~ exp(-|z_t - alpha z_k|^2 / (2 sigma^2)),

so nothing is trained and nothing downloaded. Score distillation that cannot make an animal walk with this prior is
wrong, whatever the video model. It knows the asset's gaits beforehand: it is a self-check, not a generator.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from schemas.errors import InputError
from schemas.rig import Rig
from schemas.splat import Splat
from stages.body import quaternion
from stages.body.kinematics import Skeleton, forward
from stages.body.skinning import skin_gaussians

from ..filming import drawn_kernels
from ..gaits import GAITS, sample
from ..scene import Scene
from ..score import guide
from ..start import gait_in
from .base import PriorSpec, TextCondition

POOL = 2  # pixels per latent cell and edge
PERIODS = {"walking": (15.5, 17.0), "running": (10.5, 11.5), "jumping": (12.5, 14.5), "standing": (16.0, 20.0)}  # frames at 16 fps
DEFAULTS: dict[str, Any] = {
    "iterations": 300,
    "guidance_scale": 1.0,
    "views": 2,
    "modes": 6,
    "unfold": 0.0,
    "learning_rate": 0.02,
    "root_learning_rate": 0.01,
    "lambda_smooth": 0.05,
    "lambda_ground": 5.0,
    "weighting": "one",
    "t_min": 0.02,
    "t_max": 0.98,
    "t_min_end": 0.02,
    "t_max_end": 0.5,
    "anneal": 0.7,
}
SPEC = PriorSpec(
    name="ideal",
    prediction="v",
    frames=17,
    height=48,
    width=64,
    fps=16.0,
    frame_rule="17",
    size_multiple=0,
    temporal_stride=1,
    spatial_stride=POOL,
    latent_channels=3,
    look="roles",  # in side views the natural colours of left and right legs do not tell them apart
    licence="none needed",
    max_time=0.98,
    defaults=DEFAULTS,
)


class IdealPrior:
    """Posterior mean over the bank; latents are the frames averaged over 2 x 2 pixels and normalised. [(B, F, 3, H/2, W/2)]

    Attributes:
        spec: `SPEC`.
        views: Bearings (azimuth, elevation, fill) of the bank's cameras; distill films from these alone. [(V,)]
        diagnostics: "guidance_rms" and "certainty" (largest posterior weight) of the last prediction.
    """

    spec = SPEC

    def __init__(self, rig: Rig, splat: Splat, *, device: torch.device | str = "cpu", cameras: int = 6, phases: int = 8, seed: int = 0) -> None:
        """Render the bank: every gait at `phases` phases and two periods, from `cameras` cameras on alternating sides.

        Raises:
            InputError: The rig has no legs.
        """
        self.device = torch.device(device)
        rng = np.random.default_rng(seed)
        scene = Scene(look=SPEC.look, width=SPEC.width, height=SPEC.height)
        self.views = [
            ((1 if k % 2 == 0 else -1) * math.pi / 2 + rng.uniform(-scene.azimuth, scene.azimuth), rng.uniform(*scene.elevation), rng.uniform(*scene.fill))
            for k in range(cameras)
        ]
        clips = _Clips(rig, splat, scene, self.device)
        bank, self.gaits = [], []
        for gait in GAITS:
            for phase in range(phases):
                for period in PERIODS[gait]:
                    bank += clips.film(gait, phase / phases, period, phase, self.views)
                    self.gaits += [GAITS.index(gait)] * cameras
        pooled = torch.stack(bank)  # [K, F, 3, h, w]
        self.mean, self.scale = float(pooled.mean()), float(pooled.std())
        self.shape = pooled.shape[1:]
        self.bank = ((pooled - self.mean) / self.scale).flatten(1)
        self.square = self.bank.double().square().sum(1)
        self.labels = torch.tensor(self.gaits, device=self.device)
        self.diagnostics: dict[str, float] = {}

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """Which gaits the prompts allow: 1 or 0 for each of `gaits.GAITS`, all of them for an empty prompt. [(1, 4)]"""
        return TextCondition(self._allowed(prompt), self._allowed(negative))

    def encode_video(self, video: torch.Tensor, image: torch.Tensor | None = None) -> torch.Tensor:
        """Averages of 2 x 2 pixels, normalised by the bank's mean and deviation. [(B, F, H, W, 3) -> (B, F, 3, H/2, W/2)]"""
        SPEC.check_clip(*video.shape[1:4])
        return (pool(video) - self.mean) / self.scale

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """The cosine schedule: cos and sin of pi u / 2."""
        return math.cos(0.5 * math.pi * u), math.sin(0.5 * math.pi * u)

    @torch.no_grad()
    def predict_x0(self, noisy: torch.Tensor, u: float, text: TextCondition, guidance_scale: float) -> torch.Tensor:
        """The posterior mean, guided between the negative and the positive set of clips. [(B, F, 3, h, w)]"""
        alpha, sigma = self.alpha_sigma(u)
        flat = noisy.float().flatten(1)
        logits = (alpha * (flat @ self.bank.T).double() - 0.5 * alpha**2 * self.square) / sigma**2  # [B, K]
        positive = self._posterior(logits, text.positive)
        negative = self._posterior(logits, text.negative)
        clean, rms = guide(negative.float() @ self.bank, positive.float() @ self.bank, guidance_scale)
        self.diagnostics.update(guidance_rms=rms, certainty=float(positive.amax(1).mean()))
        return clean.reshape(noisy.shape)

    def _posterior(self, logits: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        mask = allowed.to(logits.device)[:, self.labels] > 0  # [1 or B, K]
        return torch.softmax(logits.masked_fill(~mask, -math.inf), 1)

    def _allowed(self, prompt: str) -> torch.Tensor:
        gait = gait_in(prompt)
        if prompt.strip() and not gait:
            raise InputError(f"prompt '{prompt}': the ideal prior knows {', '.join(GAITS)};", "name one of them.")
        return torch.tensor([[1.0 if gait in ("", name) else 0.0 for name in GAITS]], device=self.device)


def pool(video: torch.Tensor) -> torch.Tensor:
    """Average over POOL x POOL pixels. [(B, F, H, W, 3) -> (B, F, 3, H/2, W/2)]"""
    frames = video.permute(0, 1, 4, 2, 3)
    return torch.nn.functional.avg_pool2d(frames.flatten(0, 1), POOL).unflatten(0, frames.shape[:2])


class _Clips:
    """Films gaits of one asset."""

    def __init__(self, rig: Rig, splat: Splat, scene: Scene, device: torch.device) -> None:
        self.rig, self.scene = rig, scene
        self.skeleton = Skeleton.from_rig(rig, device=device)
        self.means, self.covariances, self.weights, self.opacities, self.colors = drawn_kernels(rig, splat, scene, device)
        self.framing = scene.framing(self.means)

    @torch.no_grad()
    def film(self, gait: str, phase: float, period: float, seed: int, views: list[tuple[float, float, float]]) -> list[torch.Tensor]:
        """Pooled clips of one motion from every view. [each (F, 3, h, w)]"""
        clip = sample(self.rig, gait, frames=SPEC.frames, fps=SPEC.fps, rng=np.random.default_rng(seed), phase=phase, period=period)
        angles, root, turn = (
            torch.as_tensor(v, dtype=torch.float32, device=self.means.device) for v in (clip.angles, clip.root_positions, clip.root_rotations)
        )
        pose = forward(self.skeleton, angles, root, quaternion.to_matrix(turn))
        means, spread = skin_gaussians(self.means, self.covariances, self.weights, pose)
        videos = []
        for azimuth, elevation, fill in views:
            camera = self.scene.camera_at(means, self.framing, azimuth, elevation, fill)
            videos.append(self.scene.render(means, spread, self.opacities, self.colors, camera, self.framing))
        return list(pool(torch.stack(videos)))
