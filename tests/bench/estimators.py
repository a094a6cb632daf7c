"""Which estimator of the score is best? The built-in prior on three assets, three prompts, three seeds; motion metrics.

`python -m tests.bench.estimators --out DIR [--arms sds,consistent,...] [--assets tiger,KhronosFox,KnightCharacter] [--seeds 3]`
`python -m tests.bench.estimators --out DIR --variance [--arms ...]`

All arms share seeds, and so cameras and noise levels. Those whose name ends in 50 take so many steps, the others as many as
the prior wants (150). ISM and SDI ask the prior three times a step (six in `ism5` and `sdi5`): at 50 steps they cost as many
calls as SDS at 150; `-every-4` asks at every fourth of 150 steps (`--refresh 4`, the prior's own default). Finished trials
in DIR are not computed again. Assets other than the tiger are files of $AKD_TEST_ASSETS. Prints Markdown with 95% intervals.
`--variance` measures, at motions from the middle of a run of sds, how much the gradient on the joint variables varies
between draws.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.prior import swing, wilson

GAITS = ("walking", "running", "jumping")
ASSETS = {"tiger": "tiger", "KhronosFox": "fox", "KnightCharacter": "knight"}
"""What the prompts call them."""

KERNELS = 1000  # fewer than the stage's default: a run then takes seconds
LONG, SHORT = {"refresh": 1}, {"iterations": 50}  # every step asks the prior, whose own default is more seldom
ARMS: dict[str, dict[str, Any]] = {
    "sds": LONG,
    "consistent": LONG | {"estimator": "consistent"},
    "ism": LONG | {"estimator": "ism", "estimator_steps": 2},
    "sdi": LONG | {"estimator": "sdi", "estimator_steps": 2},
}
ARMS |= {f"{name}-50": settings | SHORT for name, settings in ARMS.items()}
ARMS |= {f"{name}5-50": ARMS[f"{name}-50"] | {"estimator_steps": 5} for name in ("ism", "sdi")}
ARMS |= {f"{name}-every-{n}": settings | {"refresh": n} for name, settings in list(ARMS.items())[:2] for n in (2, 4)}


@functools.cache
def subject(name: str, folder: Path) -> tuple[Any, Any]:
    """Rig and splat of an asset, made by the stages' defaults but for the number of kernels, and kept in a folder."""
    from schemas.rig import Rig
    from schemas.splat import Splat
    from stages.asset.stage import run as asset_stage
    from stages.rig.stage import run as rig_stage
    from stages.skin.params import Params as SkinParams
    from stages.skin.stage import run as skin_stage
    from stages.splat.params import Params as SplatParams
    from stages.splat.stage import run as splat_stage

    files = folder / f"{name}-rig.h5", folder / f"{name}-splat-{KERNELS}.h5"
    if not all(file.is_file() for file in files):
        model = Path(os.environ.get("AKD_TEST_ASSETS", "")) / f"{name}.glb"
        asset = asset_stage(str(model) if model.is_file() else name)
        rig = rig_stage(asset)
        splat = splat_stage(asset, skin_stage(asset, rig, SkinParams()), SplatParams(kernels=KERNELS, device="cpu"))
        rig.save(files[0])
        splat.save(files[1])
    return Rig.load(files[0]), Splat.load(files[1])


