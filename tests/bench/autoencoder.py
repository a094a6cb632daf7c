"""A small trained video autoencoder against the linear latents of the built-in prior, on unseen bodies.

`python -m tests.bench.autoencoder [--films DIR] [--steps N] [--channels 16,32,64,96] [--json]`

Two questions: how well do latents of the same shape keep the clip (PSNR), and how well does an error of the latents tell
the joints where to go, which is all that score distillation uses an encoder for. The trained encoder and decoder are the
linear ones plus residual networks that begin at zero, so that training starts from the linear codec, whatever its length.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from schemas.roles import is_leg
from stages.body import quaternion, skinning
from stages.body.kinematics import Skeleton, forward
from stages.distill.loop import ADAM_BETAS
from stages.distill.parameterisation import MotionVariables
from stages.distill.priors.embedded import bodies, data
from stages.distill.priors.embedded.latent import STRIDE, Codec, blocks, patches, unblock
from stages.distill.priors.embedded.model import ModelConfig
from stages.distill.scene import Scene, role_colors
from stages.rig.axes import limits

HELD_OUT = 600000  # first of the bodies that nothing else uses
MOTIONS = ("walking", "running")
AMOUNTS = (0.0, 0.25, 0.5, 0.75)  # how far the gradient's body is from rest to the target
ERROR = 1.0  # white error on the target's latents, in units of their deviation: a poor denoiser's
MOVING = 0.05  # a pixel moves where a colour differs by more from the reference


class Layer(torch.nn.Module):
    """A residual layer: 3 x 3 cells of the same latent frame and the cell of the frame before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.space = torch.nn.Conv2d(width, width, 3, padding=1)
        self.time = torch.nn.Conv2d(width, width, 1, bias=False)
        self.mix = torch.nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(B, T, W, h, w) -> same]"""
        flat = x.flatten(0, 1)
        flat = flat * torch.rsqrt(flat.square().mean(1, keepdim=True) + 1e-6)
        before = torch.nn.functional.pad(flat.view_as(x)[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        hidden = torch.nn.functional.gelu(self.space(flat) + self.time(before.flatten(0, 1)))
        return x + self.mix(hidden).view_as(x)


class Network(torch.nn.Module):
    """Cells of one size and their reference's patches -> cells of another size; zero before training."""

    def __init__(self, size_in: int, size_out: int, width: int, layers: int) -> None:
        super().__init__()
        self.enter = torch.nn.Linear(size_in + STRIDE * STRIDE * 3, width)
        self.layers = torch.nn.Sequential(*(Layer(width) for _ in range(layers)))
        self.leave = torch.nn.Linear(width, size_out)
        torch.nn.init.zeros_(self.leave.weight)
        torch.nn.init.zeros_(self.leave.bias)

    def forward(self, cells: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """[(B, T, 6, 8, D) and (B, 48, 64, 3) -> (B, T, 6, 8, E)]"""
        still = patches(2 * reference - 1)[:, None].expand(-1, cells.shape[1], -1, -1, -1)
        hidden = self.enter(torch.cat([cells, still], -1)).permute(0, 1, 4, 2, 3)
        return self.leave(torch.nn.functional.gelu(self.layers(hidden)).permute(0, 1, 3, 4, 2))


class Autoencoder(torch.nn.Module):
    """The linear codec plus networks; causal as CogVideoX's: a latent frame knows no later frame of the clip, frame 0 stands alone.

    Parameters:
        linear: A fitted codec, kept as it is.
        width, layers: Of either network.
    """

    def __init__(self, linear: Codec, width: int = 192, layers: int = 2) -> None:
        super().__init__()
        self.linear, self.channels = linear, linear.channels
        size = linear.stride_t * STRIDE * STRIDE * 3
        self.encoder = Network(size, linear.channels, width, layers)
        self.decoder = Network(linear.channels, size, width, layers)

    def encode(self, video: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """[(B, 17, 48, 64, 3) and (B, 48, 64, 3), both 0..1 -> (B, T, K, 6, 8)]"""
        moved = blocks(2 * (video - reference[:, None]), self.linear.stride_t)
        return self.linear.encode(video, reference) + self.encoder(moved, reference).permute(0, 1, 4, 2, 3)

    def decode(self, latent: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """[(B, T, K, 6, 8) and (B, 48, 64, 3) -> (B, 17, 48, 64, 3) in about 0..1]"""
        more = self.decoder(latent.permute(0, 1, 3, 4, 2), reference)
        return self.linear.decode(latent, reference) + unblock(more, self.linear.stride_t) / 2


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A way to compare clips: its name, clip and reference -> latents, and their deviation over unseen clips."""

    name: str
    encode: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    deviation: float


def train(model: Autoencoder, clips: data.Clips, steps: int, *, batch: int = 8, rate: float = 2e-3, seed: int = 0) -> float:
    """Least squared error of pixels, bfloat16 products. Returns CPU seconds."""
    clock = time.process_time()
    torch.manual_seed(seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    ramp = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: min((k + 1) / 30, 1) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * k / steps))))
    rng = np.random.default_rng([seed, 0xAE])
    for _ in range(steps):
        pick = rng.integers(len(clips.videos), size=batch)
        video, reference = data.unit(clips.videos[pick]), data.unit(clips.references[pick])
        with torch.autocast("cpu", torch.bfloat16):
            again = model.decode(model.encode(video, reference), reference)
        loss = (again.float() - video).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        ramp.step()
    return time.process_time() - clock


@torch.no_grad()
def psnr(codec: Codec | Autoencoder, clips: data.Clips) -> tuple[float, float, float]:
    """PSNR of all pixels and of the moving ones [dB], and the deviation of the latents; an exact clip has 100 dB."""
    error, moving, count, power, latents = 0.0, 0.0, 0, 0.0, 0
    for start in range(0, len(clips.videos), 16):
        video, reference = data.unit(clips.videos[start : start + 16]), data.unit(clips.references[start : start + 16])
        latent = codec.encode(video, reference)
        wrong = (codec.decode(latent, reference).clamp(0, 1) - video).square().mean(-1)
        moves = (video - reference[:, None]).abs().amax(-1) > MOVING
        error, moving, count = error + float(wrong.sum()), moving + float(wrong[moves].sum()), count + int(moves.sum())
        power, latents = power + float(latent.square().sum()), latents + latent.numel()
    pixels = clips.videos.size // 3
    whole, parts = (-10 * math.log10(max(wrong / n, 1e-10)) for wrong, n in ((error, pixels), (moving, max(count, 1))))
    return whole, parts, math.sqrt(power / latents)


def milliseconds(codec: Codec | Autoencoder, clips: data.Clips, repeats: int = 15) -> float:
    """CPU time to encode one clip and to carry a gradient back to its pixels, median. [ms]"""
    video, reference = data.unit(clips.videos[:1]).requires_grad_(), data.unit(clips.references[:1])
    times = []
    for _ in range(repeats):
        clock = time.process_time()
        latent = codec.encode(video, reference)
        torch.autograd.grad(latent, video, torch.ones_like(latent))
        times.append(time.process_time() - clock)
    return 1000 * float(np.median(times))


class Subject:
    """An unseen four-legged body, the motion that is right, and films of any motion.

    Attributes:
        angles, roots, turns: Of the target: joint angles [rad, (17, J, 3)], root positions [m, (17, 3)], rotation vectors [rad, (17, 3)].
        legs: Joints of legs.
    """

    def __init__(self, seed: int, motion: str) -> None:
        body = bodies.random_body(seed, "quadruped")
        body.rig.limits = limits(body.rig.roles, along=body.rig.tails - body.rig.positions).astype(np.float32)
        self.rig, self.motion = body.rig, motion
        clip = data.clip_of(body, motion, np.random.default_rng([seed, 0xAE]))
        self.skeleton, self.scene = Skeleton.from_rig(body.rig), ModelConfig().scene()
        self.kernels = tuple(torch.from_numpy(v) for v in (body.means, body.covariances, body.weights))
        self.opacities, self.colors = torch.from_numpy(body.opacities), role_colors(body.rig, self.kernels[2])
        self.framing = self.scene.framing(self.kernels[0])
        self.legs = [j for j, role in enumerate(body.rig.roles) if is_leg(role)]
        self.angles = torch.from_numpy(clip.angles.astype(np.float32))
        sway = clip.root_positions - data.steady(clip.root_positions)
        sway[:, 1] = clip.root_positions[:, 1] - body.rig.positions[0, 1]
        self.roots = torch.from_numpy((body.rig.positions[0] + sway).astype(np.float32))
        self.turns = rotation_vector(torch.from_numpy(clip.root_rotations.astype(np.float32)))
        self.cameras = [self.scene.camera(self.kernels[0][None].expand(len(sway), -1, -1), self.framing, r, side=s) for r, s in draws(seed)]

    def film(self, angles: torch.Tensor, roots: torch.Tensor, turns: torch.Tensor, view: int) -> torch.Tensor:
        """A clip before one of the cameras. [(1, 17, 48, 64, 3)]"""
        pose = forward(self.skeleton, angles, roots, quaternion.to_matrix(quaternion.from_rotation_vector(turns)))
        means, spread = skinning.skin_gaussians(*self.kernels, pose)
        return self.scene.render(means, spread, self.opacities, self.colors, self.cameras[view], self.framing)[None]

    @torch.no_grad()
    def truth(self, view: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The target's clip and the body at rest before a camera. [(1, 17, 48, 64, 3) and (1, 48, 64, 3)]"""
        rest = self.film(0 * self.angles, self.skeleton.positions[:1].expand(len(self.roots), -1), 0 * self.turns, view)
        return self.film(self.angles, self.roots, self.turns, view), rest[:, 0]

    def swing(self, angles: torch.Tensor) -> torch.Tensor:
        """What makes the gait: the first axis of the joints of legs. [(17, legs)]"""
        return angles[:, self.legs, 0]


def draws(seed: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Of a subject's cameras: two on either side."""
    rng = np.random.default_rng([seed, 0xCA])
    yield from ((rng, side) for side in (1, -1, 1, -1))


def rotation_vector(q: torch.Tensor) -> torch.Tensor:
    """Of unit quaternions xyzw. [(F, 4) -> rad, (F, 3)]"""
    q = q * torch.where(q[:, 3:] < 0, -1.0, 1.0)
    sine = q[:, :3].norm(dim=1, keepdim=True)
    return q[:, :3] * torch.where(sine > 1e-7, 2 * torch.atan2(sine, q[:, 3:]) / sine.clamp(min=1e-7), 2.0)


def gradient_cosines(subject: Subject, encoder: Encoder, generator: torch.Generator) -> tuple[float, float]:
    """Cosine between the descent direction of |E(x) - E(target)|^2 on leg swings and the way to the target, mean over `AMOUNTS` and two views.

    Returns:
        With the target's latents as they are, and with white errors of `ERROR` deviations on them.
    """
    found = []
    rest = subject.skeleton.positions[0]
    for amount in AMOUNTS:
        for view in (0, 1):
            target, reference = subject.truth(view)
            angles = (amount * subject.angles).requires_grad_()
            video = subject.film(angles, rest + amount * (subject.roots - rest), amount * subject.turns, view)
            way = subject.swing(subject.angles - angles.detach()).flatten()
            latent = encoder.encode(video, reference)
            wrong = (latent - encoder.encode(target, reference)).detach()
            noise = ERROR * encoder.deviation * torch.randn(wrong.shape, generator=generator)
            for error in (wrong, wrong + noise):
                (joints,) = torch.autograd.grad(latent, angles, error, retain_graph=True)
                found.append(float(torch.cosine_similarity(-subject.swing(joints).flatten(), way, dim=0)))
    return float(np.mean(found[::2])), float(np.mean(found[1::2]))


def photometric_ceiling(subject: Subject, encoder: Encoder, steps: int) -> float:
    """What is left of the leg swings' error after descending |E(x) - E(target)|^2 as distill does (same variables, rates and optimiser).

    Returns:
        RMS error relative to the body at rest: 1 is no better than standing still, 0 is the target.
    """
    variables = MotionVariables(subject.rig, frames=17, fps=data.FPS, modes=8, speed=0.0, trunk=0.25, lateral=0.25)
    rates = {"joints": 0.03, "turns": 0.01, "shifts": 0.01}
    optimiser = torch.optim.Adam([{"params": [leaf], "lr": rates[name]} for name, leaf in variables.leaves().items()], betas=ADAM_BETAS)
    truths = [subject.truth(view) for view in range(len(subject.cameras))]
    targets = [encoder.encode(target, reference).detach() for target, reference in truths]
    for step in range(steps):
        view = step % len(truths)
        frames = variables.frames()
        latent = encoder.encode(subject.film(frames.angles, frames.root_positions, frames.root_vectors, view), truths[view][1])
        optimiser.zero_grad(set_to_none=True)
        (0.5 * (latent - targets[view]).square().mean()).backward()
        optimiser.step()
    with torch.no_grad():
        left = subject.swing(variables.frames().angles - subject.angles).square().mean()
        return float((left / subject.swing(subject.angles).square().mean()).sqrt())


def pixels_encoder(clips: data.Clips) -> Encoder:
    """No encoder at all: what the joints can be told by pixels."""
    moved = data.unit(clips.videos) - data.unit(clips.references)[:, None]
    return Encoder("pixels", lambda video, reference: video - reference[:, None], float(moved.square().mean().sqrt()))


def measured(name: str, codec: Codec | Autoencoder, weights: int, held: data.Clips, options: Options) -> dict[str, Any]:
    """A row of the table.

    Parameters:
        weights: What an encoder and a decoder of this size have to keep.
    """
    whole, moving, deviation = psnr(codec, held)
    row: dict[str, Any] = {"codec": name, "channels": codec.channels, "psnr": whole, "psnr_moving": moving}
    row |= {"ms": milliseconds(codec, held), "parameters": weights, "mb": 2e-6 * weights}
    return row | judge(Encoder(f"{name}-{codec.channels}", codec.encode, deviation), options.subjects, options.adam_steps)


def rows(films: list[data.Clips], held: data.Clips, options: Options) -> Iterator[dict[str, Any]]:
    """Pixels, then the linear codecs of all sizes, then the trained ones."""
    pixels = judge(pixels_encoder(held), options.subjects, options.adam_steps)
    yield {"codec": "pixels", "channels": 0} | pixels
    linear = [data.fit_codec(ModelConfig(channels=channels), films[0], options.fit) for channels in options.channels]
    for codec in linear:
        yield measured("linear", codec, codec.basis.numel() + codec.channels, held, options)
    clips = data.Clips(*(np.concatenate([getattr(f, name) for f in films]) for name in ("videos", "references", "ids")))
    for codec in linear if options.steps else ():
        model = Autoencoder(codec)
        seconds = train(model, clips, options.steps)
        model.requires_grad_(False)
        row = measured("trained", model, sum(p.numel() for p in model.parameters()), held, options)
        yield row | {"steps": options.steps, "train_cpu_s": seconds}


def held_out(count: int, scene: Scene) -> data.Clips:
    """Clips of unseen bodies."""
    return data.shoot((take for seed in range(HELD_OUT, HELD_OUT + count) for take in data.takes(seed)), scene, np.random.default_rng(HELD_OUT))


def judge(encoder: Encoder, count: int, adam_steps: int) -> dict[str, float]:
    """Means over subjects: cosine without and with errors on the target, and what is left of the leg swings' error."""
    found = []
    for index in range(count):
        subject = Subject(HELD_OUT + 1000 + index, MOTIONS[index % len(MOTIONS)])
        cosines = gradient_cosines(subject, encoder, torch.Generator().manual_seed(index))
        found.append((*cosines, photometric_ceiling(subject, encoder, adam_steps)))
    plain, noisy, left = np.mean(found, 0)
    return {"cosine": float(plain), "cosine_noisy": float(noisy), "left": float(left)}


HEAD = """| K | codec | PSNR (dB) | moving pixels (dB) | encode + backward (ms) | fp16 MB | training (CPU s) | cosine | with error | left |
|---|---|---|---|---|---|---|---|---|---|"""


def line(row: dict[str, Any]) -> str:
    """Markdown."""
    joints = f"{row['cosine']:.3f} | {row['cosine_noisy']:.3f} | {row['left']:.3f} |"
    if "psnr" not in row:
        return f"| - | {row['codec']} | - | - | - | - | - | {joints}"
    size = f"| {row['channels']} | {row['codec']} | {row['psnr']:.1f} | {row['psnr_moving']:.1f} | {row['ms']:.1f} | {row['mb']:.2f} "
    return f"{size}| {row.get('train_cpu_s', 0):.0f} | {joints}"


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is measured; see the command's flags."""

    channels: tuple[int, ...] = (16, 32, 64, 96)
    steps: int = 500
    fit: int = 600
    subjects: int = 4
    adam_steps: int = 60


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=Path, help="folder of clips, made there if missing (default: one that is deleted)")
    parser.add_argument("--chunks", type=int, default=2, help="files of 800 clips to train on")
    parser.add_argument("--steps", type=int, default=Options.steps, help="training steps of 8 clips of each size")
    parser.add_argument("--channels", default=",".join(map(str, Options.channels)))
    parser.add_argument("--fit", type=int, default=Options.fit, help="clips that the linear codec is fitted to")
    parser.add_argument("--held-out", type=int, default=24, help="unseen bodies, four clips each")
    parser.add_argument("--subjects", type=int, default=Options.subjects, help="unseen bodies whose joints are followed, walking and running in turn")
    parser.add_argument("--adam-steps", type=int, default=Options.adam_steps)
    parser.add_argument("--json", action="store_true", help="a flat JSON object on the last line instead of a table")
    given = parser.parse_args()
    options = Options(tuple(map(int, given.channels.split(","))), given.steps, given.fit, given.subjects, given.adam_steps)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.films or Path(temporary)
        for _ in data.prepare(folder, given.chunks, ModelConfig().scene()):
            pass
        films = [data.read_chunk(data.chunk_path(folder, k)) for k in range(given.chunks)]
    flat: dict[str, float] = {}
    if not given.json:
        print(HEAD, flush=True)
    for row in rows(films, held_out(given.held_out, ModelConfig().scene()), options):
        if not given.json:
            print(line(row), flush=True)
        name = f"{row.pop('codec')}_{row.pop('channels')}"
        flat |= {f"{name}_{key}": round(value, 3) for key, value in row.items()}
    if given.json:
        print(json.dumps(flat))


if __name__ == "__main__":
    main()
