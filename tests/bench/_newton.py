"""Microseconds a step of Newton's differentiable solvers on the body of tests/bench/track.py, where Newton is installed."""

from __future__ import annotations

import statistics
import time

import numpy as np
import warp as wp

_STEPS = 12


def measure(mjcf: str, height: float, time_step: float, repeats: int) -> dict[str, float | str | None]:
    """Step SolverFeatherstone and SolverSemiImplicit over 12 steps, forward and backward through a tape.

    Every step has a state and, of SolverFeatherstone, a solver of its own: one solver keeps the mass matrix of its last
    step only, and the adjoint needs them all. Kernel compilation is not counted.

    Parameters:
        mjcf: The body with its springs, corner spheres and a floor.
        height: Of the root at the start. [m]

    Returns:
        newton_version, and newton_{featherstone, semi_implicit}_{forward, backward}_us with whether the result is finite
        (newton_*_finite); {"newton": why not} where it is not installed.
    """
    try:
        import newton
    except ImportError:
        return {"newton": "not installed (pip install newton)"}
    builder = newton.ModelBuilder(up_axis=newton.Axis.Y)
    builder.add_mjcf(mjcf, up_axis=newton.Axis.Y)
    model = builder.finalize(device="cpu", requires_grad=True)
    place = model.joint_q.numpy()
    place[:7] = [0, height, 0, 0, 0, 0, 1]
    model.joint_q.assign(place)
    result: dict[str, float | str | None] = {"newton_version": str(newton.__version__)}
    for name, kind in (("featherstone", newton.solvers.SolverFeatherstone), ("semi_implicit", newton.solvers.SolverSemiImplicit)):
        times = [_once(newton, model, kind, name == "featherstone", time_step) for _ in range(repeats + 1)][1:]
        result[f"newton_{name}_forward_us"], result[f"newton_{name}_backward_us"] = (1e6 / _STEPS * statistics.median(t[i] for t in times) for i in (0, 1))
        result[f"newton_{name}_finite"] = str(all(t[2] for t in times)).lower()
    return result


def _once(newton, model, kind, each: bool, time_step: float) -> tuple[float, float, bool]:  # noqa: ANN001 (the module is optional)
    """Process seconds forward and backward, and whether the last state and the adjoint of the first are finite."""
    solvers = [kind(model) for _ in range(_STEPS)] if each else [kind(model)] * _STEPS
    states = [model.state(requires_grad=True) for _ in range(_STEPS + 1)]
    newton.eval_fk(model, states[0].joint_q, states[0].joint_qd, states[0])
    control, contacts = model.control(), model.contacts()
    model.collide(states[0], contacts)
    began = time.process_time()
    with wp.Tape() as tape:
        for solver, now, then in zip(solvers, states[:-1], states[1:], strict=True):
            now.clear_forces()
            solver.step(now, then, control, contacts, time_step)
    forward = time.process_time() - began
    began = time.process_time()
    tape.backward(grads={states[-1].body_q: wp.ones_like(states[-1].body_q)})
    backward = time.process_time() - began
    finite = bool(np.isfinite(states[-1].body_q.numpy()).all() and np.isfinite(states[0].body_qd.grad.numpy()).all())
    tape.zero()
    return forward, backward, finite
