"""akd doctor: what this machine offers and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .options import ReadOptions

PACKAGES = ("torch", "numpy", "scipy", "numba", "warp-lang", "gsplat", "diffusers", "transformers", "embreex", "av", "h5py", "typer")
EXAMPLES = "akd doctor", "akd doctor --json"


def doctor(options: ReadOptions = ReadOptions()) -> None:  # noqa: B008 (frozen)
    """Show versions, processor and GPU, usable video models, the glTF validator and the free disk space."""
    from .console import Console, table

    data = {
        "akd": _version("akd"),
        "system": system(),
        "packages": {name: _version(name) for name in PACKAGES},
        "gpu": gpu(),
        "priors": priors(),
        "validator": validator(),
    }
    missing = [name for name, version in data["packages"].items() if not version]
    out = [f"akd {data['akd'] or '(not installed)'}, Python {platform.python_version()}, {platform.platform()}"]
    out += table([(name, str(value)) for name, value in data["system"].items()])
    out += ["packages: " + ", ".join(f"{name} {version}" for name, version in data["packages"].items() if version)]
    out += [f"missing packages: {', '.join(missing)} (pip install akd brings them)"] if missing else []
    out += [f"gpu: {data['gpu']['detail']}", f"glTF validator: {data['validator']['detail']}", "video models (akd distill --prior):"]
    out += ["  " + line for line in table([(p["name"], "usable" if p["usable"] else "missing", p["detail"]) for p in data["priors"]])]
    Console(options.quiet, options.json).result(data, *out)


def system() -> dict[str, Any]:
    """Processors, memory and disk of this machine."""
    found: dict[str, Any] = {"processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    found["free_disk_gb"] = round(shutil.disk_usage(Path.cwd()).free / 1e9, 1)
    found["python"] = sys.executable
    return found


def gpu() -> dict[str, Any]:
    """Whether torch sees a CUDA device, and which."""
    try:
        import torch
    except ImportError:
        return {"usable": False, "detail": "torch is not installed"}
    if not torch.cuda.is_available():
        return {"usable": False, "detail": f"none that torch {torch.__version__} can use; everything runs on the CPU"}
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    return {"usable": True, "detail": f"{torch.cuda.get_device_name(0)}, {memory:.0f} GB, CUDA {torch.version.cuda}"}


def priors() -> list[dict[str, Any]]:
    """Every video model akd knows: usable here, or what is missing."""
    import dataclasses

    from stages.distill.priors.registry import prior_status

    return [dataclasses.asdict(status) for status in prior_status()]


def validator() -> dict[str, Any]:
    """Whether the Khronos glTF validator, which the tests use, can run."""
    node = shutil.which("node")
    if not node:
        return {"usable": False, "detail": "node is not installed (only the tests need it)"}
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    package = Path(".node/node_modules/gltf-validator")
    if not package.is_dir():
        return {"usable": False, "detail": f"node {version}, package gltf-validator is not installed here (make test installs it)"}
    return {"usable": True, "detail": f"gltf-validator with node {version}"}


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and only needed here

    try:
        return version(name)
    except PackageNotFoundError:
        return ""
