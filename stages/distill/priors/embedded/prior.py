"""The built-in prior behind the VideoPrior protocol, and the file its weights are in."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from schemas.errors import MissingError, SchemaError

from ..base import PriorSpec, TextCondition
from . import latent, text
from .latent import PatchCodec
from .model import TRAIN_STEPS, Denoiser, ModelConfig, alpha_sigma

if TYPE_CHECKING:
    from .train import Trainer

WEIGHTS = Path(__file__).with_name("weights.safetensors")
CARD = Path(__file__).with_name("card.json")
LICENCE = "Apache-2.0"

# chosen on one tuning body, see docs/prior.md
DEFAULTS: dict[str, Any] = {
    "iterations": 250,
    "guidance_scale": 10.0,
    "views": 2,
    "modes": 6,
    "unfold": 0.0,
    "learning_rate": 0.03,
    "root_learning_rate": 0.01,
    "trunk_rate": 0.25,
    "lateral_rate": 0.25,
    "lambda_smooth": 0.02,
    "lambda_ground": 2.0,
    "weighting": "one",
    "t_min": 0.75,
    "t_max": 0.93,
    "t_min_end": 0.65,
    "t_max_end": 0.88,
    "anneal": 0.7,
}

PHASE = 0.0
"""Phase of the gait that every prompt asks for. Without it each noise draw and each view suggests a phase of its own."""

SPEC = PriorSpec(
    name="embedded",
    prediction="v",
    frames=latent.FRAMES,
    height=latent.HEIGHT,
    width=latent.WIDTH,
    fps=16.0,
    frame_rule=str(latent.FRAMES),
    size_multiple=0,
    temporal_stride=latent.STRIDE_T,
    spatial_stride=latent.STRIDE,
    latent_channels=ModelConfig().channels,
    look="roles",
    licence=LICENCE,
    max_time=0.95,
    defaults=DEFAULTS,
)


class EmbeddedPrior:
    """The in-house video model: gaits of coloured animals, 17 frames of 48 x 64 pixels.

    Attributes:
        spec: See base.PriorSpec.
        card: How the weights were trained.
        diagnostics: "guidance_rms" of the last prediction, in units of the clean latent.
    """

    def __init__(self, *, device: torch.device | str = "cpu", weights: Path = WEIGHTS, card: Path = CARD) -> None:
        """Load the weights and check them against the card.

        Raises:
            MissingError: The files are not there. SchemaError: They are damaged or of another model.
        """
        self.spec, self.device = SPEC, torch.device(device)
        self.card, self.codec, self.net = load(weights, card)
        self.codec.to(self.device)
        self.net.to(self.device).eval().requires_grad_(False)
        self.diagnostics: dict[str, float] = {}

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """Token numbers; an empty negative prompt is the null prompt of training. [(1, 4) each]

        Raises:
            InputError: The prompt has an unknown word, no gait or two.
        """
        positive = text.tokens(prompt, facing=facing, phase=PHASE)
        other = text.tokens(negative, facing=facing) if negative.strip() else text.NULL
        return TextCondition(*(torch.tensor([ids], device=self.device) for ids in (positive, other)))

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """[(B, 17, 48, 64, 3) in 0..1 -> (B, 5, K, 6, 8)]"""
        return self.codec.encode(video)

    def decode_latent(self, z: torch.Tensor) -> torch.Tensor:
        """Back to pixels, for looking at. [(B, 5, K, 6, 8) -> (B, 17, 48, 64, 3)]"""
        return self.codec.decode(z)

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """Signal and noise level at u, as CogVideoX's schedule has them."""
        return alpha_sigma(u)

    @torch.no_grad()
    def predict_x0(self, noisy: torch.Tensor, u: float, text: TextCondition, guidance_scale: float) -> torch.Tensor:
        """The guided clean latent. Guiding z0_hat equals guiding v: both are affine in each other for the same draw."""
        step = torch.full((len(noisy),), round(u * (TRAIN_STEPS - 1)), dtype=torch.long, device=noisy.device)
        positive = text.positive.expand(len(noisy), -1)
        if guidance_scale == 1:
            self.diagnostics = {"guidance_rms": 0.0}
            return self._clean(noisy, step, positive)
        both = torch.cat([text.negative.expand(len(noisy), -1), positive])
        negative, clean = self._clean(torch.cat([noisy, noisy]), torch.cat([step, step]), both).chunk(2)
        difference = clean - negative
        self.diagnostics = {"guidance_rms": float(difference.square().mean().sqrt())}
        return negative + guidance_scale * difference

    def _clean(self, noisy: torch.Tensor, step: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net(noisy, step, ids)

    @torch.no_grad()
    def sample(self, condition: TextCondition, *, steps: int = 30, guidance_scale: float = 3.0, seed: int = 0, start: float = 0.95) -> torch.Tensor:
        """Clips by DDIM from noise level `start`, to see what the prior believes. [(B, 17, 48, 64, 3)]"""
        generator = torch.Generator().manual_seed(seed)
        t, h, w = latent.CELLS
        z = torch.randn(len(condition.positive), t, self.codec.channels, h, w, generator=generator).to(self.device)
        levels = torch.linspace(start, 0, steps + 1).tolist()
        for u, following in zip(levels, levels[1:], strict=False):
            clean = self.predict_x0(z, u, condition, guidance_scale)
            (alpha, sigma), (later_alpha, later_sigma) = alpha_sigma(u), alpha_sigma(following)
            z = later_alpha * clean + later_sigma * (z - alpha * clean) / sigma
        return self.codec.decode(clean).clamp(0, 1)


def load(weights: Path = WEIGHTS, card: Path = CARD) -> tuple[dict[str, Any], PatchCodec, Denoiser]:
    """Read and check the shipped files.

    Raises:
        MissingError: A file is not there. SchemaError: Hash, size or names disagree with the card.
    """
    from safetensors.torch import load as parse

    for path in (weights, card):
        if not path.is_file():
            raise MissingError(f"{path}: not there;", "train it with python -m stages.distill.priors.embedded.train, or reinstall akd.")
    try:
        about: dict[str, Any] = json.loads(card.read_text())
        data = weights.read_bytes()
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            raise SchemaError(f"{weights}: its sha256 is not the one in {card.name};", "the file is damaged: reinstall akd.")
        tensors = {name: tensor.float() for name, tensor in parse(data).items()}
        codec, net = PatchCodec(int(about["model"]["channels"])), Denoiser(ModelConfig(**about["model"]))
        codec.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("codec.")})
        net.load_state_dict({name[4:]: tensor for name, tensor in tensors.items() if name.startswith("net.")})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise SchemaError(f"{card}: does not describe {weights.name}: {error};", "reinstall akd.") from error
    return about, codec, net


