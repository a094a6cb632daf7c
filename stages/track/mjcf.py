"""Export to MuJoCo: the simulated body as an MJCF model, its controls and the motion it should show (docs/track.md).

MuJoCo's world has z up: x is forward, y left (our z, x, y). The model repeats the simulator's step, so that the same
controls give the same motion: a force that is implicit in the step is the explicit force on a body with more inertia, so
the implicit part of the joint springs is exported as armature and that of the upright help as inertia of the root; soft
constraints of MuJoCo are implicit in the same way, with the impedance as the share of inertia that they add.
"""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from scipy.spatial.transform import Rotation

from schemas.atomic import write_bytes, write_text
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.track import Track

from .body import GRAVITY, Body
from .params import Params
from .softness import Softness
from .world import World

FRAME = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""From our world (y up, facing z) to the model's (z up, facing x)."""
HELP = ("upright_lift", "upright_hold", "upright_damp_x", "upright_damp_y", "upright_damp_z")
"""Actuators of the upright help, in group 1: `actuatorgroupdisable="1"` in <option> takes it away. They read no control."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the model is driven by and what it should then do.

    Attributes:
        ctrl: One row per knot, columns in the model's order of actuators. [rad, (C, 3 (J - 1) + 5)]
        ctrl_rate: Knots per second. [Hz]
        qpos: The tracked motion: root position [m] and quaternion wxyz, hinge angles [rad]. [(F, 7 + 3 (J - 1))]
        qvel: At the start: root velocity [m/s] (world) and spin [rad/s] (in its own frame), hinge rates. [(6 + 3 (J - 1),)]
        fps: Of qpos. [Hz]
    """

    ctrl: np.ndarray
    ctrl_rate: float
    qpos: np.ndarray
    qvel: np.ndarray
    fps: float


def export(path: Path, rig: Rig, motion: Motion, track: Track) -> list[Path]:
    """Write the model to `path` (.xml) and the reference beside it (.npz), each atomically.

    Parameters:
        motion: What was tracked: its angles widen the joint limits, as in tracking.

    Returns:
        The two paths.

    Raises:
        StorageError: The disk refused.
    """
    known = {field.name for field in dataclasses.fields(Params)}
    params = Params(**{key: value for key, value in track.header.params.items() if key in known})
    params = dataclasses.replace(params, upright=params.upright * track.report.get("help_left", 1.0))
    body = Body.from_rig(rig, density=params.density).with_limits_for(motion.angles)
    played = reference(body, track)
    memory = io.BytesIO()
    np.savez(memory, **dataclasses.asdict(played))
    write_bytes(path.with_suffix(".npz"), memory.getvalue())
    write_text(path, model(body, list(rig.joint_names), params, track.time_step, played, name=track.name))
    return [path, path.with_suffix(".npz")]


def reference(body: Body, track: Track) -> Reference:
    """Controls, tracked motion and first velocities of a track, in the model's coordinates."""
    frames = track.frame_count
    root = Rotation.from_matrix(FRAME) * Rotation.from_quat(track.root_rotations.astype(np.float64)) * Rotation.from_matrix(body.frames[0])
    hinged = depth_first(body.parents)[1:]
    qpos = np.concatenate([track.root_positions @ FRAME.T, root.as_quat()[:, [3, 0, 1, 2]], track.angles[:, hinged].reshape(frames, -1)], 1)
    velocity, spin = track.initial_velocity.astype(np.float64).reshape(2, 3) @ FRAME.T
    qvel = np.concatenate([velocity, root[0].inv().apply(spin), track.initial_joint_velocity[hinged].ravel()])
    ctrl = np.pad(track.controls[:, hinged].reshape(len(track.controls), -1).astype(np.float64), ((0, 0), (0, len(HELP))))
    return Reference(ctrl, float(track.control_rate), qpos, qvel, float(track.fps))


