"""The kernel against MuJoCo, analytic motion and finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.track.body import GRAVITY, Body
from stages.track.simulator import Simulator

from .beasts import make_rig, quadruped, random_tree, trot
from .oracle import mjcf


def _zeros(simulator: Simulator) -> tuple[torch.Tensor, ...]:
    worlds, bones = simulator.worlds, len(simulator.body.parents)
    return torch.zeros(simulator.knots, worlds, bones, 3), torch.zeros(worlds, 3), torch.zeros(worlds, 3), torch.zeros(worlds, bones, 3)


def _box(half: tuple[float, float, float] = (0.1, 0.1, 0.1)) -> Body:
    return Body.from_rig(make_rig("box", [("box", -1, (0, half[1], 0), (0, 0, 0), half, "other")]))


def test_implicit_springs_and_upright_help_match_the_mass_matrix() -> None:
    """(M + dt kd + dt^2 ke) qacc = torque after the step - bias, with M and bias from MuJoCo."""
    mujoco = pytest.importorskip("mujoco")
    dt, gain, damping, count = 0.02, 1.25, 0.17, 6
    body = Body.from_rig(random_tree(5, count))
    rng = np.random.default_rng(0)
    turn, angles, rates = Rotation.random(rng=rng), rng.uniform(-0.8, 0.8, (count, 3)), rng.uniform(-2, 2, (count, 3))
    spin, control = rng.normal(size=3), rng.uniform(-1, 1, (count, 3))
    simulator = Simulator(body, steps=1, time_step=dt, gain=gain, damping=damping, upright=1.7)
    simulator.start([0, 9, 0], turn.as_quat(), angles)
    simulator.forward(*(torch.tensor(v, dtype=torch.float32)[None] for v in (control[None], np.zeros(3), spin, rates)))
    model = mujoco.MjModel.from_xml_string(mjcf(body))
    data = mujoco.MjData(model)
    addresses = np.array([model.joint(f"{bone}-{axis}").dofadr[0] for bone in range(1, count) for axis in range(3)])
    data.qpos[:7] = np.concatenate([[0, 9, 0], turn.as_quat()[[3, 0, 1, 2]]])
    data.qvel[3:6] = turn.inv().apply(spin)
    data.qpos[addresses + 1], data.qvel[addresses] = angles[1:].ravel(), rates[1:].ravel()
    mujoco.mj_forward(model, data)
    mass = np.empty((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass)
    ke, kd = (np.repeat(k[1:], 3) for k in body.gains(gain, damping))
    force = -data.qfrc_bias.copy()
    force[addresses] += ke * (control - angles)[1:].ravel() - (kd + dt * ke) * rates[1:].ravel()
    mass[addresses, addresses] += dt * kd + dt**2 * ke
    up, ku, du = np.array([0, 1, 0]), simulator.physics.upright_stiffness, simulator.physics.upright_damping
    force[3:6] += turn.inv().apply(-ku * dt * (spin - up * spin[1]) - du * spin)
    mass[range(3, 6), range(3, 6)] += dt * du + dt**2 * ku
    expected = np.linalg.solve(mass, force)
    ours = ((simulator.rate[1, 0, 1:] - simulator.rate[0, 0, 1:]) / dt).numpy().ravel()
    np.testing.assert_allclose(ours, expected[addresses], atol=5e-4 * np.abs(expected).max())
    alpha = ((simulator.spin[1, 0] - simulator.spin[0, 0]) / dt).numpy()
    np.testing.assert_allclose(alpha, turn.apply(expected[3:6]), atol=5e-4 * np.abs(expected).max())


def test_free_fall_is_analytic() -> None:
    simulator = Simulator(_box(), steps=100, time_step=0.005)
    simulator.start([0, 10, 0], [0, 0, 0, 1], np.zeros((1, 3)))
    control, velocity, spin, rate = _zeros(simulator)
    simulator.forward(control, velocity + torch.tensor([1.0, 2.0, 3.0]), spin, rate)
    time = 0.5
    # semi-implicit Euler falls g dt t / 2 further than the parabola
    expected = np.array([1.0, 2.0, 3.0]) * time + [0, 10 - GRAVITY * time * (time + 0.005) / 2, 0]
    np.testing.assert_allclose(simulator.position[100, 0].numpy(), expected, atol=1e-4)


def test_momentum_is_conserved_without_gravity() -> None:
    coarse, fine = (_momentum_drift(time_step) for time_step in (1e-3, 2.5e-4))
    # what is lost is the step's first-order error
    assert fine.max() < 5e-3
    assert (fine < 0.4 * coarse).all()


def _momentum_drift(time_step: float) -> np.ndarray:
    """Relative change of linear and angular momentum over 0.2 s of thrashing."""
    steps = round(0.2 / time_step)
    body = Body.from_rig(random_tree(3, 5))
    simulator = Simulator(body, steps=steps + 1, hold=steps + 1, time_step=time_step, gravity=0.0)
    simulator.start([0, 5, 0], [0, 0, 0, 1], np.zeros((5, 3)))
    control, velocity, spin, rate = _zeros(simulator)
    generator = torch.Generator().manual_seed(0)
    control = control + 0.3 * torch.randn(5, 3, generator=generator)
    simulator.forward(control, velocity + 0.5, spin + 1.0, rate)
    assert np.abs(simulator.angle[steps].numpy()).max() > 0.1  # it moved
    return np.array([np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(*(_momentum(simulator, step) for step in (0, steps)), strict=True)])


def _momentum(simulator: Simulator, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear and angular momentum about the world's origin."""
    import warp as wp

    body = simulator.body
    turn, joint = simulator.turn[step, 0].double().numpy(), simulator.joint[step, 0].double().numpy()
    spin, speed = (wp.to_torch(getattr(simulator._scratch, name), requires_grad=False)[step, 0].double().numpy() for name in ("spin", "velocity"))
    arm = np.einsum("jik,jk->ji", turn, body.centers)
    p = body.masses[:, None] * (speed + np.cross(spin, arm))
    own = np.einsum("jik,jkl,jml,jm->ji", turn, body.inertias, turn, spin)
    return p.sum(0), (own + np.cross(joint + arm, p)).sum(0)


