"""Training clips: random bodies in random motions, filmed as distillation films, stored as 8-bit pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from stages.body import quaternion, skinning
from stages.body.kinematics import Skeleton, forward
from stages.distill import gaits
from stages.distill.scene import Scene, role_colors

from . import text
from .bodies import Body, random_body
from .latent import FRAMES, HEIGHT, PLAIN, WIDTH, Codec
from .model import ModelConfig

FPS = 16.0
CLIPS_PER_BODY = 4
BODIES_PER_CHUNK = 200

SHARES = {"walking": 0.22, "running": 0.2, "jumping": 0.16, "standing": 0.06}
"""How often a body of a chunk makes the core motions; what is left is shared equally by the others it can make."""

PHASE = 0.0
"""Of the left hind leg's cycle in the middle of a clip. All clips agree on it: what a prompt asks for is then one motion, whatever the view."""


@dataclasses.dataclass(frozen=True)
class Take:
    """A body and one of its motions.

    Attributes:
        body: See bodies.Body.
        clip: 17 frames at 16 fps.
        motion: One of text.MOTIONS.
    """

    body: Body
    clip: gaits.GaitClip
    motion: str


@dataclasses.dataclass(frozen=True)
class Film:
    """A filmed take.

    Attributes:
        video: [(17, 48, 64, 3), 0..1]
        reference: The body at rest before the same camera. [(48, 64, 3), 0..1]
        facing: "left" or "right".
    """

    video: torch.Tensor
    reference: torch.Tensor
    facing: str


def film(take: Take, scene: Scene, rng: np.random.Generator, *, side: int = 0) -> Film:
    """Film a take as distill does: the camera follows the body at rest, carried along at the take's mean velocity."""
    body, clip = take.body, take.clip
    skeleton = Skeleton.from_rig(body.rig)
    means, spreads, weights = (torch.from_numpy(v) for v in (body.means, body.covariances, body.weights))
    colors = role_colors(body.rig, weights) if scene.look == "roles" else torch.from_numpy(body.colors)
    framing = scene.framing(means)
    shift = np.array([rng.uniform(-1, 1), 0.0, rng.uniform(-1, 1)]) * framing.size
    root = clip.root_positions + shift
    turn = quaternion.to_matrix(torch.from_numpy(clip.root_rotations))
    pose = forward(skeleton, torch.from_numpy(clip.angles), torch.from_numpy(root.astype(np.float32)), turn)
    posed, spread = skinning.skin_gaussians(means, spreads, weights, pose)
    offset = steady(root) - body.rig.positions[0].astype(float)
    offset[:, 1] = 0
    carried = means + torch.from_numpy(offset.astype(np.float32))[:, None]
    camera = scene.camera(carried, framing, rng, side=side)
    opacities = torch.from_numpy(body.opacities)
    video = scene.render(posed, spread, opacities, colors, camera, framing)
    still = scene.render(carried[:1], spreads[None], opacities, colors, camera.first(), framing)
    return Film(video, still[0], scene.facing(camera))


def steady(root: np.ndarray) -> np.ndarray:
    """The path of constant velocity nearest to a root's path. [m, (F, 3)]"""
    time = np.arange(len(root)) - 0.5 * (len(root) - 1)
    return root.mean(0) + time[:, None] * (time @ root) / (time @ time)


def takes(seed: int, shares: dict[str, float] | None = None) -> Iterator[Take]:
    """CLIPS_PER_BODY takes of the procedural body of a seed, of different motions where possible."""
    body = random_body(seed)
    rng = np.random.default_rng([seed, 0xC11B])
    names, odds = chances(body, shares or SHARES)
    for index in rng.choice(len(names), size=min(CLIPS_PER_BODY, len(names)), replace=False, p=odds):
        yield Take(body, clip_of(body, names[index], rng), names[index])


def chances(body: Body, shares: dict[str, float]) -> tuple[list[str], np.ndarray]:
    """The motions a body can make and how likely each is drawn."""
    able = [name for name in gaits.motions_of(body.rig) if name in text.MOTIONS]
    others = [name for name in able if name not in shares]
    rest = max(1 - sum(shares.values()), 0.0)
    odds = np.array([shares.get(name, rest / max(len(others), 1)) for name in able])
    keep = odds > 0
    return [name for name, k in zip(able, keep, strict=True) if k], odds[keep] / odds[keep].sum()


def clip_of(body: Body, motion: str, rng: np.random.Generator) -> gaits.GaitClip:
    """A clip of a motion whose cycle is at `PHASE` in the middle frame."""
    state = rng.bit_generator.state
    period = gaits.sample(body.rig, motion, frames=FRAMES, fps=FPS, rng=rng).info["period"]
    rng.bit_generator.state = state  # the same draw again, begun so that its middle has the phase
    return gaits.sample(body.rig, motion, frames=FRAMES, fps=FPS, rng=rng, phase=(PHASE - 0.5 * (FRAMES - 1) / period) % 1)


