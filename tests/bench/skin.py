"""Bone heat against the artists' weights, and its seconds.

python -m tests.bench.skin --json [--assets DIR] [--repeats N]

For every rigged .glb of DIR (default $AKD_TEST_ASSETS): the share of welded vertices whose largest weight is on the
artist's joint, and the mean L1 distance to his weights. The skeleton is the artist's; where its last bones end a file
does not say, and here it is guessed from the bones alone, so that no figure comes from weights that are to be found
(`*_tips_fitted`: with the tips that `akd rig` takes from painted weights, as it does with such a file). Means over models.

Seconds are CPU seconds of `bone_heat`, medians, one thread, for 57 bones in the built-in tiger at 20,000 and 100,000
vertices; the solvers (cholespy, the peer scipy's SuperLU) alternate on the same systems.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 (after the thread counts are set)

BONES = 57
SIZES = {"20k": 20_000, "100k": 100_000}
SOLVERS = ("cholespy", "scipy")


def without_weights(asset: Any, rig: Any) -> Any:
    """The rig with the tips of its last bones guessed from the bones alone."""
    from scipy.spatial.transform import Rotation

    from stages.rig.skeleton import Joints, guess_tails

    count = rig.joint_count
    turns = Rotation.from_quat(rig.rotations).as_matrix()
    joints = Joints(rig.joint_names, rig.parents, rig.positions.astype(np.float64), turns, [""] * count, np.full((count, 3), np.nan))
    return dataclasses.replace(rig, tails=guess_tails(joints, asset.welded()[0].astype(np.float64)))


def models(folder: Path) -> dict[str, Any]:
    """Means over the rigged models of a folder."""
    from schemas.errors import AkdError
    from stages.asset.stage import run as make_asset
    from stages.rig.params import Params
    from stages.rig.stage import run as make_rig
    from stages.skin.stage import run

    rows, bare, worst_sum = [], 0, 0.0
    for path in sorted(folder.glob("*.glb")):
        try:
            asset = make_asset(path)
            rig = make_rig(asset, Params(template="file"))
            fitted, plain = run(asset, rig), run(asset, without_weights(asset, rig))
        except AkdError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        if "artist_dominant" not in plain.report:
            continue
        row = [skin.report[name] for skin in (plain, fitted) for name in ("artist_dominant", "artist_l1")]
        bare += int((plain.weights.max(1) <= 0).sum())
        worst_sum = max(worst_sum, float(np.abs(plain.weights.sum(1, dtype=np.float64) - 1).max()))
        rows.append(row)
        print(f"{path.stem:24s} dominant {row[0]:.3f}  L1 {row[1]:.3f}   tips fitted {row[2]:.3f} {row[3]:.3f}", file=sys.stderr)
    if not rows:
        return {}
    mean = np.mean(rows, 0).round(4).tolist()
    return {
        "dominant_agreement": mean[0],
        "l1": mean[1],
        "unweighted_vertices": bare,
        "row_sum_error_max": float(f"{worst_sum:.2g}"),
        "models": len(rows),
        "dominant_agreement_tips_fitted": mean[2],
        "l1_tips_fitted": mean[3],
    }


def speed(repeats: int) -> dict[str, float]:
    """Median seconds of both solvers at every size."""
    from stages.skin.heat import bone_heat

    figures: dict[str, float] = {}
    for label, size in SIZES.items():
        points, faces, heads, tails = refined(size)
        seconds: dict[str, list[float]] = {solver: [] for solver in SOLVERS}
        for _ in range(repeats):
            for solver in SOLVERS:
                clock = time.process_time()
                bone_heat(points, faces, heads, tails, solver=solver)
                seconds[solver].append(time.process_time() - clock)
        ours, peer = (statistics.median(seconds[solver]) for solver in SOLVERS)
        figures |= {f"seconds_{label}": round(ours, 3), f"seconds_{label}_scipy": round(peer, 3)}
    return figures


def refined(vertices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The built-in tiger with about that many vertices, and its bones halved until they are `BONES`."""
    import fast_simplification
    import trimesh

    from stages.asset.stage import run as make_asset
    from stages.rig.stage import run as make_rig

    asset = make_asset("tiger")
    rig = make_rig(asset)
    points, faces = asset.welded()
    while len(points) < vertices:
        points, faces = trimesh.remesh.subdivide(points, faces)
    points, faces = fast_simplification.simplify(points.astype(np.float32), faces.astype(np.int32), target_count=2 * vertices)
    heads, tails = rig.positions.astype(np.float64), rig.tails.astype(np.float64)
    while len(heads) < BONES:
        longest = int(np.linalg.norm(tails - heads, axis=1).argmax())
        middle = 0.5 * (heads[longest] + tails[longest])
        heads, tails = np.vstack([heads, middle]), np.vstack([tails, tails[longest]])
        tails[longest] = middle
    return points.astype(np.float64), faces.astype(np.int64), heads, tails


def main() -> None:
    """Print one flat JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON (always done; kept for uniformity)")
    parser.add_argument("--assets", default=os.environ.get("AKD_TEST_ASSETS", ""), help="folder with rigged .glb models")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    figures = models(Path(options.assets)) if options.assets and Path(options.assets).is_dir() else {}
    if not figures:
        print("name a folder with rigged .glb models with --assets, or in AKD_TEST_ASSETS, for the agreement figures", file=sys.stderr)
    print(json.dumps(figures | speed(options.repeats)))


if __name__ == "__main__":
    main()
