"""An animated character as USD with UsdSkel: mesh, skeleton, skin weights and motion, for Omniverse, Houdini, Maya, Blender, usdview.

Needs the package usd-core.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from schemas.artifact import AKD_VERSION
from schemas.asset import Asset
from schemas.atomic import atomic_path
from schemas.errors import MissingError
from schemas.gltf import local_rotations, root_name, top_influences
from schemas.motion import Motion
from schemas.rig import Rig

from .travel import Travel


def write(path: str | os.PathLike[str], asset: Asset, rig: Rig, weights: np.ndarray, motion: Motion, way: Travel | None = None) -> Path:
    """Write a .usd (binary crate) atomically: +Y up, metres, one time code a frame.

    Textures lie beside it, in the folder `<name>-textures`.

    Parameters:
        weights: Skin weights; the four largest of each row are kept. [(V, J)]
        way: Moves a joint above the root joint; the motion is relative to it.

    Raises:
        MissingError: usd-core is not installed.
    """
    try:
        from pxr import Gf, Usd, UsdGeom, UsdSkel, Vt
    except ImportError as error:
        raise MissingError("--export usd: the package usd-core is not installed;", "pip install usd-core, or pip install 'akd[usd]'.") from error
    path = Path(path)
    with atomic_path(path) as temporary:
        stage = Usd.Stage.CreateNew(str(temporary))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetFramesPerSecond(motion.fps)
        stage.SetTimeCodesPerSecond(motion.fps)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(motion.frame_count - 1)
        stage.GetRootLayer().comment = f"{motion.prompt} (akd {AKD_VERSION})"
        root = UsdSkel.Root.Define(stage, "/character")
        stage.SetDefaultPrim(root.GetPrim())
        skeleton, animation = UsdSkel.Skeleton.Define(stage, "/character/skeleton"), UsdSkel.Animation.Define(stage, "/character/skeleton/motion")
        _skeleton(Gf, Vt, skeleton, animation, rig, motion, way)
        UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
        mesh = _mesh(stage, asset, weights, int(way is not None), UsdGeom, UsdSkel, Vt)
        UsdSkel.BindingAPI(mesh).CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        _extents(Gf, Vt, UsdGeom, mesh, motion.root_positions if way is None else way.positions, asset)
        _materials(stage, mesh, asset, path)
        stage.GetRootLayer().Save()
        del stage
    return path


def _paths(rig: Rig) -> list[str]:
    """Joints as UsdSkel names them: the path of names from the root, made valid."""
    names: list[str] = []
    for name in rig.joint_names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
        names.append(plain if plain not in names else f"{plain}_{len(names)}")
    found: list[str] = []
    for joint, parent in enumerate(rig.parents):
        found.append(names[joint] if parent < 0 else f"{found[parent]}/{names[joint]}")
    return found


def _local(rig: Rig, rest: Rotation, joint: int) -> tuple[Rotation, np.ndarray]:
    """Turn and place of a joint relative to its parent at rest."""
    parent, place = int(rig.parents[joint]), rig.positions[joint].astype(np.float64)
    if parent < 0:
        return rest[joint], place
    return rest[parent].inv() * rest[joint], rest[parent].inv().apply(place - rig.positions[parent])


def _matrix(gf: Any, turn: Rotation, place: np.ndarray) -> Any:
    """USD multiplies row vectors: the transpose of what everybody else writes."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[3, :3] = turn.as_matrix().T, place
    return gf.Matrix4d(*matrix.ravel().tolist())


def _skeleton(gf: Any, vt: Any, skeleton: Any, animation: Any, rig: Rig, motion: Motion, way: Travel | None) -> None:
    """Joints, bind and rest pose, and their motion; with a way one more joint at the top, first in all lists."""
    rest, paths = Rotation.from_quat(rig.rotations), _paths(rig)
    locals_ = [_local(rig, rest, joint) for joint in range(rig.joint_count)]
    binds = list(zip(rest, rig.positions, strict=True))
    frames = motion.frame_count
    places = np.tile(np.stack([place for _, place in locals_]), (frames, 1, 1))
    places[:, 0] = motion.root_positions
    turns = local_rotations(rig, motion)
    if way is not None:
        top, still = root_name(rig), (Rotation.identity(), np.zeros(3))
        paths = [top, *(f"{top}/{path}" for path in paths)]
        binds, locals_ = [still, *binds], [still, *locals_]
        places, turns = (np.concatenate([own[:, None], rest_], 1) for own, rest_ in ((way.positions, places), (way.rotations, turns)))
    for joints in (skeleton.CreateJointsAttr, animation.CreateJointsAttr):
        joints(paths)
    skeleton.CreateBindTransformsAttr(vt.Matrix4dArray([_matrix(gf, *pair) for pair in binds]))
    skeleton.CreateRestTransformsAttr(vt.Matrix4dArray([_matrix(gf, *pair) for pair in locals_]))
    animation.CreateScalesAttr(vt.Vec3hArray([gf.Vec3h(1, 1, 1)] * len(paths)))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    for frame in range(frames):
        translations.Set(vt.Vec3fArray.FromNumpy(places[frame].astype(np.float32)), frame)
        rotations.Set(vt.QuatfArray([gf.Quatf(float(w), float(x), float(y), float(z)) for x, y, z, w in turns[frame]]), frame)


