"""akd inspect: any artifact or glTF file, as a person wants to see it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import ReadOptions

File = Annotated[str, typer.Argument(help="An artifact (.h5), render.json, or a model (.glb, .gltf, .ply).", show_default=False)]
EXAMPLES = "akd inspect runs/tiger/rig.h5", "akd inspect path/to/dragon.glb --json"


def inspect(file: File, options: ReadOptions = ReadOptions()) -> None:  # noqa: B008 (frozen)
    """Show what a file holds: where it comes from, its fields with shapes and ranges, its key figures."""
    from schemas.errors import InputError, MissingError

    from .console import Console

    path = Path(file)
    if not path.exists():
        raise MissingError(f"{path}: no such file;", "check the name.")
    readers = {".h5": artifact_data, ".json": video_data, ".glb": model_data, ".gltf": model_data, ".ply": ply_data}
    reader = readers.get(path.suffix.lower())
    if path.is_dir() or reader is None:
        raise InputError(f"{path}: akd inspect reads {', '.join(readers)};", "for a workspace use akd status.")
    data = {"file": str(path), "bytes": path.stat().st_size, **reader(path)}
    Console(options.quiet, options.json).result(data, *lines(data))


def artifact_data(path: Path) -> dict[str, Any]:
    """Header, fields and figures of an artifact, validated."""
    import dataclasses

    from schemas.artifact import read_header
    from schemas.errors import SchemaError

    from .chain import STAGES
    from .describe import figures

    header = read_header(path)
    kinds = {stage.artifact_class().SCHEMA: stage.artifact_class() for stage in STAGES.values() if stage.artifact.endswith(".h5")}
    if header.schema not in kinds:
        raise SchemaError(f"{path}: holds '{header.schema}', akd knows {', '.join(sorted(kinds))};", "update akd, or check where the file comes from.")
    artifact = kinds[header.schema].load(path)
    fields = {f.name: _field(getattr(artifact, f.name)) for f in dataclasses.fields(artifact) if f.metadata.get("kind")}
    head = dataclasses.asdict(header)
    return {"header": head, "intact": header.digest == artifact.content_digest(), "fields": fields, "figures": figures(artifact)}


def video_data(path: Path) -> dict[str, Any]:
    """What is on record about a rendering."""
    import dataclasses

    from .describe import figures
    from .video import Video

    video = Video.load(path)
    return {"header": dataclasses.asdict(video.header), "files": video.files, "figures": figures(video)}


def model_data(path: Path) -> dict[str, Any]:
    """Counts of a glTF file, from its JSON alone: works on files that akd itself would refuse."""
    from schemas.errors import SchemaError

    try:
        content = _gltf_json(path)
        count = {name: len(content.get(name, [])) for name in ("nodes", "meshes", "materials", "textures", "images", "skins", "animations", "cameras")}
        accessors = content.get("accessors", [])
        primitives = [primitive for mesh in content.get("meshes", []) for primitive in mesh["primitives"]]
        vertices = sum(accessors[p["attributes"]["POSITION"]]["count"] for p in primitives if "POSITION" in p["attributes"])
        triangles = sum((accessors[p["indices"]]["count"] if "indices" in p else accessors[p["attributes"]["POSITION"]]["count"]) // 3 for p in primitives)
        animations = [_animation(one, accessors) for one in content.get("animations", [])]
        return {
            "header": {"generator": content.get("asset", {}).get("generator", ""), "version": content.get("asset", {}).get("version", "")},
            "figures": {
                "vertices": vertices,
                "triangles": triangles,
                **{name: number for name, number in count.items() if number},
                "joints": [len(skin.get("joints", [])) for skin in content.get("skins", [])],
                "animated": animations,
                "morph_targets": sum(len(p.get("targets", [])) for p in primitives),
                "extensions": content.get("extensionsUsed", []),
            },
        }
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        raise SchemaError(f"{path}: not a glTF file, or damaged ({type(error).__name__}: {error});", "export it again.") from error


def ply_data(path: Path) -> dict[str, Any]:
    """Element counts and properties of a .ply file, from its header."""
    from schemas.errors import SchemaError

    with open(path, "rb") as file:
        head = file.read(65536).split(b"end_header")[0].decode("ascii", "replace").splitlines()
    if not head or head[0].strip() != "ply":
        raise SchemaError(f"{path}: not a .ply file;", "check the name.")
    elements = {line.split()[1]: int(line.split()[2]) for line in head if line.startswith("element ") and line.split()[2:3] and line.split()[2].isdigit()}
    names = [line.split()[-1] for line in head if line.startswith("property ")]
    return {"figures": {**elements, "gaussians": {"f_dc_0", "scale_0", "rot_0", "opacity"} <= set(names), "properties": names}}


def lines(data: dict[str, Any]) -> list[str]:
    """The report for people."""
    from .chain import CONFIGURED, GIVEN
    from .console import duration, table
    from .settings import NAME

    header = data.get("header", {})
    made = [header.get("generator", "")]
    if "schema" in header:
        took = f"in {duration(header['seconds'])}" if header["seconds"] else ""
        made = [f"{header['schema']} {header['version']}", f"by akd {header['created_by']}", header["created"], took]
    out = [f"{data['file']}  ({data['bytes'] / 1e6:.2f} MB)  {', '.join(part for part in made if part)}".rstrip()]
    if data.get("intact") is False:
        out.append("the content was changed after akd wrote it (its digest differs)")
    out += _block("made from", {name: f"{entry.get('path', '')}  sha256 {entry.get('sha256', '')[:12]}" for name, entry in header.get("inputs", {}).items()})
    params = dict(header.get("params", {}))
    origin = dict.fromkeys(params.pop(CONFIGURED, []), f"  ({NAME})") | dict.fromkeys(params.pop(GIVEN, []), "  (given)")
    out += _block("parameters", {name: f"{value}{origin.get(name, '')}" for name, value in params.items()})
    if "fields" in data:
        out += ["fields", *("  " + line for line in table([(name, f["kind"], f.get("range", f.get("text", ""))) for name, f in data["fields"].items()]))]
    figures = {name: "; ".join(map(str, value)) if isinstance(value, list) else value for name, value in data["figures"].items() if value not in ([], {})}
    return out + _block("figures", figures)


def _block(title: str, entries: dict[str, Any]) -> list[str]:
    from .console import table

    rows = [(name, f"{value:.5g}" if isinstance(value, float) else str(value)) for name, value in entries.items()]
    return [title, *("  " + line for line in table(rows))] if rows else []


def _field(value: Any) -> dict[str, Any]:
    """Shape, type and range of one field."""
    if value is None:
        return {"kind": "none"}
    if hasattr(value, "dtype"):
        shape = "x".join(map(str, value.shape))
        found = {"kind": f"{value.dtype} {shape}", "shape": list(value.shape), "dtype": str(value.dtype)}
        if value.size:
            found["range"] = f"{value.min():.4g} .. {value.max():.4g}"
        return found
    if isinstance(value, list):
        return {"kind": f"{len(value)} strings", "text": ", ".join(map(str, value[:6])) + (", ..." if len(value) > 6 else "")}
    if isinstance(value, dict):
        return {"kind": "record", "text": ", ".join(value)}
    return {"kind": type(value).__name__, "text": f"{value:g}" if isinstance(value, float) else str(value)[:100]}


def _gltf_json(path: Path) -> dict[str, Any]:
    import json
    import struct

    with open(path, "rb") as file:
        start = file.read(20)
        if start[:4] != b"glTF":
            return json.loads(path.read_text(encoding="utf-8"))
        size, kind = struct.unpack("<I4s", start[12:20])
        if kind != b"JSON" or size > path.stat().st_size:
            raise ValueError("its first chunk is not JSON")
        return json.loads(file.read(size))


def _animation(animation: dict[str, Any], accessors: list[dict[str, Any]]) -> str:
    times = [accessors[sampler["input"]].get("max", [0])[0] for sampler in animation.get("samplers", [])]
    return f"{animation.get('name', 'unnamed')} ({max(times, default=0):.2f} s, {len(animation.get('channels', []))} channels)"
