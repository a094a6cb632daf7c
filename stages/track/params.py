"""Parameters of tracking (METHOD 7)."""

from __future__ import annotations

import dataclasses

from schemas.params import param


@dataclasses.dataclass(frozen=True)
class Params:
    """What decides how a motion is made physical.

    Gains and contact are given relative to the body: with M its mass, h its standing height and g gravity, torques
    scale with M g h and times with sqrt(h / g), so that one default serves a dog and an elephant (Froude similarity).
    """

    iterations: int = param(200, "optimisation steps", low=0, high=100000)
    substeps: int = param(0, "simulation steps per frame, 0: as many as the body's size asks for", low=0, high=2000)
    hold: int = param(4, "simulation steps a control is held", low=1, high=2000)
    density: float = param(700.0, "density of the bone cuboids, which overfill the body", unit="kg/m^3", low=1, high=20000)
    gain: float = param(1.25, "joint spring, in M g h per radian", low=0.01, high=1000)
    damping: float = param(0.17, "joint damping time, in sqrt(h/g)", low=0, high=10)
    friction: float = param(0.8, "Coulomb friction of the ground", low=0, high=10)
    upright: float = param(1.7, "spring that keeps the root upright, in M g h per radian", low=0, high=1000)
    fade: float = param(0.1, "share of this spring that is left where the body holds itself, 1: all, always", low=0, high=1)
    effort: float = param(0.6, "largest torque of a joint about an axis, in M g h, 0: no bound", low=0, high=1000)
    objective: str = param("corners", "what is compared with the target", choices=("corners", "coordinates"))
    smoothness: float = param(0.1, "weight of the controls' temporal Laplacian (lambda 3)", low=0, high=1000)
    learning_rate: float = param(0.02, "Adam step of the controls", unit="rad", low=1e-6, high=10)
    clip: float = param(0.02, "largest norm of the adjoint at a chunk boundary, 0: no clipping", low=0, high=1e9)
    window: float = param(2.0, "longest stretch optimised at once; the next goes on where it is after three quarters", unit="s", low=0.05, high=100000)
    chunk: int = param(20, "simulation steps between chunk boundaries", low=1, high=100000)
    grounding: str = param("feet", "what sets the target on the ground: its standing feet, its median lowest point, nothing", choices=("feet", "clip", "none"))
    travel: str = param("auto", "whether the target goes where its standing feet carry it; auto: unless it follows a path", choices=("auto", "feet", "given"))
    stance: float = param(4.0, "weight of standing feet, held in place, 0: the feet of the motion as they are", low=0, high=1000)
    slip: float = param(2.0, "weight of the steps of standing feet, also into and out of a stance", low=0, high=1000)
    sink: float = param(70.0, "weight of corners that are pressed deep into the ground, at all steps", unit="1/m^2", low=0, high=1e6)
    self_collision: float = param(0.0, "weight of bones that pass into each other deeper than at rest", low=0, high=1e6)
    seed: int = param(0, "seed (tracking draws nothing at random)", low=0)
    device: str = param("auto", "where to simulate", choices=("auto", "cpu", "cuda"), invalidating=False)
