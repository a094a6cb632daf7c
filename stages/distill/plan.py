"""What a distillation would cost, before it runs: sizes, FLOPs, memory and hours from the cost model (costs/)."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

from schemas.errors import MissingError

from . import costs
from .params import Params, resolve
from .priors.base import PriorSpec

MATMUL_SHARE = 0.5
"""Share of a GPU's matmul rate that a whole iteration reaches, for the likely time. The paper's 9 s an iteration
(CogVideoX-5B, A100) against the 1.19 PFLOP computed here is 0.53 of the 250 TFLOP/s that an A100 multiplies large matrices at."""

_FULL_PRECISION = 2.0  # TensorFloat-32, in which CUDA convolves float32, has half the rate of half precision
RENDER_RATE = {"cuda": 1e12, "cpu": 6e9}  # of the renderer, in its own operations; ours, from the benchmark on a CPU. [1/s]
_SPLAT = 60.0  # operations per covered pixel and kernel behind it, forward
_DEPTH = 12.0  # kernels behind a covered pixel that count
_COVER = 0.2  # share of an image that the body covers


@dataclasses.dataclass(frozen=True)
class Device:
    """Where a run would be computed.

    Attributes:
        kind: "cpu" or "cuda".
        free: Memory that is free now. [bytes]
        rate: Measured on large matrix products, bfloat16 on CUDA, float32 on the CPU. [FLOP/s]
    """

    kind: str
    name: str
    free: float
    rate: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """Of one run. FLOPs and memory are computed; the device's rate and free memory are measured.

    Attributes:
        prior: As `--prior` takes it.
        preset, estimator: As resolved.
        here: Whether the model is on this machine.
        views, frames, height, width, fps: Of the clips. [-, -, px, px, Hz]
        window: Frames of a clip that one step takes, all of them unless there are more than the prior sees at once.
        latent: Frames, channels, height and width.
        tokens: Of text and video in one forward pass of the transformer.
        parameters: Of the transformer and of the video encoder.
        tflop: Of one iteration: render, encode, transformer, backward (render and encode, with what is computed again), total.
        checkpointing: Of the encoder, one of `costs.MODES`; "" where there is nothing to checkpoint.
        memory_gb: Computed for every mode, with the transformer on the device and offloaded (such as "nested+offload"); "used" is that of this run.
        fits: Whether the run fits into what is free.
        seconds: Of one iteration: at the device's matmul rate (the least), and likely.
        hours: Of the whole run, likewise.
    """

    prior: str
    preset: str
    estimator: str
    here: bool
    licence: str
    iterations: int
    guidance_scale: float
    views: int
    frames: int
    window: int
    height: int
    width: int
    fps: float
    latent: tuple[int, int, int, int]
    tokens: int
    parameters: dict[str, int]
    tflop: dict[str, float]
    checkpointing: str
    offload: bool
    memory_gb: dict[str, float]
    fits: bool
    device: dict[str, Any]
    seconds: dict[str, float]
    hours: dict[str, float]


# Rate of large matrix products: four fifths of the published dense bfloat16 peak, as measured on an A100 (312 TFLOP/s published)
GPUS = {name: Device("cuda", name, memory, 0.8 * peak) for name, memory, peak in (("A100", 80e9, 312e12), ("H200", 141e9, 989e12))}
"""GPUs that a large prior can be planned for from any machine."""


def plan(params: Params, device: Device, *, kernels: int, joints: int = 20) -> Plan:
    """Compute the plan of a run; reads configurations, never weights.

    Parameters:
        kernels, joints: Of the splat and the rig.

    Raises:
        InputError: As the run would, or no cost model knows the prior.
    """
    spec, config, here = describe(params.prior)
    settings = resolve(params, spec)
    clip = settings.views, settings.window, settings.height, settings.width  # of a longer motion each step takes one window
    guided = settings.guidance_scale != 1
    _check_encoder(params, spec, config)
    figures = _large(config, clip, guided, params, device) if "vae" in config else _embedded(config, clip[0], guided, device)
    render = settings.views * settings.window * _render(kernels, joints, settings.height * settings.width)
    tflop = {"render": render, **figures.pop("flops")}
    tflop["transformer"] *= calls(settings)
    tflop["backward"] += 2 * render
    codec = tflop["encode"] + tflop["backward"] - 2 * render
    networks = tflop["transformer"] + codec * (_FULL_PRECISION if figures.pop("full_precision") else 1)
    least = networks / device.rate + 3 * render / RENDER_RATE[device.kind]
    likely = networks / (MATMUL_SHARE * device.rate) + 3 * render / RENDER_RATE[device.kind]
    tflop["total"] = sum(tflop.values())
    return Plan(
        prior=params.prior,
        preset=settings.preset,
        estimator=settings.estimator,
        here=here,
        licence=spec.licence,
        iterations=settings.iterations,
        guidance_scale=settings.guidance_scale,
        views=clip[0],
        frames=settings.frames,
        window=settings.window,
        height=clip[2],
        width=clip[3],
        fps=settings.fps,
        tflop={name: value / 1e12 for name, value in tflop.items()},
        fits=figures["memory_gb"]["used"] * 1e9 <= device.free,
        device={"kind": device.kind, "name": device.name, "free_gb": round(device.free / 1e9, 2), "matmul_tflops": round(device.rate / 1e12, 3)},
        seconds={"least": least, "likely": likely},
        hours={"least": least * settings.iterations / 3600, "likely": likely * settings.iterations / 3600},
        **figures,
    )


def calls(settings: Params) -> float:
    """How often an iteration asks the prior, in units of one call of SDS: estimators ask more often, `refresh` more seldom."""
    from .estimators import make_estimator

    asked = make_estimator(settings.estimator, steps=settings.estimator_steps).passes(settings.guidance_scale)
    return asked / make_estimator("sds").passes(settings.guidance_scale) / settings.refresh


def describe(prior: str) -> tuple[PriorSpec, dict[str, dict[str, Any]], bool]:
    """Specification and configuration of a prior, and whether it is on this machine. Reads no weights.

    Returns:
        The configuration has "transformer" and "vae" for a large model, "model" for the built-in one, nothing for "ideal".

    Raises:
        InputError: No such prior, or no cost model for its family.
    """
    from .priors import registry

    own = registry.own_folder(prior)
    if own is not None:
        from .priors.embedded.model import ModelConfig
        from .priors.embedded.prior import spec_of

        card = own / "card.json"
        model = json.loads(card.read_text(encoding="utf-8"))["model"] if card.is_file() else {}
        known = {name: value for name, value in model.items() if name in {field.name for field in dataclasses.fields(ModelConfig)}}
        config = ModelConfig(**known)
        return spec_of(config), {"model": dataclasses.asdict(config)}, card.is_file()
    if prior == "ideal":
        from .priors.ideal import SPEC

        return SPEC, {}, True
    from .priors.folder import read_config

    try:
        folder = registry.find_model(prior)
    except MissingError:
        config = costs.CONFIGS[prior]
        return registry.make_spec(config, prior), config, False
    config = {part: read_config(folder / part) for part in ("transformer", "vae")}
    costs.family(config)
    return registry.read_model(prior), config, True


def least_memory(name: str) -> float:
    """Of a published model at its own clip, with guidance and without offloading, on a GPU. [GB]"""
    spec, config = describe(name)[0], costs.CONFIGS[name]
    clip = 1, spec.frames, spec.height, spec.width
    return min(costs.need(config, clip, mode, guided=True, offload=False, kind="cuda").total for mode in costs.choices(config)) / 1e9


def _check_encoder(params: Params, spec: PriorSpec, config: dict[str, dict[str, Any]]) -> None:
    """Raise InputError if there is no such encoder for the prior; whether its file is here does not matter to a plan."""
    from .priors import registry, taehv

    if "vae" not in config:
        registry.check_encoder(spec.name, params.encoder)
    elif params.encoder == taehv.TINY:
        taehv.published(config["transformer"]["_class_name"], spec)


def _large(config: dict[str, Any], clip: tuple[int, int, int, int], guided: bool, params: Params, device: Device) -> dict[str, Any]:
    kind, small = device.kind, params.encoder != "full"
    offload = params.offload and kind == "cuda"
    mode = costs.choose(config, clip, guided=guided, offload=offload, kind=kind, free=device.free, mode=params.checkpointing, small=small)
    gigabytes = {}
    for name in dict.fromkeys((*costs.choices(config, small=small), mode)):
        for other in (False, True) if kind == "cuda" else (False,):
            need = costs.need(config, clip, name, guided=guided, offload=other, kind=kind, small=small)
            gigabytes[name + "+offload" * other] = round(need.total / 1e9, 2)
    network, codec = costs.transformer(config, clip[1:], kind), costs.encoder(config, clip[1:], mode, kind, small=small)
    frames, height, width = costs.latent_size(config, clip[1:])
    return {
        "latent": (frames, costs.channels(config), height, width),
        "tokens": network.tokens,
        "parameters": {"transformer": network.parameters, "encoder": codec.parameters},
        "flops": {
            "encode": clip[0] * codec.forward,
            "transformer": clip[0] * (2 if guided else 1) * network.flops,
            "backward": clip[0] * codec.backward,
        },
        "checkpointing": mode,
        "offload": offload,
        "memory_gb": {**gigabytes, "used": gigabytes[mode + "+offload" * offload]},
        "full_precision": codec.size == 4 and kind == "cuda",
    }


def _embedded(config: dict[str, Any], views: int, guided: bool, device: Device) -> dict[str, Any]:
    """The built-in prior, or "ideal", which has no network."""
    from .priors.embedded import latent, text

    resident = 1.2e9  # Python, torch and the rest of the program: what a run on a CPU takes. [bytes]
    base = {"checkpointing": "", "offload": False, "full_precision": False, "memory_gb": {"used": round((resident + costs.RESERVE[device.kind]) / 1e9, 2)}}
    if not config:
        flops = {"encode": 0.0, "transformer": 0.0, "backward": 0.0}
        return {"latent": (17, 3, 24, 32), "tokens": 0, "parameters": {"transformer": 0, "encoder": 0}, "flops": flops, **base}
    m = config["model"]
    frames, (height, width) = latent.latent_frames(m["stride_t"]), latent.CELLS
    sizes = {
        "num_attention_heads": m["heads"],
        "attention_head_dim": m["width"] // m["heads"],
        "num_layers": m["layers"],
        "in_channels": m["channels"] + m["image_channels"] * m["reference"],
        "out_channels": m["channels"],
        "time_embed_dim": m["time_width"],
        "text_embed_dim": m["width"],
        "patch_size": m["patch"],
        "max_text_seq_length": text.LENGTH,
    }
    network = costs.cogvideox.transformer(sizes, frames, height, width)
    block = 3 * latent.STRIDE**2
    encode = 2.0 * frames * height * width * m["stride_t"] * block * m["channels"]
    image = 2.0 * height * width * block * m["image_channels"]
    passes = 2 if guided else 1
    words = (len(text.TOKENS) + text.LENGTH) * m["width"]
    return {
        "latent": (frames, m["channels"], height, width),
        "tokens": network.tokens,
        "parameters": {"transformer": network.parameters + words, "encoder": m["stride_t"] * block * m["channels"] + block * m["image_channels"]},
        "flops": {"encode": views * encode, "transformer": views * (passes * network.flops + image), "backward": views * encode},
        **base,
    }


def _render(kernels: int, joints: int, pixels: int) -> float:
    """Operations of one frame: skinning and projection of every kernel, then blending; a rough figure, small beside any network."""
    return kernels * (joints * 24 + 300) + _COVER * pixels * _DEPTH * _SPLAT


def measure(kind: str, seconds: float = 0.4) -> Device:
    """This machine's device: free memory, and the rate of large matrix products measured for a moment."""
    import torch

    size, dtype = (8192, torch.bfloat16) if kind == "cuda" else (1024, torch.float32)
    a = torch.ones(size, size, dtype=dtype, device=kind)

    def product() -> float:
        clock = time.perf_counter()
        torch.mm(a, a)
        if kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - clock

    free, name = _place(kind)
    product()
    times, end = [product()], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        times.append(product())
    return Device(kind, name, free, 2 * size**3 / sorted(times)[len(times) // 2])


def free_memory(kind: str) -> float:
    """Memory that a run could have now, with what torch holds already but does not use. [bytes]"""
    if kind == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info()
        return float(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())
    import os

    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return 1024.0 * next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else float("inf")


def _place(kind: str) -> tuple[float, str]:
    """Free memory and name. [bytes]"""
    import torch

    if kind == "cuda":
        return free_memory(kind), torch.cuda.get_device_name()
    return free_memory(kind), f"CPU, {torch.get_num_threads()} threads"
