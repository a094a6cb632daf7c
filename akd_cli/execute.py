"""Runs a stage on a workspace: the stages before it where they are stale, then itself, then its views; reports it."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from schemas.atomic import atomic_path
from schemas.errors import AkdError, InputError, MissingError, StorageError

from .chain import CONFIGURED, GIVEN, STAGES, Chain, file_entry, text_entry
from .console import Console, duration
from .options import Options
from .settings import Settings
from .workspace import Workspace, belongs, resolve


@dataclasses.dataclass
class Job:
    """One run of one stage, as its command's `make` and `write_views` see it.

    Attributes:
        chain: The artifacts of the workspace.
        motion: Slug of the motion, "" for stages of the asset.
        settings: Parameters of the stage, and where they come from.
        source: Path or built-in name of the asset (asset only).
        prompt: (distill only)
        files: Files given by hand, by name (skeleton, weights).
        export: Format for another program in which the result is asked for too.
        force: Start anew instead of resuming.
        progress: Where to tell how far it is.
    """

    chain: Chain
    motion: str = ""
    settings: Settings = Settings(None)
    source: str = ""
    prompt: str = ""
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    export: str = ""
    force: bool = False
    progress: Any = None

    @property
    def params(self) -> Any:
        """Parameters of the stage."""
        return self.settings.params

    def load(self, stage: str) -> Any:
        """The artifact of a stage of this job's workspace and motion."""
        return self.chain.load(stage, self.motion if STAGES[stage].in_motion else "")

    def path(self, name: str) -> Path:
        """Where a file of this job's motion or asset belongs."""
        return self.chain.workspace.path(name, self.motion)

    def file(self, name: str) -> Path | None:
        """A file given by hand."""
        return Path(self.files[name]) if name in self.files else None

    def foreign(self, stage: str) -> dict[str, dict[str, str]]:
        """Header entries of the inputs that are no artifacts."""
        entries = {name: file_entry(path) for name, path in self.files.items()}
        if stage == "asset" and self.source:
            entries["source"] = file_entry(self.source)
        if stage == "distill":
            entries["prompt"] = text_entry(self.prompt)
        return entries


@dataclasses.dataclass
class Outcome:
    """What became of one stage: "made", "fresh" or "completed" (only its views were written)."""

    stage: str
    action: str
    seconds: float
    outputs: list[Path]


def run(
    stage: str,
    options: Options,
    params: Any,
    *,
    source: str | None = None,
    prompt: str = "",
    motion: str = "",
    files: dict[str, str | None] | None = None,
    export: str = "",
) -> Any:
    """Carry out a stage command, print its result and return its artifact. Raises AkdError for everything the user can mend."""
    console = Console(options.quiet, options.json)
    check_output(stage, options.output)
    check_device(getattr(params, "device", ""))
    given = {name: _absolute(path) for name, path in (files or {}).items() if path}
    workspace, adopted = resolve(options.workspace, source, prompt, write=True)
    with workspace.locked():
        adopt(workspace, adopted)
        chain = Chain(workspace)
        if STAGES[stage].in_motion:
            motion = workspace.motion(motion or _motion_of(source)) if stage != "distill" else motion
        earlier = [outcome for need in _order(stage) for outcome in [ensure(chain, console, need, motion)] if outcome.action != "fresh"]
        if files is not None and stage in FILES:
            others = {k: v for k, v in workspace.notes.get("files", {}).items() if k not in files}
            workspace.remember(files={**others, **given} or None)
        settings = chain.config.settings(stage, params, options.given)
        job = Job(chain, motion, settings, workspace.notes.get("source", ""), prompt, given, export, options.force)
        outcome = carry_out(stage, job, console)
        if export:
            outcome.outputs += importlib.import_module(f"akd_cli.{stage}").export_as(job)
        if STAGES[stage].in_motion:
            workspace.remember(motion=chain.path(stage, motion).parent.name)
        copied = deliver(outcome, options.output)
        report(console, chain, outcome, motion, earlier, copied)
        return chain.load(stage, motion if STAGES[stage].in_motion else "")


