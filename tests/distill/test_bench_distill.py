"""The benchmark of a step accounts for where its time goes."""

from __future__ import annotations

from stages.distill import plan
from stages.distill.params import Params
from stages.distill.priors import registry
from tests.bench import distill as bench

from . import beast


def test_the_parts_of_a_step_make_up_the_step():
    rig, splat = beast.rig(), beast.splat(beads=3)
    prior = registry.load_prior("embedded", device="cpu")
    made = bench.measure(rig, splat, "a beast walking", prior, Params(device="cpu"), 2, plan.Device("cpu", "CPU", 8e9, 1e12))
    parts = [made[f"ms_{part}"] for part in bench.PARTS]
    assert min(parts) > 0 and 0.5 * made["ms_per_iteration"] < sum(parts) <= 1.2 * made["ms_per_iteration"]
    assert made["roofline_ratio"] > 1 and made["tflop_per_iteration"] > 0
