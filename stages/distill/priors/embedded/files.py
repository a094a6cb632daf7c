"""The folder of the built-in prior's weights, laid out as diffusers lays out a pipeline: transformer, scheduler, text_encoder, vae, card.json."""

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

from . import text
from .latent import Codec
from .model import TRAIN_STEPS, Denoiser, ModelConfig

if TYPE_CHECKING:
    from .train import Trainer

MODEL = Path(__file__).with_name("weights")
LICENCE = "Apache-2.0"
_CARD = "card.json"
_WEIGHTS = "diffusion_pytorch_model.safetensors"


def load(folder: Path = MODEL) -> tuple[dict[str, Any], Codec, Denoiser]:
    """Read and check a folder of weights.

    Raises:
        MissingError: A file is not there. SchemaError: A hash or a size disagrees with the card.
    """
    from safetensors.torch import load as parse

    card = folder / _CARD
    if not card.is_file():
        raise MissingError(f"{card}: not there;", "train the prior with akd prior train, or reinstall akd.")
    try:
        about: dict[str, Any] = json.loads(card.read_text())
        config = ModelConfig(**about["model"])
        parts = {name: parse(_checked(folder / name, digest)) for name, digest in about["sha256"].items() if name.endswith(".safetensors")}
        codec, net = config.codec(), Denoiser(config)
        codec.load_state_dict({name: tensor.float() for name, tensor in parts[f"vae/{_WEIGHTS}"].items()})
        words = parts["text_encoder/model.safetensors"]
        state = {f"transformer.{name}": tensor.float() for name, tensor in parts[f"transformer/{_WEIGHTS}"].items()}
        state |= {"words.weight": words["words"].float(), "places": words["places"].float()}
        net.load_state_dict(state)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise SchemaError(f"{card}: does not describe the files beside it: {error};", "reinstall akd.") from error
    return about, codec, net


def _checked(path: Path, digest: str) -> bytes:
    if not path.is_file():
        raise MissingError(f"{path}: not there;", "reinstall akd.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SchemaError(f"{path}: its sha256 is not the one in {_CARD};", "the file is damaged: reinstall akd.")
    return data


def save(trainer: Trainer, codec: Codec, folder: Path, *, extra: Mapping[str, Any] | None = None) -> None:
    """Write the averaged network in half precision, the codec and the card.

    Parameters:
        extra: Further entries of the card.
    """
    from safetensors.torch import save as pack

    net = trainer.average
    _write(folder / "vae" / _WEIGHTS, pack({name: tensor.half().contiguous() for name, tensor in codec.state_dict().items()}))
    sizes = {"channels": codec.channels, "image_channels": codec.image_channels, "stride_t": codec.stride_t}
    _write_json(folder / "vae/config.json", {"_class_name": "Codec", **sizes})
    _write(folder / "text_encoder/model.safetensors", pack({"words": net.words.weight.half().cpu(), "places": net.places.detach().half().cpu()}))
    _write_json(folder / "text_encoder/config.json", {"_class_name": "Words", "tokens": list(text.TOKENS), "length": text.LENGTH})
    persistent = {name: tensor.half().cpu().contiguous() for name, tensor in net.transformer.state_dict().items()}
    _write(folder / "transformer" / _WEIGHTS, pack(persistent))
    _write_json(folder / "transformer/config.json", {"_class_name": "CogVideoXTransformer3DModel", **_plain(net.transformer.config)})
    _scheduler().save_pretrained(folder / "scheduler")
    files = sorted(path for path in folder.rglob("*.safetensors"))
    card = {
        "name": "embedded",
        "what": "text-and-image-to-video diffusion model of animal motions, 17 frames of 48 x 64 pixels at 16 fps",
        "model": dataclasses.asdict(net.config),
        "training": dataclasses.asdict(trainer.config) | {"steps_done": trainer.step, "seconds": round(trainer.seconds), "clips": len(trainer.latents)},
        "unexplained_variance": {f"{level:g}": round(value, 4) for level, value in trainer.validate().items()},
        "parameters": sum(p.numel() for p in net.parameters()),
        "trained": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {trainer.device.type}, {torch.get_num_threads()} thread(s)",
        "licence": LICENCE,
        "sha256": {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        **(extra or {}),
    }
    _write_json(folder / _CARD, card)


def _scheduler() -> Any:
    """The noise schedule as diffusers has it; the network predicts the clean sample."""
    from diffusers import CogVideoXDDIMScheduler

    return CogVideoXDDIMScheduler(
        num_train_timesteps=TRAIN_STEPS, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample",
        rescale_betas_zero_snr=True, snr_shift_scale=1.0, clip_sample=False, set_alpha_to_one=True,
    )  # fmt: skip


def _plain(config: Any) -> dict[str, Any]:
    return {key: value for key, value in dict(config).items() if isinstance(value, (int, float, str, bool, list, tuple, type(None)))}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")
