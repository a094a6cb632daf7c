"""Views of a mesh by ray casting (Embree): ground truth for the splats, and the mesh look of the render stage."""

from __future__ import annotations

import numpy as np

from schemas.asset import Asset

from .camera import Camera
from .surface import SurfaceColor, to_srgb

KEY = np.array([0.45, 0.75, 0.50])  # towards the key light, world
KEY = KEY / np.linalg.norm(KEY)
AMBIENT, SKY, DIRECT = 0.30, 0.30, 0.55  # sum 1.15: surfaces facing the light are a little brighter than their albedo


def light(normals: np.ndarray) -> np.ndarray:
    """Light that a surface receives: ambient + sky from above + one key light; linear factor. [(M, 3) -> (M,)]"""
    return AMBIENT + SKY * (0.5 + 0.5 * normals[:, 1]) + DIRECT * np.maximum(normals @ KEY, 0)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray) -> np.ndarray:
    """Smooth unit normals, area-weighted over welded vertices. [m (V, 3), (T, 3), (V,) -> (V, 3)]"""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros((int(weld.max()) + 1, 3))
    for k in range(3):
        np.add.at(total, weld[faces[:, k]], face)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
    return total[weld]


def cast_rays(vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First hits on a triangle mesh.

    Parameters:
        vertices: [m, (V, 3)]
        faces: [(T, 3)]
        origins, directions: [m, (M, 3)]

    Returns:
        Face index, -1 where the ray misses [(M,)], barycentric coordinates [(M, 3)] and distance in units of the
        direction's length [(M,)].
    """
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    mesh = TriangleMesh(scene, np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32))
    hits = scene.run(np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), output=1)
    del mesh  # must outlive the query
    u, v = hits["u"], hits["v"]
    return hits["primID"].astype(np.int64), np.stack([1 - u - v, u, v], 1), hits["tfar"]


def render_asset(
    asset: Asset,
    vertices: np.ndarray,
    camera: Camera,
    *,
    shaded: bool = True,
    supersample: int = 2,
    color: SurfaceColor | None = None,
) -> np.ndarray:
    """Images of an asset, posed or at rest.

    Parameters:
        asset: Its faces and look.
        vertices: Posed render vertices, one set for all frames or one each. [m, (V, 3) or (F, V, 3)]
        camera: F cameras.
        shaded: Lit by `light`; otherwise the bare base colour.
        supersample: Rays per pixel edge.
        color: A look-up to share between calls (textures are decoded once).

    Returns:
        Premultiplied sRGB and alpha. [0..1, float32, (F, H, W, 4)]
    """
    color = color or SurfaceColor(asset)
    rays = camera.rays(supersample).numpy()  # [F, H s, W s, 3]
    height, width = rays.shape[1:3]
    images = np.zeros((camera.frames, camera.height, camera.width, 4), np.float32)
    for frame in range(camera.frames):
        points = vertices if vertices.ndim == 2 else vertices[frame]
        directions = rays[frame].reshape(-1, 3)
        origins = np.broadcast_to(camera.position[frame].numpy(), directions.shape)
        hit, barycentric, _ = cast_rays(points, asset.faces, origins, directions)
        rows = np.flatnonzero(hit >= 0)
        samples = np.zeros((height * width, 4), np.float32)
        linear = color.linear(hit[rows], barycentric[rows])
        if shaded:
            normals = vertex_normals(points, asset.faces, asset.weld)
            smooth = np.einsum("mk,mkc->mc", barycentric[rows], normals[asset.faces[hit[rows]]])
            smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-9)
            smooth *= np.where((smooth * directions[rows]).sum(1, keepdims=True) > 0, -1, 1)  # seen from inside: both sides are lit
            linear = linear * light(smooth)[:, None]
        samples[rows, :3], samples[rows, 3] = to_srgb(linear), 1
        s = supersample
        images[frame] = samples.reshape(camera.height, s, camera.width, s, 4).mean((1, 3))
    return images
