"""Train the built-in prior: `python -m stages.distill.priors.embedded.train --out DIR --minutes 60 [--resume]`.

Makes the data set (deterministic by seed), trains, and writes to DIR: checkpoint.pt, log.csv and at the end
weights.safetensors with card.json, which the package ships. With --steps instead of --minutes a run that is
interrupted and resumed gives the same weights bit for bit on the same machine.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import os
import time
from pathlib import Path

import torch

from . import data, text
from .model import TRAIN_STEPS, Denoiser, ModelConfig, alpha_sigma, velocity

HELD_OUT = 64
"""Clips at the end of the data set on which the validation loss is taken."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        chunks: Files of 800 clips.
        batch: Clips per step.
        rate: Peak learning rate of AdamW, for embeddings, biases and norms.
        matrix_rate: Peak learning rate of Muon, for the weight matrices of the blocks; 0 = AdamW for all.
        drop: Share of captions replaced by the null prompt (for guidance).
        hide_phase: Share of captions that do not tell the phase of the gait.
        frozen: Share of inputs weakened towards a frozen first frame, see `Trainer.weaken`.
        ema: Decay of the averaged weights that are shipped.
        minutes, steps: Length of training; steps wins where it is not 0. [min, -]
        seed: Of weights, batches and noise.
    """

    chunks: int = 24
    batch: int = 32
    rate: float = 1e-3
    matrix_rate: float = 0.0
    drop: float = 0.1
    hide_phase: float = 0.2
    frozen: float = 0.3
    ema: float = 0.998
    minutes: float = 60.0
    steps: int = 0
    seed: int = 0


class Trainer:
    """State of a training run: network, averaged network, optimizers, random generator, count of steps and seconds."""

    def __init__(self, model: ModelConfig, config: TrainConfig, latents: torch.Tensor, ids: torch.Tensor) -> None:
        torch.manual_seed(config.seed)
        self.config, self.latents, self.ids = config, latents, ids
        self.net = Denoiser(model)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizers = self._optimizers()
        self.generator = torch.Generator().manual_seed(config.seed + 1)
        levels = [alpha_sigma(step / (TRAIN_STEPS - 1)) for step in range(TRAIN_STEPS)]
        self.levels = torch.tensor(levels, dtype=torch.float64).float()  # [T, 2]
        self.step, self.seconds = 0, 0.0
        self.null = torch.tensor(text.NULL)
        self.silent = text.encode("standing", "animal", "")[-1]

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

    def loss(self, net: Denoiser, clean: torch.Tensor, shown: torch.Tensor, ids: torch.Tensor, steps: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Mean squared error of v, with the weight of small noise levels bounded; `shown` is what the noise is added to. [(B,)]"""
        alpha, sigma = self.levels[steps].reshape(-1, 2, 1, 1, 1, 1).unbind(1)
        noisy = alpha * shown + sigma * noise
        with torch.autocast("cpu", torch.bfloat16), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            estimate = net(noisy, steps, ids)
        error = velocity(noisy, estimate, alpha, sigma.clamp(min=0.22)) - velocity(noisy, clean, alpha, sigma.clamp(min=0.22))
        return error.square().flatten(1).mean(1)

    def weaken(self, clean: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Blend clips with their frozen first frame. [(B, 5, K, 6, 8), share of the clip that is kept (B,)]

        Distillation starts from a body that does not move, which no clip of a walk looks like: a denoiser trained on
        clips alone takes the stillness for evidence and leaves it. Latent frame 0 is the code of one frame repeated,
        so that repeating it gives exactly the latents of a still clip.
        """
        keep = keep[:, None, None, None, None]
        return keep * clean + (1 - keep) * clean[:, :1]

    def _draw(self) -> tuple[torch.Tensor, ...]:
        g, batch = self.generator, self.config.batch
        pick = torch.randint(0, len(self.latents) - HELD_OUT, (batch,), generator=g)
        clean, ids = self.latents[pick].float(), self.ids[pick].clone()
        dropped = torch.rand(batch, generator=g) < self.config.drop
        ids[torch.rand(batch, generator=g) < self.config.hide_phase, -1] = self.silent
        ids[dropped] = self.null
        # distillation looks at noise levels of 0.2 to 0.9: most of the practice is there
        middle, anywhere = 0.2 + 0.7 * torch.rand(batch, generator=g), torch.rand(batch, generator=g)
        level = torch.where(torch.rand(batch, generator=g) < 0.8, middle, anywhere)
        # the null prompt keeps to plain denoising: guidance then points from stillness to the prompted motion
        weak = (torch.rand(batch, generator=g) < self.config.frozen) & ~dropped & (level > 0.25)
        keep = torch.where(weak, (1.5 * torch.rand(batch, generator=g) - 0.5).clamp(min=0), torch.ones(()))
        shown = self.weaken(clean, keep)
        return clean, shown, ids, (level * (TRAIN_STEPS - 1)).round().long(), torch.randn(clean.shape, generator=g)

    def advance(self) -> float:
        """One step. Returns the loss."""
        begin = time.monotonic()
        over = self.done()
        rate = min(1.0, (self.step + 1) / 100) * min(1.0, max(0.02, (1 - over) / 0.5))
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
    def validate(self) -> float:
        """Loss of the averaged network on held-out clips, at fixed noise levels and noise."""
        g = torch.Generator().manual_seed(7)
        clean, ids = self.latents[-HELD_OUT:].float(), self.ids[-HELD_OUT:]
        steps = torch.linspace(200, 900, len(clean)).long()
        return float(self.loss(self.average, clean, clean, ids, steps, torch.randn(clean.shape, generator=g)).mean())

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
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]


def train(trainer: Trainer, out: Path, *, checkpoint_seconds: float = 120.0) -> None:
    """Run to the end, with checkpoints and a log (step, seconds, loss since the last line, validation loss)."""
    log, losses, last = out / "log.csv", [], time.monotonic()
    if not log.exists():
        log.write_text("step,seconds,loss,validation\n")
    while trainer.done() < 1:
        losses.append(trainer.advance())
        if not math.isfinite(losses[-1]):
            raise RuntimeError(f"training diverged at step {trainer.step}")
        if trainer.step % 50 == 0:
            check = f"{trainer.validate():.4f}" if trainer.step % 200 == 0 else ""
            with open(log, "a") as file:
                file.write(f"{trainer.step},{trainer.seconds:.0f},{sum(losses) / len(losses):.4f},{check}\n")
            losses = []
        if time.monotonic() - last > checkpoint_seconds:
            trainer.save(out / "checkpoint.pt")
            last = time.monotonic()
    trainer.save(out / "checkpoint.pt")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for data, checkpoint, log and weights")
    parser.add_argument("--minutes", type=float, default=60.0, help="training time [min]")
    parser.add_argument("--steps", type=int, default=0, help="number of steps instead of --minutes")
    parser.add_argument("--chunks", type=int, default=24, help="size of the data set in files of 800 clips")
    parser.add_argument("--matrix-rate", type=float, default=TrainConfig.matrix_rate, help="learning rate of Muon, 0 = AdamW only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="continue from DIR/checkpoint.pt")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.makedirs(options.out, exist_ok=True)
    model = ModelConfig()
    codec = data.prepare(options.out / "data", options.chunks, model.channels)
    latents, ids, _ = data.load_chunks(options.out / "data")
    config = TrainConfig(chunks=options.chunks, minutes=options.minutes, steps=options.steps, seed=options.seed, matrix_rate=options.matrix_rate)
    trainer = Trainer(model, config, latents, ids)
    if options.resume and (options.out / "checkpoint.pt").exists():
        trainer.load(options.out / "checkpoint.pt")
    train(trainer, options.out)
    from .prior import export

    export(trainer, codec, options.out)


if __name__ == "__main__":
    main()
