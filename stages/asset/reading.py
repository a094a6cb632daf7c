"""Read any supported 3D file into one scene. glTF has a reader of its own; trimesh reads .obj, .ply and .stl."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from schemas.errors import AkdError, InputError
from schemas.gltf import Scene
from schemas.gltf import read as read_gltf
from schemas.gltf_document import read_bytes
from schemas.gltf_mesh import MAX_TRIANGLES, MAX_VERTICES

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
MAX_PIXELS = 16384 * 16384
_PLAIN = {"metallicFactor": 0.0, "roughnessFactor": 0.9}


def load(path: Path) -> Scene:
    """Read a 3D file.

    Raises:
        MissingError: No such file. InputError: Not a 3D file, damaged, empty, or beyond what akd handles.
    """
    head = read_bytes(path)[:4]
    suffix = path.suffix.lower()
    if head == b"glTF" or suffix in (".glb", ".gltf"):
        scene = read_gltf(path)
    elif suffix in SUFFIXES:
        scene = _load_trimesh(path, suffix[1:])
    else:
        raise InputError(f"{path}: is not a 3D file that akd reads;", f"give one of {' '.join(SUFFIXES)}, or the name of a built-in character.")
    _check_images(scene)
    return scene


def _load_trimesh(path: Path, kind: str) -> Scene:
    import trimesh

    class Beside(trimesh.resolvers.Resolver):
        """Finds material libraries and textures beside the file, and nowhere else."""

        def __init__(self) -> None:
            pass

        def keys(self) -> list[str]:
            return []

        def write(self, name: str, data: Any) -> None:
            raise OSError("nothing is written")

        def namespaced(self, namespace: str) -> Any:
            return self

        def get(self, name: str) -> bytes:
            name = str(name).strip().replace("\\", "/")
            folder = path.resolve().parent
            place = (folder / name).resolve()
            if not place.is_relative_to(folder) or not place.is_file():
                raise FileNotFoundError(name)
            return read_bytes(place)

    notes: list[str] = []
    try:
        with np.errstate(all="ignore"), open(path, "rb") as file:
            loaded = trimesh.load_scene(file, file_type=kind, resolver=Beside(), process=False, maintain_order=True)
            meshes = [m for m in loaded.dump(concatenate=False) if isinstance(m, trimesh.Trimesh) and len(m.faces)]
            parts = [_part(mesh) for mesh in meshes]
    except AkdError:
        raise
    except Exception as error:  # noqa: BLE001 - a foreign parser on a foreign file may raise anything
        reason = str(error).split("\n")[0][:100] or type(error).__name__
        raise InputError(f"{path}: cannot be read as {kind.upper()} ({reason});", "the file is damaged or of another kind, export it again.") from error
    if not parts:
        raise InputError(f"{path}: has no triangles;", "give a file with a surface, not points or lines.")
    return _scene(path, kind, parts, notes)


def _part(mesh: Any) -> dict[str, Any]:
    """One mesh of trimesh with its look as glTF has it."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    part: dict[str, Any] = {
        "vertices": vertices,
        "faces": faces,
        "colors": None,
        "uvs": None,
        "material": {"name": "plain", "pbrMetallicRoughness": dict(_PLAIN)},
    }
    visual = mesh.visual
    if visual.kind == "texture":
        uvs = None if visual.uv is None else np.array(visual.uv, np.float64)[:, :2]
        if uvs is not None and len(uvs) == len(vertices):
            part["uvs"] = np.stack([uvs[:, 0], 1 - uvs[:, 1]], 1)  # glTF counts v from the top
        material = visual.material
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        color = np.asarray(material.main_color, np.float64)[:4] / 255
        part["material"]["name"] = str(getattr(material, "name", "") or "material")
        if image is not None and part["uvs"] is not None:
            data = io.BytesIO()
            image.convert("RGBA" if "A" in image.getbands() else "RGB").save(data, "PNG")
            part["image"] = data.getvalue()
        else:
            part["material"]["pbrMetallicRoughness"]["baseColorFactor"] = [*_linear(color[:3]).tolist(), float(color[3])]
    elif visual.kind == "vertex":
        part["colors"] = _linear_rgba(visual.vertex_colors)
    elif visual.kind == "face":
        part["vertices"], part["faces"] = vertices[faces.reshape(-1)], np.arange(faces.size).reshape(-1, 3)
        part["colors"] = np.repeat(_linear_rgba(visual.face_colors), 3, axis=0)
    return part


