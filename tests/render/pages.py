"""A small page, as the tests of the page need it."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from schemas import gltf
from schemas.motion import Motion
from stages.render.page.content import Figure, Shown, content
from stages.render.page.document import document
from stages.render.page.kernels import encode
from tests.schemas import samples

HOSTILE = "a tiger </script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> @DATA@ & \"quoted\" 'too' \u2028 \u202e"
"""A prompt that would leave its element if it were put into a page as it is."""
KERNELS = 300


def shown(id: str, motion: Motion) -> Shown:
    """A motion of the sample rig with two feet, the first always down."""
    with tempfile.TemporaryDirectory() as folder:
        model = gltf.write(Path(folder) / "a.glb", samples.asset(), samples.rig(), samples.skin().weights, motion).read_bytes()
    contact = np.stack([np.ones(motion.frame_count, bool), np.arange(motion.frame_count) % 4 < 2], 1)
    return Shown(id, motion, model, ["left_fore", "right_fore"], contact, f"{id} in a sentence")


def both(prompt: str = "a tetrahedron walking") -> list[Shown]:
    """The sample's distilled and tracked motion."""
    names, losses = ["iteration", "loss"], np.stack([np.arange(30), 2.0 ** -np.arange(30)], 1)
    first = dataclasses.replace(samples.motion(frames=17), prompt=prompt, loss_names=names, losses=losses)
    return [shown("distill", first), shown("track", dataclasses.replace(samples.track(frames=17), prompt=prompt))]


def page(prompt: str = "a tetrahedron walking", motions: list[Shown] | None = None, splats: bool = True) -> str:
    """The HTML of a page of the samples."""
    motions = motions or both(prompt)
    figures = [Figure("speed", "m/s", ["1.00", "0.90"][: len(motions)], "Distance over time.")]
    found = content(samples.rig(), motions, figures, slug="a-tetrahedron-walking", files=[])
    return document(found, {one.id: one.model for one in motions}, encode(samples.splat(KERNELS)) if splats else None)
