"""What animators ask for beyond a sentence: a path, a loop, a length, a motion to begin with, parts that stay.

The loop of distill asks for the clip of each step, which always is as long as the prior's and shows a body that walks
straight along +Z; here is what makes the motion of it that the user asked for.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from schemas.motion import Motion
from schemas.rig import Rig
from stages.body.kinematics import Pose, Skeleton

from . import loops, parts, windows
from .course import Course, Curve, Trail, along, as_text, read_points
from .initial import Init, init_of
from .parameterisation import Base, Frames, MotionVariables, free_angles, lowest_corner, soft_limit
from .params import Params
from .stance import stance
from .windowed import WindowedVariables

LATER = 0.3  # of the learning rates in the second part (ours)
_NEAR = 0.02  # body lengths: a path that begins so near to the root begins there
_IN_STEP = 0.125  # cycles: a clip that is off by no more is in step with the prior
FIRST = 0.7  # of the steps: then the cycle that has come up is taken (ours)


def inlined(settings: Params) -> Params:
    """The parameters with the points of the path instead of a file's name, so that they tell all of the motion."""
    return dataclasses.replace(settings, path=as_text(read_points(settings.path))) if settings.path.strip() else settings


@dataclasses.dataclass(frozen=True)
class Clip:
    """What a step works on.

    Attributes:
        motion: As the prior sees it: from the rest position straight along +Z.
        line: The start motion's root there. [m, (F, 3)]
        course: Where that line is laid in the world, None if it is there already.
    """

    motion: Frames
    line: torch.Tensor
    course: Course | None

    def laid(self, pose: Pose) -> Pose:
        """The pose in the world, where feet meet the ground."""
        return pose if self.course is None else self.course.lay_pose(pose, self.line)


@dataclasses.dataclass(frozen=True)
class Result:
    """The motion asked for, as `schemas.motion` has it, and what is to be said about it."""

    angles: torch.Tensor
    root_positions: torch.Tensor
    root_rotations: torch.Tensor
    report: dict[str, Any]


