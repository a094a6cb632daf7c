"""Which bone a vertex sees first: the segment to it must stay inside the body (METHOD 3)."""

from __future__ import annotations

import numpy as np

EQUAL = 1e-4  # bones whose distances differ by less than this part share a vertex (joints are the ends of two bones)
_GRAZING = 1e-3  # cosine: a segment that runs along a face does not cross it
_CROSSINGS = 64  # of one segment; more only happen in damaged meshes, and then count as "not visible"


class Body:
    """A mesh to cast rays in, scaled so that its extent is about 1.

    Parameters:
        points: [(N, 3)]
        faces: Counter-clockwise seen from outside. [(T, 3)]
    """

    def __init__(self, points: np.ndarray, faces: np.ndarray) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        corners = points[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        solid = (normals * normals).sum(1) > 0
        self._points = points
        self._normals = normals[solid] / np.linalg.norm(normals[solid], axis=1, keepdims=True)
        # the faces around each vertex, as rows of a table: `_around[_first[v] : _first[v + 1]]`
        vertex = faces[solid].ravel()
        self._around = np.argsort(vertex, kind="stable") // 3
        self._first = np.concatenate([[0], np.cumsum(np.bincount(vertex, minlength=len(points)))])
        self._scene = EmbreeScene() if solid.any() else None
        if self._scene is not None:
            self._mesh = TriangleMesh(self._scene, corners[solid].astype(np.float32))

    def _outward(self, vertices: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Whether a way from a vertex rises above any face around it, so that it may be outside at once. [bool (N,)]"""
        count = self._first[vertices + 1] - self._first[vertices]
        row = np.repeat(np.arange(len(vertices)), count)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        face = self._around[self._first[vertices[row]] + offset]
        rises = np.einsum("ni,ni->n", self._normals[face], directions[row]) > _GRAZING
        return np.bincount(row, rises, len(vertices)) > 0

    def inside(self, vertices: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Whether each segment from a vertex to a bone stays inside the body.

        Surface is counted on the way: a segment that enters a second part of the body (a leg, an eye, a boot) may
        leave it again, but not the part it starts in; one that starts outside must not come in.

        Parameters:
            vertices: Indices of the starts. [(N,)]
            ends: [(N, 3)]

        Returns:
            [bool (N,)]
        """
        starts = self._points[vertices]
        way = ends - starts
        length = np.linalg.norm(way, axis=1)
        clear = np.ones(len(starts), bool)
        if self._scene is None:
            return clear
        # the faces around the start vertex are skipped by a small step, those around a bone on the surface likewise
        step = 1e-4 + 1e-3 * length
        open_rays = np.flatnonzero(length > 3 * step)
        direction = way / np.where(length > 0, length, 1)[:, None]
        depth = np.where(self._outward(vertices, direction), 0, 1)
        at = step.copy()
        for _ in range(_CROSSINGS):
            if not len(open_rays):
                break
            origin = starts[open_rays] + at[open_rays, None] * direction[open_rays]
            hits = self._scene.run(origin.astype(np.float32), direction[open_rays].astype(np.float32), query="INTERSECT", output=1)
            face, reach = hits["primID"], at[open_rays] + hits["tfar"]
            hit = (face >= 0) & (reach < length[open_rays] - step[open_rays])
            slope = np.where(hit, np.einsum("ni,ni->n", self._normals[face], direction[open_rays]), 0)
            leaving, entering = slope > _GRAZING, slope < -_GRAZING
            blocked = (leaving & (depth[open_rays] <= 1)) | (entering & (depth[open_rays] == 0))
            depth[open_rays] += entering.astype(int) - leaving
            clear[open_rays[blocked]] = False
            at[open_rays[hit]] = reach[hit] + 1e-5
            open_rays = open_rays[hit & ~blocked]
        clear[open_rays] = False
        return clear


def nearest_visible(
    body: Body, points: np.ndarray, heads: np.ndarray, tails: np.ndarray, place: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest visible bones of each vertex.

    Rays are cast from the nearest bone outwards and only until one is seen, so that most vertices need one or two.

    Parameters:
        body: The mesh.
        points: Vertices of the mesh. [(N, 3)]
        heads, tails: [(B, 3)]
        place: Closest place along each bone. [(N, B)]
        distance: What "near" means (see `distance`). [(N, B)]

    Returns:
        Shares of the visible nearest bones, rows sum to 1, or to 0 where no bone is visible [(N, B)]; and the distance
        to them, infinite where none is visible [(N,)].
    """
    order = np.argsort(distance, axis=1, kind="stable")
    seen = np.zeros(distance.shape, bool)
    nearest = np.full(len(points), np.inf)
    active = np.arange(len(points))
    for rank in range(distance.shape[1]):
        bone = order[active, rank]
        gap = distance[active, bone]
        going = gap <= nearest[active] * (1 + EQUAL)
        active, bone, gap = active[going], bone[going], gap[going]
        if not len(active):
            break
        ends = heads[bone] + place[active, bone, None] * (tails[bone] - heads[bone])
        visible = body.inside(active, ends)
        seen[active[visible], bone[visible]] = True
        nearest[active[visible]] = np.minimum(nearest[active[visible]], gap[visible])
    count = seen.sum(1, keepdims=True)
    return seen / np.where(count > 0, count, 1), nearest
