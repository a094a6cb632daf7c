"""Training takes from the clips of rigged glTF files: what artists animated, by the side of the procedural bodies.

A file becomes a character: a body of kernels (see surface.py) and its clips as motions of the rig (stages.body.
animation). A clip's name says what it shows. Gaits that run on the spot are moved forward at the speed at which the
feet on the ground stand still, and cut so that the left hind foot comes down in the middle frame, as in data.py.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from schemas import roles
from schemas.asset import Asset
from schemas.errors import AkdError, InputError, MissingError
from schemas.motion import Motion
from schemas.rig import Rig
from stages.body import quaternion
from stages.body.animation import motions
from stages.body.kinematics import Skeleton, forward
from stages.distill.gaits import OFFSETS, GaitClip

from . import strides
from .bodies import Body
from .strides import Strides
from .surface import body_of

FRAMES = 17
FPS = 16.0
FINE = 96.0
"""Clips are sampled this often and measured there; windows are interpolated from it. [Hz]"""

VALIDATION = ("KhronosFox", "Dog", "KnightCharacter", "Trex")
"""Files that judge the prior and that it never learns from."""

TEMPO = 0.1
"""Repeated takes of a clip are played up to this much faster or slower."""

WORDS = {
    "walking": "walk walking walkcycle",
    "running": "run running trot trotting jog jogging",
    "galloping": "gallop galloping",
    "jumping": "jump jumping leap",
    "hopping": "hop hopping",
    "standing": "idle stand standing survey breathing",
    "eating": "eat eating graze grazing",
    "dancing": "dance dancing",
    "punching": "punch punching",
    "waving": "wave waving",
    "sneaking": "sneak sneaking crouch crawl",
    "marching": "march marching",
}
"""Motions (text.MOTIONS) by the words in names of clips."""

_STOPS = "death die attack hit react hitreact kick to toidle land landing sword swordattack sit sleep fall headbutt anticipation shooting"
STOP_WORDS = frozenset(_STOPS.split())
"""A clip with one of these in its name shows something else, or a transition."""

LOCOMOTION = ("walking", "running", "galloping", "sneaking", "marching", "hopping")
_WORST_JOINT, _MEAN_JOINT = 0.13, 0.03  # of the rig's length: what dropped translations may cost
_SHORTEST = 0.35  # s: below it is a pose
_SLOWEST = 0.15  # hip heights a second: a gait that is slower goes nowhere
_MOST_SLIDE = 0.6  # of the speed: feet that slide more belong to no gait
_LAME = 0.5  # of the other side's swing: a leg that swings less was forgotten by the exporter
_EXPLAINED = 0.7  # of the motion of feet on the ground that is left: a speed that leaves less is one
_MOST_RISE = 0.36  # of the body's size: more is out of the picture
_TRIES = 12  # windows of an eating animal of which the one with the lowest head is taken
_OTHER_ORDER = 0.14  # cycles: feet that fall further from the procedural gait's make another gait
_LEAST_RISE = 0.15  # hip heights: a jump leaves the ground by at least this


@dataclasses.dataclass(frozen=True)
class Character:
    """A rigged file, ready for takes.

    Attributes:
        name: Stem of the file.
        body: Its kernels and rig.
        motions: Its clips at `FINE` samples per second, by name.
    """

    name: str
    body: Body
    motions: dict[str, Motion]


@dataclasses.dataclass(frozen=True)
class ClipTake:
    """A body and a window of one of its clips, with the fields of data.Take.

    Attributes:
        body: The character's, or its mirror image.
        clip: 17 frames at 16 fps; `info` has the keys of `GaitClip.info` and "source".
        motion: One of text.MOTIONS.
    """

    body: Body
    clip: GaitClip
    motion: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """What became of a clip.

    Attributes:
        file, clip: Where it is from; clip "" for the whole file.
        motion: What it shows, "" where it is not used.
        reason: Why it is not used, else "".
        speed: Forward. [hip heights/s]
        slide: Mean speed of the feet on the ground over the forward speed (in hip heights/s where it stands).
        period: Of the cycle, or the length of the clip. [s]
        phases: Lead of each foot over the left hind (first) one, where they step. [cycles]
    """

    file: str
    clip: str = ""
    motion: str = ""
    reason: str = ""
    speed: float = 0.0
    slide: float = 0.0
    period: float = 0.0
    phases: dict[str, float] = dataclasses.field(default_factory=dict)


def files(folder: str | Path, exclude: tuple[str, ...] = VALIDATION) -> list[Path]:
    """The .glb and .gltf files of a folder in order of name, without those whose stem is excluded.

    Raises:
        MissingError: No such folder, or none in it.
    """
    folder = Path(folder)
    barred = {name.lower() for name in exclude}
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".glb", ".gltf") and p.stem.lower() not in barred) if folder.is_dir() else []
    if not found:
        raise MissingError(f"{folder}: has no .glb or .gltf file to learn from;", "name a folder with animated models.")
    return found


def character(path: str | Path, asset: Asset, rig: Rig, *, seed: int = 0) -> Character:
    """Read a file's clips and cover its mesh with kernels.

    Parameters:
        path: The file that `asset` and `rig` were made from.
        seed: Of the kernels.

    Raises:
        InputError: No clips, no weights, or a creature that the prior has no word for.
    """
    clips = motions(path, rig, asset, fps=FINE)
    if not clips:
        raise InputError(f"{path}: has no animation;", "take an animated file.")
    return Character(Path(path).stem, body_of(asset, rig, seed=seed), clips)


def characters(folder: str | Path, load: Callable[[Path], tuple[Asset, Rig]], exclude: tuple[str, ...] = VALIDATION) -> Iterator[Character | Finding]:
    """Every file of a folder as a character, or as the finding why it is none.

    Parameters:
        load: Imports a file (the stages asset and rig, which a stage does not import).
    """
    for path in files(folder, exclude):
        try:
            yield character(path, *load(path))
        except AkdError as error:
            yield Finding(path.stem, reason=str(error).split(";")[0].removeprefix(f"{path}: "))


def takes(source: Character, seed: int = 0, *, copies: int = 2, mirror: bool = True) -> tuple[list[ClipTake], list[Finding]]:
    """All takes of a character.

    Parameters:
        seed: Of tempo and of where windows of clips without steps begin.
        copies: Windows of each clip; the first at the clip's own tempo.
        mirror: Also the mirror image, left and right exchanged.

    Returns:
        Takes, and one finding for each clip.
    """
    result, findings = [], []
    for index, (name, motion) in enumerate(sorted(source.motions.items())):
        finding = _judge(source, name, motion)
        sides = [side for side in range(1 + mirror) if _agrees(finding, mirror=side == 1)]
        if not finding.reason and not sides:
            finding = dataclasses.replace(finding, reason="its feet fall in another order than the prior learns", motion="")
        findings.append(finding)
        if finding.reason:
            continue
        for side in sides:
            body, turned = mirrored(source.body, motion) if side else (source.body, motion)
            closed, loops = strides.close(body.rig, turned)
            measured = strides.measure(body, closed)
            for copy in range(copies):
                rng = np.random.default_rng([seed, index, side, copy, 0xC119])
                tempo = 1.0 if copy == 0 else 1 + float(rng.uniform(-TEMPO, TEMPO))
                clip = _window(body, closed, loops, measured, finding, tempo, rng)
                result.append(ClipTake(body, clip, finding.motion))
    return result, findings


def _agrees(finding: Finding, *, mirror: bool) -> bool:
    """Whether the feet of a clip, or of its mirror image, fall about as those of the procedural gait of the same name.

    What a prompt asks for is then one motion: a gallop has one lead, a walk is no pace.
    """
    wanted, leads = OFFSETS.get(finding.motion, {}), finding.phases
    if finding.motion in ("", "jumping", "standing") or not wanted or "left_fore" not in leads or "right_hind" not in leads:
        return True
    lead = {"right_hind": -leads["right_hind"] if mirror else leads["right_hind"]}
    # in the mirror image the left fore foot is the right one, counted from what was the right hind foot
    lead["left_fore"] = leads["right_fore"] - leads["right_hind"] if mirror else leads["left_fore"]
    errors = [abs((lead[name] - (wanted[name] - wanted["left_hind"]) + 0.5) % 1 - 0.5) for name in lead]
    return max(errors) <= _OTHER_ORDER


def word_of(name: str) -> str:
    """The motion that a clip's name says, "" where it says none, or says one that is not learnt."""
    parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", re.split(r"[|:]", name)[-1])]
    if STOP_WORDS & {*parts, "".join(parts)}:
        return ""
    said = [motion for part in parts for motion, words in WORDS.items() if part in words.split()]
    if "fight" in parts and said == ["standing"]:
        return ""
    # "Gallop_Jump" is a jump out of a gallop, "idle walk" a walk
    strongest = [motion for motion in ("jumping", "punching", "waving", "dancing", "eating") if motion in said]
    return (strongest or [m for m in said if m != "standing"] or said or [""])[0]


