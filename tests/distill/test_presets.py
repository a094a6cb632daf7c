"""Presets fill what is not given, every prior takes them, and the documentation says what they set."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from stages.distill import presets
from stages.distill.params import FALLBACK, PRESETS, Params, resolve
from stages.distill.priors.base import PriorSpec
from stages.distill.priors.embedded.model import ModelConfig
from stages.distill.priors.embedded.prior import DEFAULTS, spec_of

DOCS = Path(__file__).resolve().parents[2] / "docs" / "distillation.md"
COGVIDEOX = PriorSpec("cogvideox-5b", "v", 49, 480, 720, 8.0, "4k+1", 16, 4, 8, 16)
WAN = PriorSpec("wan2.1-1.3b", "flow", 81, 480, 832, 16.0, "4k+1", 16, 4, 8, 16, defaults={"modes": 16, "unfold": 0.3})
LTX = PriorSpec("ltx-video", "flow", 97, 512, 704, 24.0, "8k+1", 32, 8, 32, 128)
EMBEDDED = spec_of(ModelConfig())


@pytest.mark.parametrize("spec", [COGVIDEOX, WAN, LTX, EMBEDDED], ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", PRESETS)
def test_every_prior_takes_every_preset_and_given_values_win(name, spec):
    done = resolve(Params(preset=name), spec)
    assert done.preset == name
    for key, value in presets.values(name, spec).items():
        assert getattr(done, key) == value
    given = resolve(Params(preset=name, iterations=7, modes=5, estimator="ism"), spec)
    assert (given.iterations, given.modes, given.estimator) == (7, 5, "ism")


def test_auto_is_the_paper_for_large_priors_and_the_laptop_for_the_built_in():
    large, small = resolve(Params(), COGVIDEOX), resolve(Params(), EMBEDDED)
    assert (large.preset, large.iterations, large.modes, large.anneal, large.estimator) == ("paper", 10000, 0, 0.5, "sds")
    assert small.preset == "laptop" and small == dataclasses.replace(resolve(Params(preset="laptop"), EMBEDDED))
    assert all(getattr(small, key) == value for key, value in DEFAULTS.items())


def test_the_paper_means_the_paper_whatever_the_prior_would_like():
    done = resolve(Params(preset="paper"), WAN)
    assert (done.modes, done.unfold, done.t_max, done.t_max_end) == (0, 0.0, 0.98, 0.5)


def test_the_documentation_says_what_the_presets_set():
    rows = {m[1]: [cell.strip() for cell in m[2].split("|")] for m in re.finditer(r"^\| `--([a-z-]+)` \|(.*)\|$", DOCS.read_text(), re.MULTILINE)}
    columns = [presets.PAPER, presets.FAST, presets.LAPTOP | presets.SMALL_CLIP, DEFAULTS]
    wanted = {key.replace("_", "-") for column in columns[:3] for key in column}
    assert wanted <= set(rows)
    for flag in wanted:
        key = flag.replace("-", "_")
        for cell, column in zip(rows[flag], columns, strict=True):
            value = column.get(key, FALLBACK.get(key))
            assert cell == ("the prior's" if value is None else f"{value:g}" if isinstance(value, (int, float)) else value), (flag, cell, value)
