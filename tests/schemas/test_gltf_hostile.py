"""Damaged glTF: whatever is cut, flipped or replaced, the reader answers with a scene or an AkdError."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import gltf
from schemas.errors import AkdError
from stages.asset import stage
from stages.asset.params import Params
from tests.schemas import samples
from tests.schemas.gltf_files import glb, split
from tests.schemas.test_gltf_write import random_motion, textured_asset

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)


def build(path: Path) -> bytes:
    """A file with everything in it: materials, a texture, a skin, an animation."""
    rng = np.random.default_rng(0)
    asset, rig = textured_asset(), samples.rig()
    weights = rng.dirichlet(np.ones(4), len(asset.vertices)).astype(np.float32)
    return gltf.write(path, asset, rig, weights, random_motion(rig, rng)).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("whole") / "a.glb")


def survives(folder: Path, data: bytes) -> bool:
    """Read, make an asset, read animations; True unless an AkdError came. Anything else fails the test."""
    path = folder / "a.glb"
    path.write_bytes(data)
    try:
        asset = stage.run(path, Params())
        asset.validate()
        gltf.read_animations(path)
        gltf.write(folder / "again.glb", asset)
        asset.save(folder / "a.h5")
    except AkdError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return False
    return True


def test_the_whole_file_is_read(tmp_path, whole):
    assert survives(tmp_path, whole)


def test_every_cut_is_refused(tmp_path, whole):
    for size in [*range(0, 64), *range(64, len(whole) - 1, max(len(whole) // 60, 1)), len(whole) - 1]:
        assert not survives(tmp_path, whole[:size])


@quick
@given(data=st.data())
def test_flipped_bits(tmp_path, whole, data):
    broken = bytearray(whole)
    size = split(whole)[0] and int.from_bytes(whole[12:16], "little")
    where = st.one_of(st.integers(0, 28 + size), st.integers(0, len(whole) - 1))
    for place in data.draw(st.lists(where, min_size=1, max_size=6)):
        broken[place] ^= 1 << data.draw(st.integers(0, 7))
    survives(tmp_path, bytes(broken))


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 400),
    st.sampled_from([2**31, 2**63, 10**40, -(2**40), 1e308, -1e308, 1e-320, 0.5]),
    st.text(max_size=4),
    st.sampled_from(["\ud800", "../../etc/passwd", "data:,", "data:;base64,@@", "MAT4", "SCALAR", "VEC4", "CUBICSPLINE", "STEP", "weights"]),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-2, 9), max_size=4),
    st.just({"index": 0, "texCoord": 3, "extensions": {"KHR_texture_transform": {"scale": [1e200, "x"]}}}),
    st.just({"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [9], "diffuseTexture": {"index": 7}}}),
)


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []:
        found.append((value, key))
        places(value[key], found)
    return found


@settings(quick, max_examples=250)
@given(data=st.data())
def test_replaced_json(tmp_path, whole, data):
    document, body = split(whole)
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        spots = places(document, [])
        container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
        if isinstance(container, dict) and data.draw(st.booleans()):
            extra = st.sampled_from(
                [key, "matrix", "scale", "sparse", "normalized", "byteStride", "uri", "extensions", "material", "skin", "mesh", "children", "mode"]
            )
            container[data.draw(extra)] = copy.deepcopy(data.draw(junk))
        else:
            container[key] = copy.deepcopy(data.draw(junk))
    survives(tmp_path, glb(json.dumps(document).encode("utf-8", "surrogatepass"), body))


def test_numbers_at_the_edge_of_float(tmp_path, whole):
    document, body = split(whole)
    for value in (1e-320, 1e-30, 1e-12, 1e12, 1e30, 1e300):
        for key in ("scale", "translation"):
            changed = copy.deepcopy(document)
            changed["nodes"][1][key] = [value] * 3
            survives(tmp_path, glb(json.dumps(changed).encode(), body))


def test_scene_is_documented():
    assert all(f"{field.name}" in gltf.Scene.__doc__ for field in dataclasses.fields(gltf.Scene))
