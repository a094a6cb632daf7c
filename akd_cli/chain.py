"""The stages as a chain: what each needs and writes, and which artifacts are fresh, stale or missing, and why."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

from schemas.errors import AkdError, MissingError, SchemaError
from schemas.params import invalidating

from .settings import Config, Settings, read
from .workspace import Workspace

GIVEN = "given"  # entry of a header's params: names of the parameters that were given by hand
CONFIGURED = "configured"  # another: of those that akd.toml set

BY_HAND = "put there by hand: its inputs are not on record"  # saved by a script or another tool: it is not made again unasked
UNFINISHED = "a run was interrupted: the same command goes on with it"
STOPPED = "a run stopped: the same command says why"


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of the chain.

    Attributes:
        name: Also the stem of its files.
        needs: Stages whose artifacts decide its result.
        artifact: File name of the artifact, written before its views.
        views: Files made from the artifact for other programs; one that is missing or older than the artifact (a run
            was killed in between) is written again without running the stage.
        schema: "module:class" of the artifact.
        in_motion: Whether it writes into a motion's folder.
    """

    name: str
    needs: tuple[str, ...]
    artifact: str
    views: tuple[str, ...]
    schema: str
    in_motion: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """All files that it writes."""
        return (self.artifact, *self.views)

    def params(self) -> Any:
        """The stage's Params class."""
        return importlib.import_module(f"stages.{self.name}.params").Params

    def artifact_class(self) -> Any:
        """The class of its artifact."""
        module, name = self.schema.split(":")
        return getattr(importlib.import_module(module), name)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("asset", (), "asset.h5", ("asset.glb",), "schemas.asset:Asset"),
        Stage("rig", ("asset",), "rig.h5", ("rig.glb", "rig.png"), "schemas.rig:Rig"),
        Stage("skin", ("asset", "rig"), "skin.h5", ("skin.glb", "skin.png"), "schemas.skin:Skin"),
        Stage("splat", ("asset", "skin"), "splat.h5", ("splat.ply", "splat.spz"), "schemas.splat:Splat"),
        Stage("distill", ("rig", "splat"), "distill.h5", ("distill.glb",), "schemas.motion:Motion", in_motion=True),
        Stage("track", ("rig", "distill"), "track.h5", ("track.glb",), "schemas.track:Track", in_motion=True),
        Stage("render", ("asset", "rig", "skin", "splat", "track"), "render.json", ("render.mp4", "render.png"), "akd_cli.video:Video", in_motion=True),
    )
}


@dataclasses.dataclass
class State:
    """How an artifact stands: "fresh", "stale" or "missing", and why; `only_views`: nothing but its views must be redone."""

    stage: str
    motion: str
    path: Path
    state: str
    reasons: list[str] = dataclasses.field(default_factory=list)
    only_views: bool = False

    @property
    def fresh(self) -> bool:
        """Whether nothing needs to be done."""
        return self.state == "fresh"

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {**dataclasses.asdict(self), "path": str(self.path)}


