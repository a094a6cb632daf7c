"""How soft MuJoCo's contacts and joint limits must be to be those of the simulator.

MuJoCo pushes with f = (-b v - k d r - a) d / ((1 - d) A), where r, v and a are depth, speed and acceleration of the constraint,
A the inverse inertia that it feels at rest and d the impedance, which may grow with the depth (its documentation, "Computation",
solver parameters). A spring K and a damper C evaluated after the step, f = -K (r + dt (v + dt a)) - C (v + dt a), are therefore
d / (1 - d) = A dt (K dt + C), b = 1 / dt and k d = K / (dt (K dt + C)).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import least_squares

from .body import GRAVITY, Body
from .world import World

_WALL = 4.0  # stiffness of a joint limit, in joint springs (kernel.joint_torque)
_SHARE = 0.25
"""Of the weight on one corner, at which MuJoCo's sticking feet creep as the simulator's."""
_LOADS = np.geomspace(0.02, 2.0, 32)
"""Weights on one corner over which MuJoCo's contact is fitted to the simulator's."""
_POWER = 8.0  # of the growth of the impedance: steep at first touch, then ever slower
_BEGIN, _END = 1e-4, 0.9999  # MuJoCo's own bounds of the impedance


@dataclasses.dataclass(frozen=True)
class Softness:
    """Parameters of MuJoCo's constraints: k and b of `solref`, then the five of `solimp`.

    Attributes:
        contacts: Of each bone. [(J, 7)]
        limits: Of each hinge. [(J, 3, 7)]
        creep: impratio: inverse inertias of friction and of the contact.
    """

    contacts: np.ndarray
    limits: np.ndarray
    creep: float

    @staticmethod
    def of(body: Body, world: World, time_step: float, stiffness: np.ndarray) -> Softness:
        """For `body`, as it is exported, with the joint springs `stiffness`. [N m/rad, (J,)]"""
        points, hinges = inverse_weights(body)
        depths, give = _contact(world, _LOADS * body.mass * GRAVITY, time_step)
        contacts = np.stack([_growing(depths, _LOADS * body.mass * GRAVITY, give, inverse, time_step) for inverse in points])
        # sticking feet creep as slowly as the simulator's, whose damper is 1 / (slip_speed / (friction x load) + dt / grip)
        load = _SHARE * body.mass * GRAVITY
        damper = 1 / (world.slip_speed / max(world.friction * load, 1e-9) + time_step / world.grip)
        creep = damper * time_step / _contact(world, np.array([load]), time_step)[1][0]
        return Softness(contacts, _even(np.repeat(_WALL * stiffness[:, None], 3, 1), hinges, time_step), creep)


def _contact(world: World, loads: np.ndarray, time_step: float) -> tuple[np.ndarray, np.ndarray]:
    """Depths at which a corner bears `loads` [N -> m], and how much mass its contact adds to it, dt (K dt + C) [kg] (kernel.contact_force)."""
    depths = (loads + np.sqrt(loads**2 + 4 * world.contact_stiffness * loads * world.contact_ease)) / (2 * world.contact_stiffness)
    ease = depths / (depths + world.contact_ease)
    return depths, time_step * (time_step * world.contact_stiffness * ease * (2 - ease) + world.contact_damping * loads)


def _growing(depths: np.ndarray, loads: np.ndarray, give: np.ndarray, inverse: float, time_step: float) -> np.ndarray:
    """The constraint whose force and added mass over the depth are nearest to the given ones, in the mean of their logarithms. [(7,)]

    The simulator's contact is soft at first touch. One of constant impedance, as stiff under a quarter of the weight, pushes five
    times as hard there, and a hard landing went astray by centimetres.
    """

    def parts(x: np.ndarray) -> tuple[float, float, float]:
        return 1 / (1 + np.exp(-x[0])), np.exp(x[1]), np.exp(x[2])

    def off(x: np.ndarray) -> np.ndarray:
        most, stiffness, width = parts(x)
        grown = 1 - (1 - np.clip(depths / width, 0, 1)) ** _POWER
        impedance = np.clip(_BEGIN + (most - _BEGIN) * grown, _BEGIN, _END)
        adds = impedance / (1 - impedance) / inverse
        return np.concatenate([np.log(adds * stiffness * impedance * depths / loads), np.log(adds / give)])

    most, stiffness, width = parts(least_squares(off, [3.0, -2 * np.log(time_step), np.log(10 * depths[-1])]).x)
    # MuJoCo divides by the largest impedance what is given directly: k = stiffness / d^2, b = damping / d
    return np.array([most**2 * stiffness, most / time_step, _BEGIN, most, width, _BEGIN, _POWER])


def _even(spring: np.ndarray, inverse: np.ndarray, time_step: float) -> np.ndarray:
    """A spring without damper, equally stiff at all depths. [N m/rad (...,), 1/(kg m^2) (...,) -> (..., 7)]"""
    impedance = np.clip(1 - 1 / (1 + inverse * time_step**2 * spring), _BEGIN, _END)
    rest = (np.full_like(spring, value) for value in (1.0, 0.5, 1.0))
    return np.stack([impedance / time_step**2, impedance / time_step, impedance, impedance, *rest], -1)


def inverse_weights(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Inverse inertia that a force feels at rest: mean over directions at each bone's centre of mass, and of each hinge.

    MuJoCo's body_invweight0 and dof_invweight0, by which it scales the softness of contacts and limits.

    Returns:
        [1/kg, (J,)] and [1/(kg m^2), (J, 3)]
    """
    count = len(body.parents)
    joints, moves = body.rest, np.zeros((count, 2, 3, 3 * count + 3))  # of spin and of the centre of mass
    for bone in range(count):
        center, above = joints[bone] + body.frames[bone] @ body.centers[bone], bone
        moves[bone, 1, :, :3] = np.eye(3)
        while above >= 0:
            columns = slice(3 + 3 * above, 6 + 3 * above)
            moves[bone, 0, :, columns] = body.frames[above]
            moves[bone, 1, :, columns] = np.cross(body.frames[above].T, center - joints[above]).T
            above = body.parents[above]
    inertias = body.frames @ body.inertias @ body.frames.transpose(0, 2, 1)
    mass = np.einsum("jki,jkl,jlm->im", moves[:, 0], inertias, moves[:, 0]) + np.einsum("j,jki,jkm->im", body.masses, moves[:, 1], moves[:, 1])
    hinges = np.arange(6, 3 * count + 3)
    mass[hinges, hinges] += body.armatures[1:].ravel()
    inverse = np.linalg.inv(mass)
    points = np.einsum("jki,il,jkl->j", moves[:, 1], inverse, moves[:, 1]) / 3
    return points, np.diagonal(inverse)[3:].reshape(count, 3)