def _judge(source: Character, name: str, motion: Motion) -> Finding:
    """Whether and as what a clip can be learnt from."""
    length = (motion.frame_count - 1) / motion.fps

    def no(reason: str) -> Finding:
        return Finding(source.name, name, reason=reason, period=length)

    word = word_of(name)
    if not word:
        return no("no motion that is learnt by its name")
    if length < _SHORTEST:
        return no(f"only {length:.2f} s long")
    worst, mean = motion.report["joint_error"], motion.report["joint_error_mean"]
    if worst > _WORST_JOINT or mean > _MEAN_JOINT:
        return no(f"moves by translations: joints are off by {worst:.2f} of its length without them")
    motion, loops = strides.close(source.body.rig, motion)
    measured = strides.measure(source.body, motion)
    if measured is None:
        return no("no legs by the roles of its rig")
    if word in ("running", "galloping") and source.body.kind == "quadruped":
        word = strides.fast_gait(measured)
    slide = measured.slide(measured.speed)
    if word in LOCOMOTION:
        if not loops:
            return no("does not loop")
        if measured.speed < _SLOWEST:
            return no(f"its feet on the ground go nowhere ({measured.speed:.2f} hip heights/s)")
        if measured.lame < _LAME:
            return no(f"one foot swings {measured.lame:.2f} of what its other side does")
        if slide > _MOST_SLIDE:
            return no(f"its feet slide ({slide:.2f} of the speed)")
    size = max(float(np.ptp(source.body.means[:, 2])), 4 / 3 * float(np.ptp(source.body.means[:, 1])))
    if measured.rise > _MOST_RISE * size:
        return no(f"leaves the picture (rises by {measured.rise / size:.2f} of its size)")
    if word == "jumping" and measured.rise < _LEAST_RISE * measured.height:
        return no(f"never leaves the ground ({measured.rise / measured.height:.2f} hip heights)")
    # a jump on the spot has feet that move anyhow; one out of a gallop has feet that a speed explains
    explained = measured.speed * slide < _EXPLAINED * measured.slide(0.0)
    speed = measured.speed if word in LOCOMOTION or (word == "jumping" and explained) else measured.carried
    leads = {leg: round(lead, 2) for leg, lead in measured.leads.items()} if word in (*LOCOMOTION, "jumping") else {}
    return Finding(source.name, name, word, "", speed, measured.slide(speed), measured.period if word in LOCOMOTION else length, leads)