class Chain:
    """The artifacts of one workspace: loads each once and knows how it stands."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._loaded: dict[Path, Any] = {}
        self._digests: dict[Path, str] = {}

    @functools.cached_property
    def config(self) -> Config:
        """What akd.toml says for this workspace."""
        return read(self.workspace.root)

    def settings(self, stage: str, recorded: dict[str, Any]) -> Settings:
        """What an artifact made with `recorded` params would be made with today: its flags, over akd.toml, over the defaults."""
        kind = STAGES[stage].params()
        names = {field.name for field in dataclasses.fields(kind)}
        given = {name: recorded[name] for name in recorded.get(GIVEN, ()) if name in names and name in recorded}
        return self.config.settings(stage, kind(**given), given)

    def path(self, stage: str, motion: str = "") -> Path:
        """The path of a stage's artifact."""
        return self.workspace.path(STAGES[stage].artifact, motion)

    def load(self, stage: str, motion: str = "") -> Any:
        """The artifact of a stage, read and validated."""
        path = self.path(stage, motion)
        if path not in self._loaded:
            self._loaded[path] = STAGES[stage].artifact_class().load(path)
        return self._loaded[path]

    def digest(self, stage: str, motion: str = "") -> str:
        """The content digest of a stage's artifact, computed from what the file holds now."""
        path = self.path(stage, motion)
        if path not in self._digests:
            self._digests[path] = self.load(stage, motion).content_digest()
        return self._digests[path]

    def store(self, stage: str, motion: str, artifact: Any) -> Path:
        """Save an artifact and remember it."""
        path = artifact.save(self.path(stage, motion))
        self._loaded[path] = artifact
        self._digests.pop(path, None)
        return path

    def state(self, stage: str, motion: str = "", wanted: Any = None, foreign: dict[str, dict[str, str]] | None = None) -> State:
        """How the artifact of a stage stands.

        Parameters:
            wanted: Params that it should be made with; None: those given when it was made, akd.toml's and defaults elsewhere.
            foreign: Header entries of inputs that are no artifacts (source file, prompt, skeleton); None: those on record.
        """
        path = self.path(stage, motion)
        waiting = self._waiting(path)
        if not path.exists():
            return State(stage, motion, path, "missing", [f"{path.name} was never written", *waiting])
        try:
            header = self.load(stage, motion).header
        except AkdError as error:
            return State(stage, motion, path, "stale", [str(error)])
        reasons = self._content_reasons(stage, motion, header, wanted, foreign) if header.inputs else []
        views = self._view_reasons(stage, motion)
        if reasons or views:
            return State(stage, motion, path, "stale", reasons + views, only_views=not reasons)
        return State(stage, motion, path, "fresh", waiting if header.inputs else [BY_HAND])

    def states(self) -> list[State]:
        """All artifacts in the chain's order, the motions one after another."""
        found = [self.state(name) for name, stage in STAGES.items() if not stage.in_motion]
        for motion in self.workspace.motions():
            found += [self.state(name, motion) for name, stage in STAGES.items() if stage.in_motion]
        return found

    def _waiting(self, path: Path) -> list[str]:
        """What is under way for an artifact: a checkpoint beside it, whether somebody works on it, and where to look."""
        partial, kept, preview = path.with_name(path.name + ".partial"), path.with_suffix(f".stopped{path.suffix}"), path.with_suffix(".preview.png")
        if not partial.exists():
            return []
        writer = self.workspace.writer()
        stopped = kept.exists() and kept.stat().st_mtime_ns >= partial.stat().st_mtime_ns  # else of a run before
        word = f"a run is at work (process {writer})" if writer else STOPPED if stopped else UNFINISHED
        return [word, *([f"see {preview}"] if preview.exists() else [])]

    def _content_reasons(self, stage: str, motion: str, header: Any, wanted: Any, foreign: dict[str, dict[str, str]] | None) -> list[str]:
        reasons: list[str] = []
        for need in STAGES[stage].needs:
            reasons += self._input_reasons(need, motion if STAGES[need].in_motion else "", header.inputs.get(need, {}).get("sha256"))
        reasons += self._foreign_reasons(stage, header.inputs, foreign)
        return reasons + param_reasons(header.params, wanted if wanted is not None else self.settings(stage, header.params).params)

    def _view_reasons(self, stage: str, motion: str) -> list[str]:
        one = STAGES[stage]
        paths = [self.workspace.path(name, motion) for name in one.views]
        missing = [f"{path.name} is missing" for path in paths if not path.exists()]
        if missing or not one.artifact.endswith(".h5"):
            return missing + ([] if missing else self.load(stage, motion).changed())
        written = self.path(stage, motion).stat().st_mtime_ns
        return [f"{path.name} is older than {one.artifact}" for path in paths if path.stat().st_mtime_ns < written]

    def _input_reasons(self, need: str, motion: str, recorded: str | None) -> list[str]:
        try:
            digest = self.digest(need, motion)
        except MissingError:
            return [f"{STAGES[need].artifact} is missing"]
        except SchemaError:
            return [f"{STAGES[need].artifact} is damaged"]
        if recorded is None:
            return [f"it does not say which {STAGES[need].artifact} it was made from"]
        if digest != recorded:
            return [f"{STAGES[need].artifact} has changed"]
        state = self.state(need, motion)
        return [] if state.fresh else [f"{need} is {state.state}"]

    def _foreign_reasons(self, stage: str, recorded: dict[str, dict[str, str]], foreign: dict[str, dict[str, str]] | None) -> list[str]:
        recorded = {name: entry for name, entry in recorded.items() if name not in STAGES}
        now = foreign if foreign is not None else foreign_on_record(self.workspace, stage, recorded)
        reasons = []
        for name in sorted(set(recorded) | set(now)):
            before, after = recorded.get(name), now.get(name)
            if after is None:
                reasons.append(f"{name} {_of(before)} is no longer given")
            elif before is None:
                reasons.append(f"{name} {_of(after)} was not given before")
            elif before.get("sha256") != after.get("sha256"):
                same = before.get("path") == after.get("path")
                reasons.append(f"{name} {_of(after)} has changed" if same else f"{name}: {before.get('path')} -> {after.get('path')}")
        return reasons


