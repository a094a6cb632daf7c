"""Splats as files: 3DGS .ply and .spz keep what they hold, harmonics included, and turn it into akd's frame."""

from __future__ import annotations

import dataclasses
import gzip
import struct

import h5py
import numpy as np
import pytest
import torch

from schemas import ply, spz
from schemas.errors import InputError, SchemaError
from schemas.splat import Splat
from stages.splat import given, stage
from stages.view import harmonics
from tests.schemas import samples
from tests.splat.test_splat import QUICK, ball, skin_of

FIELDS = "means", "rotations", "scales", "opacities", "colors"
TURN = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])


def shiny(count: int = 15) -> Splat:
    """A splat whose colours depend on the view."""
    splat, rng = samples.splat(), np.random.default_rng(4)
    return dataclasses.replace(splat, harmonics=rng.uniform(-0.5, 0.5, (len(splat.means), count, 3)))


def same_turns(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of half the angles between quaternions."""
    return np.abs((a * b).sum(1))


@pytest.mark.parametrize("count", [3, 8, 15])
def test_ply_keeps_harmonics_in_the_order_of_3dgs(tmp_path, count):
    splat = shiny(count)
    splat.validate()
    path = ply.write(tmp_path / "shiny.ply", splat)
    back = ply.read(path)
    for name in (*FIELDS, "harmonics"):
        np.testing.assert_allclose(back[name], getattr(splat, name), atol=2e-6)
    header, body = path.read_bytes().split(b"end_header\n", 1)
    names = [line.split()[-1] for line in header.decode().splitlines() if line.startswith("property")]
    table = np.frombuffer(body, "<f4").reshape(-1, len(names))
    assert names[9] == "f_rest_0" and names[9 + 3 * count] == "opacity"
    np.testing.assert_array_equal(table[:, names.index(f"f_rest_{count}")], splat.harmonics[:, 0, 1])  # green begins after all of red


def test_harmonics_of_no_degree_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="4 coefficients"):
        shiny(4).validate()
    data = ply.write(tmp_path / "a.ply", shiny(3)).read_bytes().replace(b"property float f_rest_8\n", b"property float f_best_8\n")
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(InputError, match="f_rest"):
        ply.read(tmp_path / "a.ply")


def test_splats_of_version_1_0_still_load(tmp_path):
    path = samples.splat().save(tmp_path / "splat.h5")
    with h5py.File(path, "a") as file:
        file.attrs["version"] = "1.0"
    assert Splat.load(path).harmonics is None
    path = shiny().save(tmp_path / "shiny.h5")
    np.testing.assert_array_equal(Splat.load(path).harmonics, shiny().harmonics)


@pytest.mark.parametrize("splat", [samples.splat(), shiny(3), shiny(15)])
def test_spz_keeps_what_its_bytes_can_hold(tmp_path, splat):
    path = spz.write(tmp_path / "a.spz", splat)
    back = spz.read(path)
    np.testing.assert_allclose(back["means"], splat.means, atol=2e-6)
    np.testing.assert_allclose(np.log(back["scales"]), np.log(splat.scales), atol=1 / 32 + 1e-6)
    np.testing.assert_allclose(back["opacities"], splat.opacities, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(back["colors"], splat.colors, atol=0.5 / 130)
    assert same_turns(back["rotations"], splat.rotations).min() > np.cos(np.radians(0.15))
    assert ("harmonics" in back) == (splat.harmonics is not None)
    if splat.harmonics is not None:
        np.testing.assert_allclose(back["harmonics"], splat.harmonics, atol=1 / 256 + 1e-6)
    assert path.read_bytes() == spz.write(tmp_path / "b.spz", splat).read_bytes()
    fitted = spz.write(tmp_path / "c.spz", dataclasses.replace(splat, report={"dilation": 0.1}))
    assert [gzip.decompress(file.read_bytes())[14] for file in (path, fitted)] == [0, 1]  # the flag for antialiasing


def test_spz_is_read_alike_by_another_reader(tmp_path):
    gsply = pytest.importorskip("gsply", reason="gsply, a reader of .spz by others, is not installed")
    splat = shiny(8)
    spz.write(tmp_path / "a.spz", splat)
    ours, theirs = spz.read(tmp_path / "a.spz"), gsply.spz.read_spz(tmp_path / "a.spz")
    np.testing.assert_allclose(theirs.means, ours["means"], atol=1e-6)
    np.testing.assert_allclose(np.exp(theirs.scales), ours["scales"], rtol=1e-5)
    np.testing.assert_allclose(0.5 + ply.C0 * theirs.sh0, ours["colors"], atol=1e-5)
    np.testing.assert_allclose(np.asarray(theirs.shN).reshape(ours["harmonics"].shape), ours["harmonics"], atol=1e-5)
    assert same_turns(theirs.quats[:, [1, 2, 3, 0]], ours["rotations"]).min() > 1 - 1e-4
    np.testing.assert_allclose(1 / (1 + np.exp(-theirs.opacities)), ours["opacities"], atol=1e-3)


def test_older_spz_is_read(tmp_path):
    """Version 2: rotations are x, y and z in a byte each."""
    turn = np.array([0.3, -0.5, 0.1, np.sqrt(1 - 0.35)])
    body = b"\0\0\4" * 3 + bytes([255, 200, 128, 10, 160, 160, 160]) + np.round(127.5 * (turn[:3] + 1)).astype(np.uint8).tobytes()
    (tmp_path / "a.spz").write_bytes(gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 2, 1, 0, 12, 0, 0) + body))
    back = spz.read(tmp_path / "a.spz")
    np.testing.assert_allclose(back["means"], [[64, 64, 64]])
    np.testing.assert_allclose(back["rotations"], [turn], atol=0.01)
    np.testing.assert_allclose(back["scales"], 1)


def test_damaged_spz_names_the_file(tmp_path):
    path = spz.write(tmp_path / "a.spz", shiny())
    whole = gzip.decompress(path.read_bytes())
    for damaged in (b"", b"plainly not", gzip.compress(whole[:-5]), gzip.compress(whole[:7]), gzip.compress(struct.pack("<II", 1, 2) + whole[8:])):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="a.spz"):
            spz.read(path)


def test_turned_harmonics_show_what_was_seen_from_there_before():
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(6, 15, 3, generator=generator, dtype=torch.float64)
    turn = torch.from_numpy(TURN)
    directions = torch.nn.functional.normalize(torch.randn(40, 3, generator=generator, dtype=torch.float64), dim=1)
    for turns in (turn, turn.expand(6, 3, 3)):
        after = harmonics.basis(directions, 3)[:, 1:] @ harmonics.rotated(coefficients, turns)
        before = harmonics.basis(directions @ turn, 3)[:, 1:] @ coefficients
        torch.testing.assert_close(after, before, atol=1e-10, rtol=0)
    whole = harmonics.whole(torch.full((6, 3), 0.7, dtype=torch.float64), coefficients)
    seen = harmonics.colors(whole, torch.zeros(1, 6, 3, dtype=torch.float64), -3 * directions[:1])
    again = harmonics.seen(torch.full((6, 3), 0.7, dtype=torch.float64), coefficients, torch.zeros(1, 6, 3, dtype=torch.float64), -3 * directions[:1])
    torch.testing.assert_close(again, seen)
    assert harmonics.seen(whole[:, 0], None, whole[None, :, 0], directions).shape == (6, 3)
    torch.testing.assert_close(seen[0], (0.7 + harmonics.basis(directions[:1], 3)[:, 1:] @ coefficients)[:, 0].clamp(min=0))


@pytest.mark.parametrize("writer", [ply, spz])
def test_own_kernels_keep_their_harmonics_in_akds_frame(tmp_path, writer):
    asset = ball()
    splat = stage.run(asset, skin_of(asset), dataclasses.replace(QUICK, iterations=0))
    splat.harmonics = np.random.default_rng(0).uniform(-0.5, 0.5, (len(splat.means), 8, 3)).astype(np.float32)
    placed = dataclasses.replace(asset, transform=np.block([[TURN, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]))
    asset.vertices[:, 0] *= 1.5  # an ellipsoid, so that the frames differ
    placed.vertices = asset.vertices
    splat.means[:, 0] *= 1.5
    turned = harmonics.rotated(torch.from_numpy(splat.harmonics), torch.from_numpy(TURN.T)).numpy()
    path = tmp_path / f"own.{writer.__name__.split('.')[-1]}"
    writer.write(path, dataclasses.replace(splat, means=splat.means @ TURN, harmonics=turned))
    kernels, *_ = given.load(path, placed)
    np.testing.assert_allclose(kernels["means"], splat.means, atol=1e-5)
    np.testing.assert_allclose(kernels["harmonics"], splat.harmonics, atol=1e-5 if writer is ply else 0.02)
    bound = stage.run(placed, skin_of(asset), dataclasses.replace(QUICK, reach=0.5), splats=path)
    bound.validate()
    assert bound.harmonics.shape == (len(bound.means), 8, 3)
