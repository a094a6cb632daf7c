"""Mesh to Gaussians: rasterizer, animated step, quality and time of the fit, each beside its reference in the same run.

python -m tests.bench.splat --json [--only raster,filters,cores,step,fit,curve] [--assets tiger,...] [--repeats N] [--iterations N]

Times are CPU time of this process on one thread; `speedup_2_cores` compares the busiest thread's.
Assets other than the tiger are files of $AKD_TEST_ASSETS and left out without it. `psnr_fg_256` is over white, on eight
held-out views of 256 px of four by four rays a pixel, of the pixels that the mesh touches, in the image model of the fit;
`_classic_1x` and `_classic_4x` as 3DGS viewers show the same splats, at this size and averaged from four times it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import torch

from schemas.asset import Asset
from schemas.skin import Skin
from stages.asset import stage as asset_stage
from stages.asset.params import Params as AssetParams
from stages.progress import SILENT
from stages.splat import optimise, stage
from stages.splat.kernels import FILTER, Kernels
from stages.splat.params import Params
from stages.splat.start import Start, frames, sample
from stages.splat.views import photograph
from stages.view.camera import Camera, orbit
from stages.view.rasterize import render
from tests.view import dense_oracle

FILES = {"tiger": "tiger", "KhronosFox": "KhronosFox.glb", "mannequiny": "mannequiny.glb", "spot": "static/spot_low_resolution.obj"}
RASTER = {"raster_10k_128": (10_000, 8, 128, 128), "raster_20k_256": (20_000, 4, 256, 256), "raster_100k_480x720": (100_000, 1, 480, 720)}


def load(name: str) -> Asset | None:
    """One of the benchmark's assets, None where its file is not at hand."""
    if FILES[name] == name:
        return asset_stage.run(name, AssetParams())
    file = Path(os.environ.get("AKD_TEST_ASSETS", "")) / FILES[name]
    return asset_stage.run(str(file), AssetParams()) if file.is_file() else None


def rigid_skin(asset: Asset) -> Skin:
    """One bone: binding is not what is measured here."""
    return Skin(name=asset.name, method="heat", weights=np.ones((len(asset.vertices), 1)))


def surface_scene(count: int, views: int, width: int, height: int) -> tuple[list[torch.Tensor], Camera, Start]:
    """The tiger as flat kernels of opacity 0.95, seen from all sides: means, covariances, opacities, random colours."""
    asset = asset_stage.run("tiger", AssetParams())
    start = sample(asset, count, np.random.default_rng(0))
    half = frames(start.normals).float() * torch.as_tensor(start.spacing[:, None] * [0.5, 0.5, 0.05]).float()[:, None]
    low, high = asset.vertices.min(0), asset.vertices.max(0)
    middle, radius = torch.as_tensor(0.5 * (low + high)).float()[None], 0.5 * float(np.linalg.norm(high - low))
    angles = np.linspace(0, 2 * np.pi, views, endpoint=False)
    cameras = [orbit(middle, azimuth=a, elevation=0.3, distance=3.36 * radius, focal=1.6, width=width, height=height) for a in angles]
    camera = Camera(torch.cat([c.view for c in cameras]), torch.cat([c.intrinsics for c in cameras]), width, height)
    colors = torch.rand(len(start.means), 3, generator=torch.Generator().manual_seed(0))
    means, spread = torch.as_tensor(start.means).float(), half @ half.transpose(1, 2)
    return [means.repeat(views, 1, 1), spread.repeat(views, 1, 1, 1), torch.full((len(means),), 0.95), colors], camera, start