def test_springs_hold_a_pose() -> None:
    body = Body.from_rig(random_tree(1, 5))
    simulator = Simulator(body, steps=600, time_step=0.002, gravity=0.0, hold=600)
    simulator.start([0, 5, 0], [0, 0, 0, 1], np.zeros((5, 3)))
    control, *rest = _zeros(simulator)
    control[:, :, 1:] = torch.tensor([0.3, -0.2, 0.1])
    simulator.forward(control, *rest)
    np.testing.assert_allclose(simulator.angle[-1, 0, 1:].numpy(), np.tile([0.3, -0.2, 0.1], (4, 1)), atol=0.02)


def test_limits_hold_against_the_controls() -> None:
    rig = random_tree(1, 3)
    rig.limits = np.tile(np.array([-0.2, 0.2], np.float32), (3, 3, 1))
    simulator = Simulator(Body.from_rig(rig), steps=500, time_step=0.002, gravity=0.0, hold=500)
    simulator.start([0, 5, 0], [0, 0, 0, 1], np.zeros((3, 3)))
    control, *rest = _zeros(simulator)
    simulator.forward(control + 1.0, *rest)
    assert 0.2 < float(simulator.angle[-1, 0, 1:].max()) < 0.45


def test_dropped_box_comes_to_rest_on_the_ground() -> None:
    simulator = Simulator(_box(), steps=1000, time_step=0.002)
    simulator.start([0, 0.3, 0], [0, 0, 0, 1], np.zeros((1, 3)))
    simulator.forward(*_zeros(simulator))
    height = simulator.position[:, 0, 1].numpy()
    assert abs(height[-1] - 0.1) < 2e-3
    assert np.abs(simulator.velocity[-1, 0].numpy()).max() < 1e-2
    assert height.min() > 0.08


def test_sliding_box_slows_down_by_friction() -> None:
    friction = 0.4
    simulator = Simulator(_box((0.3, 0.05, 0.3)), steps=100, time_step=0.002, friction=friction)
    simulator.start([0, 0.05 - 1e-4, 0], [0, 0, 0, 1], np.zeros((1, 3)))
    control, velocity, spin, rate = _zeros(simulator)
    simulator.forward(control, velocity + torch.tensor([2.0, 0.0, 0.0]), spin, rate)
    speed = simulator.velocity[:, 0, 0].numpy()
    deceleration = (speed[20] - speed[100]) / (80 * 0.002)
    assert deceleration == pytest.approx(friction * GRAVITY, rel=0.05)


