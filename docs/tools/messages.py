"""The error messages on docs/troubleshooting.md: `python -m docs.tools.messages` runs every command there and writes what it says.

A block of the page is a command and its answer. The commands run in a scratch folder that holds what usually goes wrong.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

PAGE = Path(__file__).resolve().parents[1] / "troubleshooting.md"
BLOCK = re.compile(r"(```console\n\$ (akd [^\n]*)\n)(.*?)(```)", re.S)
CUBE = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1)) + "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"


def prepare(folder: Path) -> None:
    """Files that usually go wrong, and a workspace with two motions, in `folder`."""
    from akd_cli.workspace import Workspace
    from tests.schemas import samples

    Path(folder, "cube.obj").write_text(CUBE)
    Path(folder, "broken.glb").write_bytes(b"glTF\x02\x00\x00\x00")
    draco = {"asset": {"version": "2.0"}, "extensionsUsed": ["KHR_draco_mesh_compression"], "extensionsRequired": ["KHR_draco_mesh_compression"]}
    Path(folder, "compressed.gltf").write_text(json.dumps(draco))
    workspace = Workspace(Path(folder, "runs/fox"))
    for name in ("asset", "rig", "skin", "splat"):
        samples.ALL[name]().stamped().save(workspace.path(f"{name}.h5"))
    for motion in ("a fox walking", "a fox running"):
        samples.motion().stamped().save(workspace.path("distill.h5", motion))
    workspace.remember(source=str(Path(folder, "fox.glb")))
    Path(folder, "fox.glb").write_bytes(b"a model")
    shutil.copytree(workspace.root, Path(folder, "runs/old"))
    _spoil(Path(folder, "runs/old/rig.h5"), version="9.0")
    _spoil(Path(folder, "runs/old/skin.h5"), weights=float("nan"))
    shutil.copytree(workspace.root, Path(folder, "typo"))
    Path(folder, "typo/akd.toml").write_text('[skin]\nmetod = "file"\n')


def _spoil(path: Path, version: str = "", weights: float | None = None) -> None:
    """Write another version or weight into an artifact, past its checks."""
    import h5py

    with h5py.File(path, "a") as file:
        if version:
            file.attrs["version"] = version
        if weights is not None:
            file["weights"][0, 0] = weights


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """The prepared folder as the current one, on a machine without a GPU; it is gone afterwards."""
    import torch

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ), mock.patch.object(torch.cuda, "is_available", lambda: False):
        os.environ.pop("AKD_WORKSPACE", None)
        os.environ["HF_HOME"] = str(Path(name).resolve() / "huggingface")
        os.environ["HF_HUB_OFFLINE"] = "1"
        prepare(Path(name).resolve())
        os.chdir(name)
        try:
            yield Path(name).resolve()
        finally:
            os.chdir(before)


def answer(command: str, folder: Path) -> tuple[str, int]:
    """What a command says on stderr, free of this machine's paths and process, and its exit code."""
    from akd_cli import app

    words, said = shlex.split(command)[1:], io.StringIO()
    os.chdir(folder)
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = app.run(words)
    return said.getvalue().replace(str(folder) + "/", "").replace(f"process {os.getpid()}", "process 4711"), code


def refreshed(page: str) -> str:
    """The page with the answer of every command written anew."""
    with scratch() as folder:
        return BLOCK.sub(lambda match: match[1] + answer(match[2], folder)[0] + match[4], page)


if __name__ == "__main__":
    from schemas.atomic import write_text

    write_text(PAGE, refreshed(PAGE.read_text(encoding="utf-8")))
