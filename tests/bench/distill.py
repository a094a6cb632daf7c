"""Seconds of one step of distillation, split into render / encode / transformer / backward, its FLOPs, and the roofline.

python -m tests.bench.distill --json [--prior embedded] [--steps 8] [--assets tiger,KhronosFox,KnightCharacter] [--full]

The step that is split asks the prior, which by default only every fourth does. `roofline_ratio` is its time over that of
as many FLOPs at the rate of large matrix products, measured here; 1 would be perfect. Each of `--assets` is also
distilled wholly; names that are not built in are files of $AKD_TEST_ASSETS. `--full` measures full-size CogVideoX with random
weights on a CUDA GPU, at its own clip: speed needs no training.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from stages.distill import costs, plan, stage
from stages.distill import loop as loops
from stages.distill.params import Params, resolve
from stages.distill.priors import registry

PARTS = ("render", "encode", "prior", "backward")
SENTENCES = {"tiger": "a tiger walking", "KhronosFox": "a fox walking", "KnightCharacter": "a person walking"}


def body(name: str) -> tuple[Any, Any]:
    """Rig and splat of a built-in character, or of a model in $AKD_TEST_ASSETS, by the stages' defaults."""
    from stages.asset import stage as asset_stage
    from stages.asset.params import Params as AssetParams
    from stages.rig import stage as rig_stage
    from stages.rig.params import Params as RigParams
    from stages.skin import stage as skin_stage
    from stages.skin.params import Params as SkinParams
    from stages.splat import stage as splat_stage
    from stages.splat.params import Params as SplatParams

    file = Path(os.environ.get("AKD_TEST_ASSETS", "")) / f"{name}.glb"
    asset = asset_stage.run(str(file) if file.is_file() else name, AssetParams())
    rig = rig_stage.run(asset, RigParams())
    return rig, splat_stage.run(asset, skin_stage.run(asset, rig, SkinParams()), SplatParams())


class Clock:
    """Collects the seconds of named parts; on CUDA it waits for the device at both ends."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, dict.fromkeys(PARTS, 0.0)

    def now(self) -> float:
        """Seconds, when all that was asked of the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time added to a part."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            began = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += self.now() - began

        return call


@contextmanager
def watched(loop: Any, clock: Clock) -> Iterator[None]:
    """Time the parts of a run: rendering with skinning, encoding, the prior's prediction, and both backward passes."""
    whole = torch.autograd.grad, torch.Tensor.backward
    loop.body.film = clock.timed("render", loop.body.film)
    loop.prior.encode_video = clock.timed("encode", loop.prior.encode_video)
    loop.prior.predict_x0 = clock.timed("prior", loop.prior.predict_x0)
    torch.autograd.grad, torch.Tensor.backward = clock.timed("backward", whole[0]), clock.timed("backward", whole[1])
    try:
        yield
    finally:
        torch.autograd.grad, torch.Tensor.backward = whole
        for thing, name in ((loop.body, "film"), (loop.prior, "encode_video"), (loop.prior, "predict_x0")):
            delattr(thing, name)


def measure(rig: Any, splat: Any, prompt: str, prior: Any, params: Params, steps: int, device: plan.Device) -> dict[str, float]:
    """Medians over `steps` iterations in the middle of a run, each of which asks the prior, after two that warm up. [ms]"""
    params = dataclasses.replace(params, refresh=1)
    settings = resolve(params, prior.spec)
    if settings.speed is None:
        settings = resolve(Params(**{**vars(settings), "speed": 1.0}), prior.spec)
    if hasattr(prior, "prepare"):
        print(prior.prepare(settings), file=sys.stderr)
    loop = loops.Distillation(rig, splat, prompt, settings, prior, device.kind)
    loop.iteration = settings.iterations // 2
    times: dict[str, list[float]] = {part: [] for part in ("iteration", *PARTS)}
    for step in range(steps + 2):
        clock = Clock(device.kind)
        with watched(loop, clock):
            began = clock.now()
            loop.step()
            whole = clock.now() - began
        if step >= 2:
            for part, seconds in {"iteration": whole, **clock.seconds}.items():
                times[part].append(1e3 * seconds)
        loop.iteration += 1
    made = {f"ms_{'per_' if part == 'iteration' else ''}{part}": round(statistics.median(values), 3) for part, values in times.items()}
    expected = plan.plan(params, device, kernels=len(splat.means), joints=rig.joint_count)
    ratio = made["ms_per_iteration"] / 1e3 / (1e12 * expected.tflop["total"] / device.rate)
    return {
        **made,
        "tflop_per_iteration": float(f"{expected.tflop['total']:.6g}"),
        "matmul_tflops": float(f"{device.rate / 1e12:.4g}"),
        "roofline_ratio": round(ratio, 3),
    }


