"""What distill needs of a video diffusion model: one protocol for all of them (METHOD 5)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from schemas.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True)
class PriorSpec:
    """What a prior is made for.

    Attributes:
        name: As `--prior` takes it.
        prediction: What the network predicts: "v", "flow" or "epsilon".
        frames, height, width, fps: The clip it is used with by default. [-, px, px, Hz]
        frame_rule: Allowed frame counts: "17", "4k+1" or "8k+1".
        size_multiple: Height and width are multiples of this; 0 = the default size only. [px]
        temporal_stride, spatial_stride: Frames and pixels per latent cell.
        latent_channels: Channels of a latent cell.
        look: What distill renders for it (scene.py): "natural" colours or "roles".
        ground: Whether it wants to see a ground.
        reference: Whether it is told what the body at rest looks like, see `TextCondition.image`.
        licence: Of the weights.
        max_time: Largest noise level u = t/T at which its prediction is usable.
        defaults: Values of distill parameters that this prior wants where the user gave none.
    """

    name: str
    prediction: str
    frames: int
    height: int
    width: int
    fps: float
    frame_rule: str
    size_multiple: int
    temporal_stride: int
    spatial_stride: int
    latent_channels: int
    look: str = "natural"
    ground: bool = True
    reference: bool = False
    licence: str = ""
    max_time: float = 0.98
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.prediction not in ("v", "flow", "epsilon"):
            raise ValueError(f"prediction {self.prediction!r} is not v, flow or epsilon")
        if self.look not in ("natural", "roles"):
            raise ValueError(f"look {self.look!r} is not natural or roles")
        _rule(self.frame_rule)

    def check_clip(self, frames: int, height: int, width: int, *, flag: str = "--frames") -> None:
        """Raise InputError, which names `flag` for the frames, unless the prior takes a clip of this size. [-, px, px]"""
        step, offset = _rule(self.frame_rule)
        if frames < 1 or (frames != offset if step == 0 else frames < offset or (frames - offset) % step):
            allowed = f"exactly {offset}" if step == 0 else f"{self.frame_rule} (such as {_nearest(frames, step, offset)})"
            raise InputError(f"{flag} {frames}: the prior {self.name} takes {allowed} frames.")
        for flag, value, usual in (("--height", height, self.height), ("--width", width, self.width)):
            if self.size_multiple == 0 and value != usual:
                raise InputError(f"{flag} {value}: the prior {self.name} takes exactly {usual} pixels.")
            if self.size_multiple and (value < self.size_multiple or value % self.size_multiple):
                near = max(1, round(value / self.size_multiple)) * self.size_multiple
                raise InputError(f"{flag} {value}: the prior {self.name} takes multiples of {self.size_multiple} pixels (such as {near}).")


@dataclasses.dataclass
class TextCondition:
    """Encoded prompts; what the tensors hold is the prior's own business (embeddings, token numbers, class weights).

    Attributes:
        positive: Of the prompt. [(1, ...)]
        negative: Of the negative or empty prompt. [(1, ...)]
        image: The body at rest before the camera of each clip, where `PriorSpec.reference` asks for it. [(B, H, W, 3), 0..1]
    """

    positive: Tensor
    negative: Tensor
    image: Tensor | None = None


@runtime_checkable
class VideoPrior(Protocol):
    """A text-to-video diffusion model as score distillation sees it.

    Latents are normalised: a clean latent has a standard deviation of about 1 and a noisy one is
    z_u = alpha(u) z + sigma(u) eps, with u in [0, 1] the noise level t/T.
    """

    spec: PriorSpec

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """Encode once, outside the loop. `facing`: where the character looks in the image, "left", "right" or "".

        Raises:
            InputError: The prior does not know a word of the prompt.
        """
        ...

    def encode_video(self, video: Tensor, image: Tensor | None = None) -> Tensor:
        """Normalised latents, differentiable. [(B, F, H, W, 3) in 0..1 -> (B, ...)]

        `image` is that of `TextCondition`, given to priors that ask for a reference.
        """
        ...

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """Signal and noise level at u in [0, 1], taken in float64."""
        ...

    def predict_x0(self, noisy: Tensor, u: float, text: TextCondition, guidance_scale: float) -> Tensor:
        """The clean latent z0_hat that the model sees in `noisy`, guided (CFG), float32, without gradient. [(B, ...)]

        A prior may keep figures of the last call in a dict attribute `diagnostics` (such as "guidance_rms", the rms
        of conditional minus unconditional prediction); distill logs them.
        """
        ...


def _rule(rule: str) -> tuple[int, int]:
    """(step, offset) of a frame rule; step 0 means exactly `offset` frames."""
    if rule.isdigit():
        return 0, int(rule)
    match = re.fullmatch(r"(\d+)k\+(\d+)", rule)
    if not match:
        raise ValueError(f"frame rule {rule!r} is neither a number nor of the form 4k+1")
    return int(match[1]), int(match[2])


def _nearest(frames: int, step: int, offset: int) -> int:
    return offset + step * max(1, round((frames - offset) / step))