def depth_first(parents: np.ndarray) -> list[int]:
    """Bones in the order in which MuJoCo numbers bodies: each before its children, and those before its siblings. [(J,)]"""
    order: list[int] = []
    waiting = [0]
    while waiting:
        order.append(waiting.pop())
        waiting += reversed([int(bone) for bone in np.flatnonzero(parents == order[-1])])
    return order


def model(body: Body, names: list[str], params: Params, time_step: float, played: Reference, *, name: str = "") -> str:
    """The MJCF model of a body as text, with a key frame "start".

    Parameters:
        names: Of the bones; what XML cannot hold becomes "_". [(J,)]
        time_step: Of the simulation. [s]
    """
    world = World.of(body, friction=params.friction, upright=params.upright)
    names, stiffness = _clean(names), body.gains(params.gain, params.damping)
    efforts = body.efforts(params.effort)
    body = stepped(body, params, time_step)
    soft = Softness.of(body, world, time_step, stiffness[0])
    root = Element("mujoco", model=_clean([name])[0] or "track")
    SubElement(root, "compiler", angle="radian", autolimits="true")
    options = {"timestep": _text(time_step), "gravity": _text([0, 0, -GRAVITY]), "integrator": "Euler", "cone": "elliptic", "impratio": _text(soft.creep)}
    SubElement(root, "option", **options)
    place = SubElement(root, "worldbody")
    SubElement(place, "light", pos="0 0 10", dir="0 0 -1", directional="true")
    SubElement(place, "geom", name="floor", type="plane", size="0 0 1", contype="2", conaffinity="0", condim="3", rgba=".8 .8 .8 1")
    SubElement(place, "site", name="world")
    _bodies(place, body, names, soft, params.friction)
    up = Rotation.from_quat(played.qpos[0, [4, 5, 6, 3]]).inv().apply([0, 0, 1])
    pelvis = place.find("body")
    SubElement(pelvis, "site", name="root")
    SubElement(pelvis, "site", name="upright", pos=_text(body.height * up))
    _actuators(SubElement(root, "actuator"), depth_first(body.parents)[1:], names, stiffness, world, time_step, body.height, efforts)
    start = {"qpos": played.qpos[0], "qvel": played.qvel, "ctrl": played.ctrl[0]}
    SubElement(SubElement(root, "keyframe"), "key", name="start", **{key: _text(value) for key, value in start.items()})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def stepped(body: Body, params: Params, time_step: float) -> Body:
    """The body whose explicit step is the simulator's step of `body`, implicit in joint springs and upright help.

    (M + dt k_d + dt^2 k_e) qdd = tau evaluated before the step: what is added to the mass matrix is constant.
    """
    world = World.of(body, friction=params.friction, upright=params.upright)
    stiffness, damping = body.gains(params.gain, params.damping)
    inertias = body.inertias.copy()
    inertias[0] += time_step * (world.upright_damping + time_step * world.upright_stiffness) * np.eye(3)
    return dataclasses.replace(body, inertias=inertias, armatures=body.armatures + (time_step * (damping + time_step * stiffness))[:, None])