def test_box_sticks_on_the_ground() -> None:
    simulator = Simulator(_box(), steps=300, time_step=0.002)
    simulator.start([0, 0.1, 0], [0, 0, 0, 1], np.zeros((1, 3)))
    control, velocity, spin, rate = _zeros(simulator)
    simulator.forward(control, velocity + torch.tensor([0.0, 0.0, 0.1]), spin, rate)
    assert abs(float(simulator.position[-1, 0, 2])) < 0.01


def test_clip_bounds_the_adjoint_and_removes_what_is_not_finite() -> None:
    body = Body.from_rig(quadruped())
    simulator = Simulator(body, steps=41, time_step=0.002, chunk=20, clip=0.1)
    simulator.start([0, 0.55, 0], [0, 0, 0, 1], np.zeros((17, 3)))
    simulator.forward(*_zeros(simulator))
    simulator.zero_grad()
    simulator.grad.joint[-1] = 1000.0
    simulator.backward()
    grad = simulator.grad
    total = sum(float(view[0].square().sum()) for view in (grad.position, grad.rotation, grad.velocity, grad.spin, grad.angle, grad.rate))
    assert 0 < total**0.5 <= 0.1001
    simulator.zero_grad()
    simulator.grad.joint[-1] = float("nan")
    simulator.backward()
    assert all(torch.isfinite(view[0]).all() for view in (grad.position, grad.rotation, grad.velocity, grad.spin, grad.angle, grad.rate))


def test_same_inputs_give_the_same_bits() -> None:
    def once() -> tuple[np.ndarray, np.ndarray]:
        body = Body.from_rig(quadruped())
        simulator = Simulator(body, steps=60, time_step=0.003, hold=5, upright=1.7, clip=0.1)
        simulator.start([0, 0.55, -0.35], [0, 0, 0, 1], np.zeros((17, 3)))
        simulator.forward(*_zeros(simulator))
        simulator.zero_grad()
        simulator.grad.joint[-1] = 1.0
        simulator.backward()
        return simulator.position.numpy().copy(), simulator.grad.control.numpy().copy()

    for first, second in zip(once(), once(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0])
def test_a_body_of_any_size_stands(scale: float) -> None:
    rig = quadruped(scale)
    body = Body.from_rig(rig)
    simulator = Simulator(body, steps=500, time_step=0.009 * body.time, upright=1.7, hold=500)
    simulator.start(rig.positions[0], [0, 0, 0, 1], np.zeros((17, 3)))
    simulator.forward(*_zeros(simulator))
    assert float(simulator.position[-1, 0, 1]) / (0.55 * scale) == pytest.approx(1, abs=0.05)
    assert trot(rig).frame_count == 17


def test_the_backward_pass_as_a_graph_gives_the_same_bits() -> None:
    """What a GPU launches once an iteration; Warp records and replays it on the CPU too."""
    import warp as wp

    body = Body.from_rig(quadruped())
    simulator = Simulator(body, steps=61, time_step=0.002, hold=4, upright=1.7, clip=0.05)
    simulator.start([0, body.height, 0], [0, 0, 0, 1], np.zeros((17, 3)))
    control = 0.1 * torch.randn(simulator.knots, 1, 17, 3, generator=torch.Generator().manual_seed(0))

    def gradient(carry_back: Callable[[], None]) -> torch.Tensor:
        simulator.forward(control, torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 17, 3))
        simulator.zero_grad()
        simulator.grad.joint[-1] = 1.0
        carry_back()
        return simulator.grad.control.clone()

    graph = simulator.record()
    assert simulator.record() is graph
    plain = gradient(simulator.backward)
    assert plain.abs().max() > 0
    assert torch.equal(gradient(lambda: wp.capture_launch(graph)), plain)
    simulator.ease(help=0.2)
    other = simulator.record()
    assert other is not graph
    assert torch.equal(gradient(lambda: wp.capture_launch(other)), gradient(simulator.backward))
    assert not torch.equal(gradient(simulator.backward), plain)