def random_cogvideox(config: dict[str, Any], name: str, device: str = "cuda") -> Any:
    """A CogVideoX of a configuration with random weights; its text is random too."""
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel

    from stages.distill.priors.base import TextCondition
    from stages.distill.priors.cogvideox import CogVideoX, make_spec

    prior = CogVideoX.__new__(CogVideoX)
    prior.spec = make_spec(config["transformer"], config["vae"], name)
    prior.device = torch.device(device)
    prior.dtype = torch.bfloat16 if config["transformer"]["use_rotary_positional_embeddings"] else torch.float16
    levels = len(config["vae"]["block_out_channels"])
    kinds = {"down_block_types": ("CogVideoXDownBlock3D",) * levels, "up_block_types": ("CogVideoXUpBlock3D",) * levels}
    torch.set_default_dtype(prior.dtype)  # built in half precision: float32 weights would not fit beside them
    try:
        with prior.device:
            prior.transformer = CogVideoXTransformer3DModel(**{k: v for k, v in config["transformer"].items() if k != "_class_name"})
            prior.vae = AutoencoderKLCogVideoX(**config["vae"], **kinds)
    finally:
        torch.set_default_dtype(torch.float32)
    for network in (prior.transformer, prior.vae):
        network.eval().requires_grad_(False)
    prior.vae.decoder.to("cpu")
    prior.alphas_cumprod = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    ).alphas_cumprod.double()
    prior.offloaded, prior.diagnostics = None, {}
    size = config["transformer"]["max_text_seq_length"], config["transformer"]["text_embed_dim"]
    text = torch.randn(1, *size, device=prior.device, dtype=prior.dtype)
    prior.encode_prompt = lambda *_, **__: TextCondition(text, torch.zeros_like(text))
    return prior


def full(rig: Any, splat: Any, prompt: str, steps: int, params: Params) -> dict[str, float]:
    """Every published CogVideoX at 49 x 480 x 720 on the GPU, with its peak memory beside the computed one. [ms, GB]"""
    if not torch.cuda.is_available():
        sys.exit("--full: torch sees no CUDA device; the full-size models are only measured on one")
    figures: dict[str, float] = {}
    for name in ("cogvideox-2b", "cogvideox-5b"):
        prior = random_cogvideox(costs.CONFIGS[name], name)
        device = plan.measure("cuda")
        torch.cuda.reset_peak_memory_stats()
        own = Params(**{**vars(params), "prior": name})
        own = Params(**{**vars(own), "checkpointing": plan.plan(own, device, kernels=len(splat.means)).checkpointing})
        found = measure(rig, splat, prompt, prior, own, steps, device)
        found["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        found["peak_gb_computed"] = plan.plan(own, device, kernels=len(splat.means)).memory_gb["used"]
        figures |= {f"{name}_{key}": value for key, value in found.items()}
        del prior
        torch.cuda.empty_cache()
    return figures


def at_hand() -> list[str]:
    """The assets of SENTENCES that are built in or lie in $AKD_TEST_ASSETS."""
    folder = Path(os.environ.get("AKD_TEST_ASSETS", ""))
    return [name for name in SENTENCES if name == "tiger" or (folder / f"{name}.glb").is_file()]


def whole(name: str, prior: Any, rig: Any, splat: Any, params: Params) -> float:
    """Seconds of a complete distillation with the prior's own defaults."""
    began = time.perf_counter()
    stage.run(rig, splat, SENTENCES.get(name, "an animal walking"), params, prior=prior)
    return time.perf_counter() - began


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--prior", default="embedded", help="the built-in one, or a folder")
    parser.add_argument("--steps", type=int, default=8, help="iterations to time")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the stage itself uses one on a CPU")
    parser.add_argument("--assets", default=",".join(at_hand()), help="assets to distil wholly, by comma")
    parser.add_argument("--full", action="store_true", help="full-size CogVideoX with random weights, needs CUDA")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rig, splat = body("tiger")
    params = Params(prior=options.prior, device="cuda" if options.full else "cpu")
    if options.full:
        figures: dict[str, Any] = full(rig, splat, "a tiger walking", options.steps, params)
    else:
        prior = registry.load_prior(options.prior, device="cpu", rig=rig, splat=splat)
        figures = measure(rig, splat, "a tiger walking", prior, params, options.steps, plan.measure("cpu"))
    for name in filter(None, options.assets.split(",")):
        print(f"{name} ...", file=sys.stderr)
        rig, splat = body(name)
        loaded = registry.load_prior(options.prior, device=params.device, rig=rig, splat=splat)
        figures[f"seconds_laptop_{name}"] = round(whole(name, loaded, rig, splat, params), 1)
    print(json.dumps(figures) if options.json else "\n".join(f"{key:24} {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
