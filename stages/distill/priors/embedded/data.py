"""Training clips: random bodies in random gaits, filmed as distillation films, stored as latents."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from stages.body import quaternion, skinning
from stages.body.kinematics import Skeleton, forward
from stages.distill import gaits
from stages.distill.scene import Scene, role_colors

from . import text
from .bodies import Body, random_body
from .latent import FRAMES, PatchCodec

FPS = 16.0
GAIT_SHARES = (0.32, 0.30, 0.26, 0.12)
CLIPS_PER_BODY = 4
_CHUNK = 200


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip and what it shows.

    Attributes:
        video: [float32 (F, H, W, 3), 0..1]
        ids: Token numbers of its caption. [(4,)]
        gait: Index in gaits.GAITS.
    """

    video: torch.Tensor
    ids: list[int]
    gait: int


def film(body: Body, clip: gaits.GaitClip, scene: Scene, rng: np.random.Generator, *, side: int = 0) -> tuple[torch.Tensor, str]:
    """Render a gait of a body; the ground lies anywhere under it. Returns the clip and the facing."""
    skeleton = Skeleton.from_rig(body.rig)
    means, spreads, weights = (torch.from_numpy(v) for v in (body.means, body.covariances, body.weights))
    framing = scene.framing(means)
    shift = torch.tensor([rng.uniform(-1, 1), 0.0, rng.uniform(-1, 1)], dtype=torch.float32) * framing.size
    turn = quaternion.to_matrix(torch.from_numpy(clip.root_rotations))
    pose = forward(skeleton, torch.from_numpy(clip.angles), torch.from_numpy(clip.root_positions) + shift, turn)
    posed, spread = skinning.skin_gaussians(means, spreads, weights, pose)
    camera = scene.camera(posed, framing, rng, side=side)
    video = scene.render(posed, spread, torch.from_numpy(body.opacities), role_colors(body.rig, weights), camera, framing)
    return video, scene.facing(camera)


def clips(seed: int, scene: Scene) -> list[Clip]:
    """CLIPS_PER_BODY clips of the body of a seed: random gaits, phases, cameras."""
    body = random_body(seed)
    rng = np.random.default_rng([seed, 0xC11B])
    legs = "four-legged" if body.kind == "quadruped" else "two-legged"
    result = []
    for _ in range(CLIPS_PER_BODY):
        gait = int(rng.choice(len(gaits.GAITS), p=GAIT_SHARES))
        motion = gaits.sample(body.rig, gaits.GAITS[gait], frames=FRAMES, fps=FPS, rng=rng)
        video, facing = film(body, motion, scene, rng)
        word = legs if rng.uniform() < 0.85 else "animal"
        middle = (motion.info["phase"] + 0.5 * (FRAMES - 1) / motion.info["period"]) % 1
        result.append(Clip(video, text.encode(gaits.GAITS[gait], word, facing if rng.uniform() < 0.85 else "", middle), gait))
    return result


def fit_codec(scene: Scene, channels: int, *, bodies: int = 150) -> PatchCodec:
    """A codec fitted to clips of the first training bodies."""
    codec = PatchCodec(channels)
    codec.fit(torch.stack([clip.video for seed in range(bodies) for clip in clips(seed, scene)]))
    return codec


def write_chunk(path: Path, chunk: int, codec: PatchCodec, scene: Scene) -> None:
    """Latents and captions of bodies chunk * 200 ... + 199 as one .npz file, written atomically."""
    latents, ids, labels = [], [], []
    for seed in range(chunk * _CHUNK, (chunk + 1) * _CHUNK):
        for clip in clips(seed, scene):
            latents.append(codec.encode(clip.video[None])[0].half())
            ids.append(clip.ids)
            labels.append(clip.gait)
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        np.savez(file, latents=torch.stack(latents).numpy(), ids=np.array(ids, np.int64), gaits=np.array(labels, np.int64))
    temporary.replace(path)


def load_chunks(folder: Path) -> tuple[torch.Tensor, torch.Tensor, int]:
    """All chunks in a folder, in order. Returns latents half (n, 5, K, 6, 8), token numbers (n, 4) and the number of chunks."""
    files = sorted(folder.glob("chunk-*.npz"))
    arrays = [np.load(file) for file in files]
    latents = torch.from_numpy(np.concatenate([a["latents"] for a in arrays]))
    return latents, torch.from_numpy(np.concatenate([a["ids"] for a in arrays])), len(files)


def prepare(folder: Path, chunks: int, channels: int, scene: Scene | None = None, *, part: int = 0, parts: int = 1) -> PatchCodec:
    """Write the codec and the missing chunks of a data set; `parts` processes may share the work. Returns the codec."""
    folder.mkdir(parents=True, exist_ok=True)
    scene, path = scene or Scene(), folder / "codec.pt"
    codec = PatchCodec(channels)
    if path.exists():
        codec.load_state_dict(torch.load(path, weights_only=True))
    else:
        codec = fit_codec(scene, channels)
        temporary = path.with_suffix(f".part{part}")
        torch.save(codec.state_dict(), temporary)
        temporary.replace(path)
    for chunk in range(part, chunks, parts):
        file = folder / f"chunk-{chunk:04d}.npz"
        if not file.exists():
            write_chunk(file, chunk, codec, scene)
    return codec
