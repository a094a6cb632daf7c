"""Where a straight walk is laid: along a curve on the ground, as a spline through points or as another motion went.

The prior and the camera see a body that walks straight along +Z. A course moves that picture rigidly, frame by frame,
from the straight line to the curve, so that motion variables are deltas relative to a frame that follows the path.
"""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline, make_lsq_spline

from schemas.errors import InputError, MissingError
from schemas.motion import Motion
from stages.body import quaternion
from stages.body.kinematics import Pose

_FARTHEST, _MOST_POINTS, _MOST_BYTES = 1e4, 10000, 1_000_000  # m; points; of a file
_SAME = 1e-6  # m: points nearer than this are one
_FINE, _FINEST = 400_000, 4000  # steps in which the length of a spline is measured: of all segments, and of one at the most
_STRAIGHT = 0.3  # rad: a motion that turns by less goes straight
_KNOTS = 0.75  # s between the knots of the course of a motion that turns


def read_points(text: str) -> np.ndarray:
    """Points of "x,z x,z ..." or of a file with one a line (a line of headings may come first). [m, (n, 2)]

    Raises:
        InputError: What is there is no list of points, or they are not finite or absurdly far.
        MissingError: It looks like a file's name and there is none.
    """
    source, content = "--path", text
    if not re.fullmatch(r"[-+0-9.eE,;\s]+|.*\b(nan|inf)\b.*", text.strip(), re.IGNORECASE):
        file = Path(text.strip())
        if not file.is_file():
            raise MissingError(f"--path '{text.strip()}': is neither a file nor points;", "write points as 'x,z x,z ...' in metres.")
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f"--path {file}: has {file.stat().st_size} bytes, that is no list of points.")
        source, content = f"--path {file}", file.read_text(errors="replace")
    lines = [line for line in content.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and re.search(r"[a-df-zA-DF-Z]", lines[0]) and not re.search(r"\d", lines[0]):
        lines = lines[1:]
    return _numbers(lines, source)


def _numbers(lines: list[str], source: str) -> np.ndarray:
    points = []
    for entry in [entry for line in lines for entry in _entries(line)]:
        try:
            x, z = (float(value) for value in entry)
        except ValueError as error:
            raise InputError(f"{source}: '{','.join(entry)}' is no point;", "write points as 'x,z x,z ...' in metres.") from error
        if not (math.isfinite(x) and math.isfinite(z)) or max(abs(x), abs(z)) > _FARTHEST:
            raise InputError(f"{source}: the point '{','.join(entry)}' is not within {_FARTHEST:.0f} m.")
        points.append((x, z))
        if len(points) > _MOST_POINTS:
            raise InputError(f"{source}: has more than {_MOST_POINTS} points.")
    if not points:
        raise InputError(f"{source}: has no points;", "write at least one as 'x,z', in metres.")
    return np.array(points)


def _entries(line: str) -> list[list[str]]:
    """Points of a line: "x,z x,z", or a row "x z" or "x;z" of a table."""
    line = re.sub(r"\s*[,;]\s*", ",", line.strip()).strip(",")
    words = line.split()
    if "," not in line and len(words) == 2:
        return [words]
    return [word.split(",") for word in words]


def as_text(points: np.ndarray) -> str:
    """Points as `--path` takes them, so that a motion's parameters do not depend on a file. [m, (n, 2)]"""
    return " ".join(f"{x:.6g},{z:.6g}" for x, z in points)


class Curve:
    """A smooth curve through ground points (centripetal cubic spline, curvature continuous), by arc length.

    It goes straight on beyond its ends; a curve that ends where it begins goes round again.

    Attributes:
        length: [m]
        closed: Whether it ends where it begins.
    """

    def __init__(self, points: np.ndarray, start: np.ndarray | None = None, near: float = _SAME) -> None:
        """Through `start`, then `points`. [m, (n, 2), (2,): x and z]

        Parameters:
            near: A first point that is no farther from `start` means it, and is left out: the detour would turn the body round. [m]

        Raises:
            InputError: Fewer than two different points.
        """
        points = np.asarray(points, np.float64)
        if start is not None:
            meant = len(points) > 1 and np.linalg.norm(points[0] - start) <= near
            points = np.concatenate([np.asarray(start, np.float64)[None], points[1:] if meant else points])
        keep = np.concatenate([[True], np.linalg.norm(np.diff(points, axis=0), axis=1) > _SAME])
        points = points[keep]
        if len(points) < 2:
            raise InputError("--path: all its points are where the character stands;", "name at least one other.")
        self.closed = len(points) > 3 and float(np.linalg.norm(points[-1] - points[0])) <= max(near, _SAME)
        if self.closed:
            points[-1] = points[0]
        steps = np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1))
        self._spline = CubicSpline(np.concatenate([[0.0], np.cumsum(steps)]), points, bc_type="periodic" if self.closed else "natural")
        knots = self._spline.x
        steps = min(_FINEST, max(_FINE // (len(knots) - 1), 40))
        self._places = np.concatenate([np.linspace(a, b, steps, endpoint=False) for a, b in zip(knots, knots[1:], strict=False)] + [knots[-1:]])
        # Simpson's rule on the speed between neighbouring places
        h = np.diff(self._places)
        speeds = [np.linalg.norm(self._spline(t, 1), axis=1) for t in (self._places[:-1], self._places[:-1] + 0.5 * h, self._places[1:])]
        self._lengths = np.concatenate([[0.0], np.cumsum(h / 6 * (speeds[0] + 4 * speeds[1] + speeds[2]))])
        self.length = float(self._lengths[-1])

    def at(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points and headings (from +Z towards +X, without jumps) at arc lengths. [m (F,) -> m (F, 2), rad (F,)]"""
        along = np.asarray(along, np.float64)
        inside = along % self.length if self.closed else np.clip(along, 0.0, self.length)
        place = np.interp(inside, self._lengths, self._places)
        tangent = self._spline(place, 1)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
        points = self._spline(place) + (along - inside)[:, None] * tangent * (not self.closed)
        return points, np.unwrap(np.arctan2(tangent[:, 0], tangent[:, 1]))

    def tightest(self) -> float:
        """Smallest radius of curvature. [m]"""
        first, second = self._spline(self._places, 1), self._spline(self._places, 2)
        cross = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
        return float((np.linalg.norm(first, axis=1) ** 3 / np.maximum(cross, 1e-12)).min())


@dataclasses.dataclass(frozen=True)
class Course:
    """A moving frame over the ground, one per frame of the clip.

    Attributes:
        points: Where the start motion's root is. [m, (F, 3), y = 0]
        headings: From +Z towards +X. [rad, (F,)]
    """

    points: torch.Tensor
    headings: torch.Tensor

    @staticmethod
    def of(points: np.ndarray, headings: np.ndarray, device: torch.device | str = "cpu") -> Course:
        """From ground points and headings. [m, (F, 2) and rad, (F,)]"""
        three = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], 1)
        return Course(*(torch.as_tensor(value, dtype=torch.float32, device=device) for value in (three, headings)))

    def quaternions(self) -> torch.Tensor:
        """Turns about +Y. [(F, 4)]"""
        half, zero = 0.5 * self.headings, torch.zeros_like(self.headings)
        return torch.stack([zero, half.sin(), zero, half.cos()], 1)

    def rows(self, frames: slice) -> Course:
        """A part of it."""
        return Course(self.points[frames], self.headings[frames])

    def lay(self, positions: torch.Tensor, turns: torch.Tensor, line: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Root positions and quaternions of a straight walk, laid on the course.

        Parameters:
            positions: [m, (F, 3)]
            turns: xyzw. [(F, 4)]
            line: The start motion's root on the straight line; its height does not matter. [m, (F, 3)]
        """
        q = self.quaternions()
        return quaternion.rotate(q, positions - _flat(line)) + self.points, quaternion.multiply(q, turns)

    def lift(self, positions: torch.Tensor, turns: torch.Tensor, line: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The inverse of `lay`."""
        q = quaternion.conjugate(self.quaternions())
        return quaternion.rotate(q, positions - self.points) + _flat(line), quaternion.multiply(q, turns)

    def lay_pose(self, pose: Pose, line: torch.Tensor) -> Pose:
        """A whole pose, laid on the course; differentiable."""
        turn = quaternion.to_matrix(self.quaternions())
        shift = self.points - torch.einsum("fik,fk->fi", turn, _flat(line))

        def moved(points: torch.Tensor) -> torch.Tensor:
            return torch.einsum("fik,fjk->fji", turn, points) + shift[:, None]

        return Pose(turn[:, None] @ pose.rotations, moved(pose.translations), moved(pose.joints))


def _flat(points: torch.Tensor) -> torch.Tensor:
    return points * points.new_tensor([1.0, 0.0, 1.0])


class Trail:
    """The way another motion went, as a table over arc length; straight on beyond its ends, and standing if it went nowhere."""

    def __init__(self, points: np.ndarray, headings: np.ndarray) -> None:
        """From ground points [m, (F, 2)] and headings without jumps [rad, (F,)]."""
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        self._lengths = np.concatenate([[0.0], np.cumsum(steps)])
        self.length = float(self._lengths[-1])
        self._table = np.column_stack([points, headings])

    def at(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points and headings at arc lengths. [m (F,) -> m (F, 2), rad (F,)]"""
        along = np.asarray(along, np.float64)
        if self.length < _SAME:
            return np.tile(self._table[0, :2], (len(along), 1)), np.full(len(along), self._table[0, 2])
        x, z, heading = (np.interp(along, self._lengths, column) for column in self._table.T)
        beyond = along - np.clip(along, 0, self.length)
        ends = np.where(beyond[:, None] > 0, self._table[-1, :2] - self._table[-2, :2], self._table[1, :2] - self._table[0, :2])
        ends = ends / np.maximum(np.linalg.norm(ends, axis=1, keepdims=True), 1e-12)
        return np.column_stack([x, z]) + beyond[:, None] * ends, heading


def along(way: Curve | Trail, speed: float, fps: float, frames: np.ndarray, device: torch.device | str = "cpu") -> Course:
    """The course of a start motion that follows a way at constant speed. [m/s, Hz, frames (F,)]"""
    return Course.of(*way.at(speed / fps * frames), device=device)


def trail_of(motion: Motion) -> tuple[Trail, float]:
    """Where a motion goes, the sway of its strides left out (a straight line, or a spline if it turns), and its mean speed. [-, m/s]"""
    frames = motion.frame_count
    turns = quaternion.to_matrix(torch.as_tensor(motion.root_rotations, dtype=torch.float64)).numpy()
    yaw = np.unwrap(np.arctan2(turns[:, 0, 2], turns[:, 2, 2]))
    ground = np.asarray(motion.root_positions, np.float64)[:, [0, 2]]
    time = np.arange(frames) / motion.fps
    if frames < 4:
        points, headings = np.linspace(ground[0], ground[-1], frames), np.full(frames, yaw.mean())
    elif abs(np.polyfit(time, yaw, 1)[0]) * motion.duration < _STRAIGHT and np.ptp(yaw) < 2 * _STRAIGHT:
        slope, start = np.polyfit(time, ground, 1)
        points, headings = start + time[:, None] * slope, np.full(frames, yaw.mean())
    else:
        inner = np.linspace(0, time[-1], max(1, round(time[-1] / _KNOTS)) + 1)[1:-1]
        knots = np.concatenate([[time[0]] * 4, inner, [time[-1]] * 4])
        smooth = make_lsq_spline(time, np.column_stack([ground, yaw]), knots, k=3)(time) if frames >= len(knots) - 4 else np.column_stack([ground, yaw])
        points, headings = smooth[:, :2], smooth[:, 2]
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    return Trail(points, headings), length / max(motion.duration, 1e-9)
