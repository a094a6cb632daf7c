"""The pictures of the quick start: `python -m docs.tools.pictures` runs its commands and keeps what they draw in docs/quickstart/."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "quickstart"
PROMPT = "a tiger walking"
MOTION = "motions/a-tiger-walking"
COMMANDS = (("rig", "tiger"), ("skin",), ("splat",), ("distill", "--prompt", PROMPT), ("track",), ("render", "--html"))
PICTURES = {"rig.png": "rig.png", "skin.png": "skin.png", "motion.png": f"{MOTION}/render.png"}
WIDTH = 1200


def main() -> None:
    """Run the commands in an empty workspace (minutes) and write the pictures, no wider than `WIDTH`."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--workspace", type=Path, help="take the pictures from this workspace instead of making one")
    chosen = parser.parse_args().workspace
    with tempfile.TemporaryDirectory() as folder:
        workspace = chosen or Path(folder) / "tiger"
        for stage, *rest in () if chosen else COMMANDS:
            subprocess.run([sys.executable, "-m", "akd_cli", stage, *rest, "--workspace", str(workspace)], cwd=ROOT, check=True)
        TARGET.mkdir(exist_ok=True)
        for name, source in PICTURES.items():
            picture = Image.open(workspace / source).convert("RGB")
            picture.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
            picture.quantize(256).save(TARGET / name, optimize=True)


if __name__ == "__main__":
    main()
