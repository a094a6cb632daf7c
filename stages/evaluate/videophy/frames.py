"""What the rater sees of a video: 32 frames of 224 x 224 pixels, normalised as CLIP wants them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.errors import InputError, MissingError

FRAMES = 32
"""Of a video, whatever its length; the rater was trained on so many."""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How frames become numbers, from preprocessor_config.json; the defaults are CLIP's.

    Attributes:
        size: Edge of the square that a frame is stretched to. [px]
        mean, deviation: Of the colour channels. [0..1]
    """

    size: int = 224
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    deviation: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    @classmethod
    def read(cls, folder: Path, size: int) -> Pixels:
        """The numbers of a model's folder; those of CLIP where it holds no file of them."""
        try:
            told = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
            return cls(size, tuple(told["image_mean"]), tuple(told["image_std"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(size)


def indices(count: int, wanted: int = FRAMES) -> np.ndarray:
    """Which frames of a clip are looked at: evenly spread, from half a segment on; short clips repeat frames.

    The same as the rater's training: a segment is (count - 1) / wanted frames long, the first frame is half of one
    rounded down, the others are that many segments later, rounded to even where halfway.

    Parameters:
        count: Frames of the clip.

    Returns:
        [(wanted,) int]
    """
    if count < 1:
        raise InputError("the video has no frames;", "give another one.")
    segment = (count - 1) / wanted
    return int(segment / 2) + np.round(segment * np.arange(wanted)).astype(int)


def prepare(frames: Iterable[np.ndarray], pixels: Pixels) -> np.ndarray:
    """Stretch frames to the square and normalise their colours.

    Parameters:
        frames: uint8 RGB. [(H, W, 3)]

    Returns:
        [(3, T, size, size) float32]
    """
    made = []
    for frame in frames:
        image = Image.fromarray(frame)
        if image.size != (pixels.size, pixels.size):
            image = image.resize((pixels.size, pixels.size), Image.Resampling.BICUBIC)
        made.append((np.asarray(image, np.float32) / 255 - np.float32(pixels.mean)) / np.float32(pixels.deviation))
    return np.stack(made).transpose(3, 0, 1, 2)


def read_video(path: Path) -> list[np.ndarray]:
    """All frames of a video file that the rater looks at, uint8 RGB (H, W, 3), in order.

    Raises:
        MissingError: No such file. InputError: It cannot be read as a video.
    """
    import av

    if not path.is_file():
        raise MissingError(f"{path}: no such file;", "check the name.")
    try:
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
        chosen = indices(count)
        wanted, found = set(chosen.tolist()), {}
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    found[index] = frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as a video ({error});", "give an mp4, webm or gif.") from error
    return [found[index] for index in chosen.tolist()]
