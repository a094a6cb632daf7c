"""Accuracy of automatic skeletons against the joints that artists placed, on the rigged models of a folder.

python -m tests.bench.rig --json [--assets DIR] [--verbose]

Every rigged .glb of DIR (default $AKD_TEST_ASSETS) is rigged again from its mesh alone. An artist's joint is compared with
ours of the same meaning, in percent of the mesh's largest extent; a model's error is the mean over its landmarks, the
figures are means over models. Landmarks, left and right: hip, knee, hock and paw of hind legs (of a leg of three joints
hip, knee and foot), shoulder, elbow and wrist of fore legs and arms; and the base of the neck, the base of the skull, the
base of the tail. How many joints a spine has is the artist's choice: its joints inside the mesh count as one landmark,
their mean distance to our trunk bones. Meanings come from the joint names (stages.rig.names, stages.rig.roles).

A model fails if no skeleton is found or one of another kind than the artist's (biped, quadruped).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 (after the thread counts are set)

KINDS = ("biped", "quadruped")
_TRUNK = ("pelvis", "spine", "chest")


def landmarks(roles: list[str], positions: np.ndarray) -> dict[str, np.ndarray]:
    """Places with a meaning of a skeleton whose joints have roles, parents before children."""
    from schemas.roles import limb

    found: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    for role, place in zip(roles, positions, strict=True):
        counts[role] = counts.get(role, 0) + 1
        parts = limb(role)
        if parts is None:
            if role in ("neck", "head", "tail") and counts[role] == 1:
                found[role] = place
        elif parts[2] != "shoulder":
            if counts[role] == 1:
                found[role] = place
            elif counts[role] == 2 and parts[1:] == ("hind", "foot"):
                found[f"{role} 2"] = place
    return found


def compare(rig: Any, ours: Any, points: np.ndarray) -> dict[str, float]:
    """Error of each landmark that both skeletons have. [% of the extent]"""
    extent = float(np.ptp(points, axis=0).max())
    theirs, mine = (landmarks(one.roles, np.asarray(one.positions, np.float64)) for one in (rig, ours))
    for side in ("left", "right"):  # a leg of three joints ends in the paw, one of four has a hock above it
        foot = f"{side}_hind_foot"
        for one, other in ((theirs, mine), (mine, theirs)):
            if rig.category != "biped" and foot in one and f"{foot} 2" not in one and f"{foot} 2" in other:
                other[foot] = other.pop(f"{foot} 2")
    errors = {name: float(np.linalg.norm(place - mine[name])) for name, place in theirs.items() if name in mine}
    trunk = [j for j, role in enumerate(rig.roles) if role in _TRUNK and _inside(rig.positions[j], points)]
    bones = [(ours.parents[j], j) for j, role in enumerate(ours.roles) if role in (*_TRUNK, "neck") and ours.parents[j] >= 0]
    if trunk and bones:
        heads, tails = (np.asarray(ours.positions, np.float64)[list(ends)] for ends in zip(*bones, strict=True))
        errors["trunk"] = float(np.mean([_gap(np.asarray(rig.positions[j], np.float64), heads, tails) for j in trunk]))
    return {name: 100 * error / extent for name, error in errors.items()}


def _inside(place: np.ndarray, points: np.ndarray) -> bool:
    """Whether a joint is in the body and not a handle beside it: vertices lie around it in all directions."""
    way = points - place
    return bool(((way.min(0) < 0) & (way.max(0) > 0)).all()) and all(
        ((way @ axis > 0) & (np.linalg.norm(way - np.outer(way @ axis, axis), axis=1) < 0.15 * np.ptp(points, axis=0).max())).any()
        for axis in (*np.eye(3), *-np.eye(3))
    )


def _gap(place: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> float:
    """Distance of a point to the nearest of some bones."""
    along = tails - heads
    share = np.clip(((place - heads) * along).sum(1) / np.maximum((along * along).sum(1), 1e-18), 0, 1)
    return float(np.linalg.norm(heads + share[:, None] * along - place, axis=1).min())


def warm_up() -> None:
    """Import what the stage needs, so that the first model is not charged for it."""
    from stages.asset.stage import run as make_asset
    from stages.rig.params import Params
    from stages.rig.stage import run

    run(make_asset("tiger"), Params(template="quadruped"))


def figures(folder: Path, *, verbose: bool) -> dict[str, Any]:
    """Means over the models of a folder."""
    from schemas.errors import AkdError
    from stages.asset.stage import run as make_asset
    from stages.rig.params import Params
    from stages.rig.stage import automatic, run

    errors: dict[str, list[float]] = {kind: [] for kind in KINDS}
    parts: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    failures, seconds, kinds, right = [], [], 0, 0
    for path in sorted(folder.glob("*.glb")):
        try:
            asset = make_asset(path)
            rig = run(asset, Params(template="file"))
        except AkdError as error:
            print(f"{path.name}: not a rigged model: {error}", file=sys.stderr)
            continue
        points, faces = asset.welded()
        clock = time.process_time()
        try:
            ours, category, _ = automatic(points, faces, "")
        except AkdError as error:
            failures.append(path.name)
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        seconds.append(time.process_time() - clock)
        ours.category = category
        kinds += bool(rig.category)
        right += bool(rig.category) and rig.category == category
        if rig.category not in KINDS:
            print(f"{path.stem:24s} {rig.category or '?':10s} -> {category:10s} {seconds[-1]:.2f} s", file=sys.stderr)
            continue
        if category != rig.category:
            failures.append(path.name)
        found = compare(rig, ours, points.astype(np.float64))
        errors[rig.category].append(float(np.mean(list(found.values()))))
        for name, error in found.items():
            parts[rig.category].setdefault(name.replace("left_", "").replace("right_", ""), []).append(error)
        worst = ", ".join(f"{name} {found[name]:.1f}" for name in sorted(found, key=found.get)[: -4 if not verbose else None : -1])
        print(f"{path.stem:24s} {rig.category:10s} -> {category:10s} {errors[rig.category][-1]:5.2f} %  {seconds[-1]:.2f} s", file=sys.stderr)
        print(f"{'':24s} {len(found)} landmarks, worst {worst}", file=sys.stderr)
    for kind in KINDS:
        print(f"{kind}: " + ", ".join(f"{name} {np.mean(values):.1f}" for name, values in parts[kind].items()), file=sys.stderr)
    result: dict[str, Any] = {f"{kind}_error_pct": round(float(np.mean(errors[kind])), 3) if errors[kind] else None for kind in KINDS}
    result |= {f"{kind}_models": len(errors[kind]) for kind in KINDS}
    result |= {"failures": len(failures), "failed": " ".join(failures), "kinds_right": right, "kinds_of": kinds}
    return result | {"seconds_max": round(max(seconds), 3) if seconds else None, "seconds_mean": round(float(np.mean(seconds)), 3) if seconds else None}


def main() -> None:
    """Print one flat JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON (always done; kept for uniformity)")
    parser.add_argument("--assets", default=os.environ.get("AKD_TEST_ASSETS", ""), help="folder with rigged .glb models")
    parser.add_argument("--verbose", action="store_true", help="all landmarks of every model")
    options = parser.parse_args()
    if not options.assets or not Path(options.assets).is_dir():
        parser.error("--assets: name a folder with rigged .glb models, or set AKD_TEST_ASSETS")
    warm_up()
    print(json.dumps(figures(Path(options.assets), verbose=options.verbose)))


if __name__ == "__main__":
    main()
