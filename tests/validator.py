"""The Khronos glTF validator, as a Node.js package: `npm install --prefix .node gltf-validator@2.0.0-dev.3.10`.

Looked for in $AKD_NODE_MODULES, ./.node/node_modules and ./node_modules; nothing is installed from here.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_SCRIPT = """
const fs = require("fs"), path = require("path");
const validator = require(path.join(process.argv[1], "gltf-validator"));
const one = (file) => validator.validateBytes(new Uint8Array(fs.readFileSync(file)), {
  uri: path.basename(file),
  maxIssues: 200,
  externalResourceFunction: (uri) => Promise.resolve(new Uint8Array(fs.readFileSync(path.join(path.dirname(file), decodeURIComponent(uri))))),
});
Promise.all(process.argv.slice(2).map(one)).then(
  (reports) => fs.writeSync(1, JSON.stringify(reports)), (error) => { console.error(String(error)); process.exit(1); });
"""


@functools.cache
def node_modules() -> Path | None:
    """The folder that holds the validator, None where there is none or no Node.js."""
    if shutil.which("node") is None:
        return None
    places = [Path(os.environ["AKD_NODE_MODULES"])] if os.environ.get("AKD_NODE_MODULES") else []
    places += [_ROOT / ".node" / "node_modules", _ROOT / "node_modules"]
    return next((place for place in places if (place / "gltf-validator").is_dir()), None)


def validate(*paths: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The validator's report on each file; the calling test is skipped where the validator is not installed."""
    modules = node_modules()
    if modules is None:
        pytest.skip("the Khronos glTF validator is not installed (needs node; see tests/validator.py)")
    done = subprocess.run(["node", "-e", _SCRIPT, str(modules), *map(str, paths)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_valid(*paths: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Fail unless the validator finds neither errors nor warnings; returns the reports."""
    reports = validate(*paths)
    for path, report in zip(paths, reports, strict=True):
        issues = report["issues"]
        serious = [f"{m['code']} {m.get('pointer', '')}: {m['message']}" for m in issues["messages"] if m["severity"] < 2]
        assert issues["numErrors"] == 0 and issues["numWarnings"] == 0, f"{path}: " + "; ".join(serious[:5])
    return reports