def adopt(workspace: Workspace, source: str | None) -> None:
    """Make `source` the workspace's asset, if one was named."""
    if source:
        belongs(workspace, source)
    if not source and not workspace.notes.get("source") and not workspace.path("asset.h5").exists():
        raise MissingError(f"{workspace}: has no asset yet;", f"name one: akd asset tiger --workspace {workspace}, or akd asset FILE --workspace {workspace}")
    workspace.remember(**({"source": source} if source else {}))


def ensure(chain: Chain, console: Console, stage: str, motion: str = "") -> Outcome:
    """Bring an earlier stage up to date with the parameters it was made with; it says so if it has to run."""
    motion = motion if STAGES[stage].in_motion else ""
    notes = chain.workspace.notes
    recorded, prompt = {}, ""
    if chain.path(stage, motion).exists():
        try:
            artifact = chain.load(stage, motion)
            recorded, prompt = artifact.header.params, getattr(artifact, "prompt", "")
        except AkdError as error:
            console.note(f"{error}")
    files = {name: notes["files"][name] for name in FILES.get(stage, ()) if name in notes.get("files", {})}
    files |= kept_files(chain, stage, motion)
    if stage == "distill" and not prompt:
        raise MissingError(f"{chain.path(stage, motion)}: is missing or damaged;", "run akd distill --prompt again.")
    job = Job(chain, motion, chain.settings(stage, recorded), notes.get("source", ""), prompt, files)
    if stage == "asset" and not job.source and chain.path(stage).exists():
        return Outcome(stage, "fresh", 0.0, [])  # put there by hand: there is nothing to make it from
    return carry_out(stage, job, console, earlier=True)


def kept_files(chain: Chain, stage: str, motion: str) -> dict[str, str]:
    """Files given by hand of which the motion keeps a copy of its own."""
    path = chain.workspace.path(KEPT["init"], motion) if stage == "distill" else None
    return {"init": str(path.resolve())} if path is not None and path.exists() else {}


FILES = {"rig": ("skeleton",), "skin": ("weights",), "splat": ("splats",)}
"""Files given by hand that the workspace remembers."""
KEPT = {"init": "distill.init.h5"}
"""Files given by hand that are copied beside their motion, for each motion has its own."""


def carry_out(stage: str, job: Job, console: Console, earlier: bool = False) -> Outcome:
    """Run one stage if it is stale or forced, and write its artifact, then its views.

    Parameters:
        earlier: It was not asked for itself: foreign inputs stay those on record.
    """
    chain, one = job.chain, STAGES[stage]
    outputs = [job.path(name) for name in one.outputs]
    state = chain.state(stage, job.motion, job.params, None if earlier else job.foreign(stage))
    if state.fresh and not job.force:
        _agree_with_make(stage, job, outputs)
        return Outcome(stage, "fresh", 0.0, outputs)
    clock = time.monotonic()
    module = importlib.import_module(f"akd_cli.{stage}")
    if state.only_views and not job.force and hasattr(module, "write_views"):
        console.note(f"{stage}: writes {', '.join(one.views)} again: {'; '.join(state.reasons)}")
        chain.path(stage, job.motion).touch()
        module.write_views(job, chain.load(stage, job.motion))
        return Outcome(stage, "completed", time.monotonic() - clock, outputs)
    if earlier or state.state == "stale":
        console.note(f"{stage}: {'runs first' if earlier else 'runs again'}: {'; '.join(state.reasons)}")
    with console.progress(stage) as progress:
        job.progress = progress
        artifact = module.make(job)
        artifact.header = _header(stage, job, artifact.header)
        chain.store(stage, job.motion, artifact)
        if hasattr(module, "write_views"):
            module.write_views(job, artifact)
    if hasattr(module, "clean"):
        module.clean(job)
    return Outcome(stage, "made", time.monotonic() - clock, outputs)


def check_output(stage: str, output: str | None) -> None:
    """Raise InputError, before anything runs, if --output has an ending the stage does not write."""
    endings = [Path(name).suffix for name in STAGES[stage].outputs]
    if output and Path(output).suffix not in endings:
        raise InputError(f"--output {output}: akd {stage} writes {', '.join(endings)};", "choose one of these endings.")


