"""What the look, the reference image, the temporal compression and the guidance of the built-in prior are worth, in matched runs.

`python -m tests.bench.ablation --out DIR [--arms base,natural,...] [--seeds 3] [--steps 800]`

Every arm trains small networks (three seeds) on the same bodies, motions, cameras and steps, then distils walk, run and
jump on the same bodies, none of which was used for tuning. Finished networks and trials in DIR are not computed again.
Prints one Markdown row per arm with 95% intervals.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.prior import wilson

GAITS = ("walking", "running", "jumping")
FIRST_BODY = 300000
BASE: dict[str, Any] = {"patch": 1, "width": 128, "heads": 4, "layers": 4, "channels": 96}
ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    "natural": {"look": "natural"},
    "no-reference": {"reference": False},
    "ground": {"ground": True},
    "stride-2": {"stride_t": 2, "channels": 64},
    "stride-1": {"stride_t": 1, "channels": 40},
}
"""Changes to the base: part colours, reference image, plain background, 4 frames a latent frame."""

GUIDANCE = {"guidance-2": 2.0, "guidance-4": 4.0, "guidance-7.5": 7.5}
"""Arms that distil from the networks of the base with another guidance than the default."""


def network(arm: str, seed: int, steps: int, chunks: int, out: Path) -> Path:
    """Folder of the trained weights of an arm's seed; trains them if they are not there."""
    from stages.distill.priors.embedded import data, files, train
    from stages.distill.priors.embedded.model import ModelConfig

    folder = out / f"{arm}-{seed}"
    if (folder / "card.json").is_file():
        return folder
    config = ModelConfig(**(BASE | ARMS[arm]))
    films = out / f"films-{config.look}{'-ground' if config.ground else ''}"
    for _ in data.prepare(films, chunks, config.scene(), shares=dict.fromkeys(GAITS, 0.3) | {"standing": 0.1}):
        pass
    first = data.read_chunk(data.chunk_path(films, 0))
    codec = data.fit_codec(config, first)
    latents = data.join([data.encode(config, codec, data.read_chunk(data.chunk_path(films, k))) for k in range(chunks)])
    trainer = train.Trainer(config, train.TrainConfig(steps=steps, batch=16, seed=seed), latents)
    while trainer.done() < 1:
        trainer.advance()
    files.save(trainer, codec, folder)
    return folder


def trial(prior: Any, body_seed: int, gait: str, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """Distil one gait on one quadruped."""
    from schemas.motion import Motion
    from stages.distill.params import Params
    from stages.distill.priors.embedded import bodies, data
    from stages.distill.stage import run
    from stages.evaluate.gait import analyse, phases_right
    from stages.rig.axes import limits

    body = bodies.random_body(body_seed, "quadruped")
    body.rig.limits = limits(body.rig.roles, along=body.rig.tails - body.rig.positions).astype(np.float32)
    begin = time.process_time()
    motion = run(body.rig, bodies.as_splat(body), f"an animal {gait}", Params(seed=seed, **overrides), prior=prior)
    figures = analyse(body.rig, motion)
    truth = data.clip_of(body, gait, np.random.default_rng(0))
    shown = Motion(
        name=motion.name, prompt="", fps=motion.fps, joint_names=motion.joint_names,
        angles=truth.angles, root_positions=truth.root_positions, root_rotations=truth.root_rotations,
    )  # fmt: skip
    return {
        "agreement": round(agreement(body.rig, motion, shown), 3),
        "body": body_seed, "gait": gait, "got": figures["gait"], "right": figures["gait"] == gait, "phases_right": phases_right(figures, gait),
        "swing": round(float(np.mean([leg["range"] for leg in figures["legs"].values()])), 3), "slide": figures["slide"],
        "cpu_seconds": round(time.process_time() - begin, 1),
    }  # fmt: skip


def agreement(rig: Any, motion: Any, truth: Any) -> float:
    """Mean correlation over the legs of their angle in time with that of the procedural gait; 1 is the gait itself, 0 is chance.

    Clips have one phase, so that the curves can be compared; it tells weak networks apart, all of which get the gait wrong.
    """
    from stages.evaluate.cycle import leg_angles
    from stages.evaluate.trajectory import trajectory_of

    curves = [leg_angles(t.hips, t.soles, t.ahead) for t in (trajectory_of(rig, motion), trajectory_of(rig, truth))]
    mine, true = (c - c.mean(0) for c in curves)
    return float(((mine * true).sum(0) / np.sqrt((mine**2).sum(0) * (true**2).sum(0)).clip(1e-12)).mean())


def row(arm: str, rows: list[dict[str, Any]], unexplained: list[float]) -> str:
    """Markdown."""
    count, right = len(rows), sum(r["right"] for r in rows)
    low, high = wilson(right, count)
    walks = [r for r in rows if r["gait"] == "walking"]
    by_seed = " / ".join(str(sum(r["right"] for r in rows if r["seed"] == s)) for s in sorted({r["seed"] for r in rows}))
    phases = sum(r["phases_right"] for r in walks)
    by_net = [np.mean([r["agreement"] for r in rows if r["seed"] == s]) for s in sorted({r["seed"] for r in rows})]
    agree = " / ".join(f"{value:.2f}" for value in by_net)
    return (
        f"| {arm} | {right}/{count} ({low:.2f}-{high:.2f}) | {by_seed} | {phases}/{len(walks)} | {np.mean(by_net):.2f} ({agree}) | {np.mean(unexplained):.3f} "
        f"| {np.mean([r['cpu_seconds'] for r in rows]):.1f} |"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for films, networks and trials")
    parser.add_argument("--arms", default=",".join((*ARMS, *GUIDANCE)))
    parser.add_argument("--seeds", type=int, default=3, help="training seeds of each arm")
    parser.add_argument("--bodies", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--chunks", type=int, default=12, help="size of the data set in files of 800 clips")
    options = parser.parse_args()
    torch.set_num_threads(1)
    from stages.distill.priors.embedded.prior import EmbeddedPrior

    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "trials.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    print("| arm | right (95%) | by training seed | walks, all phases | agreement (by training seed) | unexplained at u = 1 | CPU s a motion |")
    print("|---|---|---|---|---|---|---|")
    for arm in options.arms.split(","):
        rows, unexplained = [], []
        overrides = {"refresh": 1} | ({"guidance_scale": GUIDANCE[arm]} if arm in GUIDANCE else {})  # a weak network is asked at every step
        for seed in range(options.seeds):
            folder = network("base" if arm in GUIDANCE else arm, seed, options.steps, options.chunks, options.out)
            prior = EmbeddedPrior(folder=folder)
            unexplained.append(prior.card["unexplained_variance"]["1"])
            for body in range(FIRST_BODY, FIRST_BODY + options.bodies):
                for gait in GAITS:
                    key = {"arm": arm, "seed": seed}
                    known = [r for r in done if (r["arm"], r["seed"], r["body"], r["gait"]) == (arm, seed, body, gait)]
                    if not known:
                        known = [key | trial(prior, body, gait, seed, overrides)]
                        with open(log, "a") as file:
                            file.write(json.dumps(known[0]) + "\n")
                    rows.append(known[0])
        print(row(arm, rows, unexplained), flush=True)


if __name__ == "__main__":
    main()
