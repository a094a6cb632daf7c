"""Tiny video autoencoders of the TAEHV family in place of a model's own encoder: some percent of its work.

Our own implementation of the architecture of Ollin Boer Bohan's TAEHV (github.com/madebyollin/taehv, MIT licence),
under the names that its published weights have. An encoder is a row of two-dimensional layers: three times frames are
joined, then pixels, then three blocks that see a frame and the one before it. It takes 0..1 and gives the latents that
the diffusion model sees; those of taecvx are CogVideoX's before its scaling factor.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from schemas.errors import InputError, MissingError

from .text_cache import cache_folder
from .text_encoder import half_or_float

if TYPE_CHECKING:
    from .base import PriorSpec
    from .latent import LatentPrior

TINY = "tiny"
WIDTH = 64
_SOURCE = "https://github.com/madebyollin/taehv/raw/main/"
_ENDINGS = (".safetensors", ".pth")
# class of the transformer, channels and stride of its latents -> name of the weights
_NAMES = {
    ("CogVideoXTransformer3DModel", 16, 8): "taecvx",
    ("WanTransformer3DModel", 16, 8): "taew2_1",
    ("WanTransformer3DModel", 48, 16): "taew2_2",
}


class MemoryBlock(nn.Module):
    """A residual block that sees each frame beside the one before it; before the first there are zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(2 * width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(B, F, C, h, w) -> the same]"""
        past = functional.pad(x[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        return functional.relu(_framewise(self.conv, torch.cat([x, past], 2)) + x)


class Pool(nn.Module):
    """Joins each run of frames into one."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.conv = stride, nn.Conv2d(stride * width, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(B, F, C, h, w) -> (B, F / stride, C, h, w)]"""
        return _framewise(self.conv, x.unflatten(1, (-1, self.stride)).flatten(2, 3))


class Grow(nn.Module):
    """Makes a run of frames of each."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.conv = stride, nn.Conv2d(width, stride * width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(B, F, C, h, w) -> (B, F stride, C, h, w)]"""
        return _framewise(self.conv, x).unflatten(2, (self.stride, -1)).flatten(1, 2)


class TinyEncoder(nn.Module):
    """Video to latents.

    Attributes:
        patch: Pixels in a row that are joined into one cell first.
        pools: Frames joined at each of the three halvings.
        channels: Of the latents.
        checkpointing: Compute the inside of every block a second time in the backward pass instead of keeping it.
    """

    def __init__(self, channels: int = 16, patch: int = 1, pools: tuple[int, ...] = (2, 2, 1), width: int = WIDTH) -> None:
        super().__init__()
        self.channels, self.patch, self.pools, self.checkpointing = channels, patch, tuple(pools), False
        layers: list[nn.Module] = [_conv(3 * patch**2, width), nn.ReLU()]
        for stride in pools:
            layers += [Pool(width, stride), _conv(width, width, stride=2, bias=False), *(MemoryBlock(width) for _ in range(3))]
        self.encoder = nn.Sequential(*layers, _conv(width, channels))

    @property
    def temporal_stride(self) -> int:
        """Frames per latent frame."""
        return math.prod(self.pools)

    @property
    def spatial_stride(self) -> int:
        """Pixels per latent cell."""
        return self.patch * 2 ** len(self.pools)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.parameters()).dtype

    def forward(self, video: torch.Tensor, *, front: bool = False) -> torch.Tensor:
        """Encode clips; where frames lack to a whole group, the first is repeated in front or the last behind.

        [(B, F, 3, H, W) in 0..1 -> (B, F', C, h, w) with F' = F / stride, rounded up]
        """
        lack = -video.shape[1] % self.temporal_stride
        if lack:
            end = video[:, :1] if front else video[:, -1:]
            video = torch.cat([end.expand(-1, lack, -1, -1, -1), video] if front else [video, end.expand(-1, lack, -1, -1, -1)], 1)
        x = functional.pixel_unshuffle(video, self.patch) if self.patch > 1 else video
        for part in self._parts():
            keep = not self.checkpointing or not (part[0] is self.encoder[0] or isinstance(part[0], MemoryBlock))
            x = _apply(part, x) if keep else checkpoint(_apply, part, x, use_reentrant=False, preserve_rng_state=False)
        return x

    def _parts(self) -> list[list[nn.Module]]:
        """The layers up to the first block, which are the largest; then every block, and what is between."""
        parts: list[list[nn.Module]] = [[]]
        for layer in self.encoder:
            if isinstance(layer, MemoryBlock) or (parts[-1] and isinstance(parts[-1][0], MemoryBlock)):
                parts.append([])
            parts[-1].append(layer)
        return parts


class TinyDecoder(nn.Module):
    """Latents to video, for looking at them.

    Attributes:
        patch, channels: See TinyEncoder.
        grows: Frames made of one at each of the three doublings.
    """

    def __init__(self, channels: int = 16, patch: int = 1, grows: tuple[int, ...] = (1, 2, 2), widths: tuple[int, ...] = (256, 128, 64, 64)) -> None:
        super().__init__()
        self.channels, self.patch, self.grows = channels, patch, tuple(grows)
        layers: list[nn.Module] = [_Clamp(), _conv(channels, widths[0]), nn.ReLU()]
        for stride, inner, outer in zip(grows, widths, widths[1:], strict=False):
            layers += [*(MemoryBlock(inner) for _ in range(3)), nn.Upsample(scale_factor=2), Grow(inner, stride), _conv(inner, outer, bias=False)]
        self.decoder = nn.Sequential(*layers, nn.ReLU(), _conv(widths[-1], 3 * patch**2))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode; the frames that the first latent frame has too many are cut off. [(B, F', C, h, w) -> (B, F, 3, H, W) in 0..1]"""
        x = _apply(self.decoder, latent)
        x = functional.pixel_shuffle(x, self.patch) if self.patch > 1 else x
        return x[:, math.prod(self.grows) - 1 :].clamp(0, 1)


class _Clamp(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x / 3) * 3


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors or .pth file; of the latter nothing but tensors is read.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"--encoder {file}: cannot be read ({type(error).__name__});", "download it again.") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"--encoder {file}: holds no tensors by name;", "give the weights of a tiny encoder.")
    return state


