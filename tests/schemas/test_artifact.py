"""Contracts 2 and 3: what is written is read back, nothing else is accepted, and writing never leaves half a file."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.artifact import file_digest, input_entry, read_header
from schemas.atomic import atomic_path, write_bytes
from schemas.errors import AkdError, MissingError, SchemaError, StorageError
from schemas.motion import Motion
from schemas.rig import Rig, bone_tails
from schemas.skin import Skin
from schemas.track import Track

from . import samples

KINDS = sorted(samples.ALL)


def fields_equal(a, b) -> None:
    for field in dataclasses.fields(a):
        if field.name == "header":
            continue
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype, field.name
            np.testing.assert_array_equal(x, y, err_msg=field.name)
        else:
            assert x == y, field.name


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_is_exact(kind, tmp_path):
    original = samples.ALL[kind]().stamped(params={"a": 1.5, "b": "x"}, seed=7, inputs={"asset": {"path": "a", "sha256": "0" * 64}})
    path = original.save(tmp_path / "x.h5")
    copy = type(original).load(path)
    fields_equal(original, copy)
    assert copy.header == original.header
    assert copy.header.params == {"a": 1.5, "b": "x"} and copy.header.seed == 7
    assert copy.content_digest() == original.content_digest() == read_header(path).digest


@pytest.mark.parametrize("kind", KINDS)
def test_same_content_gives_equal_bytes(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name in ("a.h5", "b.h5"):
        samples.ALL[kind]().stamped(seed=1).save(tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_digest_sees_content_and_not_the_header():
    first, second = samples.skin(), samples.skin()
    second.stamped(seed=3)
    assert first.content_digest() == second.content_digest()
    second.weights[0] = np.roll(second.weights[0], 1)
    assert first.content_digest() != second.content_digest()


def test_seconds_live_in_the_header_so_that_equal_runs_are_equal(tmp_path):
    first, second = samples.skin(), samples.skin()
    first.report["seconds"], second.report["seconds"] = 1.0, 2.0
    first.stamped(), second.stamped()
    assert first.content_digest() == second.content_digest() and "seconds" not in first.report
    assert Skin.load(second.save(tmp_path / "x.h5")).header.seconds == 2.0


BROKEN = {
    "parents out of order": (samples.rig, "parents", [-1, 2, 1, 1], "parents must come before"),
    "two roots": (samples.rig, "parents", [-1, 0, -1, 1], "only joint 0 is a root"),
    "nan": (samples.rig, "positions", np.full((4, 3), np.nan), "must be finite"),
    "infinite": (samples.motion, "root_positions", np.full((6, 3), np.inf), "must be finite"),
    "row count": (samples.rig, "positions", np.zeros((5, 3)), "(J, 3) is needed ('joint_names' has J = 4)"),
    "rank": (samples.skin, "weights", np.zeros(4), "(V, J) is needed"),
    "weights do not sum to 1": (samples.skin, "weights", np.full((5, 4), 0.2), "all rows must sum to 1"),
    "negative weight": (samples.skin, "weights", np.tile([1.5, -0.5, 0, 0], (5, 1)), "bound is"),
    "face index": (samples.asset, "faces", [[0, 1, 99]] * 4, "names vertex 99"),
    "no frames": (samples.motion, "fps", 0.0, "bound is"),
    "turning root row": (samples.motion, "angles", np.ones((6, 4, 3)), "of the root must be zero"),
    "quaternion length": (samples.motion, "root_rotations", np.full((6, 4), 0.1), "not of unit length"),
    "axes": (samples.rig, "axes", np.ones((4, 3, 3)), "not orthonormal"),
    "limits": (samples.rig, "limits", np.tile([[1.0, -1.0]] * 3, (4, 1, 1)), "lower bound above"),
    "role": (samples.rig, "roles", ["wheel", "", "", ""], "unknown role 'wheel'"),
    "names": (samples.rig, "joint_names", ["a", "a", "b", "c"], "share a name"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_invalid_content_is_refused_on_write_and_on_read(case, tmp_path, monkeypatch):
    make, field, value, message = BROKEN[case]
    broken = make()
    like = getattr(broken, field)
    setattr(broken, field, np.asarray(value, like.dtype) if isinstance(like, np.ndarray) else value)
    path = tmp_path / "x.h5"
    with pytest.raises(SchemaError) as error:
        broken.save(path)
    assert message in str(error.value) and not path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(type(broken), "validate", lambda self, where="": None)
        broken.save(path)
    with pytest.raises(SchemaError) as error:
        type(broken).load(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_unknown_major_names_both_versions(tmp_path):
    path = samples.skin().save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        file.attrs["version"] = "7.3"
    with pytest.raises(SchemaError, match=r"version 7\.3, this akd reads 1\.0 to 1\.0"):
        Skin.load(path)


def test_newer_minor_is_refused_with_a_way_out(tmp_path):
    path = samples.skin().save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        file.attrs["version"] = "1.9"
    with pytest.raises(SchemaError, match="update akd"):
        Skin.load(path)


def test_older_minor_is_migrated(tmp_path):
    rig = samples.rig()
    path = rig.save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:  # what akd.rig 1.0 looked like: no bone tips
        file.attrs["version"] = "1.0"
        del file["tails"]
    migrated = Rig.load(path)
    np.testing.assert_array_equal(migrated.tails, bone_tails(rig.positions, rig.parents))
    migrated.save(path)
    assert read_header(path).version == Rig.VERSION


def test_wrong_schema_names_both(tmp_path):
    path = samples.skin().save(tmp_path / "x.h5")
    with pytest.raises(SchemaError, match="holds 'akd.skin', 'akd.rig' is needed"):
        Rig.load(path)


def test_track_reads_as_its_own_schema_only(tmp_path):
    path = samples.track().save(tmp_path / "x.h5")
    assert isinstance(Track.load(path), Motion)
    with pytest.raises(SchemaError, match="akd.track"):
        Motion.load(path)


def test_external_link_is_refused(tmp_path):
    secret = tmp_path / "secret.h5"
    samples.skin().save(secret)
    path = samples.skin().save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        del file["weights"]
        file["weights"] = h5py.ExternalLink(str(secret), "/weights")
    with pytest.raises(SchemaError, match="'weights' is a link"):
        Skin.load(path)


def test_soft_link_group_virtual_and_external_storage_are_refused(tmp_path):
    path = samples.skin().save(tmp_path / "x.h5")
    layout = h5py.VirtualLayout((5, 4), np.float32)
    layout[:] = h5py.VirtualSource(path, "weights", (5, 4))

    def soft(file):
        file["weights"] = h5py.SoftLink("/method")

    def group(file):
        file.create_group("weights")

    def virtual(file):
        file.create_virtual_dataset("weights", layout)

    def external(file):
        file.create_dataset("weights", (5, 4), np.float32, external=[(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)])

    for make, message in ((soft, "is a link"), (group, "is a group"), (virtual, "other files"), (external, "other files")):
        hostile = samples.skin().save(tmp_path / "y.h5")
        with h5py.File(hostile, "a") as file:
            del file["weights"]
            make(file)
        with pytest.raises(SchemaError, match=message):
            Skin.load(hostile)


def test_unknown_filter_is_refused(tmp_path):
    path = samples.skin().save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        del file["weights"]
        file.create_dataset("weights", data=np.zeros((5, 4), np.float32), compression="lzf", chunks=(5, 4))
    with pytest.raises(SchemaError, match="compressed by filter 32000"):
        Skin.load(path)


def test_decompression_bomb_is_refused_before_it_is_read(tmp_path):
    path = samples.skin().save(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        del file["weights"]
        file.create_dataset("weights", (2**30, 4), np.float32, compression="gzip", chunks=(2**16, 4))
    with pytest.raises(SchemaError, match="more than 8 GiB"):
        Skin.load(path)


@pytest.mark.parametrize("content", [b"", b"not hdf5 at all", b"\x89HDF\r\n\x1a\n" + b"\0" * 64])
def test_foreign_files_give_one_clear_line(content, tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(SchemaError) as error:
        Skin.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_plain_hdf5_missing_file_and_folder(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["weights"] = np.ones(3)
    with pytest.raises(SchemaError, match="no akd header"):
        Skin.load(tmp_path / "x.h5")
    with pytest.raises(MissingError, match="no such file"):
        Skin.load(tmp_path / "nothing.h5")
    with pytest.raises(AkdError, match="is not a file"):
        Skin.load(tmp_path)


@pytest.fixture(scope="module")
def motion_bytes(tmp_path_factory):
    return samples.motion().save(tmp_path_factory.mktemp("m") / "x.h5").read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_never_give_anything_but_an_akd_error(motion_bytes, tmp_path_factory, data):
    size = len(motion_bytes)
    damaged = bytearray(motion_bytes[: data.draw(st.integers(0, size))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 255)), max_size=6)):
        if place < len(damaged):
            damaged[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.h5"
    path.write_bytes(damaged)
    try:
        Motion.load(path).validate()
    except AkdError as error:
        assert "\n" not in str(error)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = samples.skin().save(tmp_path / "x.h5")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="no space left"):
        samples.skin().save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.h5"]


def test_kill_while_writing_leaves_the_old_file_and_the_next_write_sweeps(tmp_path):
    target = tmp_path / "x.bin"
    target.write_bytes(b"old")
    code = (
        "import sys,time\nfrom schemas.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as p:\n p.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    assert len(os.listdir(tmp_path)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.05)
    assert target.read_bytes() == b"old"
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new" and os.listdir(tmp_path) == ["x.bin"]


def test_atomic_write_follows_links_and_refuses_folders(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    write_bytes(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    with pytest.raises(StorageError, match="is a folder"), atomic_path(tmp_path):
        pass


def test_digest_of_inputs(tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    assert file_digest(tmp_path / "a.txt") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    skin = samples.skin()
    assert input_entry("x/skin.h5", skin) == {"path": "skin.h5", "sha256": skin.content_digest()}
