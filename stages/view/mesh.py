"""Views of a mesh by ray casting with Embree: what splats are fitted to, and the mesh look of videos."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from schemas.errors import InputError, MissingError

from .camera import Camera
from .texture import SurfaceShader, surface_colors

__all__ = ["SurfaceShader", "brightness", "cast", "depth_inside", "render_mesh", "surface_colors", "vertex_normals"]

Shade = Callable[[np.ndarray, np.ndarray], np.ndarray]

_LIGHT = np.array([0.42, 0.78, 0.46]) / np.linalg.norm([0.42, 0.78, 0.46])  # towards the light: above, front left
_AMBIENT, _DIFFUSE = 0.68, 0.36
_LAYERS = 8  # faces cut out by alpha masks that a ray passes at most


def render_mesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    shade: Shade | np.ndarray,
    camera: Camera,
    *,
    supersample: int = 1,
    shaded: bool = False,
    weld: np.ndarray | None = None,
) -> torch.Tensor:
    """Render a mesh, at rest or deformed.

    Parameters:
        vertices: The same for all frames, or one set per frame. [m, (V, 3) or (F, V, 3)]
        faces: [(T, 3)]
        shade: Colours per vertex (V, 3), or a function of face index (M,) and barycentric weights (M, 3) to colours
            (M, 3), such as a `SurfaceShader`. sRGB. [0..1]
        camera: One camera per frame.
        supersample: Rays per pixel edge.
        shaded: Multiply by a soft diffuse light from above; off for the plain surface colour that splats store.
        weld: Geometric vertex of each vertex, so that light is smooth across seams. [(V,)]

    Returns:
        Premultiplied rgba. [0..1 float32, (F, H, W, 4)]

    Raises:
        InputError: The image has no pixels. MissingError: embreex is not installed. ValueError: shapes that do not fit.
    """
    vertices, faces = np.asarray(vertices, np.float32), np.asarray(faces)
    if camera.width < 1 or camera.height < 1:
        raise InputError(f"image size {camera.width} x {camera.height}: has no pixels;", "width and height must be at least 1.")
    if vertices.ndim not in (2, 3) or vertices.shape[-1] != 3 or (vertices.ndim == 3 and len(vertices) != camera.frames):
        raise ValueError(f"vertices have shape {vertices.shape}, (V, 3) or ({camera.frames}, V, 3) is needed")
    if not callable(shade):
        shade = _vertex_shader(faces, np.asarray(shade, np.float32))
    solid = shade.opaque if isinstance(shade, SurfaceShader) and shade.masked else None
    height, width, s = camera.height, camera.width, supersample
    image = np.zeros((camera.frames, height, width, 4), np.float32)
    position = camera.position.detach().cpu().numpy()
    scene, normals = None, None
    for frame in range(camera.frames):
        if scene is None or vertices.ndim == 3:
            points = vertices[frame] if vertices.ndim == 3 else vertices
            scene = _scene(points, faces)
            normals = vertex_normals(points, faces, weld) if shaded else None
        one = Camera(camera.view[frame : frame + 1].detach().cpu().float(), camera.intrinsics[frame : frame + 1].detach().cpu().float(), width, height)
        rows, columns = one.around(points)  # nothing of the mesh is seen elsewhere
        rays = one.rays(s)[0, s * rows.start : s * rows.stop, s * columns.start : s * columns.stop]
        rays = np.ascontiguousarray(rays.numpy().reshape(-1, 3))
        hit, face, barycentric = _cast(scene, position[frame], rays, solid)
        samples = np.zeros((len(rays), 4), np.float32)
        color = shade(face, barycentric)
        if normals is not None:
            color = np.clip(color * _light(normals, points, faces[face], barycentric, rays[hit]), 0, 1)
        samples[hit, :3], samples[hit, 3] = color, 1
        image[frame, rows, columns] = samples.reshape(rows.stop - rows.start, s, columns.stop - columns.start, s, 4).mean((1, 3))
    return torch.from_numpy(image)


def _vertex_shader(faces: np.ndarray, colors: np.ndarray) -> Shade:
    def shade(face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        return np.einsum("mk,mkc->mc", barycentric, colors[faces[face]])

    return shade


def _scene(vertices: np.ndarray, faces: np.ndarray):
    """Embree's search tree over the triangles."""
    try:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh
    except ImportError as error:
        raise MissingError(f"views of a mesh need embreex ({error});", "pip install embreex.") from error
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(vertices[faces], np.float32))
    return scene


