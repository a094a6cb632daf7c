"""The page holds everything, nothing foreign can leave its place, and the built viewer is the build of its source."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pytest

import stages.render.page as room
from stages.render.page.content import LOOKS, runs
from stages.render.page.document import pack, script_json
from stages.render.page.kernels import encode
from tests.render.pages import HOSTILE, KERNELS, both, page
from tests.schemas import samples

FOLDER = Path(room.__file__).parent
WEB = FOLDER / "web"
ROOT = FOLDER.parents[2]


class Scripts(html.parser.HTMLParser):
    """Collects the elements of a page as a browser would split it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[dict, str]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "script":
            self.found.append((dict(attributes), ""))

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script" and self.found:
            attributes, text = self.found[-1]
            self.found[-1] = attributes, text + data


@pytest.mark.parametrize("prompt", ["a tiger walking", HOSTILE])
def test_data_come_back_whole_whatever_the_prompt(prompt):
    scripts = Scripts(page(prompt)).found
    assert [attributes.get("id") for attributes, _ in scripts] == ["data", "model-distill", "model-track", "splats-data", None]
    data = json.loads(scripts[0][1])
    assert data["prompt"] == " ".join(prompt.split())
    assert [motion["id"] for motion in data["motions"]] == ["distill", "track"] and len(data["joints"]) == 4


def test_a_hostile_prompt_changes_no_element():
    assert Scripts(page(HOSTILE)).tags == Scripts(page("a tiger walking")).tags
    assert "\u003c" not in script_json({"<": "</script>"}) and json.loads(script_json({"<": "&\u2028"})) == {"<": "&\u2028"}


def test_the_policy_allows_the_viewer_and_no_network():
    text = page(HOSTILE)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    viewer = text[text.rindex("<script>") + 8 : text.rindex("</script>")]
    sheet = text[text.index("<style>") + 7 : text.index("</style>")]
    for source in (viewer, sheet):
        assert base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe" not in policy


def test_models_come_back_bit_for_bit_and_share_the_mesh():
    models = {one.id: one.model for one in both()}
    before, found = b"", {}
    packed = pack(models)
    for name, (parts, own) in packed.items():
        found[name] = before = b"".join({"own": own, "before": before}[source][start : start + length] for source, start, length in parts)
    assert found == models
    assert len(packed["track"][1]) < len(models["track"]) and packed["distill"][1] == models["distill"]


def test_kernels_come_back_within_a_step_of_their_bytes():
    splat = samples.splat(KERNELS)
    facts, packed = encode(splat)
    data, at = zlib.decompress(packed), 0

    def planes(kind, width):
        nonlocal at
        size = np.dtype(kind).itemsize * width * KERNELS
        found = np.frombuffer(data[at : at + size], kind).reshape(width, KERNELS).T
        at += size
        return found

    low, high, (least, most) = np.array(facts["low"]), np.array(facts["high"]), facts["scales"]
    np.testing.assert_allclose(low + planes("<u2", 3) / 65535 * (high - low), splat.means, atol=0.51 * np.ptp(splat.means, axis=0).max() / 65535)
    np.testing.assert_allclose(planes("i1", 4) / 127, splat.rotations, atol=0.51 / 127)
    np.testing.assert_allclose(least + planes("u1", 3) / 255 * (most - least), np.log(splat.scales), atol=0.51 * (most - least) / 255)
    for values in (splat.opacities[:, None], splat.colors):
        np.testing.assert_allclose(planes("u1", values.shape[1]) / 255, values, atol=0.51 / 255)
    joints, shares = planes("<u2", 8), planes("u1", 8)
    weights = np.zeros_like(splat.weights)
    for influence in range(8):
        np.add.at(weights, (np.arange(KERNELS), joints[:, influence]), shares[:, influence] / 255)
    np.testing.assert_allclose(weights, splat.weights, atol=2.1 / 255)
    assert at == len(data) and (shares.sum(1, dtype=int) == 255).all() and facts["count"] == KERNELS


def test_contact_runs_reach_half_a_frame_beyond_their_frames():
    assert runs(np.array([1, 1, 0, 0, 1, 0, 1], bool), 10.0) == [[0.0, 0.15], [0.35, 0.45], [0.55, 0.6]]
    assert runs(np.zeros(3, bool), 10.0) == [] and runs(np.ones(3, bool), 10.0) == [[0.0, 0.2]]


def test_colours_differ_for_colour_blind_people():
    """Protanopes and deuteranopes tell colours by lightness and by blue against yellow: both differ (sRGB, Viénot 1999)."""
    for keep in ((0.11238, 0.88762), (0.29275, 0.70725)):
        seen = []
        for _, color, _ in LOOKS.values():
            red, green, blue = (((int(color[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5))
            seen.append(np.array([keep[0] * red + keep[1] * green, blue]) ** (1 / 2.2))
        assert np.linalg.norm(seen[0] - seen[1]) > 0.3


def test_the_built_page_is_the_build_of_its_source():
    """By hash; `npm ci && npm run build` in stages/render/page/web mends it."""
    manifest = json.loads((FOLDER / "page.json").read_text())
    text = {name: hashlib.sha256((WEB / name).read_bytes()).hexdigest() for name in manifest["sources"]}
    sources = {str(path.relative_to(WEB)) for path in WEB.rglob("*") if path.is_file() and "node_modules" not in path.parts}
    assert text == manifest["sources"] and set(text) == sources
    assert hashlib.sha256((FOLDER / "page.html").read_bytes()).hexdigest() == manifest["page"]
    assert json.loads((WEB / "package.json").read_text())["devDependencies"]["three"] == manifest["three"]


def test_the_licence_of_three_is_kept():
    notice = "Permission is hereby granted, free of charge"
    assert notice in page() and notice in (FOLDER / "page_licences.txt").read_text()


def test_building_again_gives_the_same_bytes(tmp_path):
    if not (WEB / "node_modules" / "esbuild").is_dir() or not shutil.which("node"):
        pytest.skip("needs node and the viewer's packages: npm ci in stages/render/page/web")
    subprocess.run(["node", "build.mjs", "--check", str(tmp_path)], cwd=WEB, check=True, capture_output=True, timeout=120)
    for name in ("page.html", "page.json", "page_licences.txt"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_packages_hold_the_built_page_and_not_its_source():
    """npm's packages lie below the source; without the exclusion they would go into the wheel."""
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = setuptools.find_namespace_packages(str(ROOT), **config["packages"]["find"])
    assert "stages.render.page" in found and not [name for name in found if name.startswith("stages.render.page.web")]
    shipped = {path.name for path in FOLDER.iterdir() if any(path.match(pattern) for pattern in config["package-data"]["*"])}
    assert shipped == {"page.html", "workspace.html", "page.json", "page_licences.txt"}