def _mesh(stage: Any, asset: Asset, weights: np.ndarray, above: int, geometry: Any, skel: Any, vt: Any) -> Any:
    mesh = geometry.Mesh.Define(stage, "/character/mesh")
    mesh.CreatePointsAttr(vt.Vec3fArray.FromNumpy(asset.vertices.astype(np.float32)))
    mesh.CreateFaceVertexCountsAttr(vt.IntArray.FromNumpy(np.full(len(asset.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(asset.faces.astype(np.int32).ravel()))
    mesh.CreateSubdivisionSchemeAttr(geometry.Tokens.none)
    mesh.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(asset.normals.astype(np.float32)))
    mesh.SetNormalsInterpolation(geometry.Tokens.vertex)
    variables = geometry.PrimvarsAPI(mesh)
    from pxr import Sdf

    colors = variables.CreatePrimvar("displayColor", Sdf.ValueTypeNames.Color3fArray, geometry.Tokens.vertex)
    colors.Set(vt.Vec3fArray.FromNumpy(np.ascontiguousarray(asset.colors[:, :3], np.float32)))
    if asset.uvs is not None:
        st = variables.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, geometry.Tokens.vertex)
        st.Set(vt.Vec2fArray.FromNumpy(np.ascontiguousarray(asset.uvs * [1, -1] + [0, 1], np.float32)))  # USD counts v from below
    binding = skel.BindingAPI.Apply(mesh.GetPrim())
    joints, values = top_influences(weights)
    joints = joints + above  # joints that stand before those of the rig
    binding.CreateJointIndicesPrimvar(False, joints.shape[1]).Set(vt.IntArray.FromNumpy(joints.astype(np.int32).ravel()))
    binding.CreateJointWeightsPrimvar(False, values.shape[1]).Set(vt.FloatArray.FromNumpy(values.astype(np.float32).ravel()))
    return mesh


def _extents(gf: Any, vt: Any, geometry: Any, mesh: Any, path: np.ndarray, asset: Asset) -> None:
    """Bounds: of the mesh at rest, and of the character generously around wherever its root goes."""
    low, high = asset.vertices.min(0), asset.vertices.max(0)
    mesh.CreateExtentAttr(vt.Vec3fArray([gf.Vec3f(*map(float, low)), gf.Vec3f(*map(float, high))]))
    reach = float(np.linalg.norm(high - low))
    near, far = path.min(0) - reach, path.max(0) + reach
    root = geometry.ModelAPI.Apply(mesh.GetPrim().GetParent())
    root.SetExtentsHint(vt.Vec3fArray([gf.Vec3f(*map(float, near)), gf.Vec3f(*map(float, far))]))


def _materials(stage: Any, mesh: Any, asset: Asset, path: Path) -> None:
    """A UsdPreviewSurface for each material, bound to its faces."""
    from pxr import Sdf, UsdGeom, UsdShade, Vt

    materials = asset.materials.get("list") or [{}]
    subsets = len(np.unique(asset.face_materials)) > 1
    for index in np.unique(asset.face_materials).astype(int):
        source = materials[index] if index < len(materials) else {}
        look = source.get("pbrMetallicRoughness", {})
        place = f"/character/looks/material_{index}"
        material, shader = UsdShade.Material.Define(stage, place), UsdShade.Shader.Define(stage, f"{place}/surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(float(look.get("roughnessFactor", 1.0)))
        shader.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(float(look.get("metallicFactor", 1.0)))
        diffuse = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
        image = _texture(asset, look, path)
        if image:
            diffuse.ConnectToSource(_sampler(stage, place, image, Sdf, UsdShade).CreateOutput("rgb", Sdf.ValueTypeNames.Float3))
        elif (asset.colors < 1).any():
            reader = UsdShade.Shader.Define(stage, f"{place}/colors")
            reader.CreateIdAttr("UsdPrimvarReader_float3")
            reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
            diffuse.ConnectToSource(reader.CreateOutput("result", Sdf.ValueTypeNames.Float3))
        else:
            diffuse.Set(tuple(float(value) for value in look.get("baseColorFactor", [1, 1, 1])[:3]))
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        target = mesh.GetPrim()
        if subsets:
            faces = np.flatnonzero(asset.face_materials == index).astype(np.int32)
            target = UsdGeom.Subset.CreateGeomSubset(
                mesh, f"faces_{index}", UsdGeom.Tokens.face, Vt.IntArray.FromNumpy(faces), UsdShade.Tokens.materialBind, UsdGeom.Tokens.nonOverlapping
            ).GetPrim()
        UsdShade.MaterialBindingAPI.Apply(target).Bind(material)


def _texture(asset: Asset, look: dict[str, Any], path: Path) -> str:
    """Write the image of a material's base colour; its name relative to the USD file, "" where there is none."""
    from schemas.atomic import write_bytes

    texture = look.get("baseColorTexture")
    if texture is None or asset.uvs is None:
        return ""
    number = int(asset.materials["textures"][texture["index"]]["image"])
    ending = {"image/jpeg": "jpg", "image/webp": "webp"}.get(asset.materials["images"][number]["mime"], "png")
    name = f"{path.stem}-textures/image_{number}.{ending}"
    (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path.parent / name, asset.image_bytes(number))
    return name


def _sampler(stage: Any, place: str, image: str, sdf: Any, shade: Any) -> Any:
    """A texture read at the mesh's coordinates "st"."""
    reader, sampler = shade.Shader.Define(stage, f"{place}/st"), shade.Shader.Define(stage, f"{place}/image")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", sdf.ValueTypeNames.String).Set("st")
    sampler.CreateIdAttr("UsdUVTexture")
    sampler.CreateInput("file", sdf.ValueTypeNames.Asset).Set(f"./{image}")
    sampler.CreateInput("sourceColorSpace", sdf.ValueTypeNames.Token).Set("sRGB")
    for wrap in ("wrapS", "wrapT"):
        sampler.CreateInput(wrap, sdf.ValueTypeNames.Token).Set("repeat")
    sampler.CreateInput("st", sdf.ValueTypeNames.Float2).ConnectToSource(reader.CreateOutput("result", sdf.ValueTypeNames.Float2))
    return sampler
