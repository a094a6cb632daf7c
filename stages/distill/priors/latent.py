"""What the large video models have in common: networks on a device, one clip at a time, guidance, memory (METHOD 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from .. import costs
from ..score import clean_estimate, guide
from .base import PriorSpec, TextCondition
from .offload import Offload
from .taehv import TinyEncoder
from .text_cache import TextCache
from .text_encoder import TextEncoder

# beyond `params.FALLBACK`; ours, and never tried with the real weights: low-frequency modes, as everywhere here
DEFAULTS: dict[str, Any] = {"modes": 16, "unfold": 0.3}


def large_spec(
    name: str, prediction: str, clip: tuple[int, int, int, float], strides: tuple[int, int], multiple: int, channels: int, licence: str
) -> PriorSpec:
    """The specification of a large model.

    Parameters:
        clip: Frames, height, width and frames per second that it is used with. [-, px, px, Hz]
        strides: Frames and pixels per latent cell.
        multiple: Height and width are multiples of this. [px]
    """
    return PriorSpec(
        name=name,
        prediction=prediction,
        frames=clip[0],
        height=clip[1],
        width=clip[2],
        fps=clip[3],
        frame_rule=f"{strides[0]}k+1",
        size_multiple=multiple,
        temporal_stride=strides[0],
        spatial_stride=strides[1],
        latent_channels=channels,
        look="natural",
        licence=licence,
        max_time=0.98,  # the last steps have next to no signal, in some models none at all
        defaults=DEFAULTS,
    )


def check_transformer(folder: Path, transformer: Mapping[str, Any], expected: str) -> None:
    """Raise InputError unless the configuration is of a transformer of this class."""
    if transformer.get("_class_name") != expected:
        raise InputError(f"{folder}: its transformer is {transformer.get('_class_name')}, {expected} is needed.")


def check_channels(folder: Path, taken: int, made: int) -> None:
    """Raise InputError unless the transformer takes as many channels as the encoder makes."""
    if taken != made:
        raise InputError(f"{folder}: is an image-to-video model (it takes {taken} latent channels);", "use the text-to-video one.")


class LatentPrior:
    """Base of the large models; a family adds `alpha_sigma`, `_time`, `_latent` and `_predict`.

    Attributes:
        spec: From the model's own configuration.
        device, dtype: Where the transformer runs and in which precision.
        diagnostics: "guidance_rms" of the last prediction.
        batched: Whether the pipeline asks for both predictions of the guidance in one batch.
        offloaded: The transformer's weights in the host's memory, if they are.
        tiny: What encodes clips instead of the model's own encoder, if anything does.
        tiny_front: Whether what a clip of 4k+1 frames lacks to whole groups is put in front of it for the tiny encoder.
            CogVideoX's own latents are of frames 0, 1..4, 5..8, and taecvx was trained on whole groups. taew2_1 and
            taew2_2 were trained to give Wan's latents of the same frames out of 0..3, 4..7, 8..: they want it behind, as
            TAEHV's encode_video has it, and so see up to three frames more than Wan's own encoder.
    """

    batched = True
    offloaded: Offload | None = None
    tiny: TinyEncoder | None = None
    tiny_front = False

    def __init__(self, spec: PriorSpec, transformer: Any, vae: Any, text: TextEncoder, cache: TextCache | None = None) -> None:
        self.spec, self.text, self.cache = spec, text, cache
        self.device, self.dtype = text.device, text.dtype
        self.transformer, self.vae = transformer, vae
        for network in (transformer, vae):
            network.to(self.device).eval().requires_grad_(False)  # never .to(dtype): some layers have to stay in float32
        if self.device.type == "cuda":
            vae.decoder.to("cpu")  # distillation only encodes
        self.diagnostics: dict[str, float] = {}

    def prepare(self, settings: Any) -> str:
        """Choose how memory is saved for the clips of a run. Neither choice changes a number.

        Parameters:
            settings: Resolved distill parameters; of those `checkpointing` (one of `costs.MODES`, or "auto" for the
                fastest that is computed to fit into the memory that is free) and `offload` (keep the transformer's
                weights in the host's memory, on CUDA alone).

        Returns:
            A note for the user.
        """
        from ..plan import free_memory

        kind = self.device.type
        if settings.offload and kind == "cuda" and self.offloaded is None:
            self.offloaded = Offload(self.transformer, self.device)
        resident = sum(p.numel() * p.element_size() for part in self._networks() for p in part.parameters() if p.device.type == kind)
        free = free_memory(kind) + resident
        clip = settings.views, settings.frames, settings.height, settings.width
        how: dict[str, Any] = {"guided": settings.guidance_scale != 1, "offload": self.offloaded is not None, "kind": kind, "small": self.tiny is not None}
        mode = costs.choose(self.config(), clip, free=free, mode=settings.checkpointing, **how)
        self.set_checkpointing(mode)
        need = costs.need(self.config(), clip, mode, **how)
        extra = (", transformer offloaded" if self.offloaded else "") + (", tiny encoder" if self.tiny else "")
        return f"encoder checkpointing: {mode}{extra}; about {need.total / 1e9:.1f} of {free / 1e9:.1f} GB, computed"

    def config(self) -> dict[str, dict[str, Any]]:
        """ "transformer" and "vae" as their config.json have them, for `costs`."""
        transformer = {**self.transformer.config, "_class_name": type(self.transformer).__name__}
        return {"transformer": transformer, "vae": dict(self.vae.config)}

    def set_checkpointing(self, mode: str) -> None:
        """What of the encoder the backward pass computes again, one of `costs.MODES`; "nested" is diffusers' own."""
        if self.tiny is not None:
            self.tiny.checkpointing = mode != "none"
            return
        self.vae.enable_gradient_checkpointing()
        encoder = self.vae.encoder
        encoder.gradient_checkpointing = mode in ("blocks", "nested")
        for block in (*encoder.down_blocks, encoder.mid_block):
            block.gradient_checkpointing = mode in ("resnets", "nested")

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """Embeddings padded to the model's length, from the cache where possible. [(1, L, C)]

        `facing` is not told to the model: it sees it in the image.
        """
        return TextCondition(*self.text.cached(self.cache, prompt, negative))

    def encode_video(self, video: torch.Tensor, image: torch.Tensor | None = None) -> torch.Tensor:
        """Mean of the encoder's posterior, normalised. [(B, F, H, W, 3) in 0..1 -> (B, ...), float32]

        One clip at a time to bound memory. Never tiled: tiles give a different gradient.
        """
        self.spec.check_clip(*video.shape[1:4])
        return torch.cat([self._encode(clip) for clip in video.split(1)])

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """Signal and noise level at u in [0, 1], in float64."""
        raise TypeError(f"{type(self).__name__} has no noise levels")

    @torch.no_grad()
    def predict_x0(self, noisy: torch.Tensor, u: float, text: TextCondition, guidance_scale: float) -> torch.Tensor:
        """The clean latent with classifier-free guidance (6), in float32. [(B, ...)]"""
        alpha, sigma = self.alpha_sigma(u)
        time, squares, clean = self._time(u), [], []
        with self.offloaded.inside() if self.offloaded else nullcontext():
            for index in range(len(noisy)):
                positive, negative = (t[min(index, len(t) - 1)][None] for t in (text.positive, text.negative))
                prediction, rms = self._guided(noisy[index : index + 1], time, negative, positive, guidance_scale)
                clean.append(clean_estimate(self.spec.prediction, noisy[index : index + 1], prediction, alpha, sigma))
                squares.append(rms * rms)
        self.diagnostics["guidance_rms"] = math.sqrt(sum(squares) / len(squares))
        return torch.cat(clean)

    def _guided(self, noisy: torch.Tensor, time: float, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> tuple[torch.Tensor, float]:
        if scale == 1:
            return self._predict(noisy, time, positive), math.nan
        if self.batched:
            both = self._predict(torch.cat([noisy, noisy]), time, torch.cat([negative, positive]))  # this order is the pipeline's
            return guide(*both.chunk(2), scale)
        return guide(self._predict(noisy, time, negative), self._predict(noisy, time, positive), scale)

    def _encode(self, clip: torch.Tensor) -> torch.Tensor:
        """Normalised latent of one clip. [(1, F, H, W, 3) in 0..1 -> (1, ...), float32]"""
        if self.tiny is not None:
            return self._finish(self.tiny(clip.permute(0, 1, 4, 2, 3).to(self.device, self.tiny.dtype), front=self.tiny_front).float())
        return self._latent((2 * clip - 1).permute(0, 4, 1, 2, 3).to(self.device, self.vae.dtype))

    def _networks(self) -> list[Any]:
        return [self.transformer, self.vae, *([self.tiny] if self.tiny is not None else [])]

    def _finish(self, latent: torch.Tensor) -> torch.Tensor:
        """The tiny encoder's latent in the order and scale of `_latent`. [(1, F', C, h, w) -> (1, ...)]"""
        return latent.transpose(1, 2)

    def _time(self, u: float) -> float:
        """What `_predict` is told of the noise level u."""
        raise TypeError(f"{type(self).__name__} has no noise levels")

    def _latent(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised latent of one clip by the model's own encoder. [(1, 3, F, H, W) in -1..1 -> (1, ...), float32]"""
        raise TypeError(f"{type(self).__name__} does not encode clips")

    def _predict(self, noisy: torch.Tensor, time: float, text: torch.Tensor) -> torch.Tensor:
        """The network's prediction, in float32. [(B, ...)]"""
        raise TypeError(f"{type(self).__name__} predicts nothing")
