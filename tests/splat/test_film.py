"""Films of splats: harmonics are seen, and kernels are drawn in the image model that they were fitted in."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.render.test_render import SMALL, decode, render
from tests.schemas import samples


def test_harmonics_and_the_image_model_show_in_the_film(tmp_path):
    plain = samples.splat()
    zero = dataclasses.replace(plain, harmonics=np.zeros((len(plain.means), 3, 3), np.float32))
    shiny = dataclasses.replace(plain, harmonics=np.full((len(plain.means), 3, 3), 0.6, np.float32))
    thin = dataclasses.replace(plain, scales=0.02 * plain.scales)
    fitted = dataclasses.replace(thin, report={**plain.report, "dilation": 0.1})
    frames = {}
    for name, splat in {"plain": plain, "zero": zero, "shiny": shiny, "thin": thin, "fitted": fitted}.items():
        (tmp_path / name).mkdir()
        frames[name] = np.stack(decode(render(tmp_path / name, SMALL, splat=splat).video)[1]).astype(int)
    assert np.abs(frames["plain"] - frames["zero"]).max() <= 2  # of the encoder
    assert np.abs(frames["plain"] - frames["shiny"]).mean() > 0.5
    assert np.abs(frames["thin"] - frames["fitted"]).mean() > 0.02  # thinner than a pixel: fainted, not widened