def check_device(device: str) -> None:
    """Raise MissingError, before the stages before it run, if "cuda" is asked for where torch sees none."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise MissingError("--device cuda: torch sees no CUDA device;", "use --device cpu, or see what akd doctor says about the GPU.")


def deliver(outcome: Outcome, output: str | None) -> Path | None:
    """Copy the file that --output asks for."""
    if not output:
        return None
    origin = next(path for path in outcome.outputs if path.suffix == Path(output).suffix)
    try:
        with atomic_path(output) as temporary:
            shutil.copyfile(origin, temporary)
    except OSError as error:
        raise StorageError(f"--output {output}: cannot be written ({error.strerror});", f"the result is in {origin}.") from error
    return Path(output)


def report(console: Console, chain: Chain, outcome: Outcome, motion: str, earlier: list[Outcome], copied: Path | None) -> None:
    """Print the result of a stage command."""
    from .describe import figures, sentence

    found = figures(chain.load(outcome.stage, motion if STAGES[outcome.stage].in_motion else ""))
    paths = [str(path) for path in outcome.outputs] + ([str(copied)] if copied else [])
    data = {
        "stage": outcome.stage,
        "workspace": str(chain.workspace),
        "action": outcome.action,
        "seconds": round(outcome.seconds, 3),
        "outputs": paths,
        "figures": found,
        "earlier": [{"stage": o.stage, "action": o.action, "seconds": round(o.seconds, 3)} for o in earlier],
    }
    if motion and STAGES[outcome.stage].in_motion:
        data["motion"] = chain.path(outcome.stage, motion).parent.name
    did = {
        "made": f"done in {duration(outcome.seconds)}",
        "fresh": "is fresh, nothing to do (--force runs it again)",
        "completed": "was fresh, its views are written again",
    }
    console.result(data, f"{outcome.stage} {did[outcome.action]}: {sentence(found)}", *(f"  {path}" for path in paths))


def _agree_with_make(stage: str, job: Job, outputs: list[Path]) -> None:
    """Touch fresh outputs that are older than an input: their content is right, but make looks at time stamps."""
    inputs = [job.chain.path(need, job.motion if STAGES[need].in_motion else "") for need in STAGES[stage].needs]
    inputs += job.chain.config.files
    inputs += [Path(path) for path in (job.source if stage == "asset" else "", *job.files.values()) if os.path.isabs(path) and os.path.exists(path)]
    newest = max((path.stat().st_mtime_ns for path in inputs), default=0)
    if any(path.stat().st_mtime_ns < newest for path in outputs):
        for path in outputs:
            path.touch()


def _order(stage: str) -> list[str]:
    """All stages that `stage` needs, directly or not, in the chain's order."""
    wanted: set[str] = set()
    queue = list(STAGES[stage].needs)
    while queue:
        need = queue.pop()
        if need not in wanted:
            wanted.add(need)
            queue += STAGES[need].needs
    return [name for name in STAGES if name in wanted]


def _header(stage: str, job: Job, header: Any) -> Any:
    inputs = {}
    for need in STAGES[stage].needs:
        motion = job.motion if STAGES[need].in_motion else ""
        inputs[need] = {"path": STAGES[need].artifact, "sha256": job.chain.digest(need, motion)}
    params = {**header.params, GIVEN: sorted(job.settings.given)}
    if job.settings.configured:
        params[CONFIGURED] = sorted(job.settings.configured)
    return dataclasses.replace(header, params=params, inputs={**inputs, **job.foreign(stage)})


def _motion_of(source: str | None) -> str:
    """The motion in whose folder the file `source` lies, "" if in none."""
    folder = Path(source or "").resolve().parent
    return folder.name if source and source.endswith(".h5") and folder.parent.name == "motions" else ""


def _absolute(path: str) -> str:
    if not os.path.exists(path):
        raise MissingError(f"{path}: no such file;", "check the name.")
    return os.path.abspath(path)