def caption(take: Take, facing: str, rng: np.random.Generator) -> list[int]:
    """Token numbers; body and facing are left out now and then."""
    legs = "four-legged" if take.body.kind == "quadruped" else "two-legged"
    return text.encode(take.motion, legs if rng.uniform() < 0.85 else "animal", facing if rng.uniform() < 0.85 else "")


@dataclasses.dataclass(frozen=True)
class Clips:
    """A data set.

    Attributes:
        videos: [uint8 (n, 17, 48, 64, 3)]
        references: [uint8 (n, 48, 64, 3)]
        ids: [(n, 3)]
    """

    videos: np.ndarray
    references: np.ndarray
    ids: np.ndarray


def shoot(source: Iterator[Take], scene: Scene, rng: np.random.Generator) -> Clips:
    """Film takes."""
    videos, references, ids = [], [], []
    for take in source:
        shot = film(take, scene, rng)
        videos.append(_bytes(shot.video))
        references.append(_bytes(shot.reference))
        ids.append(caption(take, shot.facing, rng))
    return Clips(
        np.array(videos, np.uint8).reshape(-1, FRAMES, HEIGHT, WIDTH, 3), np.array(references, np.uint8).reshape(-1, HEIGHT, WIDTH, 3),
        np.array(ids, np.int64).reshape(-1, text.LENGTH),
    )  # fmt: skip


def _bytes(image: torch.Tensor) -> np.ndarray:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def write_chunk(path: Path, clips: Clips) -> None:
    """One .npz file, written atomically."""
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        np.savez(file, videos=clips.videos, references=clips.references, ids=clips.ids)
    temporary.replace(path)


def read_chunk(path: Path) -> Clips:
    """See `write_chunk`."""
    with np.load(path) as arrays:
        return Clips(arrays["videos"], arrays["references"], arrays["ids"])


def chunk_path(folder: Path, chunk: int) -> Path:
    """File of a chunk of procedural clips."""
    return folder / f"chunk-{chunk:04d}.npz"


def prepare(folder: Path, chunks: int, scene: Scene, *, part: int = 0, parts: int = 1, shares: dict[str, float] | None = None) -> Iterator[int]:
    """Write the missing chunks of a data set, yielding each chunk's number as it is there; `parts` processes may share the work."""
    folder.mkdir(parents=True, exist_ok=True)
    for chunk in range(part, chunks, parts):
        path = chunk_path(folder, chunk)
        if not path.exists():
            seeds = range(chunk * BODIES_PER_CHUNK, (chunk + 1) * BODIES_PER_CHUNK)
            source = (take for seed in seeds for take in takes(seed, shares))
            write_chunk(path, shoot(source, scene, np.random.default_rng([chunk, 0xF117])))
        yield chunk


@dataclasses.dataclass(frozen=True)
class Latents:
    """A data set as the network takes it, half precision.

    Attributes:
        clean: [(n, T, K, 6, 8)]
        images: [(n, R, 6, 8)]
        ids: [(n, 3)]
        still: Latent frame of the body at rest; None where that is 0. [(n, K, 6, 8)]
    """

    clean: torch.Tensor
    images: torch.Tensor
    ids: torch.Tensor
    still: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)


def fit_codec(config: ModelConfig, clips: Clips, count: int = 600) -> Codec:
    """A codec fitted to the first clips of a data set."""
    codec, references = config.codec(), unit(clips.references[:count])
    codec.fit(unit(clips.videos[:count]), references if config.reference else torch.full_like(references, PLAIN))
    return codec


def encode(config: ModelConfig, codec: Codec, clips: Clips) -> Latents:
    """Latents of clips, in pieces to bound the memory."""
    clean, images, still = [], [], []
    for start in range(0, len(clips.ids), 64):
        references = unit(clips.references[start : start + 64])
        base = references if config.reference else torch.full_like(references, PLAIN)
        clean.append(codec.encode(unit(clips.videos[start : start + 64]), base).half())
        images.append(codec.encode_image(references).half())
        if not config.reference:
            still.append(codec.encode(references[:, None].expand(-1, FRAMES, -1, -1, -1), base)[:, 0].half())
    return Latents(torch.cat(clean), torch.cat(images), torch.from_numpy(clips.ids), torch.cat(still) if still else None)


def join(parts: list[Latents]) -> Latents:
    """One data set of several."""
    still = torch.cat([p.still for p in parts]) if parts[0].still is not None else None
    return Latents(torch.cat([p.clean for p in parts]), torch.cat([p.images for p in parts]), torch.cat([p.ids for p in parts]), still)


def unit(pixels: np.ndarray) -> torch.Tensor:
    """Bytes to 0..1."""
    return torch.from_numpy(pixels).float() / 255
