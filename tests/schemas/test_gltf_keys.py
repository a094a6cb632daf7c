"""The rate at which a file's animations are best sampled."""

import pytest

from schemas import gltf

from . import samples


@pytest.mark.parametrize(("keys", "rate"), [(16.0, 16.0), (24.0, 24.0), (30.0, 30.0), (29.97, 29.97), (5.0, 15.0), (1.0, 12.0), (120.0, 60.0)])
def test_sampling_meets_the_keys(tmp_path, keys, rate):
    motion = samples.motion()
    motion.fps = keys
    gltf.write(tmp_path / "walk.glb", samples.asset(), samples.rig(), samples.skin().weights, motion, name="walk")
    assert gltf.key_rate(tmp_path / "walk.glb") == pytest.approx(rate, rel=1e-5)


def test_a_file_without_keys(tmp_path):
    gltf.write(tmp_path / "still.glb", samples.asset(), samples.rig(), samples.skin().weights)
    assert gltf.key_rate(tmp_path / "still.glb") == 12
