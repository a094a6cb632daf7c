"""Training of the built-in prior: network, averaged network, optimizers, checkpoints and the log. `akd prior train` is the command."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from . import text
from .data import Latents
from .model import TRAIN_STEPS, Denoiser, ModelConfig, alpha_sigma, velocity

HELD_OUT = 128
"""Clips at the end of the data set on which the validation loss is taken."""

LEVELS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Noise levels of the validation loss, u = t/T."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        batch: Clips per step.
        rate: Peak learning rate of AdamW, for embeddings, biases and norms.
        matrix_rate: Peak learning rate of Muon, for the weight matrices of the blocks; 0 = AdamW for all.
        drop: Share of captions replaced by the null prompt (for guidance).
        weak: Share of inputs weakened towards the still body, see `Trainer.weaken`.
        ema: Decay of the averaged weights that are shipped.
        minutes, steps: Length of training; steps wins where it is not 0. [min, -]
        cool: Share of the run at the end over which the learning rate falls to 2%.
        seed: Of weights, batches and noise.
    """

    batch: int = 16
    rate: float = 1e-3
    matrix_rate: float = 3e-3
    drop: float = 0.1
    weak: float = 0.3
    ema: float = 0.998
    minutes: float = 60.0
    steps: int = 0
    cool: float = 0.5
    seed: int = 0


