"""Run by torchrun, or alone: some steps of a distillation, whose gradients and motion the first process saves."""

from __future__ import annotations

import sys

import torch

from stages.distill import parallel
from stages.distill.loop import Distillation
from stages.distill.params import Params, resolve
from stages.distill.priors.ideal import IdealPrior

from . import beast

VIEWS = 4


def steps(world: parallel.World, count: int, **more: object) -> dict[str, object]:
    """Gradients and row of the first step, and where the variables are after `count`."""
    rig, splat = beast.rig(), beast.splat(beads=3)
    prior = IdealPrior(rig, splat, cameras=2, phases=2)
    settings = resolve(Params(prior="ideal", iterations=10, views=VIEWS, speed=1.0, device="cpu", **more), prior.spec)
    run = Distillation(rig, splat, "a beast walking", settings, prior, "cpu", world)
    rows, gradients = [], {}
    for _ in range(count):
        rows.append(run.step())
        run.iteration += 1
        gradients = gradients or {name: leaf.grad.clone() for name, leaf in run.variables.leaves().items()}
    return {"rows": torch.tensor(rows, dtype=torch.float64), "gradients": gradients, "angles": run.variables.frames().angles.detach()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = parallel.start("cpu")
    results = here.tell(None), steps(here, 3)
    everywhere = [results[1]] * here.size
    if here.size > 1:
        torch.distributed.all_gather_object(everywhere, results[1])
    if here.rank == 0:
        torch.save(everywhere, sys.argv[1])
    parallel.stop()
