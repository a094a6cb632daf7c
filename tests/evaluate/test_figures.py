"""Every figure that is printed is defined, with its unit, in docs/metrics.md."""

import re
from pathlib import Path

import numpy as np
import pytest

from stages.evaluate.figures import FIGURES, markdown, named, paths
from stages.evaluate.gait import analyse

from .chain import rig, swinging

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_page_holds_the_definitions_of_today():
    assert markdown() in PAGE, "run: python -m stages.evaluate.figures"
    rows = re.findall(r"^\| `([\w.*]+)` \| ([^|]+) \| (.+) \|$", PAGE, re.M)
    assert {name for name, unit, words in rows if unit.strip() and words.strip()} >= set(FIGURES)


def test_every_figure_of_a_motion_is_defined():
    mesh = np.array([[0.2, 1, 0], [0.2, 0.5, 0], [0.2, 0.5, 0.1]]), np.array([[0, 1, 2]]), np.tile([0, 1.0, 0, 0, 0], (3, 1))
    figures = analyse(rig(), swinging(33, 16), mesh)
    found = {path: named(path) for path, _ in paths(figures)}
    assert [path for path, name in found.items() if name is None] == []
    # and nothing is defined that is never printed; what the command adds is tested with it, a chain has neither gait nor fore legs
    added = {"treadmill", "videophy.sa", "videophy.pc", "videophy.*", "against.motion", "against.limbs.*", "against.period"}
    assert set(FIGURES) - set(found.values()) <= added


@pytest.mark.parametrize(("path", "name"), [("legs.left_leg3.swing", "legs.*.swing"), ("limbs.tail", "limbs.*"), ("legs.swing", None), ("speed.x", None)])
def test_names_of_figures(path, name):
    assert named(path) == name