def load_encoder(file: Path) -> TinyEncoder:
    """The encoder of a file of weights, its sizes as the weights have them.

    Raises:
        InputError: It cannot be read, or is of another kind of network.
    """
    state = {name: value.float() for name, value in read_weights(file).items() if name.startswith("encoder.")}
    try:
        width, pixels = state["encoder.0.weight"].shape[:2]
        last = max(int(name.split(".")[1]) for name in state)
        pools = [state[name].shape[1] // width for name in sorted(state, key=lambda name: int(name.split(".")[1])) if name.endswith(".conv.weight")]
        made = TinyEncoder(state[f"encoder.{last}.weight"].shape[0], round(math.sqrt(pixels / 3)), tuple(pools), width)
        made.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"--encoder {file}: is no encoder of the TAEHV family;", "give one such as taew2_1.pth or taecvx.pth.") from error
    return made.eval().requires_grad_(False)


def load_decoder(file: Path) -> TinyDecoder:
    """The decoder of a file of weights.

    Raises:
        InputError: As `load_encoder`.
    """
    state = {name: value.float() for name, value in read_weights(file).items() if name.startswith("decoder.")}
    try:
        widths = [state[f"decoder.{place}.weight"].shape[0] for place in (1, 8, 14, 20)]
        grows = [state[f"decoder.{place}.conv.weight"].shape[0] // width for place, width in zip((7, 13, 19), widths, strict=False)]
        pixels = state["decoder.22.weight"].shape[0]
        made = TinyDecoder(state["decoder.1.weight"].shape[1], round(math.sqrt(pixels / 3)), tuple(grows), tuple(widths))
        made.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{file}: has no decoder of the TAEHV family;", "give one such as taew2_1.pth or taecvx.pth.") from error
    return made.eval().requires_grad_(False)


def attach_tiny(prior: LatentPrior, name: str) -> None:
    """Let a tiny encoder take the place of a large model's own, which leaves the device.

    Parameters:
        name: "tiny" for the one made for the model, from this machine's caches; or a file of weights.

    Raises:
        InputError: None was made for this model, or the file's does not fit it. MissingError: The file is not there.
    """
    spec = prior.spec
    file = find_file(name, type(prior.transformer).__name__, spec)
    tiny = load_encoder(file)
    wanted = spec.latent_channels, spec.temporal_stride, spec.spatial_stride
    made = tiny.channels, tiny.temporal_stride, tiny.spatial_stride
    if wanted != made:
        sizes = "{} channels and strides of {} frames and {} pixels".format
        raise InputError(f"--encoder {name}: makes latents of {sizes(*made)};", f"the prior {spec.name} takes {sizes(*wanted)}.")
    prior.tiny = tiny.to(prior.device, half_or_float(prior.device))
    prior.vae.to("cpu")


def published(family: str, spec: PriorSpec) -> str:
    """Name of the weights that are published for a model.

    Parameters:
        family: Class of its transformer.

    Raises:
        InputError: There are none.
    """
    known = _NAMES.get((family, spec.latent_channels, spec.spatial_stride))
    if known is None:
        raise InputError(f"--encoder tiny: none is published for the prior {spec.name};", "use --encoder full.")
    return known


def find_file(name: str, family: str, spec: PriorSpec) -> Path:
    """The file of a tiny encoder.

    Parameters:
        name: "tiny" for the published one, which is looked for in the folder "tiny" of the user's cache and in the
            Hugging Face cache; or a file.
        family: Class of the model's transformer.

    Raises:
        InputError: None is published for this model. MissingError: It is not on this machine; says how to get it.
    """
    if name != TINY:
        file = Path(name).expanduser()
        if not file.is_file():
            raise MissingError(f"--encoder {name}: there is no such file;", "give the weights of a tiny encoder, or --encoder full.")
        return file
    known, own = published(family, spec), cache_folder() / "tiny"
    found = [own / (known + ending) for ending in _ENDINGS if (own / (known + ending)).is_file()] or _in_hub_cache(known)
    if not found:
        target = shlex.quote(str(own / f"{known}.pth"))
        remedy = f"curl -L --create-dirs -o {target} {_SOURCE}{known}.pth gets it (23 MB, MIT licence)."
        raise MissingError(f"--encoder tiny: {known} is not on this machine;", remedy)
    return found[0]


def _in_hub_cache(name: str) -> list[Path]:
    """Files of that name in any repository of the Hugging Face cache, the safer format first."""
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return []
    return [file for ending in _ENDINGS for file in sorted(Path(HF_HUB_CACHE).glob(f"models--*/snapshots/*/**/{name}{ending}"))]


def _conv(inner: int, outer: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1, **options)


def _framewise(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A layer on images for each frame of a video."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _apply(layers: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
    """Layers one after the other, those on images frame by frame."""
    for layer in layers:
        x = layer(x) if isinstance(layer, (MemoryBlock, Pool, Grow)) else _framewise(layer, x)
    return x