def _scene(path: Path, kind: str, parts: list[dict[str, Any]], notes: list[str]) -> Scene:
    counts = [len(p["vertices"]) for p in parts]
    triangles = sum(len(p["faces"]) for p in parts)
    if sum(counts) > MAX_VERTICES or triangles > MAX_TRIANGLES:
        raise InputError(f"{path}: has {sum(counts)} vertices and {triangles} triangles, akd reads up to {MAX_VERTICES};", "simplify the model.")
    starts = np.cumsum([0, *counts[:-1]])
    vertices = np.concatenate([p["vertices"] for p in parts])
    faces = np.concatenate([p["faces"] + start for p, start in zip(parts, starts, strict=True)])
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path}: a face names vertex {int(faces.max())}, there are {len(vertices)};", "the file is damaged, export it again.")
    bad = ~np.isfinite(vertices).all(1)
    if bad.any():
        raise InputError(f"{path}: {int(bad.sum())} vertices have NaN or infinite positions;", "repair the model and export it again.")
    materials: dict[str, Any] = {"list": [], "textures": [], "images": []}
    blobs: list[bytes] = []
    for part in parts:
        if "image" in part:
            part["material"]["pbrMetallicRoughness"]["baseColorTexture"] = {"index": len(blobs)}
            materials["textures"].append({"image": len(blobs)})
            materials["images"].append({"mime": "image/png", "start": sum(map(len, blobs)), "size": len(part["image"])})
            blobs.append(part["image"])
        materials["list"].append(part["material"])
    if any(p["colors"] is not None for p in parts):
        notes.append("vertex colours were taken as sRGB")
    textured = any(p["uvs"] is not None for p in parts)
    return Scene(
        path=path,
        kind=kind,
        vertices=vertices,
        faces=faces,
        normals=np.zeros_like(vertices),
        colors=np.concatenate([np.ones((n, 4)) if p["colors"] is None else p["colors"] for n, p in zip(counts, parts, strict=True)]),
        uvs=np.concatenate([np.zeros((n, 2)) if p["uvs"] is None else p["uvs"] for n, p in zip(counts, parts, strict=True)]) if textured else None,
        face_materials=np.repeat(np.arange(len(parts)), [len(p["faces"]) for p in parts]),
        materials=materials,
        images=np.frombuffer(b"".join(blobs), np.uint8) if blobs else None,
        joint_names=None,
        joint_parents=None,
        joint_matrices=None,
        joint_weights=None,
        notes=notes,
        extras={},
    )


def _check_images(scene: Scene) -> None:
    """Every texture must decode, here and not three stages later."""
    import PIL.Image

    for number, entry in enumerate(scene.materials["images"]):
        blob = scene.images[entry["start"] : entry["start"] + entry["size"]].tobytes()
        try:
            with PIL.Image.open(io.BytesIO(blob), formats=("PNG", "JPEG")) as image:
                size = image.size
                if size[0] * size[1] > MAX_PIXELS:
                    raise InputError(f"{scene.path}: texture {number} has {size[0]} x {size[1]} pixels;", "scale it down.")
                image.load()
        except AkdError:
            raise
        except Exception as error:  # noqa: BLE001 - image decoders raise anything on damaged data
            raise InputError(f"{scene.path}: texture {number} cannot be decoded ({str(error)[:80]});", "export the file again.") from error


def _linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _linear_rgba(colors: np.ndarray) -> np.ndarray:
    rgba = np.asarray(colors, np.float64) / 255
    return np.concatenate([_linear(rgba[:, :3]), rgba[:, 3:]], 1)
