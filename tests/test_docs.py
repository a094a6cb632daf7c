"""The documentation as a site: it builds without a complaint, needs no network, its links lead somewhere, its messages are real."""

from __future__ import annotations

import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.tools import messages, pictures
from tests.browser import chromium, opened, until

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


class Page(html.parser.HTMLParser):
    """What a page of the site refers to, and the names of its places."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.places |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif "src" in found:
            self.loads.append(found["src"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "icon"):
            self.loads.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built as `make docs` does."""
    pytest.importorskip("mkdocs", reason="mkdocs builds the site; pip install 'akd[docs]'")
    pytest.importorskip("latex2mathml", reason="latex2mathml draws its equations; pip install 'akd[docs]'")
    out = tmp_path_factory.mktemp("site")
    done = built(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


def built(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """A build of the documentation below `root`; without --quiet, which would hide warnings from --strict."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(command, cwd=root, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_is_in_the_site(site):
    assert {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")} <= {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}


def test_a_link_to_nowhere_fails_the_build(site, tmp_path):
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    for link in ("nowhere.md", "stages.md#akd-fly"):
        (tmp_path / "docs" / "own-gpu.md").write_text(f"# A GPU\n\n[there]({link})\n")
        done = built(tmp_path, tmp_path / "site")
        assert done.returncode != 0 and link.split("#")[-1] in done.stderr


def test_links_lead_to_pages_and_places_that_exist(site, pages):
    wrong = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("/") and path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (
                parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in pages[site / target.relative_to(site)].places
            ):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert not wrong and sum(len(page.links) for page in pages.values()) > 500


def test_nothing_is_loaded_from_the_network(pages):
    assert {load for page in pages.values() for load in page.loads if urlsplit(load).netloc} == set()


def test_equations_are_drawn_by_the_browser_itself(site):
    text = (site / "equations.html").read_text()
    assert text.count("<math") == len(re.findall(r"```math|\$`", (DOCS / "equations.md").read_text())) > 30
    assert "language-math" not in text and "$<code>" not in text


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 800)])
def test_the_site_opens_from_disk_and_finds_words(site, width, height):
    with chromium() as browser, opened(browser, site.as_uri() + "/index.html", width=width, height=height) as (page, trouble):
        trouble.clear()  # files beside the page are no strangers
        until(page, "[...document.querySelectorAll('article img')].length == 3 && [...document.images].every(i => i.complete && i.naturalWidth > 300)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("label[for=__search]" if width < 800 else "input[name=query]")
        page.keyboard.type("friction")
        until(page, "[...document.querySelectorAll('.md-search-result__item')].some(i => /track/i.test(i.textContent))")
        assert [line for line in trouble if not line.startswith(f"request: {site.as_uri()}")] == []


def test_messages_are_what_the_commands_say():
    page = messages.PAGE.read_text(encoding="utf-8")
    commands = [match[2] for match in messages.BLOCK.finditer(page)]
    assert len(commands) > 15 and page == messages.refreshed(page), "run: python -m docs.tools.messages"
    assert all(match[3].startswith("akd: ") and match[3].count("\n") == 1 for match in messages.BLOCK.finditer(page))
    assert not re.search(r"/(?:tmp|home|root|work)/", page)


def test_pictures_of_the_quick_start_come_from_its_commands():
    page = (DOCS / "index.md").read_text()
    assert set(re.findall(r"\]\(quickstart/([\w.]+)\)", page)) == set(pictures.PICTURES) == {path.name for path in pictures.TARGET.iterdir()}
    written = [line.split("#")[0].split() for line in page.splitlines() if line.startswith("akd ")]
    assert [words[1] for words in written] == [stage for stage, *_ in pictures.COMMANDS] and pictures.PROMPT in page