def _cast(scene, origin: np.ndarray, directions: np.ndarray, solid: Callable | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First hits of rays from one point: indices of the rays that hit (M,), faces (M,), barycentric weights (M, 3).

    Where `solid` (faces, barycentric weights -> bool) says that there is nothing, the ray goes on, through `_LAYERS` at most.
    """
    origins = np.ascontiguousarray(np.broadcast_to(origin.astype(np.float32), directions.shape))
    directions = np.ascontiguousarray(directions, np.float32)
    found = scene.run(origins, directions, output=True)
    face, u, v, far = (np.array(found[name]) for name in ("primID", "u", "v", "tfar"))

    def weights(rays: np.ndarray) -> np.ndarray:
        return np.stack([1 - u[rays] - v[rays], u[rays], v[rays]], -1)

    for layer in range(_LAYERS if solid is not None else 0):
        hit = np.flatnonzero(face >= 0)
        through = hit[~solid(face[hit], weights(hit))]
        if not len(through):
            break
        if layer == _LAYERS - 1:
            face[through] = -1
            break
        start = far[through] * np.float32(1 + 1e-5)
        again = scene.run(np.ascontiguousarray(origins[through] + start[:, None] * directions[through]), directions[through], output=True)
        face[through], u[through], v[through], far[through] = again["primID"], again["u"], again["v"], start + again["tfar"]
    hit = np.flatnonzero(face >= 0)
    return hit, face[hit], weights(hit)


def cast(vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First hits of any rays: indices of the rays that hit (M,), faces (M,), barycentric weights (M, 3). [m, (R, 3), (R, 3)]"""
    found = _scene(np.asarray(vertices, np.float32), faces).run(
        np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), output=True
    )
    hit = np.flatnonzero(found["primID"] >= 0)
    u, v = found["u"][hit], found["v"][hit]
    return hit, found["primID"][hit], np.stack([1 - u - v, u, v], -1)


def depth_inside(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """How far it is from points on the surface to the other side, straight in; infinite where there is none.

    Parameters:
        points, normals: On the surface, unit outward normals. [m, (M, 3), (M, 3)]

    Returns:
        [m, (M,)]
    """
    extent = float(np.ptp(vertices, axis=0).max())
    origins = np.ascontiguousarray(points - 1e-5 * extent * normals, np.float32)
    found = _scene(np.asarray(vertices, np.float32), faces).run(origins, np.ascontiguousarray(-normals, np.float32), output=True)
    return np.where(found["primID"] >= 0, found["tfar"].astype(np.float64), np.inf)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray | None) -> np.ndarray:
    """Unit normals weighted by area. [(V, 3)]"""
    corners = vertices[faces].astype(np.float64)
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    owner = np.arange(len(vertices)) if weld is None else weld
    total = np.zeros((int(owner.max()) + 1, 3))
    for k in range(3):
        np.add.at(total, owner[faces[:, k]], weighted)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
    return total[owner]


def brightness(normals: np.ndarray) -> np.ndarray:
    """Factor of the soft light from above on surfaces with these unit normals. [(M, 3) -> (M, 1)]"""
    return _AMBIENT + _DIFFUSE * (normals @ _LIGHT)[:, None]


def _light(normals: np.ndarray, points: np.ndarray, corners: np.ndarray, barycentric: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Brightness of hit points; a face seen from behind is lit as if turned round. [(M, 1)]

    Which side is seen is the face's own question: smooth normals lean away from the viewer already before the outline.
    """
    normal = np.einsum("mk,mkc->mc", barycentric, normals[corners])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    a, b, c = (points[corners[:, k]] for k in range(3))
    behind = (np.cross(b - a, c - a) * rays).sum(1, keepdims=True) > 0
    return brightness(np.where(behind, -normal, normal))
