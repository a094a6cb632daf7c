"""The house keeps its shape: arrows point down, heavy weight is optional, files stay short (DESIGN.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("asset", "rig", "skin", "splat", "distill", "track", "render", "evaluate")
FLOOR = ("body", "view")
SOURCES = sorted(path for top in ("akd_cli", "schemas", "stages") for path in (ROOT / top).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, anywhere in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return names


def room(name: str) -> str:
    """The room a module belongs to: schemas, akd_cli, a stage, a floor package, or "" for anything else."""
    parts = name.split(".")
    if parts[0] == "stages":
        return parts[1] if len(parts) > 1 and parts[1] in STAGES + FLOOR else "stages"
    return parts[0] if parts[0] in ("schemas", "akd_cli", "tests") else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_down(path):
    here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    allowed = {"schemas", ""}
    if here == "akd_cli":
        allowed |= {"akd_cli", "stages", *STAGES, *FLOOR}
    elif here != "schemas":
        allowed |= {"stages", here} | (set(FLOOR) if here in STAGES else set())
    wrong = sorted(name for name in imported(path) if room(name) not in allowed)
    assert not wrong, f"{path.relative_to(ROOT)} ({here}) imports {wrong}"


def test_floor_packages_do_not_depend_on_each_other_in_a_circle():
    body = set().union(*(imported(p) for p in (ROOT / "stages/body").glob("*.py")))
    assert not any(room(name) == "view" for name in body)


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_and_packages_import_without_heavy_libraries(stage):
    modules = [f"stages.{stage}"] + ([f"stages.{stage}.params"] if (ROOT / "stages" / stage / "params.py").exists() else [])
    heavy = ("torch", "numpy", "warp", "numba", "gsplat", "diffusers", "transformers", "h5py", "trimesh", "scipy", "embreex", "av")
    code = f"import {', '.join(modules)}, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_files_and_functions_stay_short():
    long_files = [f"{p.relative_to(ROOT)}: {n}" for p in SOURCES if (n := p.read_text().count("\n")) > 450]
    assert not long_files
    long_functions = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno > 80
        # kernels are one function because a compiler inlines and differentiates them as one
        and not any("kernel" in ast.unparse(d) or "njit" in ast.unparse(d) for d in node.decorator_list)
    ]
    assert not long_functions


def test_public_functions_have_docstrings_and_types():
    compiled = ("kernel", "njit", "wp.func", "intrinsic")  # their compiler wants no return type
    bare = []
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                decorators = " ".join(ast.unparse(d) for d in node.decorator_list)
                if "func_grad" in decorators:  # the adjoint of the function above it
                    continue
                if not ast.get_docstring(node) or (node.returns is None and not any(word in decorators for word in compiled)):
                    bare.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not bare


def test_no_path_of_one_machine_and_no_unfinished_words():
    pattern = re.compile(r"/(?:work|root|home)/\w|\bTODO\b|\bFIXME\b|NotImplementedError")
    hits = [f"{p.relative_to(ROOT)}:{n}" for p in SOURCES for n, line in enumerate(p.read_text().split("\n"), 1) if pattern.search(line)]
    assert not hits


def test_every_skip_says_why():
    unexplained = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("pytest.skip", "mark.skip", "mark.skipif", "mark.xfail")):
                reasons = [k for k in node.keywords if k.arg == "reason"] or (node.args if "pytest.skip" in ast.unparse(node.func) else [])
                if not reasons:
                    unexplained.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not unexplained