class Control:
    """The variables of a run and how they become clips and the final motion.

    A run has one or two parts. In the first, one clip of the prior's length is free. If a loop is wanted, or, of a prior
    that knows gaits at one phase only, a clip longer than its own and than a motion to begin with, the cycle is then
    found (`due`, `turn`): the variables become offsets from its continuation, in a basis of that period, and the run goes
    on with these. All windows of a long clip share them: with variables of their own, moved by a few answers of the
    prior each, feet slid three times as much (docs/control.md).

    Attributes:
        variables: Of the present part.
        notes: What to tell the user before the run.
    """

    def __init__(self, rig: Rig, settings: Params, *, in_step: bool = False, init: Motion | None = None, device: torch.device | str = "cpu") -> None:
        """Set up the first part.

        Parameters:
            settings: Resolved; `speed` is that of the start motion.
            in_step: The prior knows a gait at one phase: in the middle of its clip the first hind leg comes down.
            init: Motion to begin with instead of the rest pose.

        Raises:
            InputError, MissingError: A path, pattern, overlap or motion cannot be used.
        """
        self.rig, self.settings, self.device, self.in_step = rig, settings, device, in_step
        self.window, self.speed, self.notes = settings.window, float(settings.speed), []
        self.frozen = parts.frozen(rig, settings.freeze) if settings.freeze.strip() else None
        self.weights = parts.held(rig, settings.hold).to(device) if settings.hold.strip() else None
        self.init = init_of(init, rig, settings.fps) if init is not None else None
        self.way: Curve | Trail | None = self._curve() if settings.path.strip() else self.init.trail if self.init else None
        self.skeleton = Skeleton.from_rig(rig, device=device)
        self.stance = torch.as_tensor(stance(rig, settings.pose), device=device)
        self.lead, self.turned, self.cycle, self.clipped = 0, False, None, 0.0
        self.before: loops.Seam | None = None
        long = settings.frames > self.window
        if long:
            windows.check_overlap(self.window, settings.overlap)  # the windows may be set much later
        brief = self.init is None or not (self.init.loops or self.init.frames >= settings.frames)
        self.two_parts = settings.loop or (long and in_step and brief)
        self.starts = [0]
        if not self.two_parts and (long or (self.init is not None and in_step)):
            self.starts = self._starts()
        total = self.window if self.two_parts else self.starts[-1] + self.window
        base = self._base(self.init, -self.lead, total) if self.init is not None else self._stand(total)
        self.reference = base  # what parts are held at: None is the rest pose
        self.variables = self._variables(total, base, self._waves(total))
        self.course = self._course(total)

    def due(self, iteration: int) -> bool:
        """Whether the second part begins with this step, when an answer of the prior has just been used up."""
        at = math.ceil(FIRST * self.settings.iterations / self.settings.refresh) * self.settings.refresh
        return self.two_parts and not self.turned and iteration >= at

    @property
    def settled(self) -> bool:
        """Whether this is the last part: before, the run must not stop."""
        return self.turned or not self.two_parts

    @property
    def rate(self) -> float:
        """Learning rates of this part relative to the first's: what has come up is refined, not made anew."""
        return LATER if self.turned else 1.0

    def clip(self, iteration: int, share: float = 1.0) -> Clip:
        """The clip of a step; windows take turns."""
        start = self.starts[windows.turn(iteration, len(self.starts), self.settings.refresh)]
        rows = slice(start, start + self.window)
        motion, line = self.variables.frames(share, rows), self.variables.start[rows]
        if start != self.lead:
            away = self.variables.start[start] - self.variables.start[self.lead]
            motion, line = dataclasses.replace(motion, root_positions=motion.root_positions - away), line - away
        return Clip(motion, line, self.course.rows(rows) if self.course is not None else None)

    def carried(self) -> Frames:
        """The rest pose carried along the start line, what the cameras of every clip follow."""
        return self.variables.carried(slice(self.lead, self.lead + self.window))

    def hold(self, iteration: int, motion: Frames) -> torch.Tensor | float:
        """The term of `--hold` for a clip, 0 without it. [rad^2]"""
        if self.weights is None:
            return 0.0
        if self.reference is None:
            return parts.hold(motion.angles, motion.root_vectors, self.weights)
        start = self.starts[windows.turn(iteration, len(self.starts), self.settings.refresh)]
        rows = slice(start, start + self.window)
        angles = soft_limit(self.reference.angles[rows], self.variables.limits)
        return parts.hold(motion.angles - angles, motion.root_vectors - self.reference.vectors[rows], self.weights)

    @torch.no_grad()
    def turn(self) -> str:
        """Begin the second part: find the cycle and go on with its continuation. Returns what to tell the user."""
        frames = self.variables.frames()
        self.cycle = self._cycle(frames)
        if self.settings.loop:
            self.before = self._seam(self.variables, min(self._whole(), self.window))
        period, count = self.cycle.period, loops.harmonics(self.settings.modes, self.window, self.cycle.period)
        shifts, vectors = self.variables.root()
        curves = {"angles": self.variables.free(), "vectors": vectors, "shifts": shifts}
        if self.reference is not None:
            curves |= {"held angles": self.reference.angles, "held vectors": self.reference.vectors, "held shifts": self.reference.shifts}
        middle = 0.5 * (self.window - 1)
        values = {name: value.double().cpu().numpy() for name, value in curves.items()}
        slope = self._slope(values["shifts"][:, 2], period)
        values["shifts"][:, 2] -= slope * (np.arange(self.window) - middle)
        found = {name: loops.fit(value, period, count, middle=middle) for name, value in values.items()}
        written = float(self._whole()) if self.settings.loop else period  # a loop has whole frames: it is played a little faster or slower
        self.speed = float((self.speed + slope * self.settings.fps) * period / written)
        if self.settings.loop:
            total = max(self.window, self._cycles() * self._whole())
        else:
            self.starts = windows.in_step(self.settings.frames, self.window, self.settings.overlap, period)
            total = self.starts[-1] + self.window
        waves = loops.periodic_basis(np.arange(total) - middle, written, count)
        made = {name: np.tensordot(waves, value, 1) for name, value in found.items()}
        self._second(made, waves)
        spoken = f"a cycle of {period:.1f} frames" if self.cycle.found else f"no cycle, its {self.window} frames are taken as one"
        return f"the motion has {spoken}; " + (f"looping {self._whole()} frames" if self.settings.loop else f"going on over {len(self.starts)} windows")

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep beyond the variables."""
        if not self.turned:
            return {"turned": False}
        base = self.variables.base
        return {
            "turned": True, "speed": self.speed, "starts": list(self.starts), "cycle": dataclasses.asdict(self.cycle),
            "before": dataclasses.asdict(self.before) if self.before else None, "basis": self.variables.basis.clone(),
            "base": base.tensors(), "reference": self.reference.tensors() if self.reference else None,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the part that a checkpoint is of; the variables' values are the loop's to restore."""
        if not state["turned"]:
            return
        self.speed, self.starts = state["speed"], list(state["starts"])
        self.cycle = loops.Cycle(**state["cycle"])
        self.before = loops.Seam(**state["before"]) if state["before"] else None
        self.reference = Base(*(value.to(self.device) for value in state["reference"])) if state["reference"] else None
        self._go_on(Base(*(value.to(self.device) for value in state["base"])), state["basis"])

    @torch.no_grad()
    def result(self) -> Result:
        """The whole motion, in the world."""
        if not self.settled:
            self.turn()
        count = self._cycles() * self._whole() if self.settings.loop else self.settings.frames
        rows = slice(self.lead, self.lead + count)
        frames = self.variables.frames(rows=rows)
        positions, turns = frames.root_positions, frames.root_quaternions()
        if self.course is not None:
            positions, turns = self.course.rows(rows).lay(positions, turns, self.variables.start[rows])
        return Result(frames.angles, positions, turns, self._report(count))

    def _curve(self) -> Curve:
        curve = Curve(read_points(self.settings.path), start=self.rig.positions[0, [0, 2]], near=_NEAR * self.rig.length)
        travel, radius = self.speed * (self.settings.frames - 1) / self.settings.fps, curve.tightest()
        if travel > curve.length + 1e-6 and not curve.closed:
            self.notes.append(f"path: its {curve.length:.2f} m end before the clip, which travels {travel:.2f} m; it goes straight on")
        elif self.speed == 0:
            self.notes.append("path: the start motion stands still, so it stays at the path's beginning; --speed sets it going")
        if radius < 0.5 * self.rig.length:
            self.notes.append(f"path: turns on {radius:.2f} m, which is tight for a body of {self.rig.length:.2f} m; expect feet to slide there")
        return curve

    def _starts(self) -> list[int]:
        """Windows of a run in one part; a motion to begin with tells the cycle that some priors want them in step with."""
        settings = self.settings
        if not (self.in_step and self.init is not None):
            return windows.evenly(settings.frames, self.window, settings.overlap)
        self.cycle = self._init_cycle()
        if not self.cycle.found:
            return windows.evenly(settings.frames, self.window, settings.overlap)
        # feet come down within a tenth of a cycle of when their leg is furthest forward
        period = self.cycle.period
        away = (self.cycle.peak - 0.5 * (self.window - 1) + 0.5 * period) % period - 0.5 * period
        if abs(away) <= _IN_STEP * period:
            away = 0.0
        starts = windows.in_step(settings.frames, self.window, settings.overlap, period, away)
        if (starts[0] < 0 or starts[-1] + self.window > self.init.frames) and not self.init.loops and period > self.init.frames - 1:
            self.notes.append("init: too short to be shown in step with what the video model knows; it may shift the gait in time")
            return windows.evenly(settings.frames, self.window, settings.overlap)
        self.lead = max(0, -starts[0])
        return [start + self.lead for start in starts]

    def _init_cycle(self) -> loops.Cycle:
        base = self._base(self.init, 0, self.init.frames, quiet=True)
        return self._cycle(self._variables(self.init.frames, base).frames())

    def _base(self, init: Init, first: int, count: int, quiet: bool = False) -> Base:
        """A motion to begin with as the variables' base. [from frame `first`, `count` frames]"""
        period = None
        if not init.loops and (first < 0 or first + count > init.frames):
            cycle = self.cycle or self._init_cycle()
            period = cycle.period if cycle.found else None
        if init.frames > count and not quiet and not self.two_parts:
            self.notes.append(f"init: {count} of its {init.frames} frames are taken; --frames {init.frames} takes all")
        if init.note and not quiet:
            self.notes.append(init.note)
        wanted = init.over(first, count, period)
        angles, vectors, shifts = (torch.as_tensor(v, dtype=torch.float32, device=self.device) for v in (wanted.angles, wanted.vectors, wanted.shifts))
        limits = torch.as_tensor(self.rig.limits, device=self.device).clone()
        limits[0] = 0
        free = free_angles(angles, limits)
        clipped = (soft_limit(free, limits) - angles).abs()
        if not quiet and float(clipped.max()) > 1e-3:
            joint = int(clipped.amax((0, 2)).argmax())
            self.clipped = float(clipped.max())
            self.notes.append(f"init: angles beyond the limits are clipped, most at '{self.rig.joint_names[joint]}' by {self.clipped:.3f} rad")
        standing = float(self.rig.positions[0, 1]) - lowest_corner(self.rig)  # height of the start line
        return Base(free, vectors, shifts - shifts.new_tensor([0.0, standing, 0.0]))

    def _stand(self, count: int) -> Base | None:
        """The stance as the variables' base, None where it is the rest pose."""
        if not self.stance.any():
            return None
        lowered = [name for name, angles in zip(self.rig.joint_names, self.stance, strict=True) if angles.any()]
        self.notes.append(f"pose: arms lowered from how they are modelled ({', '.join(lowered[:4])}); --pose rest keeps them")
        limits = torch.as_tensor(self.rig.limits, device=self.device)
        still = torch.zeros(count, 3, device=self.device)
        return Base(free_angles(self.stance.expand(count, -1, -1), limits), still, still)

    def _variables(self, total: int, base: Base | None, basis: torch.Tensor | None = None) -> MotionVariables:
        settings = self.settings
        common: dict[str, Any] = {
            "frames": total, "fps": settings.fps, "modes": settings.modes, "speed": self.speed, "trunk": settings.trunk_rate, "lateral": settings.lateral_rate,
            "device": self.device, "lead": self.lead, "base": base, "frozen": self.frozen,
            "stance": self.stance,
        }  # fmt: skip
        if len(self.starts) > 1 and basis is None:
            return WindowedVariables(self.rig, starts=self.starts, window=self.window, **common)
        return MotionVariables(self.rig, basis=basis, drift=self.turned and settings.loop, **common)

    def _waves(self, total: int) -> torch.Tensor | None:
        """Basis of the cycle of a motion to begin with, where windows are in step with it, else None. [(F, K)]"""
        if len(self.starts) == 1 or self.cycle is None or not self.cycle.found:
            return None
        count = loops.harmonics(self.settings.modes, self.window, self.cycle.period)
        return torch.as_tensor(loops.periodic_basis(np.arange(total) - self.lead, self.cycle.period, count), dtype=torch.float32)

    def _course(self, total: int) -> Course | None:
        return along(self.way, self.speed, self.settings.fps, np.arange(total) - self.lead, self.device) if self.way is not None else None

    def _second(self, made: dict[str, np.ndarray], waves: np.ndarray) -> None:
        tensors = {name: torch.as_tensor(value, dtype=torch.float32, device=self.device) for name, value in made.items()}
        if self.reference is not None:
            self.reference = Base(tensors["held angles"], tensors["held vectors"], tensors["held shifts"])
        self._go_on(Base(tensors["angles"], tensors["vectors"], tensors["shifts"]), torch.as_tensor(waves, dtype=torch.float32, device=self.device))

    def _go_on(self, base: Base, basis: torch.Tensor) -> None:
        self.turned = True
        self.variables = self._variables(len(base.angles), base, basis)
        self.course = self._course(len(base.angles))

    def _cycle(self, frames: Frames) -> loops.Cycle:
        curves = loops.leg_curves(self.rig, frames.pose(self.skeleton))
        cycle = loops.find_cycle(curves)
        return cycle if cycle.found else loops.find_cycle(frames.angles.detach().double().cpu().numpy().reshape(len(frames.angles), -1))

    def _whole(self) -> int:
        """Frames of the written cycle."""
        return max(loops.LEAST, round(self.cycle.period))

    def _cycles(self) -> int:
        return max(1, self.settings.frames // self._whole())

    def _seam(self, variables: MotionVariables, count: int) -> loops.Seam:
        frames = variables.frames(rows=slice(0, count))
        shifts = frames.root_positions - variables.start[:count]
        if variables.drift is None:
            ends = (shifts[-1] - shifts[0]) * torch.arange(count, device=shifts.device)[:, None] / max(count - 1, 1)
            shifts = torch.stack([shifts[:, 0], shifts[:, 1], shifts[:, 2] - ends[:, 2]], 1)
        else:
            slope = variables.height * (variables.drift[1] - variables.drift[0]) * variables.shifts[-1, 2]
            shifts = shifts - torch.arange(count, device=shifts.device)[:, None] * slope * shifts.new_tensor([0.0, 0.0, 1.0])
        return loops.seam(*(value.detach().double().cpu().numpy() for value in (frames.angles, frames.root_vectors, shifts)), self.settings.fps)

    def _report(self, count: int) -> dict[str, Any]:
        report: dict[str, Any] = {}
        if self.settings.path.strip() and isinstance(self.way, Curve):
            travelled = self.speed * (count - 1) / self.settings.fps
            report["path"] = {"length_m": round(self.way.length, 3), "travelled_m": round(travelled, 3), "tightest_m": round(self.way.tightest(), 3)}
        if self.settings.loop:
            whole = self._whole()
            report["loop"] = {
                "frames": whole, "cycles": count // whole, "found": self.cycle.found, "period_s": round(self.cycle.period / self.settings.fps, 4),
                "explained": round(self.cycle.explained, 3), "travel_m": round(self._travel(), 4),
                "gap": self._seam(self.variables, whole).report(), "gap_before": self.before.report() if self.before else None,
            }  # fmt: skip
        if len(self.starts) > 1:
            report["windows"] = {"frames": self.window, "starts": [start - self.lead for start in self.starts]}
        if self.init is not None:
            report["init"] = {"clipped_rad": round(self.clipped, 4)}
        return report

    @staticmethod
    def _slope(shifts: np.ndarray, period: float) -> float:
        """Mean speed of a root against the start line: from where a cycle repeats if it does, else by a straight line. [m/frame]"""
        frames, whole = len(shifts), round(period)
        if frames - whole >= 2:
            return float((shifts[whole:] - shifts[:-whole]).mean() / whole)
        return float(np.polyfit(np.arange(frames), shifts, 1)[0])

    def _travel(self) -> float:
        """How far the body gets in a cycle. [m]"""
        variables = self.variables
        drift = float(variables.height * (variables.drift[1] - variables.drift[0]) * variables.shifts[-1, 2]) if variables.drift is not None else 0.0
        return self._whole() * (self.speed / self.settings.fps + drift)