def mirrored(body: Body, motion: Motion) -> tuple[Body, Motion]:
    """The mirror image of a body and its motion in the plane x = 0; roles change sides with it.

    With M = diag(-1, 1, 1), the axes Q of a joint become M Q M, and a turn Q R(a, b, c) Q^T becomes its mirror image
    by the angles (a, -b, -c).
    """
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    turn = np.array([1.0, -1.0, -1.0, 1.0], np.float32)  # of quaternions xyzw
    outer = flip[:, None] * flip[None]
    rig = body.rig
    limits = rig.limits.copy()
    limits[:, 1:] = -limits[:, 1:, ::-1]
    image = dataclasses.replace(
        rig, name=f"{rig.name}-mirrored", positions=rig.positions * flip, tails=rig.tails * flip, rotations=rig.rotations * turn, axes=rig.axes * outer,
        limits=limits, cuboid_centers=rig.cuboid_centers * flip, cuboid_rotations=rig.cuboid_rotations * turn, roles=[_other_side(role) for role in rig.roles],
    )  # fmt: skip
    twin = dataclasses.replace(body, rig=image, means=body.means * flip, covariances=body.covariances * outer)
    moved = dataclasses.replace(
        motion, angles=motion.angles * np.array([1.0, -1.0, -1.0], np.float32), root_positions=motion.root_positions * flip,
        root_rotations=motion.root_rotations * turn,
    )  # fmt: skip
    return twin, moved


def _other_side(role: str) -> str:
    parts = roles.limb(role)
    return "_".join(({"left": "right", "right": "left"}[parts[0]], *parts[1:])) if parts else role


