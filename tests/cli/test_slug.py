"""Folder names from hostile prompts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from akd_cli.slug import asset_name, slug
from akd_cli.workspace import Workspace


@given(st.text())
@example("")
@example("../../etc/passwd")
@example("a" * 5000)
@example("\ud800 lone surrogate")
@example("-rf / ; $(reboot) `x` \n")
def test_a_slug_is_a_safe_short_name_and_stays_itself(text):
    name = slug(text)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and len(name) <= 69
    assert slug(name) == name == slug(text)


@given(st.text(), st.sampled_from(["motions", "rig.h5", "track.h5"]))
def test_every_prompt_stays_inside_its_workspace(text, file):
    workspace = Workspace(Path("runs/x"))
    parts = workspace.path(file, text).parts
    assert parts[:2] == ("runs", "x") and ".." not in parts and len(parts) <= 5


@given(st.lists(st.text(alphabet="猫虎走る跑 ", min_size=1), min_size=2, max_size=2, unique_by=lambda t: t.strip()))
def test_prompts_in_other_scripts_do_not_collide(texts):
    kept = [t for t in texts if t.strip()]
    assert len({slug(t) for t in kept}) == len(kept)


def test_what_a_slug_looks_like():
    assert slug("A tiger, walking!") == "a-tiger-walking"
    assert slug("Élan court") == "elan-court"
    long = [slug("a tiger " + "very " * 40 + end) for end in ("slowly walking", "quickly running")]
    assert long[0] != long[1] and all(name.startswith("a-tiger-very-") for name in long)
    assert asset_name("path/to/My Dragon v2.glb") == "my-dragon-v2" and asset_name("tiger") == "tiger"


@pytest.mark.parametrize(("arguments", "name"), [(["A cat's walk"], "a-cat-s-walk"), (["--asset", "x/Cow.glb"], "cow")])
def test_the_makefile_gets_the_same_name(arguments, name):
    file = Path(__file__).resolve().parents[2] / "akd_cli/slug.py"
    assert subprocess.run([sys.executable, "-S", str(file), *arguments], capture_output=True, text=True, check=True).stdout.strip() == name