def param_reasons(recorded: dict[str, Any], wanted: Any) -> list[str]:
    """Why an artifact made with `recorded` params is not what `wanted` asks for.

    A parameter that neither side set and that the stage chose itself (None, "auto") is no reason, nor is one at
    its default that the artifact knows nothing of.
    """
    reasons, given = [], {*recorded.get(GIVEN, ()), *recorded.get(CONFIGURED, ())}
    defaults = {field.name: field.default for field in dataclasses.fields(wanted)}
    for name, value in invalidating(wanted).items():
        value = json.loads(json.dumps(value, default=str))
        before = recorded.get(name)
        if before == value or (value in (None, "auto") and name not in given):
            continue
        if name not in recorded and value == defaults[name]:
            continue  # made before there was such a parameter
        reasons.append(f"{name.replace('_', '-')} {'unset' if before is None else before} -> {'unset' if value is None else value}")
    return reasons


def foreign_on_record(workspace: Workspace, stage: str, recorded: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Today's entries of the inputs on record that are no artifacts. A file that is gone counts as unchanged."""
    notes, now = workspace.notes, {}
    paths = {"source": notes.get("source"), **notes.get("files", {})}
    for name, entry in recorded.items():
        path = paths.get(name)
        now[name] = file_entry(path) if path and (Path(path).is_file() or not Path(path).is_absolute()) else entry
    return now


def file_entry(path: str) -> dict[str, str]:
    """The header entry of a foreign file with the files it names, or of a built-in character."""
    if not Path(path).is_absolute():
        return {"path": path, "sha256": hashlib.sha256(f"built-in {path}".encode()).hexdigest()}
    from schemas.artifact import file_digest

    if not Path(path).is_file():
        raise MissingError(f"{path}: no such file;", "put it back, or name another one.")
    beside = companions(Path(path))
    if not beside:
        return {"path": Path(path).name, "sha256": file_digest(path)}
    sha = hashlib.sha256(file_digest(path).encode())
    for companion in beside:
        sha.update(f"\0{companion.name}\0{file_digest(companion)}".encode())
    return {"path": Path(path).name, "sha256": sha.hexdigest()}


def text_entry(text: str) -> dict[str, str]:
    """The header entry of a text such as the prompt."""
    return {"path": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def companions(path: Path) -> list[Path]:
    """Files beside a .gltf or .obj that belong to it: buffers, images, material libraries."""
    names: list[str] = []
    try:
        if path.suffix.lower() == ".gltf":
            content = json.loads(path.read_text(encoding="utf-8"))
            names = [entry.get("uri", "") for kind in ("buffers", "images") for entry in content.get(kind, [])]
        elif path.suffix.lower() == ".obj":
            with open(path, encoding="utf-8", errors="replace") as file:
                names = [line.split(None, 1)[1].strip() for line in file if line.startswith("mtllib ")]
    except (ValueError, OSError, AttributeError, IndexError):
        return []  # the asset stage says what is wrong with the file
    inside = [path.parent / name for name in names if name and not name.startswith("data:")]
    return sorted({p for p in inside if p.is_file()})


def _of(entry: dict[str, str] | None) -> str:
    return (entry or {}).get("path", "")