def cost(function: Callable[..., Any], inputs: list[torch.Tensor], camera: Camera, repeats: int) -> float:
    """Median milliseconds per frame, forward and backward. The first run, which compiles, does not count."""
    gradient = torch.rand(camera.frames, camera.height, camera.width, 4, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(repeats + 1):
        leaves = [t.clone().requires_grad_() for t in inputs]
        start = time.process_time()
        torch.autograd.backward(function(*leaves, camera), gradient)
        times.append(1e3 * (time.process_time() - start) / camera.frames)
    return statistics.median(times[1:])


def fast(*arguments: Any) -> torch.Tensor:
    return torch.cat(render(*arguments), -1)


def raster(repeats: int) -> dict[str, float]:
    """Milliseconds per frame, and against the image model written directly in torch on a scene small enough for its memory."""
    result = {}
    for name, (count, views, width, height) in RASTER.items():
        scene, camera, _ = surface_scene(count, views, width, height)
        result[f"{name}_cpu_ms"] = cost(fast, scene, camera, repeats)
    scene, camera, _ = surface_scene(1000, 2, 64, 48)
    ours, torchs = cost(fast, scene, camera, repeats), cost(dense_oracle.render, scene, camera, 2)
    return result | {"peer_1k_64x48_ms": ours, "peer_1k_64x48_torch_ms": torchs, "speedup_vs_torch": torchs / ours}


def filters(repeats: int) -> dict[str, float]:
    """What the options of the image model cost: 5k kernels at 128 x 128."""
    scene, camera, _ = surface_scene(5000, 8, 128, 128)
    options = {"classic": {}, "antialiased": FILTER, "supersample_2": {"supersample": 2}, "supersample_4": {"supersample": 4}}

    def drawn(given: dict[str, Any]) -> Callable[..., torch.Tensor]:
        return lambda *arguments: torch.cat(render(*arguments, **given), -1)

    return {f"filter_{name}_5k_128_cpu_ms": cost(drawn(given), scene, camera, repeats) for name, given in options.items()}


def thread_seconds() -> list[float]:
    """CPU seconds of each thread of this process, by Linux's count."""
    return [int(path.read_text().split()[0]) / 1e9 for path in Path("/proc/self/task").glob("*/schedstat")]


def busiest() -> float:
    """CPU seconds of the busiest thread over 30 times 16 frames of 10k kernels at 128 x 128."""
    scene, camera, _ = surface_scene(10_000, 16, 128, 128)
    cost(fast, scene, camera, 1)
    before = thread_seconds()
    cost(fast, scene, camera, 29)
    return max(after - start for after, start in zip(thread_seconds(), before, strict=True))


def cores() -> dict[str, float]:
    """How much the second core takes off the first: CPU time of the busiest thread, one thread over two.

    On idle cores that is the ratio of wall times; unlike it, it can be measured on a busy machine.
    """
    times = {}
    for threads in ("1", "2"):
        environment = {**os.environ, "NUMBA_NUM_THREADS": threads}
        code = "from tests.bench.splat import busiest; print(busiest())"
        done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
        times[threads] = float(done.stdout)
    return {"speedup_2_cores": times["1"] / times["2"]}


def step(repeats: int) -> dict[str, float]:
    """16 frames of 5k kernels at 128 x 128: deform, render and go back to the joint angles; in one pass, and one after the other."""
    from stages.body import kinematics, skinning
    from stages.rig import stage as rig_stage
    from stages.rig.params import Params as RigParams
    from stages.skin import stage as skin_stage
    from stages.skin.params import Params as SkinParams
    from stages.view.ground import hide_below
    from stages.view.posed import carry, render_posed

    (means, spread, opacities, colors), camera, start = surface_scene(5000, 16, 128, 128)
    asset = asset_stage.run("tiger", AssetParams())
    rig = rig_stage.run(asset, RigParams())
    weights = torch.as_tensor(stage.bind(asset, skin_stage.run(asset, rig, SkinParams()), start.faces, start.barycentric)).float()
    skeleton, kernels = kinematics.Skeleton.from_rig(rig), carry(means[0], spread[0], weights, opacities, colors)
    angles = 0.2 * torch.randn(16, len(skeleton.parents), 3, generator=torch.Generator().manual_seed(0))
    root, turn = skeleton.positions[0].expand(16, 3), torch.eye(3).expand(16, 3, 3)

    def fused(leaf: torch.Tensor, _camera: Camera) -> torch.Tensor:
        pose = kinematics.forward(skeleton, leaf, root, turn)
        return torch.cat(render_posed(kernels, pose.rotations, pose.translations, camera), -1)

    def separate(leaf: torch.Tensor, _camera: Camera) -> torch.Tensor:
        posed, carried = skinning.skin_gaussians(means[0], spread[0], weights, kinematics.forward(skeleton, leaf, root, turn))
        return torch.cat(render(posed, carried, hide_below(posed, opacities), colors, camera), -1)

    return {
        "step_16f_5k_128_cpu_ms": 16 * cost(fused, [angles], camera, repeats),
        "step_16f_5k_128_separate_cpu_ms": 16 * cost(separate, [angles], camera, repeats),
    }


def vertex_kernels(asset: Asset, count: int, rng: np.random.Generator) -> tuple[Kernels, torch.Tensor]:
    """The paper's start: grey round kernels at mesh vertices, of the size of the gap to the neighbours; and the gaps."""
    from scipy.spatial import cKDTree

    places = np.unique(asset.vertices.astype(np.float64), axis=0)  # vertices that seams have doubled count once
    means = places[rng.permutation(len(places))[:count]]
    spacing = torch.as_tensor(np.maximum(cKDTree(means).query(means, k=5)[0][:, 1:].mean(1), 1e-9)).float()
    kernels = Kernels(
        means=torch.as_tensor(means).float(),
        rotations=torch.tensor([0.0, 0, 0, 1]).repeat(len(means), 1),
        scales=spacing.log()[:, None].repeat(1, 3),
        opacities=torch.full((len(means),), -2.197),
        colors=torch.full((len(means), 3), 0.5),
    )
    return kernels, spacing


def vertex_fit(asset: Asset, params: Params, count: int) -> tuple[float, float]:
    """Foreground PSNR [dB] and seconds from the vertex start on the same views with the same steps."""
    clock = time.process_time()
    kernels, spacing = vertex_kernels(asset, count, np.random.default_rng(params.seed))
    views = photograph(asset, params.views + optimise.HELD_OUT, params.size, params.shaded, np.random.default_rng(params.seed), SILENT)
    index = torch.arange(len(views.images))
    held, seen = views.pick(index[: optimise.HELD_OUT]), views.pick(index[optimise.HELD_OUT :])
    fitted = optimise.fit(kernels, spacing, kernels.means, seen, params.iterations, torch.Generator().manual_seed(params.seed), SILENT)
    return optimise.psnr(fitted, held, foreground=True), time.process_time() - clock


def fits(names: list[str], iterations: int) -> dict[str, float]:
    """Foreground PSNR and seconds of every asset, beside the vertex start."""
    result: dict[str, float] = {}
    for name in names:
        asset = load(name)
        if asset is None:
            continue
        params = Params(size=256, views=64, iterations=iterations)
        clock = time.process_time()
        splat = stage.run(asset, rigid_skin(asset), params)
        seconds = time.process_time() - clock
        result |= {f"psnr_fg_256_{name}": splat.report["psnr_foreground"], f"psnr_256_{name}": splat.report["psnr"], f"seconds_fit_{name}": seconds}
        result |= {f"psnr_fg_256_{name}_{view}": splat.report[f"psnr_foreground_{view}"] for view in stage.VIEWERS}
        result[f"kernels_{name}"] = len(splat.means)
        result[f"psnr_fg_256_{name}_vertex"], result[f"seconds_fit_{name}_vertex"] = vertex_fit(asset, params, len(splat.means))
        print({key: round(value, 2) for key, value in result.items() if name in key}, file=sys.stderr)
    return result


def curve() -> dict[str, float]:
    """The tiger's foreground PSNR by steps: each a run of its own, as the rates decay over the run."""
    asset, result = asset_stage.run("tiger", AssetParams()), {}
    for iterations in (100, 300, 900):
        params = Params(size=256, views=64, iterations=iterations)
        clock = time.process_time()
        splat = stage.run(asset, rigid_skin(asset), params)
        result |= {f"curve_{iterations}_seconds": time.process_time() - clock, f"curve_{iterations}_psnr_fg": splat.report["psnr_foreground"]}
        vertex, seconds = vertex_fit(asset, params, len(splat.means))
        result |= {f"curve_{iterations}_vertex_seconds": seconds, f"curve_{iterations}_vertex_psnr_fg": vertex}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="accepted for symmetry: the last line is always JSON")
    parser.add_argument("--only", default="raster,filters,cores,step,fit,curve")
    parser.add_argument("--assets", default=",".join(FILES))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--iterations", type=int, default=900)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        "raster": lambda: raster(options.repeats), "filters": lambda: filters(options.repeats), "cores": cores, "step": lambda: step(options.repeats),
        "fit": lambda: fits(options.assets.split(","), options.iterations), "curve": curve,
    }  # fmt: skip
    result: dict[str, float] = {}
    for name in options.only.split(","):
        result |= parts[name]()
        print(f"{name} done", file=sys.stderr)
    print(json.dumps({key: round(float(value), 3) for key, value in result.items()}))


if __name__ == "__main__":
    main()
