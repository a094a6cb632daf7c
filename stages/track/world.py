"""Ground and virtual springs of the simulation, absolute for one body (METHOD 7)."""

from __future__ import annotations

import dataclasses

import numpy as np

from .body import GRAVITY, Body

# relative to the body (see Params): a corner bearing all the weight sinks h / 1500
_CONTACT_STIFFNESS = 1500.0  # M g / h
_TALL = 0.4  # m: under higher bodies the ground is as stiff as under this one, so that they do not sink in deeper
_CONTACT_EASE = 1e-3  # h
_CONTACT_DAMPING = 1.2  # 1 / sqrt(g h)
_RESCUE_SPEED = 1.0  # sqrt(g h): a corner deep in the ground would be thrown out within a step
_SLIP_SPEED = 0.007  # sqrt(g h): a foot that pushes with half of its friction creeps at 0.6 of this
_GRIP = 2.0  # M: half of it reached under two weights on a corner with steps of 0.009 sqrt(h / g)
_FASTEST = 55.0  # 1 / sqrt(h / g): half a radian in the longest automatic step, ten times what motions do
_UPRIGHT_DAMPING = 0.4  # of the upright spring x sqrt(h / g)


@dataclasses.dataclass(frozen=True)
class World:
    """SI units.

    Attributes:
        contact_stiffness: At one corner, once pressed in deeper than `contact_ease`. [N/m]
        contact_soft: Share of the stiffness that an optimisation may begin with.
        contact_ease: Depth over which the stiffness grows. [m]
        contact_damping: Hunt-Crossley: force x (1 - damping x separation speed). [s/m]
        rescue_speed: At which a corner is pushed out of the ground at most. [m/s]
        friction: Coulomb's.
        slip_speed: Below it friction falls off linearly. [m/s]
        grip: Inertia that friction adds to a corner in a step, at most. [kg]
        fastest: Rate that no joint about an axis, nor the root, exceeds. [rad/s]
        upright_stiffness: Of the spring from the root's up direction to the world's. [N m/rad]
        upright_damping: [N m s/rad]
    """

    contact_stiffness: float
    contact_soft: float
    contact_ease: float
    contact_damping: float
    rescue_speed: float
    friction: float
    slip_speed: float
    grip: float
    fastest: float
    upright_stiffness: float
    upright_damping: float

    @staticmethod
    def of(body: Body, *, friction: float, upright: float) -> World:
        """Constants for a body; `friction` and `upright` as in `Params`."""
        speed = float(np.sqrt(GRAVITY * body.height))
        return World(
            contact_stiffness=_CONTACT_STIFFNESS * body.mass * GRAVITY / min(body.height, _TALL),
            contact_soft=min(_TALL / body.height, 1.0),
            contact_ease=_CONTACT_EASE * body.height,
            contact_damping=_CONTACT_DAMPING / speed,
            rescue_speed=_RESCUE_SPEED * speed,
            friction=friction,
            slip_speed=_SLIP_SPEED * speed,
            grip=_GRIP * body.mass,
            fastest=_FASTEST / body.time,
            upright_stiffness=upright * body.torque,
            upright_damping=upright * _UPRIGHT_DAMPING * body.torque * body.time,
        )
