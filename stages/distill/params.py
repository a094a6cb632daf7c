"""Parameters of the distill stage."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from schemas.errors import InputError
from schemas.params import check, param

from . import presets
from .windows import window_of

if TYPE_CHECKING:
    from .priors.base import PriorSpec

WEIGHTINGS = ("one", "sigma2", "eps")
CHECKPOINTING = ("none", "resnets", "blocks", "nested")
ESTIMATORS = ("sds", "consistent", "ism", "sdi")
PRESETS = ("paper", "fast", "laptop")


@dataclasses.dataclass(frozen=True)
class Params:
    """Distillation (METHOD 5 and 6). None means: what the prior wants (`PriorSpec.defaults`), else `FALLBACK`."""

    prior: str = param(
        "embedded",
        "Video model: embedded, ideal, cogvideox-2b, cogvideox-5b, cogvideox1.5-5b, wan2.1-1.3b, wan2.1-14b, wan2.2-ti2v-5b, ltx-video, "
        "or a folder in diffusers format.",
    )
    preset: str = param(
        "auto",
        "Named set of values for what is not given: paper, fast, laptop (default: laptop for the built-in prior, else paper).",
        choices=("auto", *PRESETS),
    )
    iterations: int | None = param(None, "Optimisation steps (default: the prior's; the paper uses 10000).", low=1)
    seed: int = param(0, "Seed of cameras, noise levels and noise.", low=0)
    negative: str = param("", "Negative prompt for classifier-free guidance.")
    guidance_scale: float | None = param(None, "Classifier-free guidance scale; 1 is none.", low=0, high=1000)
    estimator: str | None = param(None, "How the score is estimated: sds as in the paper, or one of lower variance: consistent, ism, sdi.", choices=ESTIMATORS)
    estimator_steps: int | None = param(None, "Calls of the prior that ism and sdi spend on the inversion at every step.", low=1, high=1000)
    refresh: int | None = param(None, "Ask the prior at every so many steps and pull towards its last answer in between.", low=1, high=1000)
    views: int | None = param(None, "Cameras per step, alternating between the character's sides.", low=1, high=64)
    frames: int | None = param(None, "Frames of the clip.", low=2, high=1000)
    height: int | None = param(None, "Height of the clip.", unit="px", low=8, high=4096)
    width: int | None = param(None, "Width of the clip.", unit="px", low=8, high=4096)
    fps: float | None = param(None, "Frames per second.", unit="Hz", low=1, high=240)
    modes: int | None = param(None, "Cosine modes over time for every motion variable; 0 = one value per frame, as in the paper.", low=0, high=1000)
    unfold: float | None = param(None, "Share of the steps over which the modes are released from coarse to fine; 0 = all at once.", low=0, high=1)
    pose: str = param(
        "relaxed",
        "Pose it starts from: relaxed lowers arms that stand out at rest, as in a T-pose; rest is as modelled.",
        choices=("relaxed", "rest"),
    )
    speed: float | None = param(None, "Speed of the start motion; default by the prompt's verb and the body's size.", unit="m/s", low=0, high=100)
    learning_rate: float | None = param(None, "Adam step of the joint angles.", unit="rad", low=0, high=10)
    root_learning_rate: float | None = param(None, "Adam step of the root, in radians and in body heights.", low=0, high=10)
    trunk_rate: float | None = param(None, "Step of joints outside the legs, relative to the legs'.", low=0, high=10)
    lateral_rate: float | None = param(None, "Step of twist and sideways swing, relative to the swing forward.", low=0, high=10)
    window: int | None = param(None, "Frames that the prior sees at once (default: its clip's); longer clips are done in windows.", low=2, high=1000)
    overlap: int | None = param(None, "Frames that neighbouring windows share, for clips longer than the prior's.", low=0, high=1000)
    loop: bool = param(False, "Make a seamless cycle: the last frame flows into the first.")
    path: str = param("", "Ground points 'x,z x,z ...' that the root follows from where it stands, as a smooth curve, or a file of them.", unit="m")
    freeze: str = param("", "Joints that stay as they start, by name, role or pattern: 'tail*,head'.")
    hold: str = param("", "How strongly parts are kept at rest, by name, role or pattern: 'tail*=2,neck=0.5'.")
    lambda_smooth: float | None = param(None, "Weight of the smoothness term (9).", low=0)
    lambda_ground: float | None = param(None, "Weight of the ground term (10).", low=0)
    lambda_slide: float | None = param(None, "Weight of the term that keeps feet on the ground where they are; acts in the second half.", low=0)
    ground_render: bool | None = param(None, "Show the prior a checkerboard ground (default: as it wants).")
    ground_loss: bool = param(True, "Keep the body above the ground, equation (10).")
    smoothness: bool = param(True, "Keep the motion smooth, equation (9).")
    weighting: str = param("auto", "Weight w(t) of the score: one, sigma2 = 1 - abar, eps = noise prediction.", choices=("auto", *WEIGHTINGS))
    t_min: float | None = param(None, "Lowest noise level t/T at the start.", low=0, high=1)
    t_max: float | None = param(None, "Highest noise level t/T at the start.", low=0, high=1)
    t_min_end: float | None = param(None, "Lowest noise level after annealing.", low=0, high=1)
    t_max_end: float | None = param(None, "Highest noise level after annealing.", low=0, high=1)
    anneal: float | None = param(None, "Share of the steps over which the noise levels are annealed.", low=0, high=1)
    blur: float | None = param(
        None, "Spread of the score's gradient over the picture at the start; falls to 0 while noise levels are annealed.", unit="px", low=0, high=1000
    )
    tolerance: float | None = param(
        None, "Stop after annealing once a tenth of the steps changes the joint angles by less than this (rms); 0 = never.", unit="rad", low=0, high=10
    )
    checkpoint_every: float = param(60.0, "Seconds between checkpoints.", unit="s", low=0, invalidating=False)
    checkpointing: str = param(
        "auto",
        "What of the video encoder is computed twice to save memory: the least that fits, or as named.",
        choices=("auto", *CHECKPOINTING),
        invalidating=False,
    )
    offload: bool = param(False, "Keep the video transformer's weights in the host's memory between its calls.", invalidating=False)
    encoder: str = param("full", "Video encoder: full, the prior's own, or a tiny one made for it: tiny, or its file (such as taew2_1.safetensors).")
    compile: bool = param(False, "Compile the video model with torch.compile; the first steps take minutes longer.", invalidating=False)
    preview: bool = param(True, "Refresh a contact sheet and loss curves beside the result while it works.", invalidating=False)
    tensorboard: str = param("", "Folder for TensorBoard scalars, one for each run.", invalidating=False)
    device: str = param("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), invalidating=False)


# 10000 steps, half of them annealing, are the paper's; the rest is ours, with the guidance usual in text-to-3D
FALLBACK: dict[str, Any] = {
    "iterations": 10000,
    "guidance_scale": 100.0,
    "estimator": "sds",
    "estimator_steps": 5,
    "refresh": 1,
    "views": 1,
    "overlap": 8,
    "modes": 0,
    "unfold": 0.0,
    "learning_rate": 0.005,
    "root_learning_rate": 0.0025,
    "trunk_rate": 1.0,
    "lateral_rate": 1.0,
    "lambda_smooth": 1.0,
    "lambda_ground": 5.0,
    "lambda_slide": 0.0,
    "weighting": "sigma2",
    "t_min": 0.02,
    "t_max": 0.98,
    "t_min_end": 0.02,
    "t_max_end": 0.5,
    "anneal": 0.5,
    "blur": 0.0,
    "tolerance": 0.0,
}


def resolve(params: Params, spec: PriorSpec) -> Params:
    """Fill what the user left open from the preset, the prior, then `FALLBACK`; `speed` and `ground_render` may stay None.

    Raises:
        InputError: A value is out of bounds, a range of noise levels is empty, or the prior takes no such clip.
    """
    clip = {"frames": spec.frames, "height": spec.height, "width": spec.width, "fps": spec.fps}
    known = {**FALLBACK, **clip, **spec.defaults, **presets.values(params.preset, spec)}
    unknown = set(spec.defaults) - {field.name for field in dataclasses.fields(Params)}
    if unknown:
        raise ValueError(f"prior {spec.name} has a default for '{min(unknown)}', which is no parameter of distill")
    filled = {name: value for name, value in known.items() if getattr(params, name) in (None, "auto")}
    done = dataclasses.replace(params, **filled, preset=presets.choose(params.preset, spec))
    done = dataclasses.replace(done, window=window_of(done.frames, params.window or known["frames"]))
    cap = {name: min(getattr(done, name), spec.max_time) for name in ("t_max", "t_max_end") if getattr(params, name) is None}
    done = dataclasses.replace(done, **cap)
    check(done)
    for low, high in (("t_min", "t_max"), ("t_min_end", "t_max_end")):
        if getattr(done, low) > getattr(done, high):
            raise InputError(f"--{low.replace('_', '-')} {getattr(done, low)}: above --{high.replace('_', '-')} {getattr(done, high)}.")
        if getattr(done, high) > spec.max_time:
            raise InputError(f"--{high.replace('_', '-')} {getattr(done, high)}: the prior {spec.name} is usable up to {spec.max_time}.")
    spec.check_clip(done.window, done.height, done.width, flag="--frames" if done.window == done.frames else "--window")
    return done
