"""The body in MuJoCo, as an oracle. MuJoCo's quaternions are wxyz, its free joint's angular velocity is local."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from stages.track.body import Body


def mjcf(body: Body, *, time_step: float = 0.002, contact: bool = False, stiffness: np.ndarray | None = None, damping: np.ndarray | None = None) -> str:
    """MJCF of the body; with springs to zero angles if given, with corner spheres and a floor if `contact`."""
    root = ElementTree.Element("mujoco")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
    ElementTree.SubElement(root, "option", gravity="0 -9.81 0", timestep=str(time_step), integrator="implicitfast")
    world = ElementTree.SubElement(root, "worldbody")
    if contact:
        ElementTree.SubElement(world, "geom", type="plane", size="50 50 1", quat="0.70710678 -0.70710678 0 0")
    nodes: list[ElementTree.Element] = []
    for bone, parent in enumerate(body.parents):
        quat = Rotation.from_matrix(body.axes[bone]).as_quat()[[3, 0, 1, 2]]
        node = ElementTree.SubElement(nodes[parent] if parent >= 0 else world, "body", pos=_text(body.offsets[bone]), quat=_text(quat))
        nodes.append(node)
        if parent < 0:
            ElementTree.SubElement(node, "freejoint")
        for number, axis in enumerate(np.eye(3) if parent >= 0 else []):
            springs = {} if stiffness is None or damping is None else {"stiffness": str(stiffness[bone]), "damping": str(damping[bone])}
            ElementTree.SubElement(
                node, "joint", name=f"{bone}-{number}", type="hinge", axis=_text(axis), armature=str(body.armatures[bone, number]), **springs
            )
        i = body.inertias[bone]
        full = [i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2]]
        ElementTree.SubElement(node, "inertial", pos=_text(body.centers[bone]), mass=repr(float(body.masses[bone])), fullinertia=_text(full))
        for corner in body.corners[bone] if contact else []:
            ElementTree.SubElement(node, "geom", type="sphere", size="0.001", pos=_text(corner), contype="1", conaffinity="0")
    if contact:
        world.find("geom").set("contype", "0")
    return ElementTree.tostring(root, encoding="unicode")


def _text(values: np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in values)