def _window(body: Body, motion: Motion, loops: bool, measured: Strides, finding: Finding, tempo: float, rng: np.random.Generator) -> GaitClip:
    """17 frames of a clip, moved forward and set on the ground."""
    length = (motion.frame_count - 1) / motion.fps
    span = (FRAMES - 1) / FPS * tempo
    period, aligned = length, finding.motion in (*LOCOMOTION, "jumping")
    if finding.motion in LOCOMOTION:
        period, begin = measured.period, measured.touchdown - 0.5 * span
    elif aligned:
        begin = measured.landing - 0.5 * span
    else:
        begins = rng.uniform(0, length if loops else max(length - span, 0.0), size=_TRIES if finding.motion == "eating" else 1)
        begin = min(begins, key=lambda start: _head_height(body.rig, motion, start + np.linspace(0, span, FRAMES), loops)) if len(begins) > 1 else begins[0]
    time = begin + np.arange(FRAMES) / FPS * tempo
    angles, root, turns = _at(motion, time, loops)
    speed = finding.speed * measured.height
    root[:, 1] -= measured.ground
    root[:, [0, 2]] += body.rig.positions[0, [0, 2]] - root[0, [0, 2]]
    root[:, 2] += (speed - measured.carried * measured.height) * (time - time[0])
    info = {
        "gait": finding.motion,
        "period": period * FPS / tempo,
        "phase": float(-0.5 * span / period % 1) if aligned else 0.0,
        "duty": measured.duty,
        "speed": speed * tempo,
        "legs": measured.legs,
        "contacts": _nearest(measured.contacts, time, motion.fps, loops),
        "source": f"{finding.file}: {finding.clip}",
    }
    return GaitClip(angles.astype(np.float32), root.astype(np.float32), turns.astype(np.float32), info)


def _head_height(rig: Rig, motion: Motion, time: np.ndarray, loops: bool) -> float:
    """Mean height of the head: a clip of an animal that eats has it up half of the time. [m]"""
    heads = [joint for joint, role in enumerate(rig.roles) if role == "head"]
    if not heads:
        return 0.0
    angles, root, turns = (torch.from_numpy(v) for v in _at(motion, time, loops))
    return float(forward(Skeleton.from_rig(rig, dtype=torch.float64), angles, root, quaternion.to_matrix(turns)).joints[:, heads, 1].mean())


def _places(count: int, time: np.ndarray, fps: float, loops: bool) -> np.ndarray:
    """Sample numbers at times, with fractions: around and around a loop, else held at the ends."""
    last = count - 1
    return np.mod(time * fps, last) if loops else np.clip(time * fps, 0, last)


def _at(motion: Motion, time: np.ndarray, loops: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles, root positions and turns at any times, interpolated between samples; a loop goes on where it ended. [(T,)]"""
    place = _places(motion.frame_count, time, motion.fps, loops)
    low = np.minimum(place.astype(int), motion.frame_count - 2)
    share = place - low

    def mix(values: np.ndarray) -> np.ndarray:
        weight = share.reshape(-1, *[1] * (values.ndim - 1))
        return (1 - weight) * values[low] + weight * values[low + 1]

    root = mix(motion.root_positions.astype(np.float64))
    if loops:
        rounds = np.floor(time * motion.fps / (motion.frame_count - 1))
        step = (motion.root_positions[-1] - motion.root_positions[0]).astype(np.float64) * (1, 0, 1)
        root += rounds[:, None] * step
    turns = mix(motion.root_rotations.astype(np.float64))
    return mix(motion.angles.astype(np.float64)), root, turns / np.linalg.norm(turns, axis=1, keepdims=True)


def _nearest(values: np.ndarray, time: np.ndarray, fps: float, loops: bool) -> np.ndarray:
    return values[np.round(_places(len(values), time, fps, loops)).astype(int)]


def licences(folder: str | Path, names: list[str]) -> dict[str, str]:
    """Licence and author of each file, by the table in the folder's LICENSES.md; "unknown" where it has no row.

    The table's columns are file, licence, author, ...; a file is named by its stem.
    """
    path = Path(folder) / "LICENSES.md"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 3 and line.strip().startswith("|"):
            rows.append((set(re.findall(r"\w+", cells[0])), f"{cells[1]}, {cells[2]}"))
    return {name: next((text for stems, text in rows if name in stems), "unknown") for name in names}


def sources(found: list[ClipTake]) -> list[str]:
    """The clips that takes are from, each once, in order."""
    return list(dict.fromkeys(take.clip.info["source"] for take in found))