def trial(prior: Any, asset: str, gait: str, seed: int, overrides: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Distil one prompt on one asset and measure the motion."""
    from stages.distill.params import Params
    from stages.distill.stage import run
    from stages.evaluate.gait import analyse, phases_right

    rig, splat = subject(asset, folder)
    asked = _Counted(prior)
    cpu = time.process_time()
    motion = run(rig, splat, f"a {ASSETS[asset]} {gait}", Params(seed=seed, device="cpu", **overrides), prior=asked)
    cpu = time.process_time() - cpu
    figures = analyse(rig, motion)
    return {
        "asset": asset, "gait": gait, "seed": seed, "got": figures["gait"], "label": figures["label"], "right": figures["gait"] == gait,
        "phases_right": phases_right(figures, gait), "swing": round(swing(figures), 4), "fit": figures["fit"], "slide": figures["slide"],
        "jerk": figures["jerk"], "penetration": figures["penetration"], "phases": figures["phases"], "duty": figures["duty"],
        "steps": len(motion.losses), "calls": asked.calls, "cpu_seconds": round(cpu, 2),
    }  # fmt: skip


class _Counted:
    """A prior that counts how many clips were given to it."""

    def __init__(self, prior: Any) -> None:
        self._prior, self.calls = prior, 0

    def predict_x0(self, *given: Any, **named: Any) -> torch.Tensor:
        self.calls += 1
        return self._prior.predict_x0(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)


def interval(values: list[float]) -> str:
    """Mean with the half width of its 95% interval (normal)."""
    half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{np.mean(values):.3g} ± {half:.2g}"


def row(arm: str, rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    count, right, phases = len(rows), sum(r["right"] for r in rows), sum(r["phases_right"] for r in rows)
    by_gait = " / ".join(str(sum(r["right"] for r in rows if r["gait"] == gait)) for gait in GAITS)
    shares = " | ".join(f"{k}/{count} ({low:.2f}–{high:.2f})" for k, (low, high) in ((n, wilson(n, count)) for n in (right, phases)))
    means = " | ".join(interval([r[key] for r in rows]) for key in ("swing", "slide", "jerk"))
    cost = " | ".join(f"{np.mean([r[key] for r in rows]):.0f}" for key in ("steps", "calls", "cpu_seconds"))
    return f"| {arm} | {shares} | {by_gait} | {means} | {cost} |"


HEAD = (
    "| arm | gait right (95%) | all phases right (95%) | walk / run / jump right | swing [rad] | slide | jerk [hips/s³] | steps | prior calls | CPU s |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def compare(options: argparse.Namespace, prior: Any) -> None:
    """The table; one line for each arm as soon as it is done."""
    log = options.out / "trials.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    print(HEAD, flush=True)
    for arm in options.arms.split(","):
        rows = []
        for seed in range(options.seeds):
            for asset in options.assets.split(","):
                for gait in GAITS:
                    known = [r for r in done if (r["arm"], r["asset"], r["gait"], r["seed"]) == (arm, asset, gait, seed)]
                    if not known:
                        known = [{"arm": arm} | trial(prior, asset, gait, seed, ARMS[arm], options.out)]
                        with log.open("a") as file:
                            file.write(json.dumps(known[0]) + "\n")
                    rows.append(known[0])
        print(row(arm, rows), flush=True)


def gradients(loop: Any, draws: int, noise_only: bool) -> torch.Tensor:
    """Gradients of the score on the joint variables at the present motion. [(draws, D)]

    Every draw is a step of the run whose learning rate is 0, with other cameras, noise level and noise, or other noise only.
    """
    from stages.distill.schedule import NoiseSchedule

    seen, view = [], loop.rng.bit_generator.state
    for group in loop.optimiser.param_groups:
        group["lr"] = 0.0
    if noise_only:
        level = float(np.mean(loop.schedule.bounds(loop.iteration)))
        loop.schedule = NoiseSchedule((level, level), (level, level), 1)
    for _ in range(draws):
        if noise_only:
            loop.rng.bit_generator.state = view
        loop.step()
        seen.append(loop.variables.leaves()["joints"].grad.flatten().clone())
    return torch.stack(seen)


def spread(found: torch.Tensor) -> float:
    """Variance of a gradient over the square of its mean, both unbiased. [(draws, D)]"""
    variance = float(found.var(0).sum())
    return variance / max(float(found.mean(0).square().sum()) - variance / len(found), 1e-30)


def variances(options: argparse.Namespace, prior: Any) -> None:
    """How much the gradient varies, at motions that a run of sds passes through; Markdown."""
    from stages.distill.estimators import make_estimator
    from stages.distill.loop import Distillation
    from stages.distill.params import Params, resolve
    from stages.distill.start import default_speed

    rows: dict[str, list[tuple[float, float, float]]] = {arm: [] for arm in options.arms.split(",")}
    for asset in options.assets.split(","):
        rig, splat = subject(asset, options.out)
        settings = resolve(Params(device="cpu", speed=default_speed(rig, f"a {ASSETS[asset]} walking")[0]), prior.spec)
        loop = Distillation(rig, splat, f"a {ASSETS[asset]} walking", settings, prior, "cpu")
        while loop.iteration < settings.iterations // 2:
            loop.step()
            loop.iteration += 1
        loop.settings = dataclasses.replace(settings, lambda_smooth=0.0, lambda_ground=0.0, lambda_slide=0.0)
        start, schedule = loop.state(), loop.schedule
        means = {}
        for arm in rows:
            chosen = {"estimator": "sds", "estimator_steps": settings.estimator_steps} | ARMS[arm]
            figures = []
            for noise_only in (False, True):
                loop.schedule, loop.estimator = schedule, make_estimator(chosen["estimator"], steps=chosen["estimator_steps"])
                loop.generator.set_state(start["generator"])
                loop.rng.bit_generator.state = json.loads(start["rng"])
                found = gradients(loop, options.draws, noise_only)
                means.setdefault(arm, found.mean(0))
                figures.append(spread(found))
            likeness = torch.nn.functional.cosine_similarity(means[arm], means["sds"], dim=0) if "sds" in means else math.nan
            rows[arm].append((*figures, float(likeness)))
            print(asset, arm, rows[arm][-1], file=sys.stderr, flush=True)
    print("| arm | variance / mean² over all draws | over draws of the noise alone | cosine of the mean with that of sds |\n|---|---|---|---|")
    for arm, figures in rows.items():
        print(f"| {arm} | " + " | ".join(" / ".join(f"{value:.2g}" for value in column) for column in zip(*figures, strict=True)) + " |")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for assets and trials")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--assets", default=",".join(ASSETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variance", action="store_true", help="measure the variance of the gradient instead")
    parser.add_argument("--draws", type=int, default=16, help="for each variance")
    options = parser.parse_args()
    torch.set_num_threads(1)
    from stages.distill.priors.embedded.prior import EmbeddedPrior

    options.out.mkdir(parents=True, exist_ok=True)
    (variances if options.variance else compare)(options, EmbeddedPrior())


if __name__ == "__main__":
    main()