def export(trainer: Trainer, codec: PatchCodec, folder: Path, *, extra: Mapping[str, Any] | None = None) -> None:
    """Write weights.safetensors (the averaged network in half precision) and card.json."""
    from safetensors.torch import save

    tensors = {f"codec.{name}": tensor.half() for name, tensor in codec.state_dict().items()}
    tensors |= {f"net.{name}": tensor.half() for name, tensor in trainer.average.state_dict().items()}
    data = save({name: tensor.contiguous() for name, tensor in sorted(tensors.items())})
    card = {
        "name": SPEC.name,
        "what": "text-to-video diffusion model of animal gaits, 17 frames of 48 x 64 pixels at 16 fps, part colours",
        "model": dataclasses.asdict(trainer.net.config),
        "training": dataclasses.asdict(trainer.config) | {"steps_done": trainer.step, "seconds": round(trainer.seconds), "clips": len(trainer.latents)},
        "validation_loss": round(trainer.validate(), 4),
        "parameters": sum(p.numel() for p in trainer.net.parameters()),
        "trained": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread, no GPU",
        "data": "procedural bodies and gaits of this package, no third-party material",
        "licence": LICENCE,
        "sha256": hashlib.sha256(data).hexdigest(),
        **(extra or {}),
    }
    (folder / WEIGHTS.name).write_bytes(data)
    (folder / CARD.name).write_text(json.dumps(card, indent=1) + "\n")