def _bodies(place: Element, body: Body, names: list[str], soft: Softness, friction: float) -> None:
    """The tree of bones: inertia, compound joint of three hinges, cuboid."""
    nodes: list[Element] = []
    for bone, parent in enumerate(body.parents):
        offset, turn = (body.offsets[bone], body.axes[bone]) if parent >= 0 else (np.array([0.0, 0, body.height]), FRAME @ body.frames[0])
        pose = {"pos": _text(offset), "quat": _quat(turn)}
        node = SubElement(nodes[parent] if parent >= 0 else place, "body", name=names[bone], **pose)
        nodes.append(node)
        if parent < 0:
            SubElement(node, "freejoint", name="root")
        for axis in range(3) if parent >= 0 else ():
            low, high = body.limits[bone, axis]
            limit = {"range": _text([low, max(high, low + 1e-6)]), **_constraint(soft.limits[bone, axis], "limit")}
            hinge = f"{names[bone]}_{'xyz'[axis]}"
            SubElement(node, "joint", name=hinge, type="hinge", axis=_text(np.eye(3)[axis]), armature=_text(body.armatures[bone, axis]), **limit)
        i = body.inertias[bone]
        full = [i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2]]
        SubElement(node, "inertial", pos=_text(body.centers[bone]), mass=_text(body.masses[bone]), fullinertia=_text(full))
        center, halves, turn = _cuboid(body.corners[bone])
        contact = {"friction": _text([friction, 0, 0]), **_constraint(soft.contacts[bone]), "priority": "1"}
        # bones meet the floor and not each other, as in the simulator
        box = {"type": "box", "pos": _text(center), "quat": _quat(turn), "size": _text(halves), "contype": "0", "conaffinity": "2", "condim": "3"}
        SubElement(node, "geom", name=names[bone], rgba=".8 .6 .4 1", **box, **contact)


def _constraint(soft: np.ndarray, of: str = "") -> dict[str, str]:
    """The attributes of a soft constraint from a row of `Softness`."""
    return {f"solref{of}": _text(-soft[:2]), f"solimp{of}": _text(soft[2:])}


def _actuators(
    place: Element, bones: list[int], names: list[str], gains: tuple[np.ndarray, np.ndarray], world: World, time_step: float, arm: float, efforts: np.ndarray
) -> None:
    """Joint springs (12) and the upright help.

    The simulator's springs act on the angle after the step, which is a spring on the angle before it and `time_step` x
    stiffness more damping; `stepped` has the rest.
    """
    for bone in bones:
        stiffness, damping = gains[0][bone], gains[1][bone] + time_step * gains[0][bone]
        for axis in "xyz":
            hinge = f"{names[bone]}_{axis}"
            bound = {"forcerange": _text([-efforts[bone], efforts[bone]])} if np.isfinite(efforts[bone]) else {}
            SubElement(place, "position", name=hinge, joint=hinge, kp=_text(stiffness), kv=_text(damping), **bound)
    # a pair of opposite forces on an arm that points up at the start turns as a spring to the vertical does
    force = world.upright_stiffness / arm
    lag = world.upright_damping + time_step * world.upright_stiffness
    help_forces = (
        ("upright", "0 0 1 0 0 0", [force, 0, 0]), ("root", "0 0 1 0 0 0", [-force, 0, 0]),
        ("root", "0 0 0 1 0 0", [0, 0, -lag]), ("root", "0 0 0 0 1 0", [0, 0, -lag]), ("root", "0 0 0 0 0 1", [0, 0, -world.upright_damping]),
    )  # fmt: skip
    for name, (site, gear, bias) in zip(HELP, help_forces, strict=True):
        SubElement(place, "general", name=name, site=site, refsite="world", gear=gear, group="1", gainprm="0", biastype="affine", biasprm=_text(bias))


def _cuboid(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, half sizes and axes (columns) of a cuboid from its corners in the body's order. [m, (8, 3) -> (3,), (3,), (3, 3)]"""
    edges = (corners[[4, 2, 1]] - corners[0]) / 2
    halves = np.linalg.norm(edges, axis=1)
    return corners.mean(0), halves, (edges / halves[:, None]).T


def _clean(names: list[str]) -> list[str]:
    """Names that XML can hold, still different from each other."""
    made: list[str] = []
    for name in names:
        plain = "".join(c if c.isprintable() else "_" for c in name) or "_"
        while plain in made:
            plain += "_"
        made.append(plain)
    return made


def _quat(turn: np.ndarray) -> str:
    return _text(Rotation.from_matrix(turn).as_quat()[[3, 0, 1, 2]])


def _text(values: np.ndarray | list[float] | float) -> str:
    return " ".join(f"{float(v):.10g}" for v in np.atleast_1d(values))
