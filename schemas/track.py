"""Schema akd.track: a motion made physical, with the controls that produce it (METHOD 7)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .artifact import array, number
from .motion import Motion


@dataclasses.dataclass(kw_only=True)
class Track(Motion):
    """A motion that a simulated body performs.

    Attributes (beyond Motion):
        controls: PD target angles u, one row per control knot. [rad, (C, J, 3)]
        control_rate: Control knots per second. [Hz]
        time_step: Simulation step. [s]
        initial_velocity: Root linear velocity, root angular velocity (world). [m/s and rad/s, (6,)]
        initial_joint_velocity: About the joints' axes. [rad/s, (J, 3)]
        masses: Of the bones. [kg, (J,)]
    """

    SCHEMA: ClassVar[str] = "akd.track"
    VERSION: ClassVar[str] = "1.0"

    controls: np.ndarray = array("f4", "C", "J", 3)
    control_rate: float = number(low=1e-3, high=1e6)
    time_step: float = number(low=1e-7, high=1)
    initial_velocity: np.ndarray = array("f4", 6)
    initial_joint_velocity: np.ndarray = array("f4", "J", 3)
    masses: np.ndarray = array("f4", "J", low=0)
