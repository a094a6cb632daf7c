"""Mesh to Gaussians: quality and time of the default, against the paper's start at mesh vertices in the same run.

python -m tests.bench.splat --json
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time

import numpy as np
import torch

from schemas.asset import Asset
from schemas.skin import Skin
from stages.asset import stage as asset_stage
from stages.asset.params import Params as AssetParams
from stages.progress import SILENT
from stages.splat import optimise, stage
from stages.splat.params import Params
from stages.splat.start import Start

ASSETS = ("tiger", "horse")


def rigid_skin(asset: Asset) -> Skin:
    """One bone: binding is not what is measured here."""
    return Skin(name=asset.name, method="heat", weights=np.ones((len(asset.vertices), 1)))


def vertex_start(asset: Asset, count: int, rng: np.random.Generator) -> Start:
    """The paper's start: kernels at mesh vertices, round, of the size of the gap to the neighbours."""
    from scipy.spatial import cKDTree

    owner = np.zeros(len(asset.vertices), int)
    owner[asset.faces[:, 0]] = np.arange(len(asset.faces))
    pick = rng.permutation(len(asset.vertices))[:count]
    means = asset.vertices[pick].astype(np.float64)
    spacing = cKDTree(means).query(means, k=5)[0][:, 1:].mean(1)
    faces = owner[pick]
    corner = (asset.faces[faces] == pick[:, None]).astype(float)
    return Start(faces, corner, means, asset.normals[pick].astype(np.float64), np.maximum(spacing, 1e-9))


def vertex_quality(asset: Asset, params: Params, count: int) -> tuple[float, float, float]:
    """PSNR at the start and after the fit [dB], and seconds, from the vertex start on the same views."""
    clock = time.process_time()
    rng = np.random.default_rng(params.seed)
    start = vertex_start(asset, count, rng)
    size = torch.as_tensor(start.spacing).float().log()[:, None].expand(-1, 3)
    kernels = optimise.Kernels(
        means=torch.as_tensor(start.means).float(),
        rotations=torch.tensor([0.0, 0, 0, 1]).repeat(len(start.means), 1),
        scales=size.clone(),
        opacities=torch.full((len(start.means),), -2.197),
        colors=torch.full((len(start.means), 3), 0.5),
    )
    views = optimise.photograph(asset, params.views + optimise.HELD_OUT, params.size, params.shaded, np.random.default_rng(params.seed), SILENT)
    index = torch.arange(len(views.images))
    held, seen = views.pick(index[: optimise.HELD_OUT]), views.pick(index[optimise.HELD_OUT :])
    before = optimise.psnr(kernels, held)
    generator = torch.Generator().manual_seed(params.seed)
    anchors = torch.as_tensor(start.means).float()
    fitted = optimise.fit(kernels, torch.as_tensor(start.spacing).float(), anchors, seen, params.iterations, generator, SILENT)
    return before, optimise.psnr(fitted, held), time.process_time() - clock


def main() -> None:
    torch.set_num_threads(1)
    result: dict[str, float] = {}
    for name in ASSETS:
        asset = asset_stage.run(name, AssetParams())
        params = Params()
        stage.run(asset, rigid_skin(asset), dataclasses.replace(params, iterations=1, views=1))  # compiles the kernels
        clock = time.process_time()
        splat = stage.run(asset, rigid_skin(asset), params)
        seconds = time.process_time() - clock
        before, after, vertex_seconds = vertex_quality(asset, params, len(splat.means))
        result |= {f"{name}_kernels": len(splat.means), f"{name}_psnr_start": splat.report["psnr_start"], f"{name}_psnr": splat.report["psnr"]}
        result |= {
            f"{name}_cpu_seconds": seconds,
            f"{name}_vertex_psnr_start": before,
            f"{name}_vertex_psnr": after,
            f"{name}_vertex_cpu_seconds": vertex_seconds,
        }
        print(f"{name}: {result}", file=sys.stderr)
    print(json.dumps({key: round(float(value), 3) for key, value in result.items()}))


if __name__ == "__main__":
    main()
