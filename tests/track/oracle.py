"""The body in MuJoCo, as an oracle. MuJoCo's quaternions are wxyz, its free joint's angular velocity is local."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from stages.track.body import Body
from stages.track.simulator import Simulator


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


class Reference:
    """The same semi-implicit steps in float64, on MuJoCo's mass matrix, bias forces and Jacobians instead of our kernel.

    Springs, upright help and contact are as in `simulator`; limits and effort are not reached, so they are left out.
    """

    def __init__(self, simulator: Simulator) -> None:
        import mujoco

        self.body, self.simulator, self.mujoco = simulator.body, simulator, mujoco
        self.model = mujoco.MjModel.from_xml_string(mjcf(simulator.body))
        self.data, self.touches = mujoco.MjData(self.model), 0
        bones = range(1, len(self.body.parents))
        self.dofs = np.array([self.model.joint(f"{bone}-{axis}").dofadr[0] for bone in bones for axis in range(3)], int)
        self.joints = np.array([self.model.joint(f"{bone}-{axis}").id for bone in bones for axis in range(3)], int)
        # MuJoCo numbers bodies depth first; the floating base comes first, then each bone by its hinges
        self.bodies = np.array([1, *self.model.jnt_bodyid[self.joints[::3]]])
        self.stiffness, self.damping = (np.repeat(gain[1:], 3) for gain in simulator._gains)

    def place(self, position: np.ndarray, rotation: np.ndarray, angles: np.ndarray, velocity: np.ndarray, spin: np.ndarray, rates: np.ndarray) -> None:
        """Set positions and velocities; rotation xyzw, spin in the world. [(3,), (4,), (J, 3), (3,), (3,), (J, 3)]"""
        data, turn = self.data, Rotation.from_quat(rotation)
        data.qpos[:7] = np.concatenate([position, np.asarray(rotation)[[3, 0, 1, 2]]])
        data.qvel[:6] = np.concatenate([velocity, turn.inv().apply(spin)])
        data.qpos[self.dofs + 1], data.qvel[self.dofs] = angles[1:].ravel(), rates[1:].ravel()

    def forward_dynamics(self, control: np.ndarray | None = None) -> np.ndarray:
        """MuJoCo's own qacc: root linear, root angular (world), then the joints in our order. [(6 + 3 (J - 1),)]

        A force that is implicit in our step equals an explicit one on a joint with more inertia: kd + dt ke damps, dt (kd + dt ke) is armature.
        """
        model, data, dt = self.model, self.data, self.simulator.time_step
        if control is not None:
            model.dof_armature[self.dofs] = self.body.armatures[1:].ravel() + dt * (self.damping + dt * self.stiffness)
            model.dof_damping[self.dofs] = self.damping + dt * self.stiffness
            model.jnt_stiffness[self.joints], model.qpos_spring[self.dofs + 1] = self.stiffness, control[1:].ravel()
        self.mujoco.mj_forward(model, data)
        return self._ours(data.qacc)

    def final_joints(self, start: tuple[np.ndarray, ...], control: np.ndarray) -> np.ndarray:
        """Joint points in the last state whose forces act, from position, rotation, angles, velocity, spin, rates. [m, (J, 3)]"""
        position, rotation, angles, velocity, spin, rates = (np.array(x, float) for x in start)
        dt = self.simulator.time_step
        for step in range(self.simulator.steps):
            self.place(position, rotation, angles, velocity, spin, rates)
            self.mujoco.mj_forward(self.model, self.data)
            points = self.data.xpos[self.bodies].copy()
            change = dt * self._step(control[step // self.simulator.hold], rotation, angles, spin, rates)
            velocity, spin = velocity + change[:3], spin + change[3:6]
            rates = rates + np.concatenate([np.zeros((1, 3)), change[6:].reshape(-1, 3)])
            position, angles = position + dt * velocity, angles + dt * rates
            rotation = rotation + dt / 2 * _product(spin, rotation)
            rotation = rotation / np.linalg.norm(rotation)
        return points

    def _ours(self, acceleration: np.ndarray) -> np.ndarray:
        turn = self.data.xmat[1].reshape(3, 3)
        return np.concatenate([acceleration[:3], turn @ acceleration[3:6], acceleration[self.dofs]])

    def _step(self, control: np.ndarray, rotation: np.ndarray, angles: np.ndarray, spin: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Accelerations with springs, upright help and contact implicit in the step. [as forward_dynamics]"""
        model, data, physics = self.model, self.data, self.simulator.physics
        dt, ke, kd = self.simulator.time_step, self.stiffness, self.damping
        mass = np.empty((model.nv, model.nv))
        self.mujoco.mj_fullM(model, data, mass)
        force = -data.qfrc_bias.copy()
        force[self.dofs] += ke * (control - angles)[1:].ravel() - (kd + dt * ke) * rates[1:].ravel()
        mass[self.dofs, self.dofs] += dt * kd + dt**2 * ke
        up, turn, ku, du = np.array([0.0, 1, 0]), Rotation.from_quat(rotation), physics.upright_stiffness, physics.upright_damping
        tilt = np.cross(turn.apply(np.array([*physics.up])), up)
        force[3:6] += turn.inv().apply(ku * (tilt - dt * (spin - up * spin[1])) - du * spin)
        mass[range(3, 6), range(3, 6)] += dt * du + dt**2 * ku
        for bone, body in enumerate(self.bodies):
            heights = data.xpos[body, 1] + self.body.corners[bone] @ data.xmat[body].reshape(3, 3)[1]
            for corner in self.body.corners[bone][heights < 0.05 * self.body.height]:
                self._touch(mass, force, int(body), corner)
        return self._ours(np.linalg.solve(mass, force))

    def _touch(self, mass: np.ndarray, force: np.ndarray, body: int, corner: np.ndarray) -> None:
        """Add the contact of one corner to mass matrix and force, if it presses on the ground."""
        model, data, physics, dt = self.model, self.data, self.simulator.physics, self.simulator.time_step
        arm = data.xmat[body].reshape(3, 3) @ corner
        point = data.xpos[body] + arm
        jacobian, turning, change = (np.zeros((3, model.nv)) for _ in range(3))
        self.mujoco.mj_jac(model, data, jacobian, turning, point, body)
        speed, w = jacobian @ data.qvel, turning @ data.qvel
        press = min(-point[1], dt * physics.rescue_speed) - dt * speed[1]
        if press <= 0:
            return
        self.touches += 1
        damp, ease = max(1 - physics.contact_damping * speed[1], 0), press / (press + physics.contact_ease)
        load = physics.contact_stiffness * press * ease
        bound = physics.friction * load * damp
        drag = bound / (np.sqrt(speed[0] ** 2 + speed[2] ** 2 + physics.slip_speed**2) + dt * bound / physics.grip)
        stiff = dt * physics.contact_stiffness * damp * ease * (2 - ease) + (physics.contact_damping * load if damp > 0 else 0)
        give = dt * np.array([drag, stiff, drag])
        self.mujoco.mj_jacDot(model, data, change, None, point, body)
        # the kernel's implicit part acts on the corner's acceleration without its own centripetal term
        drift = change @ data.qvel - np.cross(w, np.cross(w, arm))
        mass += jacobian.T @ (give[:, None] * jacobian)
        force += jacobian.T @ (np.array([-drag * speed[0], load * damp, -drag * speed[2]]) - give * drift)


def _product(spin: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The quaternion product (spin, 0) rotation, xyzw."""
    return np.concatenate([rotation[3] * spin + np.cross(spin, rotation[:3]), [-spin @ rotation[:3]]])
