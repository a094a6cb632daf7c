"""A skeleton for a mesh that has none."""

from __future__ import annotations

import dataclasses

import numpy as np

from schemas.errors import InputError

from . import field, medial, search, tips
from .joints import Builder, Joint

CATEGORIES = ("quadruped", "biped", "dinosaur", "bird", "insect", "spider", "fish", "snake")
MOST_FACES = 30_000  # larger meshes are simplified first: the voxels do not see the difference
_CLEAR = 0.3  # by how much less the best template costs than the next for full confidence
_DECIMALS = 9
_BACKWARDS = 0.2  # by how much better the body must fit facing backwards to say so


@dataclasses.dataclass
class Skeleton:
    """An automatic skeleton.

    Attributes:
        joints: Parents first.
        category: The template.
        symmetric: Whether left and right are exact mirror images.
        costs: Of all templates that were possible, the best first.
        notes: What a user should know.
    """

    joints: list[Joint]
    category: str
    symmetric: bool
    costs: dict[str, float]
    notes: list[str]


def embed(points: np.ndarray, faces: np.ndarray, template: str = "") -> Skeleton:
    """Find the template that fits a mesh best and place its joints.

    Parameters:
        points: Welded vertices in akd's frame: +Y up, facing +Z. [m, (N, 3)]
        faces: [(T, 3)]
        template: One of `CATEGORIES`, "" to choose by fit.

    Raises:
        InputError: The mesh has not the limbs that the given template needs.
    """
    notes: list[str] = []
    points, faces = np.asarray(points, np.float64), np.asarray(faces, np.int64)
    used = np.unique(faces)
    corner = points[used].min(0)
    unit = max(float((points[used].max(0) - corner).max()), 1e-30)
    # in extents and rounded: equal choices fall the same way at every scale and place
    points = np.round((points - corner) / unit, _DECIMALS)
    low, high = points[used].min(0), points[used].max(0)
    points, faces = _simplified(points, faces, notes)
    grid = field.build(points, faces)
    voxels = medial.voxel_graph(grid)
    spheres = medial.pack(grid, voxels)
    plane = float(grid.origin[0] + 0.5 * grid.step * (grid.inside.shape[0] - 1)) if grid.symmetry > field.SYMMETRIC else None
    ends = tips.find(voxels, spheres, float((high - low).max()), plane)
    body = search.Body(spheres, ends, low, high)
    found = search.choose(body, template)
    if not found:
        raise InputError(f"--template {template}: the mesh lacks the limbs for it ({_seen(body)});", "choose another, or leave it out.")
    others = found if not template else search.choose(body)
    trust = _trust(found[0], others)
    builder = Builder(grid, voxels, body, found[0], low, high, trust)
    joints = builder.build()
    _point_tails(joints)
    for joint in joints:
        joint.position, joint.tail = joint.position * unit + corner, joint.tail * unit + corner
    category = found[0].template.category
    runner = next((one for one in others if one.template.category != category), None)
    notes.append(f"automatic skeleton: {category}, cost {found[0].cost:.2f}" + (f"; next best {runner.template.category} {runner.cost:.2f}" if runner else ""))
    notes += _doubts(builder, voxels, spheres, ends, low, high, found[0].cost, template)
    return Skeleton(joints, category, builder.symmetric, {one.template.category: round(one.cost, 3) for one in others}, notes)


def _simplified(points: np.ndarray, faces: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with at most `MOST_FACES` faces."""
    if len(faces) <= MOST_FACES:
        return points, faces
    import fast_simplification

    keep = MOST_FACES / len(faces)
    fewer_points, fewer = fast_simplification.simplify(points.astype(np.float32), faces.astype(np.int32), target_reduction=1 - keep, agg=7)
    if not len(fewer):
        return points, faces
    notes.append(f"rigged on a mesh simplified from {len(faces)} to {len(fewer)} faces")
    return fewer_points.astype(np.float64), fewer.astype(np.int64)


def _trust(best: search.Embedding, others: list[search.Embedding]) -> float:
    """Confidence in a template by how clearly it wins. [0.5 .. 1]"""
    rest = [one.cost for one in others if one.template.category != best.template.category]
    return 0.5 + 0.5 * float(np.clip((min(rest) - best.cost) / _CLEAR, 0, 1)) if rest else 0.75


def _point_tails(joints: list[Joint]) -> None:
    """Let every bone without a tip of its own point to its first child."""
    for joint in joints:
        if joint.tail is None:
            child = next((other for other in joints if other.parent == joint.name), None)
            joint.tail = child.position.copy() if child else joint.position.copy()


def _doubts(
    builder: Builder, voxels: medial.Voxels, spheres: medial.Spheres, ends: tips.Tips, low: np.ndarray, high: np.ndarray, cost: float, template: str
) -> list[str]:
    """Notes on what looked odd."""
    notes = []
    if voxels.parts > 1:
        notes.append(f"the mesh has {voxels.parts} parts that do not touch; they were taken as one body")
    if builder.field.thin > 0.3:
        notes.append("most of the mesh is an open or very thin surface; the skeleton lies in the surface there")
    if not builder.symmetric:
        notes.append("left and right are posed differently: the joints are not mirror images")
    back = search.choose(search.Body(spheres, ends, low, high, flip=True), template)
    if back and back[0].cost < cost - _BACKWARDS:
        notes.append(f"it would fit better facing backwards (cost {back[0].cost:.2f}); if it does, use --facing of akd asset")
    return notes


def _seen(body: search.Body) -> str:
    return f"{len(body.pairs)} pairs of limbs and {len(body.single)} single ends were found"
