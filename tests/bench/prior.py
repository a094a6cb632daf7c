"""Does distillation from the built-in prior give the gait that the prompt asks for? On bodies it was not trained on.

`python -m tests.bench.prior --bodies 5 --first 200000 --kind quadruped [--null] [--speed 1.2] [--json]`
Every body is prompted with each gait; figures come from joint motion (stages.evaluate.gait), not from images.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch

GAITS = ("walking", "running", "jumping", "standing")


def trial(seed: int, kind: str | None, gait: str, overrides: dict[str, Any], *, null: bool = False, prior: Any = None) -> dict[str, Any]:
    """Distil one prompt on one body and measure the motion. `null` hides the gait from the prior (the control)."""
    from stages.distill.params import Params
    from stages.distill.priors.embedded import bodies
    from stages.distill.priors.embedded.prior import EmbeddedPrior
    from stages.distill.stage import run
    from stages.evaluate.gait import analyse, phases_right
    from stages.rig.axes import limits

    body = bodies.random_body(seed, kind)
    body.rig.limits = limits(body.rig.roles).astype(np.float32)
    prior = prior or EmbeddedPrior()
    chosen = _Blind(prior) if null else prior
    begin = time.process_time()
    motion = run(body.rig, bodies.as_splat(body), f"an animal {gait}", Params(seed=seed % 1000, **overrides), prior=chosen)
    figures = analyse(body.rig, motion)
    swing = float(np.mean([leg["range"] for leg in figures["legs"].values()])) if figures["legs"] else 0.0
    return {
        "seed": seed, "kind": body.kind, "prompt": gait, "gait": figures["gait"], "right": figures["gait"] == gait,
        "phases_right": phases_right(figures, gait), "swing": round(swing, 3), "cpu_seconds": round(time.process_time() - begin, 1),
        **{key: figures[key] for key in ("period", "phases", "scores", "fit", "slide", "penetration", "floating", "distance", "bob", "jerk")},
    }  # fmt: skip


class _Blind:
    """The prior with every prompt replaced by the null prompt."""

    def __init__(self, prior: Any) -> None:
        self._prior, self.spec, self.diagnostics = prior, prior.spec, {}

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> Any:
        condition = self._prior.encode_prompt(prompt, negative, facing=facing)
        return type(condition)(condition.negative, condition.negative)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over trials, one flat dict."""
    moving = [row for row in rows if row["prompt"] != "standing"]
    result: dict[str, Any] = {"trials": len(rows), "moving": len(moving), "moving_right": sum(r["right"] for r in moving)}
    for gait in GAITS:
        some = [row for row in rows if row["prompt"] == gait]
        if some:
            result |= {
                f"{gait}_n": len(some), f"{gait}_right": sum(r["right"] for r in some), f"{gait}_phases_right": sum(r["phases_right"] for r in some),
                f"{gait}_swing": round(float(np.mean([r["swing"] for r in some])), 3), f"{gait}_slide": round(float(np.mean([r["slide"] for r in some])), 3),
            }  # fmt: skip
    result["cpu_seconds"] = round(float(np.mean([r["cpu_seconds"] for r in rows])), 1) if rows else 0.0
    return result


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bodies", type=int, default=5)
    parser.add_argument("--first", type=int, default=200000, help="seed of the first body; from 100000 on they are held out")
    parser.add_argument("--kind", default=None)
    parser.add_argument("--gaits", default=",".join(GAITS))
    parser.add_argument("--null", action="store_true", help="control: the prior is not told the gait")
    parser.add_argument("--speed", type=float, default=None, help="the same start speed for every prompt [m/s]")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of distill")
    parser.add_argument("--json", action="store_true", help="only the last line, one flat object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    overrides = {key: json.loads(value) for key, value in (entry.split("=", 1) for entry in options.set)}
    if options.speed is not None:
        overrides["speed"] = options.speed
    rows = []
    for seed in range(options.first, options.first + options.bodies):
        for gait in options.gaits.split(","):
            row = trial(seed, options.kind, gait, overrides, null=options.null)
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    print(json.dumps(totals(rows)))


if __name__ == "__main__":
    main()