class Trainer:
    """State of a training run."""

    def __init__(self, model: ModelConfig, config: TrainConfig, latents: Latents, *, device: str = "cpu") -> None:
        torch.manual_seed(config.seed)
        self.config, self.latents, self.device = config, latents, torch.device(device)
        self.net = Denoiser(model).to(self.device)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizers = self._optimizers()
        self.generator = torch.Generator().manual_seed(config.seed + 1)
        levels = [alpha_sigma(step / (TRAIN_STEPS - 1)) for step in range(TRAIN_STEPS)]
        self.levels = torch.tensor(levels, dtype=torch.float64).float().to(self.device)  # [T, 2]
        self.step, self.seconds = 0, 0.0
        self.null = torch.tensor(text.NULL)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        matrices, rest = [], []
        for name, parameter in self.net.named_parameters():
            inner = ".attn1." in name or ".ff." in name
            (matrices if self.config.matrix_rate and inner and parameter.ndim == 2 else rest).append(parameter)
        result: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=self.config.rate, betas=(0.9, 0.98), weight_decay=0.01)]
        if matrices:
            result.append(torch.optim.Muon(matrices, lr=self.config.matrix_rate, weight_decay=0.01, momentum=0.95, ns_steps=5, adjust_lr_fn="match_rms_adamw"))
        for optimizer in result:
            for group in optimizer.param_groups:
                group["peak"] = group["lr"]
        return result

    def done(self) -> float:
        """Fraction of the run that is over."""
        return self.step / self.config.steps if self.config.steps else self.seconds / (60 * self.config.minutes)

    def estimate(self, net: Denoiser, shown: torch.Tensor, images: torch.Tensor, ids: torch.Tensor, steps: torch.Tensor, noise: torch.Tensor) -> tuple:
        """Noisy latents and the network's clean estimate. [shown (B, T, K, 6, 8)]"""
        alpha, sigma = self.levels[steps].reshape(-1, 2, 1, 1, 1, 1).unbind(1)
        noisy = alpha * shown + sigma * noise
        with torch.autocast(self.device.type, torch.bfloat16):
            return noisy, net(noisy, images, steps, ids), alpha, sigma

    def loss(self, net: Denoiser, clean: torch.Tensor, shown: torch.Tensor, images: torch.Tensor, ids: torch.Tensor, steps: torch.Tensor, noise: torch.Tensor):
        """Mean squared error of v, with the weight of small noise levels bounded; `shown` is what the noise is added to. [(B,)]"""
        noisy, estimate, alpha, sigma = self.estimate(net, shown, images, ids, steps, noise)
        error = velocity(noisy, estimate, alpha, sigma.clamp(min=0.22)) - velocity(noisy, clean, alpha, sigma.clamp(min=0.22))
        return error.square().flatten(1).mean(1)

    def weaken(self, clean: torch.Tensor, still: torch.Tensor | None, keep: torch.Tensor) -> torch.Tensor:
        """Blend clips with the still body. [(B, T, K, 6, 8), (B, 1, K, 6, 8) or None = 0, share of the clip that is kept (B,)]

        Distillation starts from a body that does not move, which no clip of a walk looks like: a denoiser trained on
        clips alone takes the stillness for evidence and leaves it.
        """
        keep = keep[:, None, None, None, None]
        return keep * clean if still is None else keep * clean + (1 - keep) * still

    def _draw(self) -> tuple[torch.Tensor, ...]:
        g, batch, data = self.generator, self.config.batch, self.latents
        pick = torch.randint(0, len(data) - HELD_OUT, (batch,), generator=g)
        clean, images, ids = data.clean[pick].float(), data.images[pick].float(), data.ids[pick].clone()
        dropped = torch.rand(batch, generator=g) < self.config.drop
        ids[dropped] = self.null
        # distillation looks at the upper noise levels: most of the practice is there
        upper, anywhere = 0.5 + 0.5 * torch.rand(batch, generator=g), 0.1 + 0.9 * torch.rand(batch, generator=g)
        level = torch.where(torch.rand(batch, generator=g) < 0.7, upper, anywhere)
        # the null prompt keeps to plain denoising: guidance then points from stillness to the prompted motion
        weak = (torch.rand(batch, generator=g) < self.config.weak) & ~dropped & (level > 0.25)
        keep = torch.where(weak, (1.5 * torch.rand(batch, generator=g) - 0.5).clamp(min=0), torch.ones(()))
        shown = self.weaken(clean, None if data.still is None else data.still[pick].float()[:, None], keep)
        parts = clean, shown, images, ids, (level * (TRAIN_STEPS - 1)).round().long(), torch.randn(clean.shape, generator=g)
        return tuple(part.to(self.device) for part in parts)

    def advance(self) -> float:
        """One step. Returns the loss."""
        begin = time.monotonic()
        rate = min(1.0, (self.step + 1) / 100) * min(1.0, max(0.02, (1 - self.done()) / self.config.cool))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["peak"]
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.net, *self._draw()).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(self.config.ema, self.step / (self.step + 19))
        with torch.no_grad():
            for averaged, parameter in zip(self.average.parameters(), self.net.parameters(), strict=True):
                averaged.lerp_(parameter, 1 - decay)
        self.seconds += time.monotonic() - begin
        return float(loss.detach())

    @torch.no_grad()
    def validate(self) -> dict[float, float]:
        """Unexplained share of the clips' variance at each of `LEVELS`: the averaged network on held-out clips, with fixed noise.

        0 is a perfect estimate of the clean clip, 1 no better than the still body.
        """
        g = torch.Generator().manual_seed(7)
        part = slice(len(self.latents) - HELD_OUT, None)
        clean, images, ids = (v.to(self.device) for v in (self.latents.clean[part].float(), self.latents.images[part].float(), self.latents.ids[part]))
        noise = torch.randn(clean.shape, generator=g).to(self.device)
        result = {}
        for level in LEVELS:
            steps = torch.full((len(clean),), round(level * (TRAIN_STEPS - 1)), device=self.device)
            estimate = self.estimate(self.average, clean, images, ids, steps, noise)[1]
            result[level] = float((estimate - clean).square().mean() / clean.square().mean())
        return result

    def save(self, path: Path) -> None:
        """Write the whole state atomically."""
        state = {
            "net": self.net.state_dict(), "average": self.average.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
            "generator": self.generator.get_state(), "step": self.step, "seconds": self.seconds,
            "model": dataclasses.asdict(self.net.config), "config": dataclasses.asdict(self.config),
        }  # fmt: skip
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            peaks = [group["peak"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["peak"] = peak
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]


def train(trainer: Trainer, out: Path, *, checkpoint_seconds: float = 120.0, report: Callable[[Trainer, float], None] = lambda trainer, loss: None) -> None:
    """Run to the end, with checkpoints and a log (step, seconds, loss since the last line, validation at each level)."""
    log, losses, last = out / "log.csv", [], time.monotonic()
    if not log.exists():
        log.write_text("step,seconds,loss," + ",".join(f"unexplained_{level:g}" for level in LEVELS) + "\n")
    while trainer.done() < 1:
        losses.append(trainer.advance())
        if not math.isfinite(losses[-1]):
            raise RuntimeError(f"training diverged at step {trainer.step}")
        if trainer.step % 50 == 0:
            loss = sum(losses) / len(losses)
            check = trainer.validate().values() if trainer.step % 250 == 0 else [math.nan] * len(LEVELS)
            with open(log, "a") as file:
                file.write(f"{trainer.step},{trainer.seconds:.0f},{loss:.4f}," + ",".join("" if math.isnan(v) else f"{v:.4f}" for v in check) + "\n")
            report(trainer, loss)
            losses = []
        if time.monotonic() - last > checkpoint_seconds:
            trainer.save(out / "checkpoint.pt")
            last = time.monotonic()
    trainer.save(out / "checkpoint.pt")
