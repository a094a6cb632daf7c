"""Runs the kernel over a clip, forward and backward, in chunks whose adjoint is clipped (METHOD 7)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile

import numpy as np
import torch
import warp as wp

from .body import GRAVITY, Body
from .world import World


def _initialise_warp() -> None:
    """Start Warp without its greeting; its native code complains on file descriptor 2 where there is no GPU."""
    wp.config.quiet = True
    wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)
    try:
        kept = os.dup(2)
    except OSError:  # no descriptor 2, nothing to quieten
        wp.init()
        return
    with tempfile.TemporaryFile() as said:
        try:
            os.dup2(said.fileno(), 2)
            wp.init()
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_initialise_warp()

from . import kernel  # noqa: E402  (declared once Warp is quiet)


def is_compiled(device: str) -> bool:
    """Whether the kernel for `device` lies in Warp's cache, so that the first run starts at once."""
    folder = os.path.join(wp.config.kernel_cache_dir, kernel.rollout.module.get_module_identifier(1 if device == "cpu" else None))
    return os.path.isdir(folder) and any(name.endswith(".o" if device == "cpu" else (".ptx", ".cubin")) for name in os.listdir(folder))


class Simulator:
    """Steps `worlds` copies of a body; their controls and initial velocities may differ, their first pose is shared.

    Attributes (torch views of the simulator's memory, overwritten by each run; T steps, E worlds, J bones, C knots):
        position, rotation: Root joint in the world and root frame (xyzw). [m, (T+1, E, 3)] and [(T+1, E, 4)]
        velocity, spin: Of the root, world. [m/s, (T+1, E, 3)] and [rad/s, (T+1, E, 3)]
        angle, rate: Compound joint angles and their rates. [rad and rad/s, (T+1, E, J, 3)]
        control: PD targets u. [rad, (C, E, J, 3)]
        joint, turn: Joint points and bone frames in the world. [m, (T, E, J, 3)] and [(T, E, J, 3, 3)]
        grad: The adjoint of each of the above, same names.
    """

    def __init__(
        self,
        body: Body,
        *,
        steps: int,
        time_step: float,
        hold: int = 1,
        worlds: int = 1,
        gain: float = 1.25,
        damping: float = 0.17,
        friction: float = 0.8,
        upright: float = 0.0,
        effort: float = 0.0,
        gravity: float = GRAVITY,
        chunk: int = 20,
        clip: float = 0.0,
        device: str = "cpu",
        gradients: bool = True,
    ) -> None:
        """Allocate; see `Params` for gain, damping, friction, upright, effort, chunk and clip. time_step in s."""
        self.body, self.steps, self.worlds, self.hold = body, steps, worlds, hold
        self.time_step, self.chunk, self.clip, self.device = time_step, chunk, clip, device
        self.knots, self.runs = -(-steps // hold), 0
        self._graph: tuple[tuple[float, ...], wp.Graph] | None = None
        stiffness, dampings = self._gains = body.gains(gain, damping)
        self.efforts = body.efforts(effort)
        self.world = World.of(body, friction=friction, upright=upright)
        self.physics = _physics(body, self.world, time_step, gravity, hold)
        self._bones = _bones(body, stiffness, dampings, self.efforts, device)
        count, shape = len(body.parents), (steps, worlds, len(body.parents))

        def zeros(size: tuple[int, ...], dtype: type) -> wp.array:
            return wp.zeros(size, dtype=dtype, device=device, requires_grad=gradients)

        self._state, self._scratch = kernel.State(), kernel.Scratch()
        for name, dtype in (("position", wp.vec3), ("rotation", wp.quat), ("velocity", wp.vec3), ("spin", wp.vec3)):
            setattr(self._state, name, zeros((steps + 1, worlds), dtype))
        for name in ("angle", "rate"):
            setattr(self._state, name, zeros((steps + 1, worlds, count), wp.vec3))
        self._state.control = zeros((self.knots, worlds, count), wp.vec3)
        for name in kernel.Scratch.vars:
            setattr(self._scratch, name, zeros(shape, kernel.Scratch.vars[name].type.dtype))
        self._adjoint = kernel.State()
        self.grad = _Views()
        for name in kernel.State.vars:
            array = getattr(self._state, name)
            setattr(self, name, wp.to_torch(array, requires_grad=False))
            if gradients:
                setattr(self._adjoint, name, array.grad)
                setattr(self.grad, name, wp.to_torch(array.grad))
        for name in ("joint", "turn"):
            array = getattr(self._scratch, name)
            setattr(self, name, wp.to_torch(array, requires_grad=False))
            if gradients:
                setattr(self.grad, name, wp.to_torch(array.grad))
        self.rotation[..., 3] = 1

    def start(self, position: np.ndarray, rotation: np.ndarray, angles: np.ndarray, up: np.ndarray | None = None) -> None:
        """Set the first pose of all worlds: root joint [m, (3,)], root frame xyzw [(4,)], joint angles [rad, (J, 3)].

        The upright help keeps `up` of the root's frame up, by default what is up in this pose. [(3,)]
        """
        for view, value in ((self.position, position), (self.rotation, rotation), (self.angle, angles)):
            view[0] = torch.as_tensor(np.asarray(value, np.float32), device=view.device)
        self.physics.up = wp.vec3(*(float(x) for x in (_matrix(rotation)[1] if up is None else up)))

    def ease(self, hardness: float = 1.0, help: float = 1.0) -> None:
        """Soften the ground, geometrically from `World.contact_soft` at hardness 0 to none at 1, and leave a share of the upright help."""
        world, physics = self.world, self.physics
        physics.contact_stiffness = world.contact_stiffness * world.contact_soft ** (1 - hardness)
        physics.upright_stiffness, physics.upright_damping = help * world.upright_stiffness, help * world.upright_damping

    def forward(self, control: torch.Tensor, velocity: torch.Tensor, spin: torch.Tensor, rate: torch.Tensor) -> None:
        """Simulate equation (11). [(C, E, J, 3), (E, 3), (E, 3), (E, J, 3)]"""
        self.runs += 1
        self.control.copy_(control.detach())
        self.velocity[0], self.spin[0], self.rate[0] = velocity.detach(), spin.detach(), rate.detach()
        inputs = [0, self.steps, self.physics, self._bones, self._state, self._scratch]
        with self._stream():
            wp.launch(kernel.rollout, dim=self.worlds, inputs=inputs, device=self.device)

    def zero_grad(self) -> None:
        """Clear every adjoint; the loss's seeds are then added to `grad.joint`, `grad.turn`, `grad.angle`, ..."""
        with self._stream():
            for struct, names in ((self._state, kernel.State.vars), (self._scratch, kernel.Scratch.vars)):
                for name in names:
                    getattr(struct, name).grad.zero_()

    def backward(self) -> None:
        """Carry the seeds back to `grad.control` and, at step 0, to the initial velocities, clipping at chunk boundaries."""
        if self.device == "cpu":
            self._carry_back()
            return
        graph = self.record()
        with self._stream():
            wp.capture_launch(graph)

    def record(self) -> wp.Graph:
        """The backward pass as a graph, two launches for every chunk in one; recorded again when the world has changed since."""
        physics = self.physics
        world = (physics.contact_stiffness, physics.upright_stiffness, physics.upright_damping, *(float(x) for x in physics.up))
        if self._graph is None or self._graph[0] != world:
            # on Warp's own stream: torch's default one cannot be captured
            with wp.ScopedCapture(device=self.device) as capture:
                self._carry_back()
            self._graph = world, capture.graph
        return self._graph[1]

    def _carry_back(self) -> None:
        # the arrays of the structs carry their adjoints themselves; the constants' adjoints go nowhere
        adjoints = [0, 0, kernel.Physics(), kernel.Bones(), kernel.State(), kernel.Scratch()]
        for first in reversed(range(0, self.steps, self.chunk)):
            last = min(first + self.chunk, self.steps)
            inputs = [first, last, self.physics, self._bones, self._state, self._scratch]
            wp.launch(kernel.rollout, dim=self.worlds, inputs=inputs, adj_inputs=adjoints, adjoint=True, device=self.device)
            wp.launch(kernel.clip, dim=self.worlds, inputs=[first, len(self.body.parents), self.clip, self._adjoint], device=self.device)

    def torques(self) -> np.ndarray:
        """Torques of springs and dampers about each axis, equation (12), in the run so far; the root has none. [N m, (T, E, J, 3)]"""
        knots = np.arange(self.steps) // self.hold
        control, angle, rate = (x.detach().cpu().double().numpy() for x in (self.control, self.angle[:-1], self.rate[:-1]))
        stiffness, damping = (gain[:, None] for gain in self._gains)
        drive = stiffness * (control[knots] - angle - self.time_step * rate) - damping * rate
        drive[:, :, 0] = 0
        return np.clip(drive, -self.efforts[:, None], self.efforts[:, None])

    def _stream(self) -> contextlib.AbstractContextManager[object]:
        """On a GPU, put Warp's launches in the order of torch's: both work on the same memory."""
        if self.device == "cpu":
            return contextlib.nullcontext()
        return wp.ScopedStream(wp.stream_from_torch(torch.device(self.device)), sync_enter=False)


class _Views:
    """Torch views of the adjoints, by name."""


def _matrix(rotation: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(np.asarray(rotation, np.float64)).as_matrix()


def _physics(body: Body, world: World, time_step: float, gravity: float, hold: int) -> kernel.Physics:
    physics = kernel.Physics()
    for field in dataclasses.fields(world):
        if field.name in kernel.Physics.vars:
            setattr(physics, field.name, getattr(world, field.name))
    physics.time_step, physics.gravity = time_step, gravity
    physics.up = wp.vec3(0.0, 1.0, 0.0)
    physics.bones, physics.hold = len(body.parents), hold
    return physics


def _bones(body: Body, stiffness: np.ndarray, damping: np.ndarray, efforts: np.ndarray, device: str) -> kernel.Bones:
    bones = kernel.Bones()
    values = {
        "parent": body.parents, "offset": body.offsets, "axes": body.axes, "mass": body.masses, "center": body.centers,
        "inertia": body.inertias, "corner": body.corners, "radius": np.linalg.norm(body.corners, axis=-1).max(1),
        "stiffness": stiffness, "damping": damping, "armature": body.armatures,
        "effort": efforts,
        "lower": body.limits[..., 0], "upper": body.limits[..., 1],
    }  # fmt: skip
    for name, value in values.items():
        dtype = kernel.Bones.vars[name].type.dtype
        kind = np.int32 if name == "parent" else np.float32
        setattr(bones, name, wp.array(np.ascontiguousarray(value, kind), dtype=dtype, device=device))
    return bones
